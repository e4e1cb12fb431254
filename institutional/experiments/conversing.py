"""Runs whose agents wait for models: many at once, in one event loop, asking at one desk.

A run that stops in the middle, because a model is dead, the budget is spent or somebody interrupts,
leaves its ledger and its cassette as a kill would. Nothing new is asked then; what is on its way
is waited for and recorded. The same command derives each run again from its cassette and goes on.
"""

import asyncio
import json
import math
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from agents.language.backends.catalogue import BACKENDS, open_backend
from agents.language.desk.desk import Desk
from agents.language.desk.prices import NOTHING, Spent, spent_on
from agents.language.desk.purse import Budget, BudgetSpentError
from agents.language.exchange import Ask, BackendError, Place, Reply, Request
from agents.language.models import Model
from agents.language.player import LanguageAgent, Turn
from institutional import episode
from institutional.cassette import answers
from institutional.cassette.exchange import FILE_NAME, Header
from institutional.cassette.reading import read_cassette
from institutional.cassette.recording import (
    Recorder,
    Source,
    fresh_key,
    from_cassette,
    nowhere,
    until,
)
from institutional.errors import InstitutionalError
from institutional.experiments.fork import parent
from institutional.experiments.models import price_table
from institutional.experiments.plan import Plan, Run
from institutional.experiments.playing import begin, unwritable
from institutional.experiments.sealing import Seal, conversation
from institutional.ledger import keys
from institutional.ledger.log import Ledger

OPEN_RUNS = 1000
"""Most runs at once; each holds a ledger, a cassette and what it has read of them."""

_FILES_PER_RUN = 3
_OTHER_FILES = 256  # connections to models among them
_DISK_THREADS = 16
_REPORT_EVERY_S = 0.5
T = TypeVar("T")


