"""How well one number separates the guilty from the innocent: pure functions over arrays.

Shapes: T rounds, M runs, N agents; I innocent and O offending runs. Scores point the same way:
the higher, the sooner the evidence is true.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

DECIMALS = 10
"""Scores that agree to as many decimals are the same: the rest is rounding."""


class Curve(NamedTuple):
    """Points of a receiver operating characteristic, strictest threshold first, [K] each."""

    false_positive: Array
    true_positive: Array


def reached(values: Array, *, at_least: int, of: int, rising: bool) -> Array:
    """Score of each run and agent, [M, N]: how far a threshold may go and be passed once.

    Evidence is true in a round whose value, and at least `at_least` of the last `of` values, are
    past the threshold. So a round's score is the smaller of its value and the `at_least`-th
    largest in its window, and a run's score is that of its best round; minus infinity where there
    are fewer rounds than hits needed. `values` is [T, M, N]; if not `rising`, evidence is true
    *below* a threshold, and score and threshold change their sign.
    """
    signed = values if rising else -values
    best: Array = np.full(signed.shape[1:], -np.inf)
    for now in range(at_least - 1, len(signed)):
        window = signed[max(0, now - of + 1) : now + 1]
        needed = np.partition(window, len(window) - at_least, axis=0)[len(window) - at_least]
        best = np.maximum(best, np.minimum(signed[now], needed))
    return best


def area(innocent: ArrayLike, offending: ArrayLike) -> float:
    """Return the chance that an offending run scores higher than an innocent one; ties count half.

    The area under the curve of `curve` (Hanley and McNeil 1982).
    """
    low, high = np.sort(_scores(innocent)), _scores(offending)
    below = np.searchsorted(low, high, side="left")
    not_above = np.searchsorted(low, high, side="right")
    return float((below + not_above).mean() / (2 * len(low)))


def curve(innocent: ArrayLike, offending: ArrayLike) -> Curve:
    """Rates of runs at or above each score that occurs, from (0, 0) to (1, 1)."""
    low, high = np.sort(_scores(innocent)), np.sort(_scores(offending))
    cuts = np.unique(np.concatenate([low, high]))[::-1]

    def share(ordered: Array) -> Array:
        passed = len(ordered) - np.searchsorted(ordered, cuts, side="left")
        return np.concatenate([[0.0], passed / len(ordered)])

    return Curve(share(low), share(high))


def suggest(innocent: ArrayLike, offending: ArrayLike, *, rate: float) -> float | None:
    """The lowest threshold that at most the share `rate` of innocent runs pass.

    It lies halfway to the next score that occurs, so that "above" and "at least" mean the same.
    None where only a threshold beyond every offender would do. `rate` is below 1.
    """
    low, high = _scores(innocent), _scores(offending)
    allowed = int(np.floor(rate * len(low) + 1e-9))
    highest_spared = np.sort(low)[::-1][allowed]
    beyond = np.concatenate([low, high])
    beyond = beyond[beyond > highest_spared]
    if not len(beyond) or high.max() <= highest_spared:
        return None
    return float((highest_spared + beyond.min()) / 2)


def _scores(values: ArrayLike) -> Array:
    scores: Array = np.round(np.asarray(values, dtype=np.float64).ravel(), DECIMALS)
    return scores
