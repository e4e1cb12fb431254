"""What can be computed from two successive public records of a price market.

Every function maps records with `prices` [M, N, 1], `quantities` [M, N] and `profits` [M, N] to
[M, N], without exponentials: quantities are read from the record.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from environments.contract import Array, Record, Signal
from environments.moments import concentration, for_all, same_direction, variation


def synchrony(now: Record, before: Record, *, min_change: float = 0.02) -> Array:
    """Firms, itself included, that moved their price the way this firm did; 0 if it did not.

    A move is a change of at least `min_change` of the previous price.
    """
    return same_direction(now["prices"], before["prices"], min_change=min_change)


def dispersion(now: Record, _before: Record) -> Array:
    """The firms' prices: standard deviation over mean; sqrt(N - 1) where all are zero."""
    prices = now["prices"][:, :, 0]
    firms = prices.shape[1]
    return for_all(variation(prices, 1, empty=math.sqrt(firms - 1)), firms)


def hhi(now: Record, _before: Record) -> Array:
    """Sum of squared shares of the units sold."""
    quantities = now["quantities"]
    return for_all(concentration(quantities, 1), quantities.shape[1])


def price(now: Record, _before: Record) -> Array:
    """Each firm's own price."""
    return now["prices"][:, :, 0]


def markup(now: Record, _before: Record) -> Array:
    """Each firm's profit per unit sold, which is its price less its cost; 0 if it sells nothing."""
    quantities = now["quantities"]
    margin = np.zeros_like(quantities)
    np.divide(now["profits"], quantities, out=margin, where=quantities > 0)
    return margin


def profit(now: Record, _before: Record) -> Array:
    """Each firm's profit of the round, before fines."""
    return now["profits"]


SIGNALS: Mapping[str, Signal] = {
    "synchrony": Signal(
        synchrony,
        "firms",
        0.0,
        math.inf,
        "firms that moved their price in this firm's direction, itself included",
        {"min_change": 0.02},
    ),
    "dispersion": Signal(
        dispersion, "ratio", 0.0, math.inf, "standard deviation over mean of the firms' prices"
    ),
    "hhi": Signal(hhi, "ratio", 0.0, 1.0, "sum of squared shares of the units sold"),
    "price": Signal(price, "money per unit", 0.0, math.inf, "the firm's own price"),
    "markup": Signal(
        markup, "money per unit", -math.inf, math.inf, "the firm's price less its unit cost"
    ),
    "profit": Signal(profit, "money", -math.inf, math.inf, "the firm's profit before fines"),
}
"""By name, with bounds that hold in every market; `bounded` gives those of one market."""


def bounded(*, firms: int, ceiling: float, costs: tuple[float, ...]) -> dict[str, Signal]:
    """`SIGNALS` with the bounds of one market, so that an unreachable threshold can be seen."""
    bounds = {
        "synchrony": (0.0, float(firms)),
        "dispersion": (0.0, math.sqrt(firms - 1)),
        "price": (0.0, ceiling),
        "markup": (-max(costs), ceiling - min(costs)),
        "profit": (-max(costs), ceiling - min(costs)),
    }
    return {
        name: replace(signal, low=bounds[name][0], high=bounds[name][1])
        if name in bounds
        else signal
        for name, signal in SIGNALS.items()
    }
