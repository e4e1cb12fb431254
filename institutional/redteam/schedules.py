"""The baseline without learning: every repeated schedule of plans, tried all at once.

A schedule is a short sequence of plans, played over and over. One market per schedule; what the
best of them brings is then measured anew, for the best of many is also the luckiest.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from institutional.governance.controller import Integers
from institutional.governance.program import Array
from institutional.redteam.target import Measured, Target, play
from institutional.seeds import derive

LONGEST = 12
"""Rounds of a schedule at most: longer than the window of any graph that is shipped."""


def best_schedule(target: Target, *, limit: int, seed: int) -> tuple[tuple[str, ...], Measured]:
    """The plans of the best schedule, and what it brings.

    Tried are all schedules of each length of which there are at most `limit`.
    """
    names = list(target.plans)
    plans = np.stack([target.plans[name] for name in names])
    found = [_best(target, plans, tried, seed=seed) for tried in _schedules(len(names), limit)]
    best = max(found, key=lambda pair: pair[0])[1]
    measured = play(
        target,
        target.measuring(seed=derive(seed, "measured")),
        lambda now: plans[[best[now % len(best)]]],
    )
    return tuple(names[plan] for plan in best), measured


def _best(target: Target, plans: Array, tried: Integers, *, seed: int) -> tuple[float, Integers]:
    """What the best of the schedules `tried` [M, L] earned, and that schedule [L]."""
    markets = target.markets(len(tried), seed=seed)
    play(target, markets, lambda now: plans[tried[:, now % tried.shape[1]]])
    seats = list(target.seats)
    earned = np.mean([played.earned[:, seats].mean(axis=1) for played in markets.history], axis=0)
    best = int(earned.argmax())
    return float(earned[best]), tried[best]


def _schedules(plans: int, limit: int) -> Iterator[Integers]:
    """All sequences of each length of which there are no more than `limit`, [M, L]."""
    for length in range(1, LONGEST + 1):
        if plans**length <= limit or length == 1:
            yield np.array(list(product(range(plans), repeat=length)))
