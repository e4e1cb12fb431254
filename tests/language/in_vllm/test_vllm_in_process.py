"""vLLM in this process: what it answers, and what it refuses."""

import asyncio
import json

import pytest
from questions import is_well_formed, question

from agents.language.exchange import BackendError, Message


def ask_together(backend, requests):
    async def ask():
        return await asyncio.gather(*(backend.answer(request) for request in requests))

    return asyncio.run(ask())


def ask_in_turn(backend, requests):
    async def ask():
        return [await backend.answer(request) for request in requests]

    return asyncio.run(ask())


def test_a_model_that_knows_nothing_answers_within_the_schema(backend):
    replies = ask_together(backend, [question(number) for number in range(100)])

    assert all(reply.finish == "stop" for reply in replies)
    assert all(is_well_formed(json.loads(reply.text)) for reply in replies)
    assert len({reply.text for reply in replies}) > 50


def test_a_reply_counts_its_tokens_and_names_its_model_without_the_path(backend):
    (reply,) = ask_together(backend, [question(1)])

    assert reply.served == "tiny"
    assert reply.prompt_tokens > len("Round 1. The price was 99. How much?")  # a byte is a token
    assert 0 < reply.completion_tokens <= 400


def test_an_answer_longer_than_allowed_is_cut_and_says_so(backend):
    (reply,) = ask_together(backend, [question(1, max_tokens=3)])

    assert reply.finish == "length"
    assert reply.completion_tokens == 3


def test_the_same_question_gets_the_same_answer_alone_and_in_company(backend):
    requests = [question(number) for number in range(20)]

    assert ask_in_turn(backend, requests) == ask_together(backend, requests)


def test_another_seed_gets_another_answer(backend):
    first, second = ask_together(backend, [question(1, seed=1), question(1, seed=2)])

    assert first.text != second.text


def test_a_prompt_that_the_model_cannot_read_is_refused_alone(backend):
    async def ask():
        long = question(1, messages=(Message("user", "quantity " * 2000),))
        return await asyncio.gather(
            backend.answer(long), backend.answer(question(2)), return_exceptions=True
        )

    refused, answered = asyncio.run(ask())

    assert isinstance(refused, BackendError)
    assert "more than the 16384" in str(refused)
    assert is_well_formed(json.loads(answered.text))


def test_a_schema_that_cannot_be_kept_to_is_refused_and_the_engine_goes_on(backend):
    odd = {"type": "object", "properties": {"a": {"type": "string", "format": "no such format"}}}

    with pytest.raises(BackendError, match="no such format"):
        ask_together(backend, [question(1, schema=odd)])

    assert ask_together(backend, [question(1)])
