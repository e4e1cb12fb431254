"""A whole study of institutions against learners: cells, controls, phase diagram, and the files.

In the folder: `cells/` (chunks of sessions), `results.parquet` (a row per session),
`summary.parquet` (a row per cell), `skipped.json`, and, if asked for, `phase.parquet`, `phase.svg`
and `phase.png`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from institutional.errors import InstitutionalError
from institutional.learning.cells import Done, Played, Task, burden, play
from institutional.learning.conduct import rows
from institutional.learning.control import Burden, controlled
from institutional.learning.phase import PhaseDiagram, draw, phase_diagram, points
from institutional.learning.plan import Cell, Control, Plan
from institutional.learning.summary import summary

Progress = Callable[[int, int], None]
"""(sessions done, of how many)"""


@dataclass(frozen=True, eq=False)
class Study:
    """What came of a plan."""

    results: pl.DataFrame
    summary: pl.DataFrame
    skipped: list[dict[str, str]]
    phase: PhaseDiagram | None


def run_study(
    plan: Plan,
    folder: Path,
    *,
    sessions: int | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Study:
    """Play what is missing in `folder`, and write what all of it says."""
    count = sessions or plan.specification.sessions
    done = _counter(plan, count, progress)
    chunks = folder / "cells"
    found: list[dict[str, Any]] = []
    skipped = plan.skipped()
    free: dict[str, Played] = {}
    for cell in plan.cells():
        task = _task(plan, cell)
        played = play(task, count, chunks, threads=threads, done=done)
        if cell.institution == plan.baseline:
            free[cell.market] = played
        found += _rows(plan, task, cell, played, free)
        if cell.institution == plan.baseline:
            continue
        weight = burden(task, played)
        for control in plan.specification.controls:
            arm = Cell(cell.market, cell.institution, control)
            if weight is None:
                skipped.append(_unplayed(arm, "the institution fined nobody"))
                done(count)
                continue
            other = _control(arm, task, control, weight)
            again = play(other, count, chunks, threads=threads, done=done)
            found += _rows(plan, other, arm, again, free)
    diagram = None
    if plan.phase is not None:
        diagram = phase_diagram(plan, chunks, threads=threads, done=done)
    results = pl.DataFrame(found, infer_schema_length=None)
    study = Study(results, summary(results, plan.baseline), skipped, diagram)
    _write(study, folder)
    return study


def _task(plan: Plan, cell: Cell) -> Task:
    setting = plan.markets[cell.market]
    return Task(
        cell.id, setting, plan.governed(cell), plan.specification.learner, {"arm": cell.arm}
    )


def _control(arm: Cell, task: Task, control: Control, weight: Burden) -> Task:
    governed = controlled(control, task.setting, task.governed, weight)
    return task._replace(name=arm.id, governed=governed, identity={"arm": control})


def _rows(
    plan: Plan, task: Task, cell: Cell, played: Played, free: dict[str, Played]
) -> list[dict[str, Any]]:
    core = plan.markets[cell.market].core
    return rows(cell, core, task.governed, played, free[cell.market])


def _unplayed(cell: Cell, reason: str) -> dict[str, str]:
    return {
        "market": cell.market,
        "institution": cell.institution,
        "arm": cell.arm,
        "reason": reason,
    }


def _counter(plan: Plan, count: int, progress: Progress | None) -> Done:
    cells = plan.cells()
    governed = [cell for cell in cells if cell.institution != plan.baseline]
    total = count * (len(cells) + len(governed) * len(plan.specification.controls))
    phase = plan.specification.phase
    total += 0 if phase is None else phase.sessions * points(phase)
    reached = 0

    def done(more: int) -> None:
        nonlocal reached
        reached += more
        if progress is not None:
            progress(reached, total)

    return done


def _write(study: Study, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        study.results.write_parquet(folder / "results.parquet")
        study.summary.write_parquet(folder / "summary.parquet")
        (folder / "skipped.json").write_text(json.dumps(study.skipped, indent=2) + "\n")
        if study.phase is not None:
            study.phase.table.write_parquet(folder / "phase.parquet")
            draw(study.phase, folder / "phase")
    except OSError as error:
        raise InstitutionalError(f"{folder}: cannot be written ({error.strerror})") from error
