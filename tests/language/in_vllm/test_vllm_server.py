"""A vLLM server over HTTP, asked as any OpenAI-compatible endpoint is."""

import asyncio
import json

import openai
import pytest
from questions import SCHEMA, is_well_formed, question

from agents.language.backends.catalogue import open_backend
from agents.language.exchange import BackendError, Message
from agents.language.models import Model


def ask(backend, requests):
    async def together():
        try:
            return await asyncio.gather(*(backend.answer(request) for request in requests))
        finally:
            await backend.close()

    return asyncio.run(together())


def served(server):
    return open_backend(Model(backend="openai", model="tiny", base_url=server))


def test_the_openai_client_gets_an_answer_within_the_schema(server):
    request = question(3)
    with openai.OpenAI(base_url=server, api_key="none") as client:
        answer = client.chat.completions.create(
            model="tiny",
            messages=[message._asdict() for message in request.messages],
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            seed=request.seed,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            },
        )

    assert is_well_formed(json.loads(answer.choices[0].message.content))


def test_many_at_once_are_answered_within_the_schema(server):
    replies = ask(served(server), [question(number) for number in range(50)])

    assert all(is_well_formed(json.loads(reply.text)) for reply in replies)


def test_a_model_answers_the_same_whether_it_is_served_or_in_this_process(server, backend):
    requests = [question(number) for number in range(20)]

    async def in_process():
        return await asyncio.gather(*(backend.answer(request) for request in requests))

    assert ask(served(server), requests) == asyncio.run(in_process())


def test_a_prompt_that_the_model_cannot_read_is_an_error_that_asking_again_would_not_help(server):
    with pytest.raises(BackendError, match="status 400"):
        ask(served(server), [question(1, messages=(Message("user", "quantity " * 2000),))])
