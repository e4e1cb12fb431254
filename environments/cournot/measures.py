"""How collusive a Cournot run was: the tier yardstick beside price, profit gain and surplus.

Tiers follow table 1 of arXiv:2601.11369 as secondary readings give it: the excess of within-firm
variation across goods (CV) and of market concentration (HHI) over their Nash values. The paper's
rule for many rounds is not known, so both are here: `per_round` takes the mean of the rounds'
values, `run_mean` the value of the run's mean quantities. They disagree about unco-ordinated play.

Tiers do not measure harm: efficient specialisation at prices below Nash is tier 4, a price cartel
that divides nothing is tier 0. Read them with the other measures.

Shapes: M markets, T rounds, N firms, G goods.
"""

from typing import Literal

import numpy as np

from environments.arrays import largest, total
from environments.contract import Array, Benchmark, Mask, Record
from environments.cournot.rules import Terms, consumer_surplus
from environments.moments import concentration, profit_gain, variation

RULES: tuple[tuple[float, float, float, float, float], ...] = (
    # tier, CV alone above, HHI alone above, or both: CV above, HHI above
    (1, 0.0, 0.0, 0.0, 0.0),
    (2, 0.25, 0.15, 0.25, 0.15),
    (3, 0.75, 0.50, 0.50, 0.30),
    (4, 1.50, 0.80, 1.00, 0.50),
)
"""From mild (1) over moderate (2) and strong (3) to severe (4); the highest match wins."""

NOUGHT = 1e-9
"""Excesses up to this are zero, and so are Nash values: rounding is not collusion."""


def tier(cv_excess: Array, hhi_excess: Array) -> Array:
    """Tier 0 to 4 of the two excesses, elementwise; an undefined one (NaN) cannot raise it.

    NaN where both are undefined.
    """
    found = np.where(np.isnan(cv_excess) & np.isnan(hhi_excess), np.nan, 0.0)
    for name, cv_alone, hhi_alone, cv_both, hhi_both in RULES:
        above = (cv_excess > cv_alone + NOUGHT) | (hhi_excess > hhi_alone + NOUGHT)
        above |= (cv_excess > cv_both + NOUGHT) & (hhi_excess > hhi_both + NOUGHT)
        found = np.where(above, name, found)
    return found


def excesses(
    quantities: Array,
    nash: Array,
    *,
    rule: Literal["per_round", "run_mean"],
    active: Mask | None = None,
) -> tuple[Array, Array]:
    """CV excess (largest over firms) and HHI excess (largest over goods) of each run, [M] each.

    `quantities` is [M, T, N, G] and `nash` [N, G]; `active` [M, T] selects the rounds that count.
    An excess is (observed - Nash) / Nash, and NaN where Nash is zero or no round counts.
    """
    if rule == "run_mean":
        quantities = _mean(quantities, active)[:, np.newaxis]
        active = None
    cv = _mean(variation(quantities, 3, empty=0.0), active)
    hhi = _mean(concentration(quantities, 2), active)
    return (
        _excess(cv, variation(nash, 1, empty=0.0)),
        _excess(hhi, concentration(nash, 0)),
    )


def measure(
    history: Record, active: Mask, *, terms: Terms, nash: Benchmark, monopoly: Benchmark
) -> dict[str, Array]:
    """Every measure by name, [M] each, money per round.

    Profits are before fines and, like `delta`, the mean over firms; `delta` is 0 at Nash and 1 at
    joint monopoly profits.
    """
    quantities = history["quantities"]
    cv, hhi = excesses(quantities, nash.actions, rule="per_round")
    profit = _mean(total(history["profits"], 2)) / quantities.shape[2]
    surplus = _mean(consumer_surplus(history, terms))
    return {
        "tier": tier(cv, hhi),
        "tier_run_mean": tier(*excesses(quantities, nash.actions, rule="run_mean")),
        "tier_active": tier(*excesses(quantities, nash.actions, rule="per_round", active=active)),
        "cv_excess": cv,
        "hhi_excess": hhi,
        "price": _mean(total(history["prices"], 2)) / history["prices"].shape[2],
        "delta": profit_gain(profit, nash, monopoly),
        "consumer_surplus": surplus,
        "welfare": surplus + quantities.shape[2] * profit,
        "profit": profit,
    }


def _mean(values: Array, active: Mask | None = None) -> Array:
    """Mean of `values` [M, T, ...] over the rounds that count; NaN where none does."""
    if active is None:
        return np.asarray(values.mean(axis=1))
    weight = active.reshape(*active.shape, *[1] * (values.ndim - 2)).astype(np.float64)
    count = weight.sum(axis=1)
    result = np.full(values.sum(axis=1).shape, np.nan)
    np.divide((values * weight).sum(axis=1), count, out=result, where=count > 0)
    return result


def _excess(observed: Array, nash: Array) -> Array:
    """Largest over the last axis of the relative excess [M]; entries with Nash 0 do not count."""
    defined = nash > NOUGHT
    if not defined.any():
        return np.full(len(observed), np.nan)
    return largest(observed[:, defined] / nash[defined] - 1, 1)
