"""Cells compared, paired by seed: what the institution did, and what the same fines do by lot.

Intervals are 95 % bootstrap intervals of means, one by one: nothing is adjusted for their number.
"""

from typing import Any

import numpy as np
import polars as pl

from institutional.experiments.statistics import FEWEST_VALUES_FOR_INTERVAL, bootstrap_interval
from institutional.learning.conduct import CONDUCT

MEANS = (
    "delta_net",
    "tier",
    "price",
    "consumer_surplus",
    "welfare",
    "fines",
    "sanctions",
    "sanctions_learning",
    "suspended",
    "converged",
)
_SEED = 0


def summary(results: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """One row per cell of `results` (one row per session), in their order.

    delta, delta_low, delta_high                Delta before fines
    change, change_low, change_high             the same less the same seed's ungoverned
    beyond_lottery, ..._low, ..._high           less the same seed's under the lottery; null if none
    welfare_change, consumer_surplus_change, price_change    likewise ungoverned, means
    """
    keys = ["market", "institution", "arm"]
    cells = {key: group.sort("seed") for key, group in results.group_by(keys, maintain_order=True)}
    rows = []
    for (market, institution, arm), cell in cells.items():
        free = cells[market, baseline, "institution"]
        lottery = cells.get((market, institution, "lottery")) if arm != "lottery" else None
        row: dict[str, Any] = {
            "market": market,
            "institution": institution,
            "arm": arm,
            "sessions": len(cell),
            **_mean("delta", cell["delta"]),
            **_mean("change", cell["delta"] - free["delta"]),
            **_mean(
                "beyond_lottery", None if lottery is None else cell["delta"] - lottery["delta"]
            ),
        }
        row |= {name: _plain(cell[name]) for name in MEANS}
        row |= {
            f"{name}_change": _plain(cell[name] - free[name])
            for name in ("price", "consumer_surplus", "welfare")
        }
        row |= {name: _share(cell["conduct"], name) for name in CONDUCT}
        row["verdict"] = verdict(row) if arm == "institution" and institution != baseline else ""
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def verdict(row: dict[str, Any]) -> str:
    """Whether an institution deters or merely taxes.

    raises        Delta is higher than ungoverned
    deters        lower than ungoverned, and lower than under the lottery where fines fell at all
    disturbs      lower than ungoverned, but fines by lot do as much
    merely taxes  not lower, and fines are paid after learning
    no effect     not lower, and none are
    """
    if row["change_low"] is None:
        return "too few sessions"
    if row["change_low"] > 0:
        return "raises"
    if row["change_high"] < 0:
        beyond = row["beyond_lottery_high"]
        return "deters" if beyond is None or beyond < 0 else "disturbs"
    return "merely taxes" if row["fines"] > 0 else "no effect"


def _plain(values: pl.Series) -> float | None:
    numbers = values.cast(pl.Float64).to_numpy()
    return None if np.isnan(numbers).any() else float(numbers.mean())


def _share(words: pl.Series, word: str) -> float:
    return float((words == word).to_numpy().mean())


def _mean(name: str, values: pl.Series | None) -> dict[str, float | None]:
    if values is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    low, high = interval(values.to_numpy())
    return {name: _plain(values), f"{name}_low": low, f"{name}_high": high}


def interval(values: Any) -> tuple[float | None, float | None]:
    """The interval of the mean of `values` [n]; nothing if they are too few."""
    if len(values) < FEWEST_VALUES_FOR_INTERVAL:
        return None, None
    found = bootstrap_interval(values[np.newaxis], rng=np.random.default_rng(_SEED))
    return float(found.low[0]), float(found.high[0])
