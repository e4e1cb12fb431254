"""A moment in five short texts, for a table in which every round has one row."""

from collections.abc import Iterator
from typing import NamedTuple

from institutional.transcript.moment import Memory, Moment, Ruled
from institutional.transcript.words import (
    amounts,
    attempt_line,
    done_lines,
    harmless,
    ruled_lines,
    spoken,
    told_lines,
)


class Brief(NamedTuple):
    """What a row says; each text may have line breaks."""

    told: str
    plans: str
    answered: str
    done: str
    ruled: str
    marks: tuple[str, ...]  # what asks for a second look, in a word or two each


def brief(moment: Moment, *, most: int) -> Brief:
    """The moment in short, each text of `most` characters."""
    told = {line.label: line.text for line in told_lines(moment.told)}
    notice = told.get("notice", "").split("\n", maxsplit=1)[0]
    done = {line.label: line.text for line in done_lines(moment)}
    memory = Memory() if moment.answered is None else moment.answered.after
    played = amounts(moment.done, moment.labels) + (", restricted" if moment.restricted else "")

    def short(*lines: str | None) -> str:
        return harmless("\n".join(filter(None, lines)), most)

    return Brief(
        told=short(notice, told.get("standing")),
        plans=short(spoken(memory.plans)),
        answered=short(*_answered(moment)),
        done=short(played, f"profit {done['profit']}" if "profit" in done else None),
        ruled=short(*_ruled(moment.ruled)),
        marks=_marks(moment),
    )


def _answered(moment: Moment) -> Iterator[str]:
    answered = moment.answered
    for attempt in () if answered is None else answered.attempts:
        line = attempt_line(attempt, moment.labels)
        yield f"{line.label}: {line.text}"
    if answered is not None and answered.fallback:
        yield "the declared fallback"


def _ruled(ruled: Ruled | None) -> Iterator[str]:
    """The evidence that holds and what was done; what came to nothing is left out."""
    for line in () if ruled is None else ruled_lines(ruled):
        if not line.idle:
            yield f"{line.label}: {line.text.removeprefix('yes, ')}"


def _marks(moment: Moment) -> tuple[str, ...]:
    answered, ruled = moment.answered, moment.ruled
    attempts = () if answered is None else answered.attempts
    outcomes = {attempt.outcome for attempt in attempts}
    kept = {attempt.kept for attempt in attempts}
    marks = {
        "fallback": answered is not None and answered.fallback,
        "malformed": "malformed" in outcomes,
        "rejected": "rejected" in outcomes,
        "not kept": "missing" in kept,
        "edited": "edited" in kept,
        "not so": moment.at_odds or (ruled is not None and bool(ruled.unlike)),
    }
    return tuple(mark for mark, there in marks.items() if there)
