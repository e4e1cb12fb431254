"""A moment as lines of text, the agent's side and the institution's, for a terminal or a page.

Everything that a model or a log said passes through `harmless` here: what is returned holds no
character that a terminal would obey or that would turn text around, and nothing is longer than
the caller asks for.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from institutional.governance.explain import EdgeFact, Explanation, fine_words, measured_words
from institutional.transcript.moment import Moment, Ruled, Told

EXCERPT = 240
"""Most characters shown of an answer that was not taken."""


class Line(NamedTuple):
    """What one line is about, and what it says; the text may have line breaks, nothing worse."""

    label: str
    text: str
    marked: bool = False  # something went wrong here


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
        for line in (*_told_lines(moment.told), *_done_lines(moment))
    )


def institution_side(moment: Moment, *, most: int) -> tuple[Line, ...]:
    """What was seen of the agent, and what was decided; each text of `most` characters."""
    if moment.ruled is None:
        lines: Sequence[Line] = (Line("", "nothing governs this run"),)
    else:
        lines = tuple(_ruled_lines(moment.ruled))
    return tuple(line._replace(text=harmless(line.text, most)) for line in lines)


def amounts(values: Sequence[float] | None, labels: Sequence[str] = ()) -> str:
    """The numbers of an action: `A 60.4, B 0`."""
    if values is None:
        return "nothing: the run ended here"
    names = [f"{label} " for label in labels] or [""] * len(values)
    return ", ".join(f"{name}{value:.6g}" for name, value in zip(names, values, strict=True))


def _told_lines(told: Told) -> Iterator[Line]:
    if told.notice is not None:
        yield Line("notice", told.notice)
    restriction = "suspended" if told.suspended else ""
    if told.cap < 1:
        restriction = f"capped at {told.cap:.0%} of the largest action"
    standing = ", ".join(filter(None, (told.standing, restriction)))
    if standing:
        yield Line("standing", standing)


def _done_lines(moment: Moment) -> Iterator[Line]:
    submitted, done = (amounts(v, moment.labels) for v in (moment.submitted, moment.done))
    yield Line("submitted", submitted)
    if moment.restricted:
        yield Line("done", f"{done} (restricted)")
    if moment.profit is not None:
        fine = _fine(moment)
        net = f", {moment.profit - fine:.6g} after the fine" if fine else ""
        yield Line("profit", f"{moment.profit:.6g}{net}")


def _fine(moment: Moment) -> float:
    move = None if moment.ruled is None else moment.ruled.move
    return 0.0 if move is None else float(move.get("fine", 0.0))


def _ruled_lines(ruled: Ruled) -> Iterator[Line]:
    why = ruled.why
    if ruled.unlike:
        yield Line("NOT SO", ruled.unlike, marked=True)
    if not why.counted:
        yield Line("counted", f"no: suspended in this round: {', '.join(why.suspended)}")
    compared = {m.signal for fact in why.evidence for m in fact.measurements}
    rest = [f"{name} {value:.6g}" for name, value in why.signals.items() if name not in compared]
    if rest:
        yield Line("signals", ", ".join(rest))
    for fact in why.evidence:
        measured = "; ".join(measured_words(m) for m in fact.measurements)
        yield Line("evidence", f"{'yes' if fact.holds else 'no'}, {fact.name}: {measured}")
    yield Line("case", _cases(ruled))
    yield from _move_lines(ruled)
    yield Line("standing", _standing(ruled.standing))
    if ruled.notice is not None:
        yield Line("notice", ruled.notice.split("\n", maxsplit=1)[0])


def _cases(ruled: Ruled) -> str:
    unseen = [norm.name for norm in ruled.why.norms if norm.unseen]
    said = [f"under {case['norm']}, on {', '.join(case['evidence'])}" for case in ruled.cases]
    said += [f"none under {name}: breached, but not looked at" for name in unseen]
    return "; ".join(said) or "none"


def _move_lines(ruled: Ruled) -> Iterator[Line]:
    move, why = ruled.move, ruled.why
    if move is None:
        yield Line("move", "none")
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
            yield Line("not yet", f"{edge.id}: {edge.reason}")


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
