"""Running a plan: one folder per run, every core, and no work twice.

A run is finished when its `summary.json` is there; it is written last. A run that was killed is
derived again from its seed: its ledger compares every entry with what it already holds, so the
result is the one of an uninterrupted run, byte for byte.
"""

import io
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from institutional import episode, scoring
from institutional.errors import InstitutionalError
from institutional.experiments.plan import Plan, Run, load_plan
from institutional.experiments.sealing import Seal, declare, ended, resolved, versions, write
from institutional.governance.loading import LoadedGraph
from institutional.ledger import index, keys, log, reading
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.note import SigningKey
from institutional.replay.rulings import replay


@dataclass(frozen=True)
class Progress:
    """How far an experiment is: runs done before, done now, and in all."""

    before: int
    done: int
    total: int


def run_experiment(
    path: Path,
    folder: Path,
    *,
    jobs: int | None = None,
    command: str = "",
    report_progress: Callable[[Progress], None] = lambda _: None,
) -> Plan:
    """Run, resume or extend the experiment of the specification at `path` in `folder`.

    Writes `experiment.yaml`, `experiment.json`, `skipped.json`, a folder per run and
    `results.parquet`. Raises InstitutionalError, with nothing half-written, if the specification
    or the folder is not right.
    """
    plan = load_plan(path)
    _claim(plan, folder, command)
    runs = plan.runs()
    waiting = [run for run in runs if not (folder / run.id / "summary.json").is_file()]
    before = len(runs) - len(waiting)
    report_progress(Progress(before, 0, len(runs)))
    operator = keys.operator_key()
    seals = {run.id: declare(plan, run, folder / run.id, operator) for run in waiting}
    # Before the first round and after the last: what is not shown later leaves a gap here.
    _register(operator, [seal.start for seal in seals.values()])
    for done, _ in enumerate(_execute(path, folder, waiting, seals, _jobs(plan, jobs)), start=1):
        report_progress(Progress(before, done, len(runs)))
    _register(operator, [ended(plan, run, folder / run.id) for run in runs])
    collect(plan, folder)
    return plan


def _register(operator: SigningKey, entries: Sequence[index.Start | index.End]) -> None:
    index.register(keys.home() / "index", operator, entries)


def _jobs(plan: Plan, jobs: int | None) -> int:
    chosen = plan.specification.jobs if jobs is None else jobs
    return chosen or os.cpu_count() or 1


def _execute(
    path: Path, folder: Path, runs: list[Run], seals: Mapping[str, Seal], jobs: int
) -> Iterator[str]:
    """Yield the id of each run as it finishes."""
    if jobs == 1 or len(runs) <= 2:
        for run in runs:
            yield execute(path, folder, run, seals[run.id])
        return
    # Spawned, not forked: a forked child inherits the locks of the table library's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        pending = {pool.submit(execute, path, folder, run, seals[run.id]) for run in runs}
        try:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _claim(plan: Plan, folder: Path, command: str) -> None:
    """Make `folder` this plan's, or refuse if it is another's."""
    stamp = folder / "experiment.json"
    files = {"experiment.yaml": plan.document.raw, "skipped.json": _json(plan.skipped())}
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
        write(stamp, _json(_described(plan, command)))
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
    }


@cache
def _plan(path: Path) -> Plan:
    return load_plan(path)


@cache
def _table(path: Path, regime: str) -> episode.Table:
    plan = _plan(path)
    return episode.Table(plan.core, plan.graphs.get(regime))


def execute(path: Path, folder: Path, run: Run, seal: Seal) -> str:
    """Play one run into its folder, audit and replay it, and write its summary last."""
    plan, table = _plan(path), _table(path, run.regime)
    here = folder / run.id
    loaded = plan.graphs.get(run.regime)
    try:
        opened = opening(table, resolved(plan, run), seal.start.manifest, loaded)
        with seal.ledger(here) as ledger:
            outcome = _played(plan, table, run, ledger, opened)
        _write_rounds(table, outcome, here)
        summary = _summary(plan, table, run, outcome) | _checked(here, seal.operator)
        write(here / "summary.json", _json(summary))
    except OSError as error:
        raise InstitutionalError(f"{here}: cannot be written ({error.strerror})") from error
    return run.id


