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
    answered = None if moment.answered is None else moment.answered.action
    played = "as answered" if answered == moment.done else amounts(moment.done, moment.labels)
    if moment.restricted:
        played += ", restricted"

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
    """The evidence that holds, what was done and where it left the agent."""
    if ruled is None:
        return
    for fact in ruled.why.evidence:
        if fact.holds:
            measured = (
                f"{m.signal} {m.value:.4g} {m.operator.replace('_', ' ')} {m.threshold:.4g}"
                for m in fact.measurements
            )
            yield f"{fact.name}: {', '.join(measured)}"
    for line in ruled_lines(ruled):
        if not line.idle and line.label not in {"evidence", "standing"}:
            yield f"{line.label}: {line.text}"
    yield f"then {ruled.standing['state']}"


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
        "not so": any(side is not None and side.unlike for side in (answered, ruled)),
    }
    return tuple(mark for mark, there in marks.items() if there)
