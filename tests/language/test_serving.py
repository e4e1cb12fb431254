"""Our endpoint as the official client of the protocol sees it."""

import asyncio
import io
import json

import aiohttp
import openai
import pytest

from agents.language.backends.transformers import Transformers
from agents.language.exchange import BackendError, PassingError, Reply
from agents.language.models import Model
from agents.language.serving.server import LARGEST, serving

FORM = {
    "type": "object",
    "properties": {"price": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["price"],
    "additionalProperties": False,
}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "move", "schema": FORM}}
TURNS = [{"role": "user", "content": "Say."}]


class Fixed:
    """A backend that answers one thing, or fails in one way."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.requests = []

    async def answer(self, request):
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    async def close(self):
        pass


SAID = Reply(text="héllo", finish="stop", prompt_tokens=3, completion_tokens=2)


def asking(backend, use):
    """Serve `backend` as "small" and give `use` the official client."""

    async def go():
        async with (
            serving(backend, "small") as url,
            openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client,
        ):
            found = await use(client)
        await backend.close()
        return found

    return asyncio.run(go())


def create(**fields):
    """A use of the client that asks for one completion."""
    fields = {"model": "small", "messages": TURNS} | fields
    return lambda client: client.chat.completions.create(**fields)


def posted(backend, data, path="/chat/completions"):
    """Status and body of a bare request."""

    async def go():
        async with (
            serving(backend, "small") as url,
            aiohttp.ClientSession() as session,
            session.post(url + path, data=io.BytesIO(data)) as response,
        ):
            return response.status, await response.json()

    return asyncio.run(go())


def test_a_schema_is_honoured_by_a_model_that_says_anything(random_model):
    backend = Transformers(Model(backend="transformers", model=str(random_model)))

    async def use(client):
        asks = [create(response_format=JSON_SCHEMA, seed=seed)(client) for seed in range(20)]
        return await asyncio.gather(*asks)

    found = asking(backend, use)

    assert all(1 <= json.loads(one.choices[0].message.content)["price"] <= 9 for one in found)
    assert {one.choices[0].finish_reason for one in found} == {"stop"}
    assert all(one.usage.total_tokens > one.usage.completion_tokens > 0 for one in found)


def test_equal_seeds_give_equal_answers_and_a_limit_cuts_them_off(random_model):
    backend = Transformers(Model(backend="transformers", model=str(random_model)))

    async def use(client):
        return [await create(seed=seed, max_tokens=7)(client) for seed in (4, 4, 5)]

    one, again, other = [found.choices[0] for found in asking(backend, use)]

    assert one.message.content == again.message.content != other.message.content
    assert one.finish_reason == "length"


def test_a_json_object_is_one(random_model):
    backend = Transformers(Model(backend="transformers", model=str(random_model)))
    found = asking(backend, create(response_format={"type": "json_object"}, seed=1, max_tokens=400))

    assert found.choices[0].message.content.startswith("{")


def test_a_stream_ends_with_the_reason_and_the_usage_that_was_asked_for():
    async def use(client):
        stream = await create(stream=True, stream_options={"include_usage": True})(client)
        return [chunk async for chunk in stream]

    chunks = asking(Fixed(SAID), use)

    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "héllo"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 5


def test_what_is_asked_reaches_the_model():
    backend = Fixed(SAID)
    turns = [{"role": "system", "content": "Rules."}, *TURNS]
    asking(
        backend,
        create(messages=turns, seed=7, temperature=0, max_tokens=9, response_format=JSON_SCHEMA),
    )

    (request,) = backend.requests
    assert request.messages == (("system", "Rules."), ("user", "Say."))
    assert (request.seed, request.temperature, request.max_tokens) == (7, 0, 9)
    assert request.schema == FORM


def test_the_models_are_listed_and_another_is_not_found():
    async def use(client):
        listed = [model.id async for model in client.models.list()]
        with pytest.raises(openai.NotFoundError) as failure:
            await create(model="large")(client)
        return listed, failure.value

    listed, failure = asking(Fixed(SAID), use)

    assert listed == ["small"]
    assert failure.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"extra_body": {"guided_json": FORM}}, "guided_json: this field is not supported"),
        ({"logprobs": True}, "logprobs: this field is not supported"),
        ({"n": 2}, "n: "),
        ({"temperature": -1}, "temperature: "),
        ({"max_tokens": 0}, "max_tokens: "),
        ({"seed": 2**31}, "seed: "),
        ({"messages": []}, "messages: "),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role: "),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0.content: "),
        ({"response_format": {"type": "json_schema"}}, "json_schema is missing"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(fields, says):
    async def use(client):
        with pytest.raises(openai.BadRequestError) as failure:
            await create(**fields)(client)
        return failure.value

    backend = Fixed(SAID)

    assert says in asking(backend, use).body["message"]
    assert backend.requests == []


@pytest.mark.parametrize(
    ("failure", "status", "says"),
    [
        (BackendError("the prompt is too long"), 400, "too long"),
        (PassingError("not now"), 503, "not now"),
        (RuntimeError("secret detail"), 500, "the server's log"),
    ],
)
def test_a_failing_model_is_an_error_in_the_protocols_form(failure, status, says, caplog):
    found, body = posted(Fixed(failure), json.dumps({"model": "small", "messages": TURNS}).encode())

    assert found == status
    assert says in body["error"]["message"]
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert ("secret detail" in caplog.text) == (status == 500)


@pytest.mark.parametrize(
    ("data", "path", "status"),
    [
        (b"{", "/chat/completions", 400),
        (b"[" * 100_000, "/chat/completions", 400),
        (b"[]", "/chat/completions", 400),
        (b"x" * (LARGEST + 1), "/chat/completions", 413),
        (b"{}", "/nowhere", 404),
    ],
)
def test_what_is_no_request_is_an_error_in_the_protocols_form(data, path, status):
    found, body = posted(Fixed(SAID), data, path)

    assert found == status
    assert body["error"]["message"]
