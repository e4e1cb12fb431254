"""How collusive a run of price competition was: price, profit gain, surplus and welfare.

Shapes: M markets, T rounds, N firms. Money per round and unit mass of buyers.
"""

import numpy as np

from environments.arrays import total
from environments.bertrand.rules import Terms, consumer_surplus
from environments.contract import Array, Benchmark, Record
from environments.moments import profit_gain


def measure(
    history: Record, *, terms: Terms, nash: Benchmark, monopoly: Benchmark
) -> dict[str, Array]:
    """Every measure by name, [M] each; profits are before fines and means over firms."""
    firms = history["profits"].shape[2]
    profit = _over_rounds(total(history["profits"], 2)) / firms
    surplus = _over_rounds(consumer_surplus(history, terms))
    return {
        "price": _over_rounds(total(history["prices"], 2)[:, :, 0]) / firms,
        "delta": profit_gain(profit, nash, monopoly),
        "consumer_surplus": surplus,
        "welfare": surplus + firms * profit,
        "profit": profit,
    }


def _over_rounds(values: Array) -> Array:
    return np.asarray(values.mean(axis=1))
