"""A model that is a function: for tests, demonstrations without a model, and rules in words."""

from collections.abc import Callable

from agents.checks import suggestion
from agents.language.exchange import BackendError, Reply, Request
from agents.language.models import Model
from agents.language.rules_of_thumb import RULES


class Scripted:
    """`function` as a model; a token is four characters, as good as any."""

    def __init__(self, function: Callable[[Request], str]) -> None:
        self._function = function

    async def answer(self, request: Request) -> Reply:
        """Answer at once; text past `max_tokens` is cut off, as by a real model."""
        said = self._function(request)
        most = 4 * request.max_tokens
        return Reply(
            text=said[:most],
            finish="stop" if len(said) <= most else "length",
            prompt_tokens=_tokens("".join(message.content for message in request.messages)),
            completion_tokens=_tokens(said[:most]),
            served="scripted",
        )

    async def close(self) -> None:
        """Nothing to let go of."""


def scripted(model: Model) -> Scripted:
    """The rule that `model.model` names, as a model; BackendError if there is no such rule."""
    if model.model not in RULES:
        raise BackendError(
            f'there is no scripted model "{model.model}"\n'
            f"  models: {', '.join(RULES)}.{suggestion(model.model, RULES)}"
        )
    return Scripted(RULES[model.model])


def _tokens(text: str) -> int:
    return -(-len(text) // 4)
