"""What is asked of a language model and what comes back, whoever serves it.

Values only: who asks is in `player`, who answers in `backends/`, how often and how fast in
`desk/`. Everything here can be written as JSON and read back, which is what a cassette keeps.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant"]
Finish = Literal["stop", "length"]


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Role
    content: str


class Place(NamedTuple):
    """Where in a run something is asked: the attempt counts all that is asked for this move."""

    agent: str
    round: int
    attempt: int


@dataclass(frozen=True, kw_only=True)
class Request:
    """A question to a model: the same fields, the same question."""

    model: str  # its name in the experiment
    messages: tuple[Message, ...]
    schema: Mapping[str, Any]  # JSON Schema that the answer is to satisfy
    temperature: float
    max_tokens: int
    seed: int  # below 2**31: servers take no larger one

    def as_json(self) -> dict[str, Any]:
        """The question as plain JSON values."""
        return {
            "model": self.model,
            "messages": [message._asdict() for message in self.messages],
            "schema": dict(self.schema),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model said, in its own words; `finish` is `length` where it was cut off."""

    text: str
    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    served: str = ""  # the model as its server names it

    def as_json(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        return {
            "text": self.text,
            "finish": self.finish,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "served": self.served,
        }


Ask = Callable[[Place, Request], Awaitable[Reply]]
"""How an agent asks: the reply comes from a model, or from a cassette on which it was recorded."""


class Backend(Protocol):
    """Who answers: a server, or a model in this process. Asked many times at once."""

    async def answer(self, request: Request) -> Reply:
        """Answer once, without trying again; raises one of the errors below."""

    async def close(self) -> None:
        """Let go of connections and memory."""


class BackendError(Exception):
    """A model that cannot be used at all; the message says where, what and what next.

    Asking again would not help: no such model, no key, a package that is missing.
    """


class PassingError(Exception):
    """An attempt that failed and may be repeated: a broken answer, a server's fault, a timeout."""


class ThrottledError(PassingError):
    """The server has had enough for now (429); `after_s` is the pause it asks for, if it does."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s
