"""A moment as lines of text, the agent's side and the institution's, for a terminal or a page.

Everything that a model or a log said passes through `harmless` here: what is returned holds no
character that a terminal would obey or that would turn text around, and nothing is longer than
the caller asks for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from institutional.governance.explain import EdgeFact, Explanation, fine_words, measured_words
from institutional.transcript.moment import Answered, Attempt, Memory, Moment, Ruled, Told

EXCERPT = 240
"""Most characters shown of an answer that could not be read."""

_NOT_KEPT = {
    "missing": "not on the cassette",
    "edited": "not shown: the cassette has another exchange here than the ledger",
}


class Line(NamedTuple):
    """What one line is about, and what it says; the text may have line breaks, nothing worse."""

    label: str
    text: str
    marked: bool = False  # something went wrong here
    idle: bool = False  # nothing came of it: what did not hold, what was not done


def harmless(text: str, most: int) -> str:
    """`text` with everything but letters, signs and line breaks escaped, cut after `most`.

    What is not printable is control characters, escape sequences, marks of direction, characters
    without width, surrogates: all that shows something other than what stands there.
    """
    cut = text[:most]
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in cut)
    left = len(text) - len(cut)
    return f"{shown} [... {left:,} more characters]" if left else shown


def agent_side(moment: Moment, *, most: int) -> tuple[Line, ...]:
    """What the agent was told, what it answered, what it did; each text of `most` characters."""
    return tuple(
        line._replace(text=harmless(line.text, most))
        for line in (
            *told_lines(moment.told),
            *_answered_lines(moment.answered, moment.labels),
            *done_lines(moment),
        )
    )


def institution_side(moment: Moment, *, most: int) -> tuple[Line, ...]:
    """What was seen of the agent, and what was decided; each text of `most` characters."""
    if moment.ruled is None:
        why = (
            "nothing was ruled on this round" if moment.done is None else "nothing governs this run"
        )
        lines: Sequence[Line] = (Line("", why),)
    else:
        lines = tuple(ruled_lines(moment.ruled))
    return tuple(line._replace(text=harmless(line.text, most)) for line in lines)


def amounts(values: Sequence[float] | None, labels: Sequence[str]) -> str:
    """The numbers of an action: `quantity_A 60.4, quantity_B 0`."""
    if values is None:
        return "nothing: the run ended here"
    return ", ".join(f"{name} {value:.6g}" for name, value in zip(labels, values, strict=True))


def told_lines(told: Told) -> Iterator[Line]:
    """What the agent knew of the institution."""
    if told.notice is not None:
        yield Line("notice", told.notice)
    restriction = "suspended" if told.suspended else ""
    if told.cap < 1:
        restriction = f"capped at {told.cap:.0%} of the largest action"
    standing = ", ".join(filter(None, (told.standing, restriction)))
    if standing:
        yield Line("standing", standing)


def _answered_lines(answered: Answered | None, labels: Sequence[str]) -> Iterator[Line]:
    if answered is None:
        return
    if answered.problem:
        yield Line("cassette", answered.problem, marked=True)
    if answered.unlike:
        yield Line("NOT SO", answered.unlike, marked=True)
    if answered.before != Memory():
        yield from _memory("before", answered.before)
    for attempt in answered.attempts:
        yield attempt_line(attempt, labels)
    if answered.observations:
        yield Line("observed", spoken(answered.observations))
    if answered.fallback:
        yield Line("fallback", "no answer could be taken; the memory stays", marked=True)
    elif answered.action is not None:
        yield from _memory("after", answered.after)


def spoken(text: str) -> str:
    """`text` of a model, every line but the first behind a mark, so that none passes for ours."""
    return "\n> ".join(line for line in text.split("\n") if line.strip())


def _memory(when: str, memory: Memory) -> Iterator[Line]:
    yield Line(when, f"PLANS {spoken(memory.plans) or '(none)'}")
    yield Line("", f"INSIGHTS {spoken(memory.insights) or '(none)'}")


def attempt_line(attempt: Attempt, labels: Sequence[str]) -> Line:
    """One answer: what became of it and why, and of one that could not be read how it begins."""
    parts = [attempt.outcome]
    if attempt.action is not None:
        parts.append(amounts(attempt.action, labels))
    if attempt.reason:
        parts.append(spoken(attempt.reason))
    if attempt.kept != "kept":
        parts.append(_NOT_KEPT[attempt.kept])
    text = ": ".join(parts)
    if attempt.outcome == "malformed" and attempt.reply is not None:
        text += f"\n> {spoken(harmless(attempt.reply.text, EXCERPT))}"
    marked = attempt.outcome in {"malformed", "rejected"} or attempt.kept != "kept"
    return Line(attempt.by, text, marked)


def done_lines(moment: Moment) -> Iterator[Line]:
    """What was submitted, played and earned."""
    submitted, done = (amounts(v, moment.labels) for v in (moment.submitted, moment.done))
    yield Line("submitted", submitted)
    if moment.done is not None:
        yield Line("done", f"{done}, restricted" if moment.restricted else "the same")
    if moment.profit is not None:
        fine = _fine(moment)
        net = f", {moment.profit - fine:.6g} after the fine" if fine else ""
        yield Line("profit", f"{moment.profit:.6g}{net}")
    seen = [name for name in moment.own if name not in (*moment.labels, "profit")]
    if seen:
        yield Line("market", amounts([moment.own[name] for name in seen], seen))


def _fine(moment: Moment) -> float:
    move = None if moment.ruled is None else moment.ruled.move
    return 0.0 if move is None else float(move.get("fine", 0.0))


def ruled_lines(ruled: Ruled) -> Iterator[Line]:
    """What was seen of the agent, and what was decided."""
    why = ruled.why
    if ruled.unlike:
        yield Line("NOT SO", ruled.unlike, marked=True)
    if not why.counted:
        suspended = f"suspended in this round: {', '.join(why.suspended)}"
        silent = "the institution does not act yet"
        yield Line("counted", f"no: {suspended if why.suspended else silent}")
    if why.found_of != why.agent:
        yield Line("source", f"what was found of {why.found_of} is held against {why.agent}")
    compared = {m.signal for fact in why.evidence for m in fact.measurements}
    rest = [f"{name} {value:.6g}" for name, value in why.signals.items() if name not in compared]
    if rest:
        yield Line("signals", ", ".join(rest), idle=True)
    for fact in why.evidence:
        measured = "; ".join(measured_words(m) for m in fact.measurements)
        holds = "yes" if fact.holds else "no"
        yield Line("evidence", f"{holds}, {fact.name}: {measured}", idle=not fact.holds)
    cases = _cases(ruled)
    yield Line("case", "; ".join(cases) or "none", idle=not cases)
    yield from _move_lines(ruled)
    yield Line("standing", _standing(ruled.standing))
    if ruled.notice is not None:
        yield Line("notice", ruled.notice.split("\n", maxsplit=1)[0], idle=True)


def _cases(ruled: Ruled) -> list[str]:
    unseen = [norm.name for norm in ruled.why.norms if norm.unseen]
    grounds = [", ".join(case["evidence"]) for case in ruled.cases]
    said = [
        f"under {case['norm']}, {f'on {ground}' if ground else 'by lot'}"
        for case, ground in zip(ruled.cases, grounds, strict=True)
    ]
    said += [f"none under {name}: breached, but not looked at" for name in unseen]
    return said


def _move_lines(ruled: Ruled) -> Iterator[Line]:
    move, why = ruled.move, ruled.why
    if move is None:
        yield Line("move", "none", idle=True)
    else:
        yield Line("move", f"{move['edge']}: {move['from']} to {move['to']}")
        if "fine" in move:
            yield Line("fine", _fine_line(move, why))
        if "credits" in move:
            yield Line("credits", f"{move['credits']:+d}")
    for refused in ruled.refused:
        yield Line("refused", f"{refused['edge']}: {refused['reason']}")
    for edge in why.edges:
        if edge.outcome == "unrequested" and _near(edge):
            yield Line("not yet", f"{edge.id}: {edge.reason}", idle=True)


def _fine_line(move: Mapping[str, Any], why: Explanation) -> str:
    """The fine that was recorded, and its arithmetic where that leads to it."""
    if why.fine is None or why.fine.fine != move["fine"]:
        return f"{move['fine']:.2f}"
    return f"{move['fine']:.2f} on {why.fine.signal}: {fine_words(why.fine)}"


def _near(edge: EdgeFact) -> bool:
    """Whether all but one of an edge's guards held."""
    return sum(not guard.holds for guard in edge.when) == 1 < len(edge.when)


def _standing(standing: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{name} {standing[name]}" for name in ("offences", "credits", "clean"))
    return f"{standing['state']} since round {standing['since']}; {counts}".replace(
        "since round -1", "since the start"
    )