class Answering:
    """Where the answers of an experiment come from, and what those on its cassettes have cost."""

    def __init__(self, plan: Plan, folder: Path, cassettes: Path | None, *, parts: int = 1) -> None:
        """`parts` is by how many processes the experiment is played; each counts its own calls."""
        self.plan, self.folder, self.cassettes, self.parts = plan, folder, cassettes, parts
        specification = plan.specification
        self.prices = price_table(plan.document, specification.prices)
        budget = specification.budget
        self.budget = Budget(
            math.inf if budget.tokens is None else budget.tokens,
            math.inf if budget.money is None else budget.money,
        )

    @cached_property
    def spent(self) -> Spent:
        """What the answers recorded so far have cost; those from elsewhere were paid there."""
        return spent_on(self._paid(), self.plan.language.models, self.prices)

    def _paid(self) -> Iterator[tuple[str, Reply]]:
        """Every answer on the experiment's cassettes that a model gave it, with its name."""
        if self.cassettes is not None:
            return
        fork = self.plan.specification.fork
        first = 0 if fork is None else fork.round
        for run in self.plan.runs():
            if self.plan.asks(run) and (found := read_cassette(self.folder / run.id)) is not None:
                for place, exchange in found.exchanges.items():
                    if place.round >= first:
                        yield exchange.request.model, exchange.reply

    def check(self) -> None:
        """Raise InstitutionalError where a model cannot be asked, before anything is written.

        Of a model that computes here only its files are known by then: it is large to load.
        """
        if self.cassettes is not None:
            return
        try:
            for model in self.plan.language.models.values():
                if not BACKENDS[model.backend].local:
                    open_backend(model)
        except BackendError as error:
            raise InstitutionalError(str(error)) from error

    def desk(self) -> Desk | None:
        """Open every model that a run may ask; None where none is asked.

        Raises BackendError for one that cannot be used, before anything is asked.
        """
        if self.cassettes is not None:
            return None
        models = {n: self._shared(model) for n, model in self.plan.language.models.items()}
        backends = {name: open_backend(model) for name, model in models.items()}
        retries = self.plan.specification.retries
        return Desk(
            backends,
            models,
            prices=self.prices,
            budget=self.budget,
            retries=retries.most,
            rests_s=(retries.first_s, retries.longest_s),
            spent=self.spent if self.parts == 1 else NOTHING,
        )

    def _shared(self, model: Model) -> Model:
        """The model with this process's share of the requests in flight at its server."""
        if BACKENDS[model.backend].local:
            return model
        return replace(model, in_flight=max(1, model.in_flight // self.parts))

    def source(self, run: Run) -> tuple[Source, bytes | None]:
        """Where an answer of `run` is looked up before a model is asked.

        With it the key under which it was recorded, where all of it is recorded there.
        """
        if self.cassettes is not None:
            folder = self.cassettes / run.id
            found = read_cassette(folder)
            if found is None:
                raise InstitutionalError(
                    f"{folder / FILE_NAME}: not there, so run {run.id} cannot be played from it\n"
                    "  play the seeds, pairings and regimes that were recorded"
                )
            return from_cassette(folder, found), found.header.key
        fork = self.plan.specification.fork
        if fork is not None:
            return until(*parent(Path(self.plan.document.path).parent, fork), fork.round), None
        return nowhere, None


def _new_key(seal: Seal) -> bytes:
    """The key of a new cassette: derived where the run's keys are, else random."""
    if seal.kept is None and seal.key is not None:
        return keys.cassette_key(seal.key)
    return fresh_key()


def recorded_models(folder: Path) -> dict[str, str]:
    """Digests of the local models that answered in the experiment in `folder`, by name."""
    path = folder / "experiment.json"
    try:
        stamp = json.loads(path.read_text())
        models = stamp.get("language", {}).get("models", {})
        return {name: model["files"] for name, model in models.items() if "files" in model}
    except OSError as error:
        raise InstitutionalError(
            f"{path}: cannot be read ({error.strerror})\n"
            "  give the folder of an experiment that was run"
        ) from error
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InstitutionalError(f"{path}: torn or edited ({error})") from error


Conclude = Callable[[Run, str | None], Future[str]]
Report = Callable[[int, Spent], None]


def converse(
    answering: Answering,
    runs: Sequence[Run],
    seals: Mapping[str, Seal],
    conclude: Conclude,
    report: Report,
) -> None:
    """Play `runs`, each into its folder; `conclude` writes what is published of a closed one.

    `report` is told how many are finished, and what all answers have cost. Raises what stopped a
    run, once all others have come to a stop: BudgetSpentError, or InstitutionalError.
    """
    finished = 0

    def count(done: int, spent: Spent) -> None:
        nonlocal finished
        finished = done
        report(done, spent)

    try:
        asyncio.run(_converse(answering, runs, seals, conclude, count))
    except BackendError as error:
        raise InstitutionalError(
            f"{error}\n  {finished} of {len(runs)} runs were finished before; the same command "
            "goes on where it stopped"
        ) from error


async def _converse(
    answering: Answering,
    runs: Sequence[Run],
    seals: Mapping[str, Seal],
    conclude: Conclude,
    report: Report,
) -> None:
    desk = answering.desk()
    spent = answering.spent if desk is None else desk.spent
    places = asyncio.Semaphore(_open_runs())
    stop = _Stop(desk)
    tables = {regime: answering.plan.table(regime) for regime in {run.regime for run in runs}}
    finished = 0
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_DISK_THREADS))

    async def one(run: Run) -> None:
        nonlocal finished
        async with places:
            if stop.reason is not None:
                return
            try:
                invalid = await _play(answering, tables[run.regime], run, seals[run.id], stop.ask)
                await asyncio.wrap_future(conclude(run, invalid))
            except Exception as error:  # noqa: BLE001 - raised again once the others have stopped
                stop.reason = stop.reason or error
            else:
                finished += 1

    async def tell() -> None:
        while True:
            report(finished, spent if desk is None else desk.spent)
            await asyncio.sleep(_REPORT_EVERY_S)

    telling = asyncio.create_task(tell())
    playing = [asyncio.create_task(one(run)) for run in runs]
    try:
        await asyncio.gather(*playing)
    finally:
        for task in (telling, *playing):
            task.cancel()
        await asyncio.gather(telling, *playing, return_exceptions=True)
        if desk is not None:
            await desk.close()
    report(finished, spent if desk is None else desk.spent)
    if stop.reason is not None:
        raise stop.reason


