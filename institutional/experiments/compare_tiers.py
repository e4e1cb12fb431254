"""The paper's own table: how collusive runs were under each regime, and what was done about it.

arXiv 2601.11369, Table 6, reports the mean tier with its standard deviation, the share of runs in
each tier, and counts of enforcement; effect sizes and permutation tests are in `compare`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

TIERS = (0, 1, 2, 3, 4)
ACTIONS = ("warnings", "fines", "suspensions", "credits")

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Tiers:
    """The valid runs of a regime by tier, over all pairings; `sd` is None for fewer than two."""

    regime: str
    runs: int
    mean: float
    sd: float | None
    counts: tuple[int, ...]  # in the order of `TIERS`


@dataclass(frozen=True)
class Enforced:
    """What an institution did in the valid runs of its regime, summed."""

    regime: str
    runs: int
    acted: int  # runs with at least one of `ACTIONS`
    warnings: int
    fines: int
    suspensions: int
    credits: int  # spent
    refused: int


def tiers(results: pl.DataFrame, regimes: Sequence[str]) -> tuple[Tiers, ...]:
    """The tiers under each of `regimes` that has a measured run."""
    if "tier" not in results.columns:
        return ()
    found = []
    for regime in regimes:
        values = _valid(results, regime)["tier"].drop_nulls().to_numpy()
        if len(values):
            counts = tuple(int((np.floor(values) == tier).sum()) for tier in TIERS)
            sd = float(values.std(ddof=1)) if len(values) > 1 else None
            found.append(Tiers(regime, len(values), float(values.mean()), sd, counts))
    return tuple(found)


def enforced(results: pl.DataFrame, regimes: Sequence[str]) -> tuple[Enforced, ...]:
    """What was done under each of `regimes` that an institution governs."""
    if not {*ACTIONS, "refused"} <= set(results.columns):
        return ()
    found = []
    for regime in regimes:
        runs = _valid(results, regime).filter(pl.col("fines").is_not_null())
        if len(runs):
            acted = runs.select(pl.sum_horizontal(ACTIONS) > 0).to_series().sum()
            sums = {name: int(runs[name].sum()) for name in (*ACTIONS, "refused")}
            found.append(Enforced(regime, len(runs), int(acted), **sums))
    return tuple(found)


def tier_rows(found: Sequence[Tiers]) -> tuple[tuple[str, ...], Rows]:
    """Header and one row of text per regime."""
    header = ("regime", "runs", "mean tier ± SD", *(f"tier {tier}" for tier in TIERS))
    rows = [
        (
            one.regime,
            str(one.runs),
            f"{one.mean:.2f}" + ("" if one.sd is None else f" ± {one.sd:.2f}"),
            *(f"{100 * count / one.runs:.1f} %" for count in one.counts),
        )
        for one in found
    ]
    return header, rows


def enforced_rows(found: Sequence[Enforced]) -> tuple[tuple[str, ...], Rows]:
    """Header and one row of text per governed regime."""
    header = ("regime", "runs", "acted in", *ACTIONS, "refused")
    rows = [
        (
            one.regime,
            str(one.runs),
            str(one.acted),
            *(str(getattr(one, name)) for name in (*ACTIONS, "refused")),
        )
        for one in found
    ]
    return header, rows


def _valid(results: pl.DataFrame, regime: str) -> pl.DataFrame:
    return results.filter(pl.col("valid") & (pl.col("regime") == regime))
