"""Conversations split over processes, where one would be the bottleneck.

Runs know nothing of each other, so who plays which changes no byte of theirs. A process of its own
pays where a model computes in it, or where so many runs wait that one event loop cannot keep their
models busy. A budget is kept by one process: then nothing is split.
"""

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from agents.language.backends.catalogue import BACKENDS
from agents.language.desk.prices import NOTHING, Spent
from institutional.errors import InstitutionalError
from institutional.experiments.conversing import Answering, converse
from institutional.experiments.plan import Plan, Run, load_plan
from institutional.experiments.playing import Task

RUNS_EACH = 100
"""From so many runs a process on, another one pays."""
LIGHT = 64 << 20
"""Bytes of a local model of which every process may have a copy."""
_WAKE_S = 0.5


class Share(NamedTuple):
    """What one process is to do."""

    task: Task
    runs: Sequence[Run]
    cassettes: Path | None
    parts: int  # processes in all


class _Told(NamedTuple):
    """How far a process is; at its end, what stopped it, if anything did."""

    finished: int = 0
    spent: Spent = NOTHING
    ended: bool = False
    error: Exception | None = None


def parts(answering: Answering, runs: Sequence[Run], jobs: int) -> int:
    """How many processes are to share `runs`."""
    if min(answering.budget) < math.inf:
        return 1
    here = [name for run in runs for name in answering.plan.asks(run) if _is_here(answering, name)]
    if here:
        light = all(_is_light(answering.plan, name) for name in set(here))
        return max(1, min(jobs, len(runs))) if light else 1
    return max(1, min(jobs, len(runs) // RUNS_EACH))


def _is_here(answering: Answering, name: str) -> bool:
    """Whether the model called `name` computes in the process that asks it."""
    plan = answering.plan
    return answering.cassettes is None and BACKENDS[plan.language.models[name].backend].local


def _is_light(plan: Plan, name: str) -> bool:
    folder = plan.language.folders.get(name)
    if folder is None or BACKENDS[plan.language.models[name].backend].apart:
        return False
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LIGHT


def converse_apart(shares: Sequence[Share], report: Callable[[int, Spent], None]) -> None:
    """Play the runs of every share in a process of its own; see `conversing.converse`."""
    context = multiprocessing.get_context("spawn")
    at_work = {}
    for share in shares:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_converse, args=(theirs, share), daemon=True)
        process.start()
        theirs.close()
        at_work[ours] = process
    told = dict.fromkeys(at_work, _Told())
    try:
        while running := [ours for ours, last in told.items() if not last.ended]:
            for spoke in wait(running, _WAKE_S):
                ours = running[running.index(spoke)]  # type: ignore[arg-type]  # one of them
                told[ours] = _heard(ours, told[ours])
            spent = NOTHING
            for last in told.values():
                spent = spent.with_all(last.spent)
            report(sum(last.finished for last in told.values()), spent)
    finally:
        for process in at_work.values():
            process.terminate()
            process.join()
    for last in told.values():
        if last.error is not None:
            raise last.error


def _heard(ours: Connection, before: _Told) -> _Told:
    try:
        found: _Told = ours.recv()
    except EOFError:
        error = InstitutionalError(
            "a process that played runs ended without a word, as when memory is short\n"
            "  the same command goes on where it stopped; --jobs 1 plays them in this process"
        )
        return before._replace(ended=True, error=error)
    return found


def _converse(told: Connection, share: Share) -> None:
    """Play a share and tell how it goes."""
    # An interrupt, and the end of who started this, end it like a kill: what is on record stays.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - this is a child
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    last = _Told()

    def report(finished: int, spent: Spent) -> None:
        nonlocal last
        last = _Told(finished, spent)
        told.send(last)

    error: Exception | None = None
    try:
        path, folder, seals, known = share.task
        plan = load_plan(path, dict(known))
        answering = Answering(plan, folder, share.cassettes, parts=share.parts)
        with ThreadPoolExecutor(1) as thread:
            concluded = partial(share.task.concluded, thread)
            converse(answering, share.runs, seals, concluded, report)
    except InstitutionalError as stopped:
        error = stopped
    told.send(last._replace(ended=True, error=error))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
