"""One run, from its opening entry to its summary: what a process of the pool does.

A run is finished when its `summary.json` is there; it is written last.
"""

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from institutional import episode, scoring
from institutional.cassette import answers
from institutional.errors import InstitutionalError
from institutional.experiments.plan import Plan, Run, load_plan
from institutional.experiments.sealing import Seal, resolved, write
from institutional.governance.loading import LoadedGraph
from institutional.ledger import log, reading
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.replay.rulings import replay

Known = tuple[tuple[str, str], ...]
"""Digests of models, by name, whose files need not be here."""


@cache
def _plan(path: Path, known: Known) -> Plan:
    return load_plan(path, dict(known))


@cache
def _table(path: Path, known: Known, regime: str) -> episode.Table:
    return _plan(path, known).table(regime)


def execute(path: Path, folder: Path, run: Run, seal: Seal, known: Known = ()) -> str:
    """Play one run into its folder, audit and replay it, and write its summary last.

    For runs in which nobody waits for a model; the others are played in `conversing`.
    """
    plan, table = _plan(path, known), _table(path, known, run.regime)
    here = folder / run.id
    try:
        with seal.ledger(here) as ledger:
            begin(plan, table, run, ledger, seal)

            def after_round(round_: int) -> None:
                if plan.commits_after(round_):
                    ledger.commit()

            outcome = table.play(
                table.seat(plan.pairings[run.pairing]),
                seed=run.seed,
                journal=ledger.append,
                after_round=after_round,
            )
            ledger.close({"status": "invalid" if outcome.invalid else "complete"})
        _written(plan, table, run, here, outcome=outcome, answered=[], operator=seal.operator)
    except OSError as error:
        raise unwritable(here, error) from error
    return run.id


def conclude(
    path: Path, folder: Path, run: Run, *, operator: str, invalid: str | None, known: Known = ()
) -> str:
    """Score, audit and replay the run whose ledger was closed, and write its summary last.

    `invalid` says why it counts for nothing, if it does; all else is read from the disk.
    """
    plan, table = _plan(path, known), _table(path, known, run.regime)
    here = folder / run.id
    kept: dict[str, list[dict[str, Any]]] = {"round": [], "ruling": [], answers.KIND: []}
    try:
        for entry in reading.StoredEntries(here / "ledger"):
            kept.get(entry.kind, []).append(entry.body)
        outcome = episode.Outcome(kept["round"], kept["ruling"], np.zeros((0, 0)), invalid)
        _written(
            plan, table, run, here, outcome=outcome, answered=kept[answers.KIND], operator=operator
        )
    except OSError as error:
        raise unwritable(here, error) from error
    return run.id


class Task(NamedTuple):
    """What whoever plays runs is to know: specification, folder, and how they are signed."""

    path: Path
    folder: Path
    seals: Mapping[str, Seal]
    known: Known

    def of(self, runs: Sequence[Run]) -> "Task":
        """The same with the keys of these runs only."""
        return self._replace(seals={run.id: self.seals[run.id] for run in runs})

    def concluded(self, executor: Executor, run: Run, invalid: str | None) -> Future[str]:
        """Have a run whose ledger is closed scored, audited and replayed; see `conclude`."""
        return executor.submit(
            conclude,
            self.path,
            self.folder,
            run,
            operator=self.seals[run.id].operator,
            invalid=invalid,
            known=self.known,
        )


def _written(
    plan: Plan,
    table: episode.Table,
    run: Run,
    here: Path,
    *,
    outcome: episode.Outcome,
    answered: Sequence[Mapping[str, Any]],
    operator: str,
) -> None:
    """Write what is published of a closed run."""
    _write_rounds(table, outcome, here)
    summary = _summary(plan, table, run, outcome)
    if plan.asks(run):
        summary |= answers.counted(answered)
    write(here / "summary.json", as_bytes(summary | _checked(here, operator)))


def begin(plan: Plan, table: episode.Table, run: Run, ledger: log.Ledger, seal: Seal) -> None:
    """Enter what is to be played, durably, before anything is."""
    config = resolved(plan, run)
    ledger.append("open", opening(table, config, seal.start.manifest, plan.graphs.get(run.regime)))
    ledger.commit()


def unwritable(here: Path, error: OSError) -> InstitutionalError:
    """The error for a run's folder that cannot be written."""
    return InstitutionalError(f"{here}: cannot be written ({error.strerror})")


def opening(
    table: episode.Table, config: dict[str, Any], digest: str, loaded: LoadedGraph | None
) -> dict[str, Any]:
    """The first entry: what is to be played, by whom, under which thresholds."""
    governed: dict[str, Any] = {}
    if table.program is not None:
        governed["thresholds"] = table.program.thresholds()
        if table.program.loaded.graph.detection.draws:
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
    write_table(here / "rounds.parquet", frame)


def write_table(path: Path, frame: pl.DataFrame) -> None:
    """Write a table by way of memory: a full disk is then an OSError like everywhere else."""
    made = io.BytesIO()
    frame.write_parquet(made)
    write(path, made.getvalue())


def as_bytes(value: Any) -> bytes:
    """A JSON file of an experiment: sorted, indented, finite numbers only."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
