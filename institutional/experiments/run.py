"""Running a plan: one folder per run, every core, and no work twice.

A run is finished when its `summary.json` is there; it is written last. A run that was killed is
derived again from its seed: its ledger compares every entry with what it already holds, so the
result is the one of an uninterrupted run, byte for byte.
"""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from agents.language.desk.prices import NOTHING, Spent
from institutional.errors import InstitutionalError
from institutional.experiments import apart, conversing
from institutional.experiments.conversing import Answering
from institutional.experiments.plan import Plan, Run, load_plan
from institutional.experiments.playing import Task, as_bytes, execute, write_table
from institutional.experiments.sealing import declare, ended, versions, write
from institutional.ledger import index, keys
from institutional.ledger.note import SigningKey

FEW = 2
"""So many runs are done sooner than another process starts."""


@dataclass(frozen=True)
class Progress:
    """How far an experiment is: runs done before, done now, and in all; what its models cost."""

    before: int
    done: int
    total: int
    spent: Spent = NOTHING


def run_experiment(
    path: Path,
    folder: Path,
    *,
    jobs: int | None = None,
    command: str = "",
    cassettes: Path | None = None,
    report_progress: Callable[[Progress], None] = lambda _: None,
) -> Plan:
    """Run, resume or extend the experiment of the specification at `path` in `folder`.

    Writes `experiment.yaml`, `experiment.json`, `skipped.json`, a folder per run and
    `results.parquet`. With `cassettes`, the folder of an experiment that was run before, no model
    is asked: its recorded answers are given again. Raises InstitutionalError, with nothing
    half-written, if the specification or the folder is not right, and BudgetSpentError where the
    budget was: what was answered is kept, and the same call goes on from there.
    """
    known = {} if cassettes is None else conversing.recorded_models(cassettes)
    plan = load_plan(path, known)
    answering = Answering(plan, folder, cassettes)
    runs = plan.runs()
    waiting = [run for run in runs if not (folder / run.id / "summary.json").is_file()]
    if any(plan.asks(run) for run in waiting):
        answering.check()
    _claim(plan, folder, command)
    before = len(runs) - len(waiting)
    report_progress(Progress(before, 0, len(runs), answering.spent))
    operator = keys.operator_key()
    seals = {run.id: declare(plan, run, folder / run.id, operator) for run in waiting}
    # Before the first round and after the last: what is not shown later leaves a gap here.
    _register(operator, [seal.start for seal in seals.values()])
    task = Task(path, folder, seals, tuple(sorted(known.items())))
    at_work = _Work(task, _jobs(plan, jobs))
    done = 0
    for _ in at_work.played([run for run in waiting if not plan.asks(run)]):
        done += 1
        report_progress(Progress(before, done, len(runs), answering.spent))
    conversations = [run for run in waiting if plan.asks(run)]
    if conversations:
        at_work.conversed(
            answering,
            conversations,
            lambda finished, spent: report_progress(
                Progress(before, done + finished, len(runs), spent)
            ),
        )
    _register(operator, [ended(plan, run, folder / run.id) for run in runs])
    collect(plan, folder)
    return plan


def _register(operator: SigningKey, entries: Sequence[index.Start | index.End]) -> None:
    index.register(keys.home() / "index", operator, entries)


def _jobs(plan: Plan, jobs: int | None) -> int:
    chosen = plan.specification.jobs if jobs is None else jobs
    return chosen or os.cpu_count() or 1


