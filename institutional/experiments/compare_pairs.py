"""Which runs a comparison may count: valid ones, paired by seed; everything left out is listed.

Here are the records of what is compared; the statistics are in `compare`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from institutional.errors import InstitutionalError, suggestion
from institutional.experiments.statistics import Array
from institutional.scoring import ENFORCEMENT

IDENTITY = {
    "run_id": pl.String,
    "regime": pl.String,
    "pairing": pl.String,
    "environment": pl.String,
    "seed": pl.Int64,
    "valid": pl.Boolean,
    "reason": pl.String,
    "innocent": pl.Boolean,
}
"""The columns that say which run a row is, and whether it counts."""

NOT_MEASURED = ("agents", "rounds", "audit_word", "audit_code", "replay")
NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class LeftOut:
    """A run that no comparison counts, and why."""

    run_id: str
    regime: str
    pairing: str
    seed: int
    reason: str


@dataclass(frozen=True)
class Pairs:
    """The paired values of one pairing, [n] per measure, in the order of `seeds`.

    `reason` says why there are none at all; `missing` counts, by measure, the pairs in which one
    side has no value.
    """

    pairing: str
    innocent: bool
    seeds: tuple[int, ...]
    baseline: Mapping[str, Array]
    treatment: Mapping[str, Array]
    missing: Mapping[str, int]
    reason: str = ""


def measure_columns(results: pl.DataFrame) -> list[str]:
    """The columns of `results` that measure an outcome, in their order."""
    known = {*IDENTITY, *ENFORCEMENT, *NOT_MEASURED}
    kinds = zip(results.columns, results.dtypes, strict=True)
    return [c for c, kind in kinds if c not in known and (kind.is_numeric() or kind == pl.Null)]


def checked_results(results: pl.DataFrame) -> pl.DataFrame:
    """`results` with its identity columns present and typed and no run twice.

    Where an experiment spans several environments, a pairing is named with its environment: the
    two are different configurations. NaN in a valid run's measure is an error, null is not.
    """
    absent = [name for name in IDENTITY if name not in results.columns]
    if absent:
        raise InstitutionalError(
            f"results.parquet lacks the columns {', '.join(absent)}: "
            "run the experiment again with this version"
        )
    measures = [pl.col(name).cast(pl.Float64) for name in measure_columns(results)]
    try:
        typed = results.with_columns(
            *(pl.col(name).cast(kind) for name, kind in IDENTITY.items()), *measures
        )
    except pl.exceptions.PolarsError as error:
        raise InstitutionalError(f"results.parquet: a column has a wrong type ({error})") from error
    if typed["environment"].n_unique() > 1:
        typed = typed.with_columns(pairing=pl.concat_str("environment", pl.lit(": "), "pairing"))
    keys = ["regime", "pairing", "seed"]
    twice = typed.filter(pl.struct(keys).is_duplicated()).sort(keys)
    if len(twice):
        first = twice.row(0, named=True)
        raise InstitutionalError(
            f"results.parquet has {first['regime']}, {first['pairing']}, seed {first['seed']} "
            "more than once: a pair needs one run of each regime"
        )
    for name in measure_columns(typed):
        odd = typed.filter(pl.col("valid") & ~pl.col(name).is_finite())
        if len(odd):
            run = odd["run_id"][0]
            raise InstitutionalError(
                f"results.parquet: {name} of run {run} is {odd[name][0]}; "
                "what was not measured must be null"
            )
    return typed


def check_names(results: pl.DataFrame, regimes: Iterable[str], measures: Iterable[str]) -> None:
    """Raise InstitutionalError for a regime or measure that the results do not know."""
    for kind, names, known in (
        ("regime", regimes, results["regime"].unique().sort().to_list()),
        ("measure", measures, measure_columns(results)),
    ):
        for name in names:
            if name not in known:
                raise InstitutionalError(
                    f'no run has the {kind} "{name}"\n  {kind}s here: {", ".join(known)}.'
                    + suggestion(name, known)
                )


def pair_runs(
    results: pl.DataFrame,
    *,
    baseline: str,
    treatment: str,
    measures: Sequence[str],
    skipped: Mapping[tuple[str, str], str],
) -> tuple[list[Pairs], list[LeftOut], list[LeftOut]]:
    """Return the pairs of every pairing, then the invalid runs, then the valid but unpaired ones.

    `skipped` gives the reason for each (regime, pairing) that the plan could not run.
    """
    runs: dict[tuple[str, str, int], dict[str, Any]] = {
        (run["pairing"], run["regime"], run["seed"]): run
        for run in results.iter_rows(named=True)
        if run["regime"] in (baseline, treatment)
    }
    names = list(dict.fromkeys(results["pairing"].to_list()))
    names += [p for r, p in skipped if r in (baseline, treatment) and p not in names]
    pairs, unpaired = [], []
    for pairing in dict.fromkeys(names):
        of = {
            regime: {s: run for (p, r, s), run in runs.items() if (p, r) == (pairing, regime)}
            for regime in (baseline, treatment)
        }
        good = {regime: {s for s, run in its.items() if run["valid"]} for regime, its in of.items()}
        both = sorted(good[baseline] & good[treatment])
        reason = "" if both else _no_pairs(pairing, of, good, skipped)
        before, after = ([of[regime][s] for s in both] for regime in (baseline, treatment))
        pairs.append(_pairs(pairing, before, after, measures, reason))
        if reason.startswith(NOT_APPLICABLE):
            continue  # the pairing's own row says so: its runs did not lose their partners
        for regime, other in ((baseline, treatment), (treatment, baseline)):
            for seed in sorted(good[regime] - good[other]):
                lost = seed in of[other]
                why = f"its {other} run is invalid" if lost else f"no {other} run of this seed"
                unpaired.append(_left_out(of[regime][seed], why))
    invalid = [
        _left_out(run, run["reason"] or "no reason was recorded")
        for run in runs.values()
        if not run["valid"]
    ]
    return pairs, invalid, unpaired


def _pairs(
    pairing: str,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    measures: Sequence[str],
    reason: str,
) -> Pairs:
    sides = [
        {m: np.array([run[m] for run in of], dtype=np.float64) for m in measures}
        for of in (before, after)
    ]
    missing = {m: int((np.isnan(sides[0][m]) | np.isnan(sides[1][m])).sum()) for m in measures}
    innocent = bool(before) and all(run["innocent"] for run in (*before, *after))
    seeds = tuple(run["seed"] for run in before)
    return Pairs(pairing, innocent, seeds, sides[0], sides[1], missing, reason)


def _no_pairs(
    pairing: str,
    runs: Mapping[str, Mapping[int, Any]],
    good: Mapping[str, set[int]],
    skipped: Mapping[tuple[str, str], str],
) -> str:
    for regime, of in runs.items():
        if (regime, pairing) in skipped and not of:
            return f"{NOT_APPLICABLE}: {skipped[regime, pairing]}"
    for regime, of in runs.items():
        if not of:
            return f"no run under {regime}"
        if not good[regime]:
            return f"every run under {regime} is invalid"
    return "no seed has a valid run under both regimes"


def _left_out(run: Mapping[str, Any], reason: str) -> LeftOut:
    return LeftOut(run["run_id"], run["regime"], run["pairing"], run["seed"], reason)
