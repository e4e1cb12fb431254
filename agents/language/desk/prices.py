"""What tokens cost: the table in a file, strictly read, and what answers came to.

The file is YAML or TOML; `runs/prices.yaml` shows its form. Money is in the file's own currency.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from agents.checks import suggestion
from agents.language.exchange import BackendError, Reply
from agents.language.models import Model

FORMAT = "institutional.prices/1"


class Price(NamedTuple):
    """Money per million tokens."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Money for that many tokens."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class Spent(NamedTuple):
    """What answers came to; `money` counts the models that have a price."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0

    @property
    def tokens(self) -> int:
        """Of prompts and completions together."""
        return self.prompt_tokens + self.completion_tokens

    def with_all(self, other: "Spent") -> "Spent":
        """With everything of the other."""
        return Spent(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.money + other.money,
        )

    def plus(self, reply: Reply, price: Price) -> "Spent":
        """With one more answer."""
        return Spent(
            self.calls + 1,
            self.prompt_tokens + reply.prompt_tokens,
            self.completion_tokens + reply.completion_tokens,
            self.money + price.of(reply.prompt_tokens, reply.completion_tokens),
        )


FREE = Price(0.0, 0.0)
NOTHING = Spent()


def price_of(model: Model, prices: Mapping[str, Price]) -> Price:
    """The price under the server's name for the model; nothing where none is listed."""
    return prices.get(model.model, FREE)


def spent_on(
    answers: Iterable[tuple[str, Reply]], models: Mapping[str, Model], prices: Mapping[str, Price]
) -> Spent:
    """What recorded answers, each with its model's name in the experiment, have cost."""
    spent = NOTHING
    for name, reply in answers:
        spent = spent.plus(reply, price_of(models[name], prices))
    return spent


def read_prices(path: Path) -> dict[str, Price]:
    """Return the prices by the servers' names of models; `BackendError` says what is wrong."""
    try:
        text = path.read_text()
        document = (
            tomllib.loads(text)
            if path.suffix == ".toml"
            else YAML(typ="safe", pure=True).load(text)
        )
    except (OSError, UnicodeDecodeError, YAMLError, tomllib.TOMLDecodeError) as error:
        lines = " ".join(str(error).split())
        raise BackendError(f"{path}: no readable price table: {lines}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BackendError(f'{path}: no price table; its first line is "format: {FORMAT}"')
    if unknown := [str(key) for key in document if key not in {"format", "currency", "models"}]:
        known = suggestion(unknown[0], ("currency", "models"))
        raise BackendError(f'{path}: unknown key "{unknown[0]}".{known}')
    models = document.get("models")
    if not isinstance(models, dict):
        raise BackendError(f"{path}: `models` lists no prices; see runs/prices.yaml for the form")
    return {str(name): _read(f"{path}: {name}", row) for name, row in models.items()}


def _read(where: str, row: Any) -> Price:
    if not isinstance(row, dict) or set(row) != set(Price._fields):
        raise BackendError(f"{where}: give `prompt` and `completion`, money per million tokens")
    for field, value in row.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BackendError(f"{where}: {field} is {value!r}; give a number")
        if not 0 <= value < math.inf:
            raise BackendError(f"{where}: {field} is {value}; give 0 or more")
    return Price(float(row["prompt"]), float(row["completion"]))
