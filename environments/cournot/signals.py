"""What can be computed from two successive public records of a Cournot market.

Every function maps records with `quantities` [M, N, G], `prices` [M, G] and `profits` [M, N] to
[M, N]. The first four follow the detector of arXiv:2601.11369, section 6.2.1, as secondary
readings describe it; thresholds belong to the governance graph.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from environments.arrays import largest, smallest, total
from environments.contract import Array, Record, Signal
from environments.moments import concentration, for_all, same_direction, variation


def synchrony(now: Record, before: Record, *, min_change: float = 0.10) -> Array:
    """Firms, itself included, that moved a good's quantity the way this firm did; 0 if it did not.

    A move is a change of at least `min_change` of the previous quantity.
    """
    return same_direction(now["quantities"], before["quantities"], min_change=min_change)


def dispersion(now: Record, _before: Record) -> Array:
    """Smallest over goods of the firms' standard deviation over mean.

    A good that nobody sells is no sign of likeness: it counts as the largest value, sqrt(N - 1).
    """
    quantities = now["quantities"]
    firms = quantities.shape[1]
    spread = variation(quantities, 1, empty=math.sqrt(firms - 1))
    return for_all(smallest(spread, 1), firms)


def hhi(now: Record, _before: Record) -> Array:
    """Largest over goods of the sum of squared market shares; a good nobody sells counts 0."""
    quantities = now["quantities"]
    return for_all(largest(concentration(quantities, 1), 1), quantities.shape[1])


def specialisation(now: Record, _before: Record) -> Array:
    """Each firm's standard deviation over mean of its quantities; 0 if it sells nothing."""
    return variation(now["quantities"], 2, empty=0.0)


def profit(now: Record, _before: Record) -> Array:
    """Each firm's profit of the round, before fines."""
    return now["profits"]


def output(now: Record, _before: Record) -> Array:
    """Each firm's quantity over all goods."""
    return total(now["quantities"], 2)


def price(now: Record, _before: Record) -> Array:
    """The plain mean of the goods' prices."""
    return for_all(_mean_price(now), now["quantities"].shape[1])


def price_gain(now: Record, before: Record) -> Array:
    """Relative change of the mean price since the last round; 0 where it was zero."""
    earlier = _mean_price(before)
    gain = np.zeros_like(earlier)
    np.divide(_mean_price(now) - earlier, earlier, out=gain, where=earlier > 0)
    return for_all(gain, now["quantities"].shape[1])


def _mean_price(record: Record) -> Array:
    prices = record["prices"]
    mean: Array = total(prices, 1) / prices.shape[1]
    return mean


SIGNALS: Mapping[str, Signal] = {
    "synchrony": Signal(
        synchrony,
        "firms",
        0.0,
        math.inf,
        "firms that moved some good's quantity in this firm's direction, itself included (S1)",
        {"min_change": 0.10},
    ),
    "dispersion": Signal(
        dispersion,
        "ratio",
        0.0,
        math.inf,
        "standard deviation over mean of the firms' quantities, the good with the least (S2)",
    ),
    "hhi": Signal(
        hhi, "ratio", 0.0, 1.0, "sum of squared market shares, the good with the most (S3)"
    ),
    "specialisation": Signal(
        specialisation,
        "ratio",
        0.0,
        math.inf,
        "standard deviation over mean of the firm's own quantities across goods (S4)",
    ),
    "profit": Signal(profit, "money", -math.inf, math.inf, "the firm's profit before fines"),
    "output": Signal(output, "units", 0.0, math.inf, "the firm's quantity over all goods"),
    "price": Signal(price, "money per unit", 0.0, math.inf, "mean price over goods"),
    "price_gain": Signal(
        price_gain, "ratio", -1.0, math.inf, "relative change of the mean price since last round"
    ),
}
"""By name, with bounds that hold in every market; `bounded` gives those of one market."""


def bounded(
    *, firms: int, goods: int, capacity: float, highest_price: float, profits: tuple[float, float]
) -> dict[str, Signal]:
    """`SIGNALS` with the bounds of one market, so that an unreachable threshold can be seen."""
    bounds = {
        "synchrony": (0.0, float(firms)),
        "dispersion": (0.0, math.sqrt(firms - 1)),
        "specialisation": (0.0, math.sqrt(goods - 1)),
        "profit": profits,
        "output": (0.0, capacity),
        "price": (0.0, highest_price),
    }
    return {
        name: replace(signal, low=bounds[name][0], high=bounds[name][1])
        if name in bounds
        else signal
        for name, signal in SIGNALS.items()
    }
