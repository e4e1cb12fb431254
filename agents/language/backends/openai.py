"""Any server that speaks chat completions: hosted providers, vLLM, Ollama, the endpoint of ours.

The protocol is spoken with aiohttp itself: the openai SDK takes 1.4 to 2.4 ms of CPU for a call
that takes a tenth of that here, and stalls at a few hundred connections. One attempt is made and
no time is measured: timeouts, repeats and limits are the desk's (`agents.language.desk`).

Some of a model's `options` are read here; all others go into every request as they are.

answer_format   how the server is to hold the answer to the schema: `json_schema` (the default),
                `json_object` for servers that only promise JSON, `none` for those that refuse both
strict          false for servers that take a schema, but not all of JSON Schema; default true
token_field     `max_tokens` (the default) or `max_completion_tokens`
omit            fields that this server refuses: `seed`, `temperature`
"""

import math
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import urlsplit

import aiohttp
import orjson

from agents.language.exchange import (
    BackendError,
    Finish,
    PassingError,
    Reply,
    Request,
    ThrottledError,
)
from agents.language.models import Model

ANSWER_BYTES = 1 << 20  # an answer of a market takes a few thousand
OWN_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "answer_format": ("json_schema", "json_object", "none"),
    "strict": (True, False),
    "token_field": ("max_tokens", "max_completion_tokens"),
}
OMITTED = ("seed", "temperature")
OURS = frozenset(
    {"model", "messages", "stream", "n", "response_format", "temperature", "seed"}
    | {*OWN_OPTIONS["token_field"]}
)  # fields whose value the experiment decides elsewhere
PASSING = frozenset({408, 409, 425})  # and everything from 500
NEXT = {
    401: "check that the environment variable named by `key` holds a valid key",
    402: "the account has no credit left: top it up and run again",
    403: "the key may not use this model: ask its owner, or name another model",
    404: "check `base_url` (it often ends in /v1) and the model's name",
}
ANY = "the server does not take this request: see the model's `options` (answer_format, omit)"
_SHOWN = 300  # characters of a server's own words in a message
_WINDOW = 8  # as many characters of the key in a row are never shown


class _Answer(NamedTuple):
    status: int
    retry_after: str | None
    raw: bytes