def _played(
    plan: Plan, table: episode.Table, run: Run, ledger: log.Ledger, opened: dict[str, Any]
) -> episode.Outcome:
    ledger.append("open", opened)
    ledger.commit()

    def after_round(index: int) -> None:
        if (index + 1) % plan.specification.commit_every == 0:
            ledger.commit()

    seated = table.seat(plan.pairings[run.pairing])
    outcome = table.play(seated, seed=run.seed, journal=ledger.append, after_round=after_round)
    ledger.close({"status": "invalid" if outcome.invalid else "complete"})
    return outcome


def opening(
    table: episode.Table, config: dict[str, Any], digest: str, loaded: LoadedGraph | None
) -> dict[str, Any]:
    """The first entry: what is to be played, by whom, under which thresholds."""
    governed: dict[str, Any] = {}
    if table.program is not None:
        governed["thresholds"] = table.program.thresholds()
        if table.program.loaded.graph.detection.audit_share < 1:
            governed["lottery"] = episode.lottery(config["seed"])
    return {
        "manifest": digest,
        "agents": list(table.core.agents),
        "rounds": table.core.rounds,
        "graph": None if loaded is None else loaded.canonical_digest,
        **config,
        **governed,
    }


def _summary(
    plan: Plan, table: episode.Table, run: Run, outcome: episode.Outcome
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "run_id": run.id,
        "regime": run.regime,
        "pairing": run.pairing,
        "environment": table.core.name,
        "seed": run.seed,
        "valid": outcome.invalid is None,
        "reason": outcome.invalid,
        "innocent": plan.innocent(run.pairing),
        "agents": len(table.core.agents),
        "rounds": table.core.rounds,
    }
    return summary | scoring.scores(
        table.core,
        table.program,
        outcome.records,
        outcome.rulings,
        valid=outcome.invalid is None,
    )


def _checked(here: Path, operator: str) -> dict[str, Any]:
    """The audit's and the replay's verdict on the run just written, from the disk."""
    verdict = audit(here, operator)
    if verdict.word is Word.CANNOT_DECIDE:
        first = verdict.findings[0]
        raise InstitutionalError(
            f"{here}: the run just written cannot be audited: {first.id}: {first.reason}\n"
            "  if the disk can be read again, the same command checks it anew"
        )
    entries = reading.read_entries(here / "ledger")
    graph = here / "graph.yaml"
    derived = replay(entries, graph.read_bytes() if graph.is_file() else None)
    return {
        "audit_word": verdict.word.name,
        "audit_code": int(verdict.exit_code),
        "replay": derived.word,
    }


def _write_rounds(table: episode.Table, outcome: episode.Outcome, here: Path) -> None:
    """`rounds.parquet`: one row per round, for plots."""
    if not outcome.records:
        return
    frame = pl.DataFrame(
        scoring.per_round(table.core, table.program, outcome.records, outcome.rulings),
        schema_overrides={
            "fines": pl.Float64,
            "suspended": pl.Int64,
            "cases": pl.Int64,
            "moves": pl.List(pl.String),
            "refused": pl.Int64,
        },
    )
    _write_table(here / "rounds.parquet", frame)


def collect(plan: Plan, folder: Path) -> pl.DataFrame:
    """Gather the summaries into `results.parquet`, one row per run in the plan's order."""
    try:
        rows = [json.loads((folder / run.id / "summary.json").read_text()) for run in plan.runs()]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        _write_table(folder / "results.parquet", frame)
    except OSError as error:
        raise InstitutionalError(
            f"{folder}: its results cannot be gathered ({error.strerror})"
        ) from error
    return frame


def _write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a table by way of memory: a full disk is then an OSError like everywhere else."""
    made = io.BytesIO()
    frame.write_parquet(made)
    write(path, made.getvalue())


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
