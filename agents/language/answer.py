"""What an answer has to look like, and reading one: an `Answer`, or what is wrong with it.

Reading is pure and strict, whatever was promised about the model's output: one JSON object, every
field once and none besides, finite numbers within bounds. A reason is worded for the model, which
is asked again with it.

Shapes: A numbers in one action.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from agents.contract import Briefing, Words
from agents.language.quoting import quoted

LONGEST_TEXT = 20_000  # characters of a whole answer
TEXTS = {  # field -> most characters and what it is for, in the order of the answer
    "observations": (400, "what the past rounds show"),
    "plans": (800, "your PLANS, rewritten"),
    "insights": (800, "your INSIGHTS, rewritten"),
}
LONGEST_REASON = 300  # characters of an inspector's reason
VERDICT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["approve", "reject"]},
        "reason": {"type": "string", "maxLength": LONGEST_REASON},
    },
    "required": ["verdict", "reason"],
    "additionalProperties": False,
}
# Numbers that add up to the capacity in writing may exceed it in binary.
ROUNDING = 1e-9


class Answer(NamedTuple):
    """A well-formed answer."""

    observations: str
    plans: str
    insights: str
    action: tuple[float, ...]  # [A]


class Verdict(NamedTuple):
    """What an inspector found."""

    approved: bool
    reason: str


class Malformed(NamedTuple):
    """An answer that cannot be used: what is wrong, as a clause that ends in no full stop."""

    reason: str


@dataclass(frozen=True)
class Form:
    """The numbers asked for, with their bounds; `capacity` limits their sum."""

    labels: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    capacity: float | None

    @classmethod
    def of(cls, briefing: Briefing, words: Words) -> Self:
        """What is asked of the agent in the briefing's seat."""
        low, high = briefing.low[briefing.seat].tolist(), briefing.high[briefing.seat].tolist()
        return cls(words.labels, tuple(low), tuple(high), briefing.capacity)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The answer's JSON Schema; the capacity is beyond it and checked in `read_answer`."""
        texts = {name: {"type": "string", "maxLength": most} for name, (most, _) in TEXTS.items()}
        numbers = {
            label: {"type": "number", "minimum": low, "maximum": high}
            for label, low, high in zip(self.labels, self.low, self.high, strict=True)
        }
        return {
            "type": "object",
            "properties": texts | numbers,
            "required": [*texts, *numbers],
            "additionalProperties": False,
        }

    @cached_property
    def in_words(self) -> str:
        """The fields of an answer, one a line, and the limit on their sum."""
        lines = [
            f'"{name}": text, at most {most} characters: {meaning}'
            for name, (most, meaning) in TEXTS.items()
        ]
        lines += [
            f'"{label}": number from {exact(low)} to {exact(high)}'
            for label, low, high in zip(self.labels, self.low, self.high, strict=True)
        ]
        if self.capacity is not None:
            lines.append(f"The numbers may add up to at most {exact(self.capacity)}.")
        return "\n".join(lines)


def read_answer(text: str, form: Form) -> Answer | Malformed:
    """Read a player's answer."""
    found = read_object(text, [*TEXTS, *form.labels])
    if isinstance(found, Malformed):
        return found
    for name, (most, _) in TEXTS.items():
        if wrong := _amiss(name, found[name], most):
            return wrong
    action = []
    for label, low, high in zip(form.labels, form.low, form.high, strict=True):
        number = found[label]
        if not isinstance(number, float):
            return Malformed(f'"{label}" must be a number')
        if not low <= number <= high:
            return Malformed(
                f'"{label}" is {number:g}, but must lie between {exact(low)} and {exact(high)}'
            )
        action.append(number + 0.0)  # no negative zero
    capacity = form.capacity
    if capacity is not None and math.fsum(action) > capacity * (1 + ROUNDING):
        return Malformed(
            f"the numbers add up to {math.fsum(action):g}, but at most {exact(capacity)} is allowed"
        )
    return Answer(found["observations"], found["plans"], found["insights"], tuple(action))


def read_verdict(text: str) -> Verdict | Malformed:
    """Read an inspector's answer."""
    found = read_object(text, VERDICT_SCHEMA["required"])
    if isinstance(found, Malformed):
        return found
    if wrong := _amiss("reason", found["reason"], LONGEST_REASON):
        return wrong
    if found["verdict"] not in {"approve", "reject"}:
        return Malformed('"verdict" must be "approve" or "reject"')
    return Verdict(found["verdict"] == "approve", found["reason"])


class _RefusedError(Exception):
    """What Python's parser would take and JSON does not mean: a repeated key, a NaN."""


def read_object(text: str, fields: Sequence[str]) -> dict[str, Any] | Malformed:
    """The one JSON object that `text` is, with exactly these fields; every number is a float."""
    if len(text) > LONGEST_TEXT:
        return Malformed(f"it has {len(text)} characters, and {LONGEST_TEXT} is the most")
    text = text.strip(" \t\n\r")
    if not text:
        return Malformed("it is empty")
    if not text.startswith("{"):
        return Malformed("it does not begin with the { of a JSON object")
    outside = _STRING.sub("", text)
    # Known before parsing, for how deep a parser can go differs from one Python to the next.
    if outside.count("{") + outside.count("[") > 1:
        return Malformed("there is more in it than one JSON object of texts and numbers")
    found: dict[str, Any]
    try:
        found, end = _DECODER.raw_decode(text)
    except json.JSONDecodeError:  # whose message differs from one Python to the next
        return Malformed("it is not valid JSON")
    except _RefusedError as error:
        return Malformed(str(error))
    if end != len(text):
        return Malformed("something follows the JSON object")
    for name in fields:
        if name not in found:
            return Malformed(f'the field "{name}" is missing')
    for name in found:
        if name not in fields:
            return Malformed(f"there is no field {quoted(name[:40])}")
    return found


def exact(number: float) -> str:
    """A number with nothing rounded away: a bound in words is the bound that is checked."""
    return repr(number).removesuffix(".0")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(f"the field {quoted(twice[:40])} is given twice")
    return found


def _refused(constant: str) -> float:
    raise _RefusedError(f"{constant} is no number in JSON")


def _amiss(name: str, value: object, most: int) -> Malformed | None:
    """What is wrong with a text, if anything."""
    if not isinstance(value, str):
        return Malformed(f'"{name}" must be a text')
    if len(value) > most:
        return Malformed(f'"{name}" has {len(value)} characters, and {most} is the most')
    try:
        value.encode()
    except UnicodeEncodeError:
        return Malformed(f'"{name}" holds half a character (a lone surrogate)')
    return None


_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # or what is left of one
_DECODER = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_int=float,  # of any length: too large a number becomes infinite, as 1e999 does
    parse_constant=_refused,
)
