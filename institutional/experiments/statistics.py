"""Effect sizes, intervals and tests, each a pure function over many cells at once.

A cell is one comparison: one measure of one pairing, say. Arrays have a leading axis of cells, C,
then the cell's values, n. Nothing here knows what a run is, and randomness is an argument.

What cannot be computed is NaN in the result, never infinity; what must not be computed (missing
or infinite values, too few of them) raises InstitutionalError.
"""

from collections.abc import Iterator
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from institutional.errors import InstitutionalError

Array = NDArray[np.float64]
Alternative = Literal["two-sided", "greater"]

RESAMPLES = 10_000
DRAWS = 9_999
MOST_VALUES_ENUMERATED = 16
FEWEST_VALUES_FOR_INTERVAL = 5
"""Four values have 35 different resamples, five have 126: below five a 95 % interval is a guess."""

NO_VARIANCE = "the values do not vary, so a standardised effect is undefined"

_SAME = 1e-12  # sums that differ by less than this share of their terms are equal up to rounding
_BLOCK = 4096  # sign patterns held in memory at once

# The standard library's normal distribution spares every command scipy's second of import.
_normal = NormalDist()
_share_below = np.vectorize(_normal.cdf, otypes=[np.float64])
_quantile_of = np.vectorize(_normal.inv_cdf, otypes=[np.float64])


class Interval(NamedTuple):
    """Lower and upper limit of each cell, [C]."""

    low: Array
    high: Array


class SignFlip(NamedTuple):
    """The p-value of each cell, [C], and how it was found."""

    p: Array
    exact: bool
    flips: int


def mean_difference(treatment: ArrayLike, baseline: ArrayLike) -> Array:
    """Mean of treatment minus baseline over n pairs, [C]; both arguments are [C, n]."""
    mean: Array = differences(treatment, baseline).mean(axis=1)
    return mean


def differences(treatment: ArrayLike, baseline: ArrayLike) -> Array:
    """Treatment minus baseline, pair by pair, [C, n]."""
    treated, control = _checked(treatment), _checked(baseline)
    if treated.shape != control.shape:
        raise InstitutionalError(
            f"pairs need equal shapes, not {treated.shape} and {control.shape}: "
            "leave out the values that have no partner"
        )
    return treated - control


def cohens_d(treatment: ArrayLike, baseline: ArrayLike) -> Array:
    """Difference of means over the pooled standard deviation, [C]; arguments [C, n] and [C, m].

    NaN where the values of both groups do not vary, or where there are fewer than three in all.
    The paper's yardstick: arXiv 2601.11369 reports 1.28 for its mean tier.
    """
    treated, control = _checked(treatment), _checked(baseline)
    n, m = treated.shape[1], control.shape[1]
    difference = treated.mean(axis=1) - control.mean(axis=1)
    squares = _squares(treated) + _squares(control)
    return _ratio(difference, np.sqrt(squares / max(n + m - 2, 1)))


def paired_d(differences: ArrayLike) -> Array:
    """Mean difference over the standard deviation of the differences (d_z), [C].

    NaN where the differences do not vary.
    """
    values = _checked(differences)
    return _ratio(values.mean(axis=1), np.sqrt(_squares(values) / max(values.shape[1] - 1, 1)))


