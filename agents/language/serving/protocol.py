"""The chat completions protocol of OpenAI's API, as far as this project's models go.

What is not understood is refused: a field that is silently ignored makes another experiment.
"""

import json
import secrets
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.language.exchange import Message, Reply, Request, Role

_MAX_SEED = 2**31
Json = dict[str, Any]


class RefusedError(Exception):
    """A request that is not answered: the status, and the API's code for the reason."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> Json:
        """The error in the API's form."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Turn(_Part):
    role: Role
    content: str


class _NamedSchema(_Part):
    name: str
    schema_: Json = Field(alias="schema")
    strict: bool | None = None
    description: str | None = None


class _Format(_Part):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _NamedSchema | None = None


class _StreamOptions(_Part):
    include_usage: bool = False


class Asked(_Part):
    """A request to `/v1/chat/completions`."""

    model: str
    messages: list[_Turn] = Field(min_length=1)
    temperature: float = Field(default=1.0, ge=0, le=100, strict=False)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0, lt=_MAX_SEED)
    response_format: _Format | None = None
    n: Literal[1] = 1
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    user: str | None = None  # who asks, which changes nothing

    def as_request(self, *, max_tokens: int) -> Request:
        """The question; without a seed, one is drawn."""
        return Request(
            model=self.model,
            messages=tuple(Message(turn.role, turn.content) for turn in self.messages),
            schema=_schema(self.response_format),
            temperature=self.temperature,
            max_tokens=self.max_completion_tokens or self.max_tokens or max_tokens,
            seed=secrets.randbelow(_MAX_SEED) if self.seed is None else self.seed,
        )


def read(data: bytes) -> Asked:
    """Read the body of a request; RefusedError says what is not understood, and where."""
    try:
        return Asked.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, _first_problem(error)) from None


def completion(reply: Reply, *, identity: str, model: str) -> Json:
    """The answer to one request."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": reply.text},
        "finish_reason": reply.finish,
        "logprobs": None,
    }
    return _envelope("chat.completion", identity, model, [choice]) | {"usage": _usage(reply)}


def chunks(reply: Reply, *, identity: str, model: str, usage: bool) -> Iterator[Json]:
    """The same answer as a stream of server-sent events, told when it is complete."""

    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _envelope("chat.completion.chunk", identity, model, [choice])

    yield chunk({"role": "assistant", "content": ""})
    yield chunk({"content": reply.text})
    yield chunk({}, reply.finish)
    if usage:
        yield _envelope("chat.completion.chunk", identity, model, []) | {"usage": _usage(reply)}


def models(names: list[str]) -> Json:
    """The answer to `/v1/models`."""
    listed = [
        {"id": name, "object": "model", "created": 0, "owned_by": "institutional"} for name in names
    ]
    return {"object": "list", "data": listed}


def _envelope(kind: str, identity: str, model: str, choices: list[Json]) -> Json:
    # The time of an answer is nobody's business: the same question has the same answer.
    return {"id": identity, "object": kind, "created": 0, "model": model, "choices": choices}


def _usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


def _schema(wanted: _Format | None) -> Json:
    if wanted is None or wanted.type == "text":
        return {}
    if wanted.type == "json_object":
        return {"type": "object"}
    if wanted.json_schema is None:
        raise RefusedError(400, "response_format: json_schema is missing")
    return wanted.json_schema.schema_ or {"type": ["object", "array", "string", "number"]}


def _first_problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"the body is not JSON: {error}"
    problem = error.errors()[0]
    place = ".".join(map(str, problem["loc"])) or "the body"
    if problem["type"] == "extra_forbidden":
        return f"{place}: this field is not supported; known: {', '.join(Asked.model_fields)}"
    return f"{place}: {problem['msg']}"
