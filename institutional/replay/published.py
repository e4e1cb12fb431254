"""The numbers that are published of a run, compared with those that its record leads to.

`summary.json`, `rounds.parquet` and a row of `results.parquet`. None of them is signed; whoever
holds the folder can write into them. Counts and words must be equal, other numbers `near`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agents.catalogue import AGENTS
from institutional import scoring
from institutional.cassette import answers
from institutional.errors import InstitutionalError
from institutional.replay.parting import ABSENT, plain
from institutional.replay.rulings import Entry, Session
from institutional.replay.tables import read_table
from institutional.replay.tolerance import near

ON_TRUST: Mapping[str, str] = {
    "audit_word": "what the operator's own audit said when the run ended; audit the log yourself",
    "audit_code": "the same as a number",
    "reason": "why a run is invalid: the words are about an action that was never recorded",
}
"""What stands in a summary that nothing recorded leads to."""


class Number(NamedTuple):
    """A published value that does not follow from the record."""

    name: str
    published: Any
    derived: Any

    def as_json(self) -> dict[str, Any]:
        """Both values, as text where JSON has none like them or a file made them long."""
        return {
            "name": plain(self.name),
            "published": _kept(self.published),
            "derived": _kept(self.derived),
        }


class Derived(NamedTuple):
    """What a record leads to: the values of the summary, and the columns of the table of rounds."""

    summary: dict[str, Any]
    rounds: dict[str, list[Any]]


def derive(entries: Sequence[Entry], session: Session, *, run: str, replay: str) -> Derived:
    """Score the run of `entries` again, which `session` has derived to the end.

    `run` is its id and `replay` the word that the replay came to.
    """
    opening, core, program = entries[0].body, session.core, session.program
    rounds = [entry.body for entry in entries if entry.kind == "round"]
    rulings = [entry.body for entry in entries if entry.kind == "ruling"]
    answered = [entry.body for entry in entries if entry.kind == answers.KIND]
    valid = len(rounds) == core.rounds
    if session.readers:
        found = answers.too_many_fallbacks(opening["language"], answered, core.rounds)
        valid = valid and found is None
    summary: dict[str, Any] = {
        "run_id": run,
        **{name: opening.get(name) for name in ("regime", "pairing", "seed")},
        "environment": core.name,
        "agents": len(core.agents),
        "rounds": core.rounds,
        "valid": valid,
        "replay": replay,
        **_innocent(opening.get("seats")),
        **scoring.scores(core, program, rounds, rulings, valid=valid),
    }
    if session.readers:
        summary |= answers.counted(answered)
    return Derived(summary, scoring.per_round(core, program, rounds, rulings) if rounds else {})


def _innocent(seats: Any) -> dict[str, bool]:
    """Whether nobody at the table tries to collude; nothing where somebody is unknown here."""
    try:
        return {"innocent": all(AGENTS[seat["agent"]].innocent for seat in seats)}
    except (KeyError, TypeError):
        return {}


def read_summary(data: bytes) -> dict[str, Any]:
    """Parse a summary.json; raises InstitutionalError for anything but one object."""
    try:
        found = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InstitutionalError(f"torn or edited ({error})") from error
    if not isinstance(found, dict):
        raise InstitutionalError("torn or edited (not an object)")
    return found


def read_row(data: bytes, run: str) -> dict[str, Any] | None:
    """The row of `run` in a results.parquet; None where it has none. Raises if it has several."""
    found = read_table(data, rows=2, where={"run_id": run})
    counts = {len(values) for values in found.values()}
    if counts == {0}:
        return None
    if counts != {1}:
        raise InstitutionalError("it has several rows of this run")
    row = {name: values[0] for name, values in found.items()}
    # Beside runs in which somebody reads, others have these columns as well, and nothing there.
    return {k: v for k, v in row.items() if v is not None or k not in answers.COUNTS}


def unlike_summary(published: Mapping[str, Any], derived: Mapping[str, Any]) -> list[Number]:
    """The values of a summary that differ from what the record leads to, by name.

    Raises InstitutionalError for a name that is neither derived nor taken on trust.
    """
    unknown = sorted(published.keys() - derived.keys() - ON_TRUST.keys())
    if unknown:
        raise InstitutionalError(f"this version does not derive {', '.join(unknown[:5])!a}")
    pairs = ((name, published.get(name, ABSENT), value) for name, value in sorted(derived.items()))
    return [Number(*pair) for pair in pairs if not _agree(pair[1], pair[2])]


def unlike_rounds(
    published: Mapping[str, Sequence[Any]], derived: Mapping[str, Sequence[Any]]
) -> list[Number]:
    """The cells of a table of rounds that differ, named like `price[3]`."""
    if published.keys() != derived.keys():
        return [Number("columns", sorted(published), sorted(derived))]
    found = []
    for name, values in derived.items():
        if len(published[name]) != len(values):
            return [Number("rows", len(published[name]), len(values))]
        cells = enumerate(zip(published[name], values, strict=True))
        found += [
            Number(f"{name}[{index}]", was, should)
            for index, (was, should) in cells
            if not _agree(was, should)
        ]
    return found


def _agree(published: Any, derived: Any) -> bool:
    numbers = isinstance(published, int | float) and not isinstance(published, bool)
    if numbers and isinstance(derived, float):
        return near(published, derived) or (published != published and derived != derived)  # noqa: PLR0124 - both are no number
    if isinstance(published, bool) != isinstance(derived, bool):
        return False
    return bool(published == derived)


def _kept(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return plain(value if isinstance(value, str) else repr(value))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