class _Work(NamedTuple):
    """What the processes of the pool are to know."""

    task: Task
    jobs: int

    def played(self, runs: Sequence[Run]) -> Iterator[str]:
        """Yield the id of each run as it finishes."""
        path, folder, seals, known = self.task
        if self.jobs == 1 or len(runs) <= FEW:
            for run in runs:
                yield execute(path, folder, run, seals[run.id], known)
            return
        with self.executor(len(runs)) as pool:
            pending = {
                pool.submit(execute, path, folder, run, seals[run.id], known) for run in runs
            }
            try:
                while pending:
                    finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in finished:
                        yield future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def conversed(
        self, answering: Answering, runs: Sequence[Run], report: Callable[[int, Spent], None]
    ) -> None:
        """Play runs in which somebody asks models: here, or split over processes."""
        parts = apart.parts(answering, runs, self.jobs)
        if parts > 1:
            paid = answering.spent
            shares = [
                apart.Share(self.task.of(mine), mine, answering.cassettes, parts)
                for mine in (runs[part::parts] for part in range(parts))
            ]
            apart.converse_apart(
                shares, lambda finished, spent: report(finished, paid.with_all(spent))
            )
            return
        with self.executor(len(runs)) as executor:
            conversing.converse(
                answering,
                runs,
                self.task.seals,
                partial(self.task.concluded, executor),
                report,
            )

    def executor(self, runs: int) -> Executor:
        """Who works beside this thread: other processes, or one thread where they do not pay."""
        if self.jobs == 1 or runs <= FEW:
            return ThreadPoolExecutor(1)
        # Spawned, not forked: a forked child inherits the locks of the table library's threads.
        return ProcessPoolExecutor(self.jobs, mp_context=multiprocessing.get_context("spawn"))


def _claim(plan: Plan, folder: Path, command: str) -> None:
    """Make `folder` this plan's, or refuse if it is another's."""
    stamp = folder / "experiment.json"
    files = {"experiment.yaml": plan.document.raw, "skipped.json": as_bytes(plan.skipped())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if stamp.is_file():
            found = json.loads(stamp.read_text())
            if found.get("plan_digest") != plan.digest:
                raise InstitutionalError(
                    f"{folder}: this folder belongs to another experiment\n"
                    f"  its plan is {str(found.get('plan_digest'))[:16]}, this one "
                    f"{plan.digest[:16]}: choose another folder with --out, or another name"
                )
            if found.get("seeds") == plan.specification.seed_list:
                return
        elif not all(_begun(path, files) for path in folder.iterdir()):
            raise InstitutionalError(
                f"{folder}: not empty, and no experiment's folder\n  choose another with --out"
            )
        for name, data in files.items():
            write(folder / name, data)
        write(stamp, as_bytes(_described(plan, command)))
    except OSError as error:
        raise InstitutionalError(
            f"{folder}: cannot be written ({error.strerror})\n  choose a folder with --out"
        ) from error
    except json.JSONDecodeError as error:
        raise InstitutionalError(f"{stamp}: torn or edited ({error})") from error


def _begun(path: Path, files: Mapping[str, bytes]) -> bool:
    """Whether `path` is what a claim that was cut short leaves: one of `files`, or a part."""
    if path.suffix == ".part":
        return path.stem in {*files, "experiment.json"}
    return path.name in files and path.read_bytes() == files[path.name]


def _described(plan: Plan, command: str) -> dict[str, Any]:
    core = plan.core
    points = core.benchmarks()
    return {
        "name": plan.specification.name,
        "title": plan.specification.title,
        "command": command,
        "plan_digest": plan.digest,
        "versions": versions(),
        "environment": plan.environment,
        "seeds": plan.specification.seed_list,
        "graphs": {
            regime: {
                "path": plan.specification.regimes[regime].graph,
                "canonical": loaded.canonical_digest,
                "exact": loaded.exact_digest,
            }
            for regime, loaded in plan.graphs.items()
        },
        "benchmarks": {
            name: {
                **(
                    {"price": float(np.mean(point.record["prices"]))}
                    if "prices" in point.record
                    else {}
                ),
                "profit": float(core.profits(point.record).mean()),
                "consumer_surplus": point.consumer_surplus,
                "welfare": point.welfare,
            }
            for name, point in points.items()
        },
        "comparison": plan.specification.comparison.model_dump(),
        **({"language": plan.language.as_plan()} if plan.language.asked else {}),
    }


def collect(plan: Plan, folder: Path) -> pl.DataFrame:
    """Gather the summaries into `results.parquet`, one row per run in the plan's order."""
    try:
        rows = [json.loads((folder / run.id / "summary.json").read_text()) for run in plan.runs()]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        write_table(folder / "results.parquet", frame)
    except OSError as error:
        raise InstitutionalError(
            f"{folder}: its results cannot be gathered ({error.strerror})"
        ) from error
    return frame