class _Stop:
    """Asks at the desk until something stops the experiment; from then on nothing is asked."""

    def __init__(self, desk: Desk | None) -> None:
        self._desk = desk
        self.reason: Exception | None = None

    async def ask(self, place: Place, request: Request) -> Reply:
        """The model's reply; raises the reason of a stop instead."""
        if self.reason is not None:
            raise self.reason
        assert self._desk is not None, place  # noqa: S101 - a cassette answers, or raises
        try:
            return await self._desk.answer(request)
        except (BackendError, BudgetSpentError) as error:
            self.reason = self.reason or error
            raise


async def _play(
    answering: Answering, table: episode.Table, run: Run, seal: Seal, ask: Ask
) -> str | None:
    """Play one run into its folder and close its ledger; returns why it is invalid, if it is.

    What waits for the disk is done by threads, one thing of a run at a time, while the models of
    other runs are asked.
    """
    plan, here = answering.plan, answering.folder / run.id
    agents = table.seat(plan.pairings[run.pairing])
    readers = {n: agent for n, agent in agents.items() if isinstance(agent, LanguageAgent)}
    entered = []
    try:
        with ExitStack() as files:
            ledger, recorder = await _by_a_thread(lambda: _opened(files, answering, run, seal, ask))
            await _by_a_thread(lambda: begin(plan, table, run, ledger, seal))
            for agent in readers.values():
                agent.connect(recorder.ask, plan.language.models)

            def before_step(round_: int) -> None:
                turns = {name: _turn(agent) for name, agent in readers.items()}
                said = answers.body(round_, turns, recorder.taken())
                entered.append(ledger.append(answers.KIND, said))

            def commit() -> None:
                recorder.sync()
                ledger.commit()

            outcome = await table.converse(
                agents,
                seed=run.seed,
                journal=ledger.append,
                before_step=before_step,
                after_round=lambda round_: (
                    _by_a_thread(commit) if plan.commits_after(round_) else None
                ),
            )
            invalid = outcome.invalid or answers.too_many_fallbacks(
                conversation(plan, run), entered, table.core.rounds
            )

            def close() -> None:
                recorder.sync()
                ledger.close({"status": "invalid" if invalid else "complete"})

            await _by_a_thread(close)
    except OSError as error:
        raise unwritable(here, error) from error
    return invalid


def _opened(
    files: ExitStack, answering: Answering, run: Run, seal: Seal, ask: Ask
) -> tuple[Ledger, Recorder]:
    """The ledger and the cassette of a run, begun or resumed, which `files` will close."""
    source, key = answering.source(run)
    here = answering.folder / run.id
    ledger = files.enter_context(seal.ledger(here))
    recorder = files.enter_context(
        Recorder(
            here,
            Header(run.id, key or _new_key(seal)),
            ask,
            before=source,
            replaying=lambda: ledger.replaying,
        )
    )
    return ledger, recorder


async def _by_a_thread(step: Callable[[], T]) -> T:
    """What `step` returns; waited for even by a task that is cancelled.

    Else files would be closed under the thread that writes them.
    """
    done = asyncio.create_task(asyncio.to_thread(step))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        raise


def _turn(agent: LanguageAgent) -> Turn:
    assert agent.turn is not None  # noqa: S101 - it has just moved
    return agent.turn


def _open_runs() -> int:
    """How many runs may be open at once, after as many files were allowed as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_PER_RUN * OPEN_RUNS + _OTHER_FILES
    if soft < wanted:
        with suppress(ValueError, OSError):
            most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return max(1, min(OPEN_RUNS, (soft - _OTHER_FILES) // _FILES_PER_RUN))
