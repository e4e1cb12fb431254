"""How many requests a model has in flight at once, and who waits for a place.

The bound goes up with every answer and is halved when the server has had enough, as TCP does with
its window (Jacobson 1988): once for all requests that were on their way when that happened. Then
nothing is sent for as long as the server asks, or else for a time that doubles until an answer
comes. Single failures change nothing; a whole window of them, no answer between, halves the bound.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

RISES = 16  # windows of answers in which a bound climbs from next to nothing to the most
FEW = 8  # failures in a row that are never taken for a persistent one


class Line:
    """The places of one model, `most` at the start; `rest_s` draws the seconds of the nth pause."""

    def __init__(self, most: int, rest_s: Callable[[int], float]) -> None:
        self.most = most
        self.bound = float(most)
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()  # True: with a place
        self._resting: set[asyncio.Future[bool]] = set()
        self._over: Exception | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._cut_at = -1.0  # when the bound was last halved, by the loop's clock
        self._failures = 0  # since the last answer
        self._storms = 0  # likewise
        self._refused_from: float | None = None  # likewise
        self._rest_s = rest_s

    @property
    def refused_s(self) -> float:
        """For how many seconds the server has been refusing, without an answer between."""
        if self._refused_from is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._refused_from

    @property
    def waiting(self) -> int:
        """How many wait for a place, or rest after a failure."""
        return sum(not granted.done() for granted in self._waiting) + len(self._resting)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place among those in flight."""
        await self._take()
        try:
            yield
        finally:
            self._leave()

    async def rest(self, seconds: float) -> None:
        """Wait outside the line, at most until it is closed."""
        self._check()
        loop = asyncio.get_running_loop()
        rested = loop.create_future()
        timer = loop.call_later(seconds, _let_go, rested)
        self._resting.add(rested)
        try:
            await rested
        finally:
            timer.cancel()
            self._resting.discard(rested)
        self._check()

    def close(self, reason: Exception) -> None:
        """End everybody's waiting, now and from now on, with an exception like `reason`."""
        if self._over is None:
            self._over = reason
            for waiting in (*self._waiting, *self._resting):
                _let_go(waiting)
            self._waiting.clear()

    def answered(self) -> None:
        """Take in that a request was answered."""
        self._failures = self._storms = 0
        self._refused_from = None
        step = max(1.0, self.most / RISES) / self.bound
        self.bound = min(float(self.most), self.bound + min(1.0, step))  # at most doubles

    def failed(self, sent_at: float) -> None:
        """Take in that a request sent at that time failed for no reason of ours."""
        self._failures += 1
        if self._failures >= max(FEW, int(self.bound)):
            self._failures = 0
            self._halve(sent_at)

    def throttled(self, sent_at: float, pause_s: float | None) -> None:
        """Take in that the server had enough, and asks for that pause if it does."""
        now = asyncio.get_running_loop().time()
        if self._refused_from is None:
            self._refused_from = now
        if self._halve(sent_at):
            if pause_s is None:
                pause_s = self._rest_s(self._storms)
            self._storms += 1
        if pause_s:
            self._pause_until(now + pause_s)

    def _pause_until(self, until: float) -> None:
        if self._pause is None or until > self._pause.when():
            if self._pause is not None:
                self._pause.cancel()
            self._pause = asyncio.get_running_loop().call_at(until, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._admit()

    def _halve(self, sent_at: float) -> bool:
        """Halve the bound, if no request sent as early as this one has done so already."""
        if sent_at <= self._cut_at:
            return False
        self._cut_at = asyncio.get_running_loop().time()
        self.bound = max(1.0, self.bound / 2)
        return True

    async def _take(self) -> None:
        self._check()
        if not self._waiting and self._is_open():
            self.in_flight += 1
            return
        granted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(granted)
        try:
            held = await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.result():
                self._leave()  # the place came together with the cancellation
            raise
        if self._over is not None:
            if held:
                self._leave()
            self._check()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._admit()

    def _is_open(self) -> bool:
        return self._pause is None and self.in_flight < int(self.bound)

    def _admit(self) -> None:
        """Grant places, first come, first served, as long as there are any."""
        while self._waiting and self._is_open():
            granted = self._waiting.popleft()
            if not granted.done():
                self.in_flight += 1
                granted.set_result(True)

    def _check(self) -> None:
        if self._over is not None:
            raise type(self._over)(*self._over.args)


def _let_go(waiting: asyncio.Future[bool]) -> None:
    """End a wait without a place."""
    if not waiting.done():
        waiting.set_result(False)
