import asyncio
import json
import logging
import traceback
from datetime import UTC, datetime

import pytest
from aiohttp import web
from fault_server import TRANSPORT, FaultServer, completion, running, served

from agents.language.backends.catalogue import BACKENDS, open_backend
from agents.language.backends.openai import ANSWER_BYTES, masked, seconds_to_wait
from agents.language.exchange import (
    BackendError,
    Message,
    PassingError,
    Reply,
    Request,
    ThrottledError,
)
from agents.language.models import Model

KEY = "sk-secret-0123456789-abcdefghij"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
REQUEST = Request(
    model="seat",
    messages=(Message("system", "Play."), Message("user", "Round 1.")),
    schema=SCHEMA,
    temperature=0.5,
    max_tokens=77,
    seed=11,
)


def ask(url, request=REQUEST, **fields):
    """One answer from the server at `url`, or the error."""

    async def once():
        backend = open_backend(Model(backend="openai", model="m", base_url=url, **fields))
        try:
            async with asyncio.timeout(5):
                return await backend.answer(request)
        finally:
            await backend.close()

    return asyncio.run(once())


def answering(*, status=200, body=None, text=None, headers=None):
    """A handler that always responds in this way."""

    async def handle(_request):
        raw = text if text is not None else json.dumps(body)
        return web.Response(
            status=status, text=raw, headers=headers, content_type="application/json"
        )

    return handle


def completed(text="hi", **fields):
    return completion({"messages": [], "model": "m-2026"}, text, **fields)


def choice(message, reason="stop"):
    return {"choices": [{"message": message, "finish_reason": reason}]}


def test_a_request_asks_for_the_schema_and_the_reply_says_who_served_it_and_what_it_took():
    with running(FaultServer(answers=lambda _: '{"n": 3}')) as server:
        reply = ask(server.url)

    assert reply == Reply(
        text='{"n": 3}', finish="stop", prompt_tokens=3, completion_tokens=2, served="m"
    )
    assert server.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Play."},
                {"role": "user", "content": "Round 1."},
            ],
            "temperature": 0.5,
            "seed": 11,
            "max_tokens": 77,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
            },
        }
    ]
    assert "Authorization" not in server.headers[0]


def test_options_fit_the_request_to_a_server_and_all_others_are_sent_as_they_are():
    options = {
        "answer_format": "json_object",
        "token_field": "max_completion_tokens",
        "omit": ["temperature", "seed"],
        "reasoning_effort": "low",
    }
    with running(FaultServer()) as server:
        ask(server.url, options=options)
        ask(server.url, options={"answer_format": "none"})

    first, second = server.bodies
    assert first["response_format"] == {"type": "json_object"}
    assert first["max_completion_tokens"] == 77
    assert first["reasoning_effort"] == "low"
    assert not {"temperature", "seed", "max_tokens", "answer_format", "omit"} & set(first)
    assert "response_format" not in second


@pytest.mark.parametrize(
    ("message", "reason", "text", "finish"),
    [
        ({"content": '{"n": 1'}, "length", '{"n": 1', "length"),
        ({"content": None, "refusal": "I will not."}, "stop", "I will not.", "stop"),
        ({"content": None}, "content_filter", "", "stop"),
        ({"content": ""}, "stop", "", "stop"),
    ],
)
def test_what_a_model_says_is_kept_however_it_ended(message, reason, text, finish):
    with served(answering(body=completed(**choice(message, reason)))) as url:
        reply = ask(url)

    assert (reply.text, reply.finish) == (text, finish)


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        completed(choices=[]),
        completed(choices=[{}, {}]),
        completed(**choice({"content": "x"}, None)),
        completed(**choice({"content": 3})),
        completed(**choice({"content": [{"type": "text", "text": "x"}]})),
        completed(**choice("x")),
        completed(usage=None),
        completed(usage={"prompt_tokens": 1}),
        completed(usage={"prompt_tokens": 1, "completion_tokens": -1}),
        completed(usage={"prompt_tokens": True, "completion_tokens": 1}),
        completed(model=3),
        {"error": {"message": "upstream is down", "code": 502}},
    ],
)
def test_json_that_is_no_chat_completion_is_an_attempt_that_failed(body):
    with served(answering(body=body)) as url, pytest.raises(PassingError):
        ask(url)


