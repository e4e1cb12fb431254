"""Statistics that the signals and measures of several markets share.

Elementwise arithmetic in a fixed order and square roots only, so that one market and thousands
agree to the bit on every machine.
"""

import numpy as np

from environments.arrays import largest, total
from environments.contract import Array, Benchmark


def variation(values: Array, axis: int, *, empty: float) -> Array:
    """Population standard deviation over mean of non-negative `values`; `empty` where all are 0."""
    count = values.shape[axis]
    mean = total(values, axis) / count
    deviation = values - np.expand_dims(mean, axis)
    spread: Array = np.sqrt(total(deviation * deviation, axis) / count)
    result: Array = np.full_like(mean, empty)
    np.divide(spread, mean, out=result, where=mean > 0)
    return result


def concentration(values: Array, axis: int) -> Array:
    """Herfindahl-Hirschman index, the sum of squared shares: 1/n to 1, and 0 where all are 0."""
    whole = total(values, axis)
    square = whole * whole
    result = np.zeros_like(whole)
    np.divide(total(values * values, axis), square, out=result, where=square > 0)
    return result


def same_direction(now: Array, before: Array, *, min_change: float) -> Array:
    """How many agents, itself included, moved some entry as each agent did, [M, N].

    `now` and `before` are [M, N, A] and not negative. A move is a change of at least `min_change`
    of the earlier value, and from zero any change; an agent that made none counts 0.
    """
    change = now - before
    least = min_change * before
    up = (change >= least) & (change > 0)
    down = (-change >= least) & (change < 0)
    rising = total(up.astype(np.float64), 1)[:, np.newaxis]
    falling = total(down.astype(np.float64), 1)[:, np.newaxis]
    return largest(np.where(up, rising, np.where(down, falling, 0.0)), 2)


def for_all(value: Array, agents: int) -> Array:
    """Give every agent the same `value` [M]: a read-only view, [M, N]."""
    return np.broadcast_to(value[:, np.newaxis], (len(value), agents))


def profit_gain(profit: Array, nash: Benchmark, monopoly: Benchmark) -> Array:
    """Delta, the share of the way from Nash to joint-monopoly profit that `profit` [M] went.

    Profits are means over agents. NaN where the two reference points bring the same.
    """
    start, end = float(nash.record["profits"].mean()), float(monopoly.record["profits"].mean())
    if abs(end - start) <= 1e-9 * max(abs(end), abs(start)):
        return np.full_like(profit, np.nan)
    return (profit - start) / (end - start)
