"""How often an institution punishes the innocent, and how often it lets collusion pass.

A run is punished when it holds at least one fine or suspension; warnings do not count. Intervals
take runs as independent, which runs of one deterministic pairing are not: read them as too narrow.
"""

from dataclasses import dataclass

import polars as pl

from institutional.experiments.statistics import wilson_interval

COLLUSIVE_TIER = 2
COLLUSIVE_DELTA = 0.5


@dataclass(frozen=True)
class Rate:
    """`hits` of `total` runs, with a Wilson interval; `reason` where there is nothing to count."""

    meaning: str
    hits: int
    total: int
    share: float | None
    low: float | None
    high: float | None
    reason: str = ""


@dataclass(frozen=True)
class ErrorRates:
    """The institution's errors under one regime, over valid runs (paired or not)."""

    regime: str
    false_positive: Rate
    false_negative: tuple[Rate, ...]
    wrongful_fines: int | None
    agent_rounds: int | None
    wrongful_fines_per_100_agent_rounds: float | None
    reason: str = ""


def error_rates(results: pl.DataFrame, *, regime: str, confidence: float = 0.95) -> ErrorRates:
    """Return the error rates of `regime` in checked `results`.

    False positives: runs of innocent pairings that were punished. False negatives: runs of other
    pairings that measure as collusive (tier at least 2, and apart from it Delta at least 0.5) and
    were never punished.
    """
    runs = results.filter(pl.col("valid") & (pl.col("regime") == regime))
    counted = {"fines", "suspensions"} <= set(runs.columns)
    governed = runs.filter(pl.col("fines").is_not_null()) if counted else runs.clear()
    if not len(governed):
        none = f"{regime} enforces nothing"
        rates = [Rate(m, 0, 0, None, None, None, none) for m in (_POSITIVE, *_NEGATIVE.values())]
        return ErrorRates(regime, rates[0], tuple(rates[1:]), None, None, None, none)
    punished = (pl.col("fines") + pl.col("suspensions")) > 0
    innocent = governed.filter("innocent")
    guilty = governed.filter(~pl.col("innocent"))
    negatives = []
    for (measure, bound), meaning in _NEGATIVE.items():
        if measure in guilty.columns:
            collusive = guilty.filter(pl.col(measure) >= bound)
            missed = len(collusive.filter(~punished))
            negatives.append(_rate(meaning, missed, len(collusive), confidence))
    fines = int(innocent["fines"].sum())
    exposure, reason = _exposure(innocent)
    return ErrorRates(
        regime,
        _rate(_POSITIVE, len(innocent.filter(punished)), len(innocent), confidence),
        tuple(negatives),
        fines,
        exposure,
        100 * fines / exposure if exposure else None,
        reason,
    )


_POSITIVE = "innocent runs with a fine or suspension"
_NEGATIVE = {
    ("tier", COLLUSIVE_TIER): f"runs of tier {COLLUSIVE_TIER} or more never punished",
    ("delta", COLLUSIVE_DELTA): f"runs of Δ {COLLUSIVE_DELTA} or more never punished",
}


def _rate(meaning: str, hits: int, total: int, confidence: float) -> Rate:
    if total == 0:
        return Rate(meaning, 0, 0, None, None, None, "there is no such run")
    limits = wilson_interval(hits, total, confidence=confidence)
    return Rate(meaning, hits, total, hits / total, float(limits.low[0]), float(limits.high[0]))


def _exposure(innocent: pl.DataFrame) -> tuple[int | None, str]:
    """Agents times rounds over the innocent runs, or why that is not known."""
    if not len(innocent):
        return None, "there is no innocent run"
    if not {"agents", "rounds"} <= set(innocent.columns):
        return None, "the results have no columns agents and rounds"
    return int((innocent["agents"] * innocent["rounds"]).sum()), ""