@pytest.mark.parametrize("fault", [f for f in TRANSPORT if not f.startswith(("throttled", "slow"))])
def test_every_fault_on_the_way_is_an_attempt_that_may_be_repeated(fault):
    with running(FaultServer({fault: 1.0})) as server, pytest.raises(PassingError) as caught:
        ask(server.url)

    assert not isinstance(caught.value, ThrottledError)
    assert 'model "m" at http://127.0.0.1' in str(caught.value)


def test_a_server_that_is_not_there_may_come_back():
    with pytest.raises(PassingError, match="no answer"):
        ask("http://127.0.0.1:9/v1")


def test_an_answer_may_be_as_long_as_the_limit_and_no_longer():
    room = ANSWER_BYTES - len(json.dumps(completed("")))
    with served(answering(text=json.dumps(completed("x" * (room - 20))))) as url:
        assert len(ask(url).text) == room - 20
    with (
        served(answering(text=json.dumps(completed("x" * (room + 1))))) as url,
        pytest.raises(PassingError, match="more than 1,048,576 bytes"),
    ):
        ask(url)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 529])
def test_a_fault_of_the_server_passes(status):
    with served(answering(status=status, body={})) as url, pytest.raises(PassingError) as caught:
        ask(url)
    assert f"status {status}" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "options"),
        (401, "environment variable"),
        (402, "credit"),
        (403, "key"),
        (404, "base_url"),
        (422, "options"),
        (307, "base_url"),
    ],
)
def test_a_model_that_cannot_be_used_says_where_what_and_what_next(status, advice):
    body = {"error": {"message": "no\nsuch \x1b[31m thing"}}
    with served(answering(status=status, body=body)) as url, pytest.raises(BackendError) as caught:
        ask(url)

    first, second = str(caught.value).split("\n")
    assert first.startswith(f'model "m" at {url}: status {status}')
    assert "\x1b" not in first
    assert advice in second


@pytest.mark.parametrize(("header", "pause_s"), [("7", 7.0), ("0.5", 0.5), (None, None)])
def test_a_server_that_had_enough_says_for_how_long(header, pause_s):
    headers = {"Retry-After": header} if header else None
    with (
        served(answering(status=429, body={}, headers=headers)) as url,
        pytest.raises(ThrottledError) as caught,
    ):
        ask(url)
    assert caught.value.after_s == pause_s


def test_an_account_without_credit_is_no_reason_to_wait():
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    with (
        served(answering(status=429, body=body)) as url,
        pytest.raises(BackendError, match="no credit left"),
    ):
        ask(url)


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        ("Thu, 26 Nov 2026 12:00:30 GMT", 30.0),
        ("Thu, 26 Nov 2026 11:00:00 GMT", 0.0),
        ("-3", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_a_pause_is_given_in_seconds_or_until_a_date(header, pause_s):
    assert seconds_to_wait(header, datetime(2026, 11, 26, 12, tzinfo=UTC)) == pause_s


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backend": "opnai"}, 'Did you mean "openai"'),
        ({"model": ""}, "needs `model`"),
        ({"base_url": ""}, "no web address"),
        ({"base_url": "ftp://x/v1"}, "no web address"),
        ({"key": "UNSET_KEY"}, "export UNSET_KEY="),
        ({"options": {"answer_format": "yaml"}}, "answer_format"),
        ({"options": {"omit": ["messages"]}}, "omit"),
        ({"options": {"messages": []}}, "messages cannot be set"),
        ({"options": {"stream": True}}, "stream cannot be set"),
        ({"in_flight": 0}, "in_flight is 0"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
        ({"temperature": -1.0}, "temperature is -1"),
    ],
)
def test_a_model_that_is_wrong_on_paper_is_refused_at_opening(fields, message):
    good = {"backend": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}
    with pytest.raises(BackendError) as caught:
        open_backend(Model(**(good | fields)))
    assert message in str(caught.value)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(
        BACKENDS, "openai", BACKENDS["openai"]._replace(factory="nosuchpackage.x:F")
    )
    with pytest.raises(BackendError, match=r"nosuchpackage.*institutional\[language\]"):
        open_backend(Model(backend="openai", model="m", base_url="http://127.0.0.1:1/v1"))


