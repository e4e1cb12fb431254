"""Whether a replay looks at everything that is logged: each field altered and removed in a copy.

A field that could be anything without anybody noticing is either inert, for a reason that `INERT`
states, or a hole. Inputs are the fields of the opening entry and of the rounds; what was decided,
the fields of the rulings, must be noticed whatever is altered, to the last bit.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from institutional.errors import InstitutionalError
from institutional.ledger.auditing.verdict import Outcome, Word
from institutional.replay.answers import Conversation
from institutional.replay.conformance import (
    Exhibits,
    conform,
    conversation_of,
    unlike_answers,
)
from institutional.replay.records import shocks_of, unlike_record
from institutional.replay.rulings import Difference, Entry, Session, read_graph, seed_of

INERT: Mapping[str, str] = {
    "round.submitted": "a restriction in force replaces what a suspended or capped agent submits: "
    "it is on the record, and nothing was decided by it",
    "answers.answers": "without the run's cassette nothing says what was asked and answered, or "
    "what that cost",
}
"""Fields, by how their path begins, that may be altered unnoticed while their reason holds."""

MOST_ROUNDS = 64
"""Rounds of a longer run that are looked at: the first, the last, and others evenly between."""

Path = tuple[str | int, ...]


@dataclass
class Field:
    """One field over all places where it is logged, and how often each change was noticed."""

    altered: int = 0
    altered_noticed: int = 0
    removed: int = 0
    removed_noticed: int = 0
    inert: int = 0  # unnoticed while a reason in `INERT` held
    by: set[str] = field(default_factory=set)  # the checks that noticed

    @property
    def unnoticed(self) -> int:
        """Changes that nobody noticed and nothing excuses."""
        changes, noticed = self.altered + self.removed, self.altered_noticed + self.removed_noticed
        return changes - noticed - self.inert


class Altered(NamedTuple):
    """An entry with something changed in its body."""

    seq: int
    kind: str
    body: dict[str, Any]


class Change(NamedTuple):
    """What is changed: the path of a field and its new value, or its removal."""

    path: Path
    removed: bool
    body: Any


def sufficiency(given: Exhibits) -> dict[str, Field]:
    """Alter and remove each logged field of a run and see whether it is noticed, by path.

    Raises InstitutionalError for a run that does not conform to begin with.
    """
    given = replace(given, summary=None, rounds=None, results=None)
    if conform(given).word is not Word.VERIFIED:
        raise InstitutionalError("the record does not follow as it is: see audit replay first")
    found: dict[str, Field] = {}
    with np.errstate(all="ignore"):
        _opening(given, found)
        _rounds(given, found)
    return found


def _opening(given: Exhibits, found: dict[str, Field]) -> None:
    first, *rest = given.entries
    for change in _changes(first.body, exact=False):
        entries = [Altered(first.seq, first.kind, change.body), *rest]
        answer = conform(replace(given, entries=entries))
        by = [check.id for check in answer.checks if check.outcome is Outcome.FAIL]
        noticed = answer.word is not Word.VERIFIED
        _count(found, "open", change, by or (["undecided"] if noticed else []), inert=False)


def _rounds(given: Exhibits, found: dict[str, Field]) -> None:
    opening, entries = given.entries[0].body, given.entries
    session = Session(opening, read_graph(opening, given.graph))
    conversation = conversation_of(given, session)
    shocks = shocks_of(session.core, seed_of(opening))
    looked_at = _spread(session.core.rounds)
    for place, entry in enumerate(entries[1:], start=1):
        if entry.kind in _LOOKED_AT and session.rounds in looked_at:
            for change in _changes(entry.body, exact=entry.kind != "round"):
                altered = Altered(entry.seq, entry.kind, change.body)
                rest = entries[place + 1 :]
                difference = _difference(session, conversation, altered, rest, shocks)
                by = [] if difference is None else [difference.rule]
                inert = _is_inert(entry.kind, change.path, session, conversation)
                _count(found, entry.kind, change, by, inert=inert)
        _taken(session, conversation, entry)


_LOOKED_AT = {"answers", "round", "ruling"}


def _difference(
    session: Session,
    conversation: Conversation,
    altered: Altered,
    rest: Sequence[Entry],
    shocks: Any,
) -> Difference | None:
    """What a replay that stands at `session` finds in the altered entry and those after it."""
    at, session, conversation = session.rounds, session.copy(), conversation.copy()
    difference = _taken(session, conversation, altered)
    if difference is None and altered.kind == "round":
        difference = unlike_record(session.core, shocks[at:], [altered])
    following = (
        found for entry in rest if (found := _taken(session, conversation, entry)) is not None
    )
    return difference or next(following, None)


def _taken(session: Session, conversation: Conversation, entry: Entry) -> Difference | None:
    return session.take(entry) or unlike_answers(conversation, entry)


def _is_inert(kind: str, path: Path, session: Session, conversation: Conversation) -> bool:
    if kind == "answers":
        return path[0] == "answers" and not conversation.decides
    named = (kind, *path[:1]) == ("round", "submitted")
    return named and len(path) > 1 and path[1] in session.restricted()


def _count(
    found: dict[str, Field], kind: str, change: Change, by: Sequence[str], *, inert: bool
) -> None:
    row = found.setdefault(_named(kind, change.path), Field())
    if change.removed:
        row.removed += 1
        row.removed_noticed += bool(by)
    else:
        row.altered += 1
        row.altered_noticed += bool(by)
    row.inert += inert and not by
    row.by.update(by)


def _named(kind: str, path: Path) -> str:
    """`round.record.prices[]`: a path without the positions in lists."""
    return kind + "".join("[]" if isinstance(step, int) else f".{step}" for step in path)


def _spread(rounds: int) -> set[int]:
    if rounds <= MOST_ROUNDS:
        return set(range(rounds))
    return {round(i * (rounds - 1) / (MOST_ROUNDS - 1)) for i in range(MOST_ROUNDS)}


def _changes(body: Any, *, exact: bool) -> Iterator[Change]:
    """Every change of every field in `body`, one at a time."""
    for path, value in _fields(body, ()):
        for other in _others(value, exact=exact):
            yield Change(path, removed=False, body=_put(body, path, other))
        yield Change(path, removed=True, body=_without(body, path))


def _fields(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    below: Any = ()
    if isinstance(value, dict):
        below = value.items()
    elif isinstance(value, list):
        below = enumerate(value)
    for step, entry in below:
        yield (*path, step), entry
        yield from _fields(entry, (*path, step))


def _others(value: Any, *, exact: bool) -> list[Any]:
    """Values that might stand there instead; where it is `exact`, also the next number."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            next_ = [math.nextafter(value, math.inf)] if exact else []
            return [value + 1, value + 1e-6 * max(1.0, abs(value)), *next_]
        case str():
            return [value + "x", *([""] if value else [])]
        case list():
            return [value[:-1] if value else [None]]
        case dict():
            return [{} if value else {"x": None}]
    return [0]


def _put(value: Any, path: Path, new: Any) -> Any:
    """`value` with `new` at `path`; what is not on the way is shared, not copied."""
    if not path:
        return new
    changed = value.copy()
    changed[path[0]] = _put(value[path[0]], path[1:], new)
    return changed


def _without(value: Any, path: Path) -> Any:
    changed = value.copy()
    if len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = _without(value[path[0]], path[1:])
    return changed
