"""Two regimes compared: paired by seed within a pairing, then with pairings as the unit.

A pairing is a configuration: its runs share agents and differ by seed. What generalises is the
number of configurations, not of runs, so the overall rows resample and flip whole pairings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from institutional.errors import InstitutionalError
from institutional.experiments import statistics
from institutional.experiments.compare_pairs import (
    LeftOut,
    Pairs,
    check_names,
    checked_results,
    measure_columns,
    pair_runs,
)
from institutional.experiments.compare_rates import ErrorRates, error_rates
from institutional.experiments.compare_tiers import (
    Enforced,
    Tiers,
    enforced,
    enforced_rows,
    tier_rows,
    tiers,
)
from institutional.experiments.statistics import Array
from institutional.seeds import derive

DEFAULT_MEASURES = ("tier", "delta", "price", "consumer_surplus", "welfare")

_EFFECT_HEADER = (
    "pairing",
    "measure",
    "n",
    "baseline",
    "treatment",
    "difference [95 %]",
    "d",
    "p",
    "p Holm",
    "note",
)

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


@dataclass(frozen=True)
class Effect:
    """Treatment minus baseline in one measure, of one pairing or over pairings.

    What is None could not be computed, and `reason` says why. `n` counts pairs of runs in a
    pairing's row and pairings in an overall row. `d` divides by the pooled standard deviation of
    all runs, as the paper does; `d_z` by that of the n differences. `p` is the two-sided
    sign-flip test; `p_holm` is corrected over the pairings of one measure.
    """

    pairing: str
    measure: str
    n: int
    baseline: float | None = None
    treatment: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    d: float | None = None
    d_z: float | None = None
    p: float | None = None
    p_holm: float | None = None
    margin: float | None = None
    p_equivalent: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """What one regime changed against another, and every run that was not counted."""

    baseline: str
    treatment: str
    seed: int
    confidence: float
    effects: tuple[Effect, ...]
    overall: tuple[Effect, ...]
    tiers: tuple[Tiers, ...]
    enforced: tuple[Enforced, ...]
    errors: ErrorRates
    invalid: tuple[LeftOut, ...]
    unpaired: tuple[LeftOut, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, ready for `json.dumps(..., allow_nan=False)`."""
        return {
            **asdict(self),
            "method": {
                "interval": "BCa bootstrap of the mean difference",
                "resamples": statistics.RESAMPLES,
                "test": "sign-flip permutation, two-sided",
                "correction": "Holm over the pairings of a measure",
                "equivalence": "two one-sided sign-flip tests",
                "unit_of_overall": "pairing",
            },
        }

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of `rows`, with the two regimes' names."""
        names = {"baseline": self.baseline, "treatment": self.treatment}
        margins = any(e.margin is not None for e in (*self.overall, *self.effects))
        header = [names.get(title, title) for title in _EFFECT_HEADER]
        return tuple(header[:-1] + ["p equivalent"] * margins + header[-1:])

    def rows(self) -> list[tuple[str, ...]]:
        """One row of text per effect, overall rows first; columns as in `header`."""
        return [self._row(effect) for effect in (*self.overall, *self.effects)]

    def tables(self) -> list[Table]:
        """Everything a terminal shows: (title, header, rows) each; empty tables are left out."""
        between = f"{self.treatment} minus {self.baseline}"
        left_out = ("run", "reason")
        shown: list[Table] = [
            (f"Over pairings: {between}", self.header, [self._row(e) for e in self.overall]),
            (f"By pairing: {between}", self.header, [self._row(e) for e in self.effects]),
            ("Runs by tier", *tier_rows(self.tiers)),
            ("What was enforced", *enforced_rows(self.enforced)),
            ("Errors of the institution", ("rate", "runs", "share [95 %]"), self.rate_rows()),
            ("Invalid runs, not counted", left_out, _listed(self.invalid)),
            ("Runs without a partner, not counted", left_out, _listed(self.unpaired)),
        ]
        return [table for table in shown if table[2]]

    def rate_rows(self) -> list[tuple[str, ...]]:
        """One row of text per error rate: meaning, runs, share with interval."""
        errors = self.errors
        rows: list[tuple[str, ...]] = [
            (
                rate.meaning,
                f"{rate.hits} of {rate.total}",
                rate.reason
                or f"{_percent(rate.share)} [{_percent(rate.low)}, {_percent(rate.high)}]",
            )
            for rate in (errors.false_positive, *errors.false_negative)
        ]
        if errors.wrongful_fines is not None:
            per_100 = errors.wrongful_fines_per_100_agent_rounds
            share = errors.reason if per_100 is None else f"{per_100:.2f} per 100 agent-rounds"
            rows.append(("fines of innocent agents", str(errors.wrongful_fines), share))
        return rows

    def _row(self, effect: Effect) -> tuple[str, ...]:
        cells = [
            effect.pairing,
            effect.measure,
            str(effect.n),
            number(effect.baseline),
            number(effect.treatment),
            with_interval(effect),
            number(effect.d),
            p_value(effect.p),
            p_value(effect.p_holm),
        ]
        if "p equivalent" in self.header:
            cells.append(p_value(effect.p_equivalent))
        return (*cells, effect.reason)