def echoing(status):
    """A handler that tells everything it was sent, the key in three forms."""

    async def handle(request):
        sent = request.headers["Authorization"]
        said = f"{sent} and {sent[:-4]}... and {KEY[-12:]}"
        return web.json_response(
            {"error": {"message": said}}, status=status, headers={"X-Echo": sent}
        )

    return handle


def whole_story(error):
    """Everything that a person or a log could come to see of an exception."""
    seen = []
    while error is not None:
        seen += [repr(error), str(error), repr(error.args), repr(vars(error))]
        seen += traceback.format_exception(error)
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


def parts_of_the_key():
    return [KEY[at : at + 8] for at in range(len(KEY) - 7)]


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503])
def test_no_error_says_the_key_even_if_the_server_does(status, monkeypatch, caplog):
    monkeypatch.setenv("A_KEY", KEY + "\n")  # as files end
    caplog.set_level(logging.DEBUG)
    with (
        served(echoing(status)) as url,
        pytest.raises((BackendError, PassingError)) as caught,
    ):
        ask(url, key="A_KEY")

    story = whole_story(caught.value) + caplog.text
    assert "*****" in str(caught.value)
    assert not [part for part in parts_of_the_key() if part in story]


def test_a_key_does_not_follow_a_server_that_points_elsewhere(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    with running(FaultServer()) as elsewhere:
        headers = {"Location": f"{elsewhere.url}/chat/completions"}
        with (
            served(answering(status=307, body={}, headers=headers)) as url,
            pytest.raises(BackendError, match="points elsewhere"),
        ):
            ask(url, key="A_KEY")

    assert elsewhere.asked.total() == 0


@pytest.mark.parametrize("fault", TRANSPORT)
def test_no_fault_on_the_way_says_the_key(fault, monkeypatch, caplog):
    monkeypatch.setenv("A_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server = FaultServer({fault: 1.0}, slow_s=0.2, answers=lambda _: KEY)
    with running(server), pytest.raises((BackendError, PassingError)) as caught:
        ask(server.url, key="A_KEY")

    story = whole_story(caught.value) + caplog.text
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert not [part for part in parts_of_the_key() if part in story]


def test_an_answer_that_holds_the_key_is_never_recorded(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    server = FaultServer(answers=lambda _: f"the key is {KEY}")
    with running(server), pytest.raises(BackendError, match="says the key aloud") as caught:
        ask(server.url, key="A_KEY")
    assert KEY not in whole_story(caught.value)


@pytest.mark.parametrize(
    ("key", "url"),
    [
        (KEY + "\x00", "http://127.0.0.1:1/v1"),
        (f"{KEY} {KEY}", "http://127.0.0.1:1/v1"),
        (KEY, f"http://user:{KEY}@127.0.0.1:1/v1"),
        (KEY, f"http://127.0.0.1:1/v1?api-key={KEY}"),
    ],
)
def test_a_key_in_the_wrong_place_or_form_is_refused_without_repeating_it(key, url, monkeypatch):
    if "\x00" in key:
        key = key.replace("\x00", "\x7f")  # the environment itself takes no NUL
    monkeypatch.setenv("A_KEY", key)
    with pytest.raises(BackendError) as caught:
        open_backend(Model(backend="openai", model="m", base_url=url, key="A_KEY"))
    assert KEY not in whole_story(caught.value)


def test_a_backend_does_not_show_its_key(monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    model = Model(backend="openai", model="m", base_url="http://127.0.0.1:1/v1", key="A_KEY")

    assert KEY not in repr(open_backend(model)) + repr(model) + str(model.identity())


def test_masking_hides_the_key_and_every_long_part_of_it():
    assert masked("say abcdefghij twice: abcdefghij", "abcdefghij") == (
        "say ********** twice: **********"
    )
    assert masked("cut: bcdefghi.", "abcdefghij") == "cut: ********."
    assert masked("short abc", "abcdefghij") == "short abc"
    assert masked("a tiny key: k1", "k1") == "a tiny key: **"
