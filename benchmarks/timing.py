"""Repeated measurements in turn, and one line of the table."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Target(NamedTuple):
    """A figure, how it is shown, what is wanted of it and whether it is met (None: for the eye)."""

    what: str
    shown: str
    wanted: str = "-"
    ok: bool | None = None

    @property
    def met(self) -> bool:
        """False only if there is a target and it is missed."""
        return self.ok is not False

    @property
    def verdict(self) -> str:
        """One word."""
        return {True: "met", False: "MISSED", None: ""}[self.ok]


def medians(*works: Callable[[], None], repeats: int = 7) -> list[float]:
    """CPU seconds of each of `works`, median over `repeats` rounds through all of them."""
    times: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(repeats):
        for work, taken in zip(works, times, strict=True):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in times]


def paired(
    floor: Callable[[], None], work: Callable[[], None], *, repeats: int
) -> tuple[float, float, float]:
    """Wall seconds of `floor` and of `work`, and the speed of the second in terms of the first.

    Medians over `repeats` turns of both, so that a slow minute slows either: 0.7 says that the
    work goes on at 0.7 of the floor's rate.
    """
    times = []
    for _ in range(repeats + 1):
        marks = [time.perf_counter()]
        for each in (floor, work):
            each()
            marks.append(time.perf_counter())
        times.append((marks[1] - marks[0], marks[2] - marks[1]))
    del times[0]
    bare, taken = zip(*times, strict=True)
    ratio = statistics.median(a / b for a, b in times)
    return statistics.median(bare), statistics.median(taken), ratio
