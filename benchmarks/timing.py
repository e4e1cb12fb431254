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
