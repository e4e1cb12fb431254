"""What language agents were told, answered and did, round by round, in a few of the runs.

Read from ledgers and cassettes, so it says what is on record and nothing else. However many runs
an experiment has, this part of the page stays below `MOST_BYTES`, and says what it leaves out.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import polars as pl

from institutional.errors import InstitutionalError
from institutional.experiments.report.html import (
    Html,
    element,
    esc,
    folded,
    joined,
    paragraph,
    table,
)
from institutional.experiments.report.read import Experiment
from institutional.experiments.report.words import code, several
from institutional.transcript.brief import Brief, brief
from institutional.transcript.moment import Moment
from institutional.transcript.reading import transcript

MOST_RUNS = 24
"""Runs that are told."""

MOST_BYTES = 600_000
"""What their rows may take on the page, all together."""

MOST_TEXT = 400
"""Characters of one cell."""

_COUNTS = {
    "calls": "calls",
    "prompt_tokens": "prompt tokens",
    "completion_tokens": "answer tokens",
    "reasked": "malformed answers",
    "rejected": "plans rejected",
    "fallbacks": "fallbacks",
}
_MARKUP = 12  # bytes around a cell
_HEADER = ("round", "agent", "told", "plans", "answered", "done", "the institution's view")


class Told(NamedTuple):
    """One run of the experiment that is told, and why this one."""

    id: str
    regime: str
    pairing: str
    why: str


def transcripts_part(experiment: Experiment) -> Html | None:
    """Return counts by regime and a few runs in detail; None where no model was asked."""
    results = experiment.results
    if not set(_COUNTS) <= set(results.columns):
        return None
    runs = results.filter(pl.col("calls").is_not_null())
    if runs.is_empty():
        return None
    chosen, left = _chosen(runs.select("run_id", "regime", "pairing", "valid").rows())
    parts: list[object] = [
        paragraph("What was asked of models in all runs in which an agent reads:"),
        _counts(experiment, runs),
        paragraph(
            "Told are the first valid run of each regime and pairing, and the invalid runs: "
            f"{several(len(chosen), 'run')}"
            + (f"; {left:,} more are not told here" if left else "")
            + ". Rounds count from 0, as in the log. A row is marked where an answer could not be "
            "read, an inspector refused a plan, the fallback was played, or the record does not "
            "hold together. Every round in full: ",
            code(f"institutional transcript {experiment.folder.name}/RUN --agent A --round T"),
        ),
    ]
    share = MOST_BYTES // len(chosen)
    parts += [_run(experiment, told, most=share) for told in chosen]
    return joined(*parts)


def _counts(experiment: Experiment, runs: pl.DataFrame) -> Html:
    rows = []
    for regime in experiment.regimes:
        of = runs.filter(regime=regime)
        if len(of):
            counts = [len(of), *(of[name].sum() for name in _COUNTS), (~of["valid"]).sum()]
            rows.append([regime, *(f"{int(count):,}" for count in counts)])
    return table(("regime", "runs", *_COUNTS.values(), "invalid runs"), rows)


def _chosen(runs: Sequence[tuple[str, str, str, bool]]) -> tuple[list[Told], int]:
    """The runs that are told, and how many more there would have been."""
    first: dict[tuple[str, str], Told] = {}
    invalid = []
    for run, regime, pairing, valid in runs:
        if valid:
            first.setdefault((regime, pairing), Told(run, regime, pairing, "first valid run"))
        else:
            invalid.append(Told(run, regime, pairing, "invalid"))
    wanted = [*first.values(), *invalid]
    return wanted[:MOST_RUNS], len(wanted[MOST_RUNS:])


def _run(experiment: Experiment, told: Told, *, most: int) -> Html:
    """One run in `most` bytes, closed at first behind a line that says what is there."""
    try:
        moments = transcript(experiment.folder / told.id)
    except InstitutionalError as error:
        return paragraph(f"{told.id} cannot be told: {str(error).splitlines()[0]}")
    rounds = [
        [(moment, brief(moment, most=MOST_TEXT)) for moment in of]
        for _, of in groupby(moments, key=lambda moment: moment.round)
    ]
    shown = _shown(rounds, most)
    marked = sum(bool(row.marks) for of in rounds for _, row in of)
    problems = {m.answered.problem for m in moments if m.answered is not None} - {""}
    summary = f"{told.id} ({told.why}): {len(shown)} of {several(len(rounds), 'round')}" + (
        f", {several(marked, 'marked row')} in all" if marked else ""
    )
    lines = [line for of in shown for line in _lines(of)]
    filled = [place for place in range(len(_HEADER)) if any(line[place] for line in lines)]
    header = [_HEADER[place] for place in filled]
    cells = [[line[place] for place in filled] for line in lines]
    return folded(
        summary,
        *(paragraph(f"Cassette: {problem}") for problem in sorted(problems)),
        element("div", table(header, cells, text=len(header)), class_="transcript"),
    )


_Round = Sequence[tuple[Moment, Brief]]


def _shown(rounds: Sequence[_Round], most: int) -> list[_Round]:
    """The rounds for which there is room: marked ones, then those with a ruling, then the first."""

    def rank(of: _Round) -> tuple[bool, bool, int]:
        acted = any(m.ruled is not None and (m.ruled.cases or m.ruled.move) for m, _ in of)
        return not any(row.marks for _, row in of), not acted, of[0][0].round

    chosen: list[_Round] = []
    for of in sorted(rounds, key=rank):
        most -= sum(_MARKUP + len(esc(cell).encode()) for line in _lines(of) for cell in line)
        if most < 0:
            break
        chosen.append(of)
    return sorted(chosen, key=lambda of: of[0][0].round)


def _lines(of: _Round) -> list[list[str]]:
    """The rows of one round."""
    return [
        [
            str(moment.round) if index == 0 else "",
            joined(moment.agent, *(element("mark", mark) for mark in row.marks), by=" "),
            *(row.told, row.plans, row.answered, row.done, row.ruled),
        ]
        for index, (moment, row) in enumerate(of)
    ]