def compare(
    results: pl.DataFrame,
    *,
    baseline: str = "ungoverned",
    treatment: str = "institutional",
    measures: Sequence[str] | None = None,
    seed: int,
    skipped: Sequence[Mapping[str, str]] = (),
    margins: Mapping[str, float] | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare `treatment` with `baseline` in every pairing and over pairings.

    `results` has one row per run (see `compare_pairs`), `skipped` the cells of the grid that could
    not be run, as {regime, pairing, reason}. `measures` defaults to those of tier, delta, price,
    consumer surplus and welfare that the results have. `margins` asks, by measure, for an
    equivalence test. `seed` feeds the resampling only.
    """
    if baseline == treatment:
        raise InstitutionalError(f'"{baseline}" cannot be compared with itself: name two regimes')
    checked = checked_results(results)
    skips = {(skip["regime"], skip["pairing"]): skip["reason"] for skip in skipped}
    if measures is None:
        measures = [m for m in DEFAULT_MEASURES if m in measure_columns(checked)]
    margins = margins or {}
    wholly_skipped = {regime for regime, _ in skips} - set(checked["regime"])
    check_names(checked, {baseline, treatment} - wholly_skipped, [*measures, *margins])

    pairs, invalid, unpaired = pair_runs(
        checked, baseline=baseline, treatment=treatment, measures=measures, skipped=skips
    )
    estimate = _estimator(seed, margins, confidence)
    effects = _by_pairing(pairs, measures, estimate)
    return Comparison(
        baseline=baseline,
        treatment=treatment,
        seed=seed,
        confidence=confidence,
        effects=tuple(effects),
        overall=tuple(_overall(pairs, measures, estimate)),
        tiers=tiers(checked, (baseline, treatment)),
        enforced=enforced(checked, (baseline, treatment)),
        errors=error_rates(checked, regime=treatment, confidence=confidence),
        invalid=tuple(invalid),
        unpaired=tuple(unpaired),
    )


def number(value: float | None) -> str:
    """About three digits, for people; "n/a" for None."""
    return "n/a" if value is None else _fixed(value, _decimals(abs(value)))


def p_value(p: float | None) -> str:
    """A p-value as people print it; "n/a" for None."""
    if p is None:
        return "n/a"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def with_interval(effect: Effect) -> str:
    """Return the difference with its interval, or without where there is none."""
    if effect.difference is None or effect.low is None:
        return number(effect.difference)
    values = (effect.difference, effect.low, effect.high or 0.0)
    decimals = _decimals(max(map(abs, values)))
    value, low, high = (_fixed(one, decimals) for one in values)
    return f"{value} [{low}, {high}]"


def _decimals(size: float) -> int:
    if size >= 100:
        return 0 if size >= 1000 else 1
    if size >= 0.095 or size == 0:
        return 2
    return 3 if size >= 0.00095 else 4


def _fixed(value: float, decimals: int) -> str:
    """`value` with a true minus sign and no negative zero."""
    text = f"{value:,.{decimals}f}"
    zero = not text.strip("-0.,")
    return text.lstrip("-") if zero else text.replace("-", "−")


@dataclass(frozen=True)
class _Cell:
    """One row to estimate: n paired values, and the runs behind them for the pooled d."""

    pairing: str
    measure: str
    baseline: Array  # [n]
    treatment: Array  # [n]
    baseline_runs: Array
    treatment_runs: Array


_Estimate = Callable[[Sequence[_Cell]], dict[tuple[str, str], Effect]]


def _by_pairing(pairs: list[Pairs], measures: Sequence[str], estimate: _Estimate) -> list[Effect]:
    estimated = estimate([_cell_of(p, m) for p in pairs for m in measures if _why_not(p, m) == ""])
    corrected: dict[tuple[str, str], float] = {}
    for measure in measures:
        tested = [(key, e.p) for key, e in estimated.items() if key[1] == measure]
        if tested:
            p_holm = statistics.holm(np.array([p for _, p in tested], dtype=np.float64))
            corrected |= {key: float(p) for (key, _), p in zip(tested, p_holm, strict=True)}
    return [
        replace(estimated[key], p_holm=corrected[key])
        if (key := (p.pairing, m)) in estimated
        else Effect(p.pairing, m, len(p.seeds), reason=_why_not(p, m))
        for p in pairs
        for m in measures
    ]


def _overall(pairs: list[Pairs], measures: Sequence[str], estimate: _Estimate) -> list[Effect]:
    """Rows over all pairings and, where both kinds exist, over the innocent and the others."""
    paired = [p for p in pairs if not p.reason]
    scopes = {"all pairings": paired}
    if len({p.innocent for p in paired}) == 2:
        scopes["pairings not innocent"] = [p for p in paired if not p.innocent]
        scopes["innocent pairings"] = [p for p in paired if p.innocent]
    usable = {
        (name, m): [p for p in scope if not _why_not(p, m)]
        for name, scope in scopes.items()
        for m in measures
    }
    estimated = estimate([_cell_over(*key, of) for key, of in usable.items() if of])
    effects = []
    for key, of in usable.items():
        effect = estimated.get(key, Effect(*key, 0, reason="no pairing has a value"))
        left = len(scopes[key[0]]) - len(of)
        if of and left:
            effect = _also(effect, f"{left} of {left + len(of)} pairings have no value")
        effects.append(effect)
    return effects


def _cell_of(pairs: Pairs, measure: str) -> _Cell:
    before, after = pairs.baseline[measure], pairs.treatment[measure]
    return _Cell(pairs.pairing, measure, before, after, before, after)


def _cell_over(scope: str, measure: str, pairs: list[Pairs]) -> _Cell:
    """Pairings as values: the mean of each; the pooled d still looks at the runs."""
    before = [p.baseline[measure] for p in pairs]
    after = [p.treatment[measure] for p in pairs]
    return _Cell(
        scope,
        measure,
        np.array([values.mean() for values in before]),
        np.array([values.mean() for values in after]),
        np.concatenate(before),
        np.concatenate(after),
    )


def _why_not(pairs: Pairs, measure: str) -> str:
    """Why a pairing's effect is not estimated: there are no pairs, or some have no value."""
    if pairs.reason:
        return pairs.reason
    missing = pairs.missing[measure]
    return f"no value in {missing} of {len(pairs.seeds)} pairs" if missing else ""


def _estimator(seed: int, margins: Mapping[str, float], confidence: float) -> _Estimate:
    def estimate(cells: Sequence[_Cell]) -> dict[tuple[str, str], Effect]:
        """Estimate all cells of one n together, on shared resamples whose seed depends on n."""
        found: dict[tuple[str, str], Effect] = {}
        ordered = sorted(cells, key=lambda cell: len(cell.baseline))
        for n, group in groupby(ordered, key=lambda cell: len(cell.baseline)):
            for effect in _together(n, list(group), seed, margins, confidence):
                found[effect.pairing, effect.measure] = effect
        return found

    return estimate


def _together(
    n: int, cells: list[_Cell], seed: int, margins: Mapping[str, float], confidence: float
) -> list[Effect]:
    def rng(use: str) -> np.random.Generator:
        return np.random.default_rng(derive(seed, use, n))

    values = statistics.differences(
        np.stack([cell.treatment for cell in cells]), np.stack([cell.baseline for cell in cells])
    )
    flat = statistics.constant(values)
    p = statistics.sign_flip(values, rng=rng("signs")).p
    d_z = statistics.paired_d(values)
    limits = None
    if n >= statistics.FEWEST_VALUES_FOR_INTERVAL:
        limits = statistics.bootstrap_interval(values, rng=rng("bootstrap"), confidence=confidence)
    effects = []
    for i, cell in enumerate(cells):
        margin = margins.get(cell.measure)
        equal = None
        if margin is not None:
            shifted = statistics.equivalence(values[[i]], margin=margin, rng=rng("signs"))
            equal = float(shifted.p[0])
        d = statistics.cohens_d(cell.treatment_runs[None], cell.baseline_runs[None])[0]
        reasons = []
        if limits is None:
            reasons.append(f"an interval needs {statistics.FEWEST_VALUES_FOR_INTERVAL} values")
        if flat[i] and n > 1:
            reasons.append("all differences equal")
        effects.append(
            Effect(
                cell.pairing,
                cell.measure,
                n,
                baseline=float(cell.baseline.mean()),
                treatment=float(cell.treatment.mean()),
                difference=float(values[i].mean()),
                low=None if limits is None else float(limits.low[i]),
                high=None if limits is None else float(limits.high[i]),
                d=_known(d),
                d_z=_known(d_z[i]),
                p=float(p[i]),
                margin=margin,
                p_equivalent=equal,
                reason="; ".join(reasons),
            )
        )
        if np.isnan(d):
            effects[-1] = _also(effects[-1], "no variance, so no d")
    return effects


def _also(effect: Effect, reason: str) -> Effect:
    return replace(effect, reason="; ".join(filter(None, (effect.reason, reason))))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.1f} %"


def _listed(runs: Sequence[LeftOut]) -> list[tuple[str, ...]]:
    return [(run.run_id, run.reason) for run in runs]