class OpenAI:
    """A model behind `base_url`. The key is in no message and no `repr`."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._url = _checked_url(model)
        self._form, self._further = _checked_options(model)
        self._key = _read_key(model.key)
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, request: Request) -> Reply:
        """Ask once; a 429 is a `ThrottledError`, what may pass a `PassingError`."""
        status, retry_after, raw = await self._post(orjson.dumps(self.body(request)))
        if len(raw) > ANSWER_BYTES:
            raise PassingError(f"{self._where}: an answer of more than {ANSWER_BYTES:,} bytes")
        if status != 200:
            raise self._failure(status, raw, retry_after)
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict):
            raise PassingError(f"{self._where}: the answer is no JSON object: {self._said(raw)}")
        if "choices" not in body and isinstance(body.get("error"), dict):  # as OpenRouter reports
            code = body["error"].get("code")
            raise self._failure(code if isinstance(code, int) else 500, raw, retry_after)
        try:
            reply = _read(body)
        except _ShapeError as wrong:
            fault = str(wrong)
        else:
            if self._key and self._key in reply.text + reply.served:
                raise BackendError(f"{self._where}: the server says the key aloud; use another")
            return reply
        raise PassingError(f"{self._where}: the answer {fault}: {self._said(raw)}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @property
    def _where(self) -> str:
        return f'model "{self._model.model}" at {self._model.base_url}'

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent for `request`."""
        form = self._form
        body: dict[str, Any] = {
            "model": self._model.model,
            "messages": [message._asdict() for message in request.messages],
            "temperature": request.temperature,
            "seed": request.seed,
            form["token_field"]: request.max_tokens,
        }
        if form["answer_format"] == "json_schema":
            schema = {"name": "answer", "strict": form["strict"], "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif form["answer_format"] == "json_object":
            body["response_format"] = {"type": "json_object"}
        for field in form["omit"]:
            del body[field]
        return body | self._further

    async def _post(self, body: bytes) -> _Answer:
        """What the server says, up to one byte more than is allowed.

        The client's own errors are not chained: they hold the request, and the request the key.
        """
        if self._session is None:
            self._session = _session(self._key)
        failure: BackendError | PassingError
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as response:
                raw = bytearray()
                async for chunk in response.content.iter_any():
                    raw += chunk
                    if len(raw) > ANSWER_BYTES:
                        response.close()
                        break
                return _Answer(response.status, response.headers.get("Retry-After"), bytes(raw))
        except aiohttp.ClientSSLError as error:
            what = f"{self._where}: no trusted connection ({type(error).__name__})"
            failure = BackendError(f"{what}; check `base_url` and this machine's certificates")
        except (aiohttp.ClientError, OSError) as error:
            failure = PassingError(f"{self._where}: no answer ({type(error).__name__})")
        raise failure

    def _failure(
        self, status: int, raw: bytes, retry_after: str | None
    ) -> BackendError | PassingError:
        what = f"{self._where}: status {status}: {self._said(raw)}"
        if status == 429:
            if b"insufficient_quota" in raw:  # no pause will help
                return BackendError(f"{what}\n  {NEXT[402]}")
            return ThrottledError(what, seconds_to_wait(retry_after, datetime.now(UTC)))
        if status >= 500 or status in PASSING:
            return PassingError(what)
        if 300 <= status < 400:
            return BackendError(f"{what}\n  it points elsewhere: give its address as `base_url`")
        return BackendError(f"{what}\n  {NEXT.get(status, ANY)}")

    def _said(self, raw: bytes) -> str:
        """The server's words on one line, without the key."""
        text = masked(raw[: 8 * _SHOWN].decode(errors="replace"), self._key)
        text = "".join(c if c.isprintable() else " " for c in text)
        return re.sub(r" +", " ", text).strip()[:_SHOWN] or "nothing"


def masked(text: str, key: str) -> str:
    """`text` without the key, and without any eight characters in a row of it."""
    if not key:
        return text
    pieces = {key[at : at + _WINDOW] for at in range(max(1, len(key) - _WINDOW + 1))}
    hidden = {
        found.start() + step
        for piece in pieces
        for found in re.finditer(f"(?={re.escape(piece)})", text)
        for step in range(len(piece))
    }
    return "".join("*" if at in hidden else letter for at, letter in enumerate(text))


def seconds_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """The pause a `Retry-After` asks for, in seconds or until a date; None where it is neither."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            until = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        seconds = (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


class _ShapeError(Exception):
    """The answer is JSON, but no chat completion."""


def _read(body: Mapping[str, Any]) -> Reply:
    """The reply in a chat completion. A refusal is an answer: the model's own words."""
    choices = body.get("choices")
    if not (isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], dict)):
        raise _ShapeError("has no single choice")
    message, reason = choices[0].get("message"), choices[0].get("finish_reason")
    if not (isinstance(message, dict) and isinstance(reason, str)):
        raise _ShapeError("has no message or no finish_reason")
    text = message.get("content")
    if text is None:
        text = message.get("refusal") or ""
    if not isinstance(text, str):
        raise _ShapeError("has no text")
    usage, served = body.get("usage"), body.get("model", "")
    if not (isinstance(usage, dict) and isinstance(served, str)):
        raise _ShapeError("counts no tokens or names no model")
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not (_is_count(prompt) and _is_count(completion)):
        raise _ShapeError("counts no tokens")
    finish: Finish = "length" if reason == "length" else "stop"
    return Reply(
        text=text, finish=finish, prompt_tokens=prompt, completion_tokens=completion, served=served
    )


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _session(key: str) -> aiohttp.ClientSession:
    """Connections without a limit of their own: how many there are is the desk's to decide."""
    headers = {"Content-Type": "application/json", "User-Agent": "institutional"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None),
    )


def _checked_url(model: Model) -> str:
    if not model.model:
        raise BackendError("a model of the openai backend needs `model`, the server's name for it")
    parts = urlsplit(model.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BackendError(
            f'model "{model.model}": `base_url` is "{model.base_url}", which is no web address\n'
            "  give the server's, for example http://127.0.0.1:8000/v1"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:  # a place for secrets: not repeated
        raise BackendError(
            f'model "{model.model}": `base_url` holds more than an address and a path\n'
            "  put the key into an environment variable and name that as `key`"
        )
    return f"{model.base_url.rstrip('/')}/chat/completions"


def _checked_options(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is read here, with defaults, and what is sent as it is."""
    where = f'model "{model.model}": options'
    form: dict[str, Any] = {}
    for name, allowed in OWN_OPTIONS.items():
        form[name] = model.options.get(name, allowed[0])
        if form[name] not in allowed:
            raise BackendError(f'{where}: {name} is "{form[name]}"; give one of {list(allowed)}')
    form["omit"] = model.options.get("omit", [])
    if not (isinstance(form["omit"], list | tuple) and set(form["omit"]) <= set(OMITTED)):
        raise BackendError(f"{where}: omit is {form['omit']}; it may list {list(OMITTED)}")
    further = {name: value for name, value in model.options.items() if name not in form}
    if taken := sorted(OURS & set(further)):
        raise BackendError(f"{where}: {', '.join(taken)} cannot be set here; see the module's help")
    return form, further


def _read_key(variable: str) -> str:
    """The key in the environment, or "" where none is named."""
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise BackendError(
            f"the environment variable {variable} holds no key; set it: export {variable}=..."
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise BackendError(f"the environment variable {variable} holds letters that no key has")
    return key
