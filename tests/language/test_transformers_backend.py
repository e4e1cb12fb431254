"""A model in this process: held to schemas, answered in batches, the same every time."""

import asyncio
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.language.backends.transformers import Transformers
from agents.language.exchange import BackendError, Message, Request
from agents.language.models import Model

FORM = {
    "type": "object",
    "properties": {
        "plans": {"type": "string", "maxLength": 20},
        "quantity": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "required": ["plans", "quantity"],
    "additionalProperties": False,
}


def asked(text, *, schema=FORM, temperature=1.0, max_tokens=200, seed=1):
    return Request(
        model="m",
        messages=(Message("system", "Answer."), Message("user", text)),
        schema=schema,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
    )


def answers(folder, requests, *, together=True, **fields):
    """The replies to `requests`, asked together or one after the other."""

    async def ask():
        backend = Transformers(Model(backend="transformers", model=str(folder), **fields))
        try:
            if together:
                return await asyncio.gather(*map(backend.answer, requests))
            return [await backend.answer(request) for request in requests]
        finally:
            await backend.close()

    return asyncio.run(ask())


@st.composite
def schemas(draw, depth=2):
    """A schema whose answers are short, and what they must satisfy."""
    kinds = ["integer", "enum", "string", "boolean"] + (["object", "array"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "integer":
        low = draw(st.integers(-50, 50))
        high = low + draw(st.integers(0, 300))
        return {
            "type": "integer",
            "minimum": low,
            "maximum": high,
        }, lambda v: type(v) is int and low <= v <= high
    if kind == "enum":
        words = draw(st.lists(st.text(min_size=1, max_size=6), min_size=1, unique=True, max_size=4))
        return {"type": "string", "enum": words}, lambda v: v in words
    if kind == "string":
        most = draw(st.integers(0, 9))
        return {
            "type": "string",
            "maxLength": most,
        }, lambda v: isinstance(v, str) and len(v) <= most
    if kind == "boolean":
        return {"type": "boolean"}, lambda v: isinstance(v, bool)
    if kind == "array":
        item, good = draw(schemas(depth=depth - 1))
        return {
            "type": "array",
            "items": item,
            "minItems": 1,
            "maxItems": 2,
        }, lambda v: isinstance(v, list) and 1 <= len(v) <= 2 and all(map(good, v))
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True))
    parts = {name: draw(schemas(depth=depth - 1)) for name in names}
    schema = {
        "type": "object",
        "properties": {name: part for name, (part, _) in parts.items()},
        "required": names,
        "additionalProperties": False,
    }
    return (
        schema,
        lambda v: (
            isinstance(v, dict)
            and list(v) == names
            and all(good(v[name]) for name, (_, good) in parts.items())
        ),
    )


@settings(max_examples=25)
@given(drawn=st.lists(schemas(), min_size=1, max_size=6), seed=st.integers(0, 2**31 - 1))
def test_a_model_that_says_anything_answers_in_the_form_of_any_schema(random_model, drawn, seed):
    requests = [
        asked("Say.", schema=schema, seed=seed, max_tokens=600, temperature=1.5)
        for schema, _ in drawn
    ]

    for (_, good), reply in zip(drawn, answers(random_model, requests), strict=True):
        assert reply.finish == "stop"
        assert good(json.loads(reply.text)), reply.text


def test_the_best_answer_is_the_same_alone_and_in_company(pocket):
    requests = [asked("round " * n, temperature=0.0, seed=n) for n in range(1, 25)]

    together = answers(pocket, requests)
    alone = answers(pocket, requests, together=False)

    assert together == alone
    assert len({reply.prompt_tokens for reply in together}) > 10  # so there was padding


def test_equal_seeds_draw_equal_answers_and_others_differ(random_model):
    requests = [asked("Say.", seed=seed) for seed in (1, 2, 3, 1, 2, 3)]

    first, second = answers(random_model, requests), answers(random_model, requests)

    assert first == second
    assert first[:3] == first[3:]
    assert len({reply.text for reply in first}) == 3


def test_an_answer_that_is_cut_off_says_so_and_tokens_are_counted(random_model):
    (reply,) = answers(random_model, [asked("Say.", schema={}, max_tokens=5)])

    assert reply.finish == "length"
    assert reply.completion_tokens == 5
    assert reply.prompt_tokens > 5
    assert reply.served == random_model.name


def test_a_batch_takes_no_more_than_may_be_under_way(random_model):
    requests = [asked("Say.", seed=seed) for seed in range(7)]

    assert answers(random_model, requests, in_flight=2) == answers(random_model, requests)


def test_a_prompt_longer_than_the_model_reads_is_refused_and_others_are_answered(random_model):
    async def ask():
        backend = Transformers(Model(backend="transformers", model=str(random_model)))
        try:
            return await asyncio.gather(
                backend.answer(asked("long " * 5000)),
                backend.answer(asked("short")),
                return_exceptions=True,
            )
        finally:
            await backend.close()

    refused, answered = asyncio.run(ask())

    assert isinstance(refused, BackendError)
    assert "history" in str(refused)
    assert answered.finish == "stop"


@pytest.mark.parametrize(
    ("folder", "options", "says"),
    [
        ("nowhere", {}, "agent train pocket"),
        (None, {"speed": 2}, "no option speed"),
        (None, {"dtype": "float31"}, "cannot be loaded"),
        (None, {"device": "abacus"}, "cannot be loaded"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_message(random_model, folder, options, says):
    model = Model(backend="transformers", model=folder or str(random_model), options=options)

    with pytest.raises(BackendError, match=says):
        Transformers(model)


def test_a_schema_that_nothing_can_satisfy_is_refused(random_model):
    nothing = {"type": "integer", "minimum": 2, "maximum": 1}

    with pytest.raises(BackendError, match="JSON Schema"):
        answers(random_model, [asked("Say.", schema=nothing)])


def test_a_missing_package_is_one_message_with_the_extra():
    program = (
        "import sys; sys.modules['llguidance'] = None\n"
        "from agents.language.backends.catalogue import open_backend\n"
        "from agents.language.exchange import BackendError\n"
        "from agents.language.models import Model\n"
        "try: open_backend(Model(backend='transformers', model='m'))\n"
        "except BackendError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "pip install 'institutional[local]'" in done.stdout
