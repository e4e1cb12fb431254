"""Engines of vLLM in one process: how they are made, how they end, and two at a time."""

import asyncio
from contextlib import contextmanager

import pytest
from questions import question

from agents.language.backends.catalogue import open_backend
from agents.language.exchange import BackendError
from agents.language.models import Model


@contextmanager
def opened(folder, **options):
    backend = open_backend(Model(backend="vllm", model=str(folder), options=options))
    try:
        yield backend
    finally:
        asyncio.run(backend.close())


def ask_each(*backends, requests):
    async def ask():
        return await asyncio.gather(
            *(backend.answer(asked) for backend, asked in zip(backends, requests, strict=True))
        )

    return asyncio.run(ask())


def test_two_models_answer_side_by_side(tiny, make_model):
    other = make_model("other", seed=1)
    with opened(tiny) as first, opened(other) as second:
        replies = ask_each(first, second, requests=[question(1), question(1)])

    assert [reply.served for reply in replies] == ["tiny", "other"]
    assert replies[0].text != replies[1].text


def test_an_option_that_vllm_does_not_know_is_named(tiny):
    with opened(tiny, top_q=0.5) as odd, pytest.raises(BackendError, match="top_q"):
        ask_each(odd, requests=[question(1)])


def test_an_option_of_sampling_reaches_vllm(tiny):
    """Only the likeliest token may be drawn, so the seed no longer matters."""
    with opened(tiny, top_k=1) as sure:
        requests = [question(1, seed=1), question(1, seed=2)]
        first, second = ask_each(sure, sure, requests=requests)

    assert first.text == second.text


def test_an_engine_that_failed_says_so_at_once_when_asked_again(tiny):
    """A real failure: on a CPU vLLM 0.32 cannot read a prompt with a seed in two pieces."""
    pieces = {"enable_chunked_prefill": True, "max_num_batched_tokens": 64, "max_num_seqs": 16}
    with opened(tiny, engine=pieces) as broken:
        for _ in range(2):
            with pytest.raises(BackendError, match="must be opened again: CPU Generator"):
                ask_each(broken, requests=[question(1)])


def test_a_folder_that_holds_no_model_is_refused_when_it_is_opened(tmp_path):
    with pytest.raises(BackendError, match="vLLM cannot load"), opened(tmp_path):
        pass
