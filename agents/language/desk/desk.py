"""Where all requests of an experiment pass: how many at once, how often again, at what cost.

A desk decides when something is asked and never what is answered: runs are the same whatever its
bounds, its pauses and its luck. One desk serves one event loop.
"""

import asyncio
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.language.desk.line import Line
from agents.language.desk.prices import NOTHING, Price, Spent, price_of
from agents.language.desk.purse import UNLIMITED, Budget, BudgetSpentError, Purse, most
from agents.language.exchange import (
    Backend,
    BackendError,
    PassingError,
    Reply,
    Request,
    ThrottledError,
)
from agents.language.models import Model

LONGEST_REFUSAL_S = 900.0  # a server that refuses everything for longer is asked another day


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What one model is doing, for a progress bar, and what it did at this desk."""

    attempts: int  # requests sent, all kinds of them
    retried: int  # sent again, after a 429 as well
    throttled: int  # refused with a 429
    spent: Spent  # answers
    in_flight: int
    waiting: int  # for a place, or resting after a failure
    bound: int  # most in flight at present


@dataclass(kw_only=True)
class _Window:
    """One model at the desk."""

    backend: Backend
    model: Model
    price: Price
    line: Line
    attempts: int = 0
    retried: int = 0
    throttled: int = 0
    spent: Spent = NOTHING


class Desk:
    """Answers requests from `backends`, by the models' names in the experiment.

    A request that fails is sent again at most `retries` times, and waited for `timeout_s` of its
    model each time. In between it rests for a random part of a time that doubles, from the first
    of `rests_s` to the second (full jitter), drawn from a stream of `seed`. A 429 is no attempt, as
    nothing was asked: the whole line pauses and narrows. A model that fails more often, refuses
    everything for a quarter of an hour or says that it will never answer is dead: `BackendError`
    for all who wait for it.

    `spent` is what earlier answers of the experiment cost. A budget of money needs the price of
    every model that is reached over a network; `unpriced` names those that have none.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        models: Mapping[str, Model],
        *,
        prices: Mapping[str, Price] | None = None,
        budget: Budget = UNLIMITED,
        retries: int = 8,
        seed: int = 0,
        spent: Spent = NOTHING,
        rests_s: tuple[float, float] = (0.5, 60.0),
    ) -> None:
        prices = prices or {}
        self.unpriced = tuple(n for n, m in models.items() if m.base_url and m.model not in prices)
        if budget.money < math.inf and self.unpriced:
            listed = ", ".join(f'{name} ("{models[name].model}")' for name in self.unpriced)
            raise BackendError(
                "a budget of money needs the price of every served model; none is known of "
                f"{listed}\n  add them to the file of `prices`, with 0 where nothing is paid"
            )
        self._rests_s = rests_s
        self._jitter = np.random.default_rng([seed, *b"desk"])
        self._windows = {
            name: _Window(
                backend=backends[name],
                model=model,
                price=price_of(model, prices),
                line=Line(model.in_flight, self._drawn_s),
            )
            for name, model in models.items()
        }
        self._purse = Purse(budget, spent)
        self._retries = retries

    @property
    def spent(self) -> Spent:
        """What all answers have cost, the earlier ones included."""
        return self._purse.spent

    def counters(self) -> dict[str, Counters]:
        """Every model's counters, as of now."""
        return {
            name: Counters(
                attempts=window.attempts,
                retried=window.retried,
                throttled=window.throttled,
                spent=window.spent,
                in_flight=window.line.in_flight,
                waiting=window.line.waiting,
                bound=int(window.line.bound),
            )
            for name, window in self._windows.items()
        }

    async def answer(self, request: Request) -> Reply:
        """The model's reply, after as many attempts as it takes and is allowed.

        Raises `BackendError` where the model is dead, `BudgetSpentError` where the budget is.
        """
        window = self._windows[request.model]
        try:
            return await self._insist(window, request)
        except BackendError as dead:
            window.line.close(dead)
            raise
        except BudgetSpentError as spent:
            for each in self._windows.values():
                each.line.close(spent)
            raise

    async def close(self) -> None:
        """Close all backends."""
        for window in self._windows.values():
            await window.backend.close()

    async def _insist(self, window: _Window, request: Request) -> Reply:
        failures = 0
        for attempt in itertools.count():
            try:
                return await self._attempt(window, request, again=attempt > 0)
            except ThrottledError as enough:  # not asked at all: the whole line waits
                refused_s = window.line.refused_s + (enough.after_s or 0.0)
                if refused_s > LONGEST_REFUSAL_S:
                    raise BackendError(
                        f"{enough}\n  it takes no request for {refused_s / 60:.0f} minutes: "
                        "run again later; what was answered is kept"
                    ) from None
            except PassingError as failure:
                failures += 1
                if failures > self._retries:
                    raise BackendError(
                        f"{failure}\n  it failed in {failures} attempts: see to the server, then "
                        "run again; what was answered is kept"
                    ) from None
                await window.line.rest(self._drawn_s(failures - 1))
        raise AssertionError  # unreachable: the count has no end

    def _drawn_s(self, nth: int) -> float:
        """How long to rest after the failure number `nth` in a row: full jitter."""
        first_s, longest_s = self._rests_s
        return self._jitter.uniform(0.0, min(longest_s, first_s * 2.0 ** min(nth, 50)))

    async def _attempt(self, window: _Window, request: Request, *, again: bool) -> Reply:
        """Ask once, in turn, with the most it can cost set aside meanwhile."""
        async with window.line.place():
            estimate = most(request, window.price) if self._purse.limited else None
            if estimate is not None:
                await self._purse.set_aside(estimate)
            sent_at = asyncio.get_running_loop().time()
            window.attempts += 1
            window.retried += again
            try:
                async with asyncio.timeout(window.model.timeout_s):
                    reply = await window.backend.answer(request)
            except TimeoutError:
                window.line.failed(sent_at)
                raise PassingError(
                    f'model "{window.model.model}": no answer in {window.model.timeout_s:g} s'
                ) from None
            except ThrottledError as enough:
                window.throttled += 1
                window.line.throttled(sent_at, enough.after_s)
                raise
            except PassingError:
                window.line.failed(sent_at)
                raise
            finally:
                if estimate is not None:
                    self._purse.take_back(estimate)
            window.line.answered()
            window.spent = window.spent.plus(reply, window.price)
            self._purse.book(reply, window.price)
        return reply