def bootstrap_interval(
    values: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Interval:
    """Bias-corrected and accelerated bootstrap interval of each cell's mean, [C].

    All cells share one set of resample counts, so cells measured on the same seeds are resampled
    together (common random numbers) and the work is one matrix product. A cell whose values do not
    vary gets an interval of no width.

    Efron 1987, "Better bootstrap confidence intervals", section 4; for a mean the jackknife's
    acceleration has the closed form below.
    """
    checked = _checked(values)
    n = checked.shape[1]
    if n < FEWEST_VALUES_FOR_INTERVAL:
        raise InstitutionalError(
            f"a bootstrap interval needs at least {FEWEST_VALUES_FOR_INTERVAL} values, not {n}"
        )
    mean = checked.mean(axis=1, keepdims=True)
    apart = checked - mean
    apart[_constant(checked)] = 0.0
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    means = np.sort(apart @ (counts.T / n), axis=1)

    tie = _SAME * np.abs(apart).max(axis=1, keepdims=True)
    below = (means < -tie).mean(axis=1) + (np.abs(means) <= tie).mean(axis=1) / 2
    bias = _quantile_of(np.clip(below, 0.5 / resamples, 1 - 0.5 / resamples))[:, None]
    squares = (apart**2).sum(axis=1, keepdims=True)
    cubes = (apart**3).sum(axis=1, keepdims=True)
    varies = squares > 0
    acceleration = np.divide(cubes, 6 * squares**1.5, out=np.zeros_like(cubes), where=varies)

    shifted = bias + _quantile_of([[(1 - confidence) / 2, (1 + confidence) / 2]])
    share = _share_below(bias + shifted / (1 - acceleration * shifted))
    limits = mean + _quantiles(means, share)
    return Interval(limits[:, 0], limits[:, 1])


def sign_flip(
    differences: ArrayLike,
    *,
    rng: np.random.Generator,
    alternative: Alternative = "two-sided",
    draws: int = DRAWS,
) -> SignFlip:
    """P-value of each cell's mean difference under random exchange of the pair's labels, [C].

    Exact by enumeration up to 16 pairs; beyond, `draws` random exchanges shared by all cells give
    (b + 1) / (draws + 1). Six differences of one sign give 2/64, the paper's p = 0.031.
    """
    values = _checked(differences)
    n = values.shape[1]
    exact = n <= MOST_VALUES_ENUMERATED
    flips = 2**n if exact else draws
    blocks = _every_sign(n) if exact else _random_signs(n, draws, rng)
    observed = values.sum(axis=1, keepdims=True)
    tie = _SAME * np.abs(values).sum(axis=1, keepdims=True)
    reached = np.zeros(len(values), dtype=np.int64)
    for signs in blocks:
        sums = values @ signs.T
        if alternative == "two-sided":
            reached += (np.abs(sums) >= np.abs(observed) - tie).sum(axis=1)
        else:
            reached += (sums >= observed - tie).sum(axis=1)
    p = reached / flips if exact else (reached + 1) / (flips + 1)
    return SignFlip(p, exact, flips)


def equivalence(
    differences: ArrayLike, *, margin: ArrayLike, rng: np.random.Generator, draws: int = DRAWS
) -> SignFlip:
    """P-value against "the mean difference is at least `margin` away from zero", [C].

    Two one-sided tests, the larger p counts (Schuirmann 1987), each a sign-flip test of the
    differences shifted by the margin; so it is defined where nothing varies. It assumes that
    differences lie symmetrically around their mean. `margin` is one number or [C], above zero.
    """
    values = _checked(differences)
    shift = np.broadcast_to(np.asarray(margin, dtype=np.float64), len(values))[:, None]
    if not (np.isfinite(shift).all() and (shift > 0).all()):
        raise InstitutionalError(f"an equivalence margin must be above zero, not {shift.min()}")
    above = sign_flip(shift + values, rng=rng, alternative="greater", draws=draws)
    under = sign_flip(shift - values, rng=rng, alternative="greater", draws=draws)
    return SignFlip(np.maximum(above.p, under.p), above.exact, above.flips)


def holm(p: ArrayLike) -> Array:
    """P-values corrected for testing all k of them, [k].

    Holm 1979: the i-th smallest is multiplied by k - i + 1, and none falls below one before it.
    """
    values = _checked(np.asarray(p, dtype=np.float64)[None])[0]
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected: Array = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Interval of a proportion, [C]; NaN where there was no trial.

    Wilson 1927. It stays inside [0, 1] and is not empty at zero successes.
    """
    hits = np.atleast_1d(np.asarray(successes, dtype=np.float64))
    total = np.atleast_1d(np.asarray(trials, dtype=np.float64))
    if not ((hits >= 0) & (hits <= total)).all():
        raise InstitutionalError(f"a proportion needs 0 <= successes <= trials: {hits} of {total}")
    z = _normal.inv_cdf((1 + confidence) / 2)
    some = np.where(total > 0, total, np.nan)
    centre = (hits + z**2 / 2) / (some + z**2)
    half = z / (some + z**2) * np.sqrt(hits * (some - hits) / some + z**2 / 4)
    low = np.where((hits == 0) & (total > 0), 0.0, centre - half)
    high = np.where((hits == total) & (total > 0), 1.0, centre + half)
    return Interval(low, high)


def constant(values: ArrayLike) -> NDArray[np.bool_]:
    """Whether each cell's values are all the same up to rounding, [C]."""
    return _constant(_checked(values))


def _checked(values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise InstitutionalError(
            f"statistics need cells by values, [C, n] with n > 0, not an array of {array.shape}"
        )
    if not np.isfinite(array).all():
        cell, place = map(int, np.argwhere(~np.isfinite(array))[0])
        raise InstitutionalError(
            f"value {place} of cell {cell} is {array[cell, place]}: leave out what was not "
            "measured and say so, before any statistic"
        )
    return array


def _constant(values: Array) -> NDArray[np.bool_]:
    spread: Array = np.ptp(values, axis=1)
    same: NDArray[np.bool_] = spread <= _SAME * np.abs(values).max(axis=1)
    return same


def _squares(values: Array) -> Array:
    """Sum of squared deviations of each cell, exactly zero where values differ by rounding."""
    squares: Array = values.var(axis=1) * values.shape[1]
    squares[_constant(values)] = 0.0
    return squares


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def _quantiles(ordered: Array, shares: Array) -> Array:
    """The `shares` [C, k] of each ordered cell [C, B], linear between neighbours."""
    place = shares * (ordered.shape[1] - 1)
    lower = np.floor(place).astype(np.int64)
    upper = np.minimum(lower + 1, ordered.shape[1] - 1)
    left = np.take_along_axis(ordered, lower, axis=1)
    right = np.take_along_axis(ordered, upper, axis=1)
    between: Array = left + (place - lower) * (right - left)
    return between


def _every_sign(n: int) -> Iterator[Array]:
    for start in range(0, 2**n, _BLOCK):
        patterns = np.arange(start, min(start + _BLOCK, 2**n))[:, None]
        yield ((patterns >> np.arange(n)) & 1).astype(np.float64) * 2 - 1


def _random_signs(n: int, draws: int, rng: np.random.Generator) -> Iterator[Array]:
    for start in range(0, draws, _BLOCK):
        drawn = rng.integers(0, 2, size=(min(_BLOCK, draws - start), n))
        yield drawn.astype(np.float64) * 2 - 1
