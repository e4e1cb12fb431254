"""The oracle and the institution against ground truth: error rates, thresholds, time to detection.

Two questions. Of each comparison in the evidence: how well does its number separate offenders from
innocents, in runs that nobody governs? Of the whole graph, in the loop: who is punished, who is
spared, and how late?

Every scenario weighs the same in a pooled rate. The efficient planner divides the market because
that is cheapest, so pooled rates are given without it and with it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from environments import presets
from environments.contract import Array, Mask
from institutional.calibration import roc
from institutional.calibration.play import NEVER, Governed, governed, watched
from institutional.calibration.scenarios import PLANNER, Scenario, ground_truth
from institutional.errors import InstitutionalError
from institutional.experiments.statistics import wilson_interval
from institutional.governance.loading import LoadedGraph, comparisons, leaves
from institutional.governance.program import Probe, Program, Record, compile_graph
from institutional.governance.schema import Comparison, Graph
from institutional.seeds import derive


@dataclass(frozen=True)
class Threshold:
    """A threshold in the graph's own unit, and the share of runs in which it is passed."""

    value: float
    false_positive: float
    true_positive: float
    fresh_false_positive: float | None = None  # of a suggestion, in runs that did not choose it


@dataclass(frozen=True)
class Separation:
    """How one comparison does against one choice of innocents."""

    auc: float
    now: Threshold
    suggested: Threshold | None  # None: no threshold below every offender keeps the rate
    false_positives: tuple[float, ...]  # the curve, strictest threshold first
    true_positives: tuple[float, ...]


@dataclass(frozen=True)
class Judged:
    """One comparison of the graph's evidence, scored on ungoverned runs."""

    evidence: str
    text: str
    accuses: bool  # whether it can help to make a case; if not, it is a gate
    without_planner: Separation
    with_planner: Separation
    auc_by_offence: Mapping[str, float]  # without the planner
    curve_by_offence: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
    point_by_offence: Mapping[str, tuple[float, float]]  # rates at the present threshold
    fired: Mapping[str, float]  # scenario -> share of runs


@dataclass(frozen=True)
class Spread:
    """Quartiles of the rounds to detection, counted from 1, over the runs detected."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Conduct:
    """What the whole institution did to one scenario."""

    scenario: str
    kind: str
    innocent: bool
    noise: float
    runs: int
    varies: bool  # if not, all runs are one and there is no interval
    accused: float  # share of runs with a case
    sanctioned: float  # share of runs with a fine or a suspension
    interval: tuple[float, float] | None  # Wilson, 95 %, of `sanctioned`
    to_case: Spread | None
    to_sanction: Spread | None
    fines_per_100: float  # per 100 agent-rounds; wrongful where the scenario is innocent

    @property
    def error(self) -> float:
        """The false-positive rate of an innocent, the false-negative rate of an offender."""
        return self.sanctioned if self.innocent else 1 - self.sanctioned


@dataclass(frozen=True)
class Calibration:
    """Everything that one calibration found."""

    graph: str
    canonical_digest: str
    environment: str
    runs: int
    rounds: int
    seed: int
    false_positive_rate: float
    comparisons: tuple[Judged, ...]
    conducts: tuple[Conduct, ...]

    def pooled(self) -> dict[str, float]:
        """Error rates and wrongful fines over scenarios of equal weight."""
        innocent = [c for c in self.conducts if c.innocent]
        others = [c for c in innocent if c.kind != PLANNER]
        guilty = [c for c in self.conducts if not c.innocent]

        def mean(values: Sequence[float]) -> float:
            return float(np.mean(values))

        return {
            "false_positive": mean([c.sanctioned for c in others]),
            "false_positive_with_planner": mean([c.sanctioned for c in innocent]),
            "false_negative": mean([c.error for c in guilty]),
            "wrongful_fines_per_100": mean([c.fines_per_100 for c in others]),
            "wrongful_fines_per_100_with_planner": mean([c.fines_per_100 for c in innocent]),
        }

    def as_data(self) -> dict[str, Any]:
        """Everything as JSON-serialisable data."""
        data = asdict(self)
        for comparison in data["comparisons"]:
            del comparison["curve_by_offence"]  # for drawing; thousands of numbers
        data["conducts"] = [
            entry | {"error": conduct.error}
            for entry, conduct in zip(data["conducts"], self.conducts, strict=True)
        ]
        return data | {"pooled": self.pooled()}


def calibrate(
    loaded: LoadedGraph,
    preset: str,
    *,
    runs: int = 100,
    seed: int = 0,
    false_positive_rate: float = 0.05,
) -> Calibration:
    """Play every scenario of the environment `preset` and score the graph on it.

    Raises InstitutionalError for a graph of another kind of environment, or rates and numbers of
    runs that mean nothing.
    """
    if runs < 1:
        raise InstitutionalError(f"runs is {runs}: give at least 1")
    if not 0 <= false_positive_rate < 1:
        raise InstitutionalError(
            f"the false-positive rate is {false_positive_rate}: give a share from 0 to below 1"
        )
    core = presets.make(preset)
    if core.name != loaded.graph.environment:
        raise InstitutionalError(
            f"graph {loaded.graph.name}: written for {loaded.graph.environment} markets; "
            f"{preset} is a {core.name} market"
        )
    references = {name: point.record for name, point in core.benchmarks().items()}
    program = compile_graph(loaded, agents=core.agents, signals=core.signals, references=references)
    scenarios = ground_truth(preset)
    seen = [watched(program, scenario, runs=runs, seed=seed) for scenario in scenarios]
    fresh = [
        watched(program, scenario, runs=runs, seed=derive(seed, "fresh"))
        for scenario in scenarios
        if scenario.innocent
    ]
    accusing = set(_accusing(loaded.graph))
    judged = [
        _judged(
            _Probed(program, probe, comparison, references),
            evidence=str(place[1]),
            accuses=place in accusing,
            scenarios=scenarios,
            values=[readings[probe.reading] for readings in seen],
            fresh=[readings[probe.reading] for readings in fresh],
            rate=false_positive_rate,
        )
        for (place, comparison), probe in zip(
            comparisons(loaded.graph), program.probes, strict=True
        )
    ]
    conducts = [
        _conduct(scenario, governed(program, scenario, runs=runs, seed=seed))
        for scenario in scenarios
    ]
    return Calibration(
        graph=loaded.graph.name,
        canonical_digest=loaded.canonical_digest,
        environment=preset,
        runs=runs,
        rounds=core.rounds,
        seed=seed,
        false_positive_rate=false_positive_rate,
        comparisons=tuple(judged),
        conducts=tuple(conducts),
    )


def described(comparison: Comparison) -> str:
    """A comparison in one line: `hhi > 0.5 over nash, 3 of 5`."""
    sign = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}[comparison.operator]
    window = comparison.window
    over = f" over {comparison.relative_to}" if comparison.relative_to else ""
    often = f", {window.at_least} of {window.of}" if window.of > 1 else ""
    return f"{comparison.signal} {sign} {comparison.threshold:g}{over}{often}"


class _Scored(NamedTuple):
    """What a comparison saw of some runs, [M] each."""

    score: Array  # of the most suspicious agent
    past: Mask  # whether the present threshold was passed


class _Probed:
    """A comparison with its probe: from values to scores, and from scores to the graph's unit."""

    def __init__(
        self,
        program: Program,
        probe: Probe,
        comparison: Comparison,
        references: Mapping[str, Record],
    ) -> None:
        self.comparison, self.probe = comparison, probe
        self.rising = comparison.operator in {"above", "at_least"}
        self._base: Array | None = None
        if comparison.relative_to is not None:
            record = references[comparison.relative_to]
            self._base = program.readings[probe.reading].function(record, record)[0]

    def scores(self, values: Array) -> _Scored:
        """Score runs by their `values` [T, M, N] and compare them as the oracle does."""
        probe = self.probe
        reached = roc.reached(values, at_least=probe.at_least, of=probe.of, rising=self.rising)
        absolute = probe.threshold if self.rising else -probe.threshold
        past: Mask
        strict = probe.operator in {"above", "below"}
        past = reached > absolute if strict else reached >= absolute
        if self._base is not None:
            sign = 1 if self.rising else -1
            reached = reached / self._base - sign
        return _Scored(np.maximum.reduce(reached, 1), np.logical_or.reduce(past, 1))

    def written(self, score: float) -> float:
        """The threshold of `score` as one would write it in the graph."""
        return score if self.rising else -score


def _judged(
    probed: _Probed,
    *,
    evidence: str,
    accuses: bool,
    scenarios: Sequence[Scenario],
    values: Sequence[Array],
    fresh: Sequence[Array],
    rate: float,
) -> Judged:
    scored = [probed.scores(one) for one in values]
    innocents = [s for s in scenarios if s.innocent]
    again = [probed.scores(one).score for one in fresh]
    again_others = [one for one, s in zip(again, innocents, strict=True) if s.kind != PLANNER]

    def pooled(kinds: Collection[str]) -> _Scored:
        kept = [one for one, s in zip(scored, scenarios, strict=True) if s.kind in kinds]
        return _Scored(
            np.concatenate([one.score for one in kept]), np.concatenate([one.past for one in kept])
        )

    def separation(innocent: Collection[str], fresh_scores: Sequence[Array]) -> Separation:
        found = _separation(probed, pooled(innocent), guilty, np.concatenate(fresh_scores), rate)
        return found if accuses else replace(found, suggested=None)

    kinds = list(dict.fromkeys(s.kind for s in scenarios if not s.innocent))
    guilty = pooled(kinds)
    offences = {kind: pooled([kind]) for kind in kinds}
    everybody = {s.kind for s in innocents}
    others = pooled(everybody - {PLANNER})
    curves = {kind: roc.curve(others.score, found.score) for kind, found in offences.items()}
    return Judged(
        evidence=evidence,
        text=described(probed.comparison),
        accuses=accuses,
        without_planner=separation(everybody - {PLANNER}, again_others),
        with_planner=separation(everybody, again),
        auc_by_offence={
            kind: roc.area(others.score, found.score) for kind, found in offences.items()
        },
        curve_by_offence={kind: _plain(curve) for kind, curve in curves.items()},
        point_by_offence={
            kind: (float(others.past.mean()), float(found.past.mean()))
            for kind, found in offences.items()
        },
        fired={s.name: float(one.past.mean()) for s, one in zip(scenarios, scored, strict=True)},
    )


def _separation(
    probed: _Probed, innocent: _Scored, guilty: _Scored, fresh: Array, rate: float
) -> Separation:
    """Scores and present verdicts of both sides; `fresh` are other innocents' scores."""
    now = Threshold(
        probed.comparison.threshold, float(innocent.past.mean()), float(guilty.past.mean())
    )
    score = roc.suggest(innocent.score, guilty.score, rate=rate)
    suggested = None
    if score is not None:
        suggested = Threshold(
            probed.written(score),
            float((innocent.score > score).mean()),
            float((guilty.score > score).mean()),
            float((fresh > score).mean()),
        )
    area = roc.area(innocent.score, guilty.score)
    return Separation(area, now, suggested, *_plain(roc.curve(innocent.score, guilty.score)))


def _plain(curve: roc.Curve) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The curve's corners only: points on a straight line between their neighbours say nothing."""
    x, y = curve
    turns = np.diff(x[1:]) * np.diff(y[:-1]) != np.diff(x[:-1]) * np.diff(y[1:])
    kept = np.concatenate([[True], turns, [True]])
    return tuple(x[kept].tolist()), tuple(y[kept].tolist())


def _conduct(scenario: Scenario, found: Governed) -> Conduct:
    runs = len(found.fines)
    firms = len(scenario.core.agents)
    hits = int((found.first_sanction != NEVER).sum())
    interval = None
    if scenario.varies:
        limits = wilson_interval([hits], [runs])
        interval = (float(limits.low[0]), float(limits.high[0]))
    return Conduct(
        scenario=scenario.name,
        kind=scenario.kind,
        innocent=scenario.innocent,
        noise=scenario.noise,
        runs=runs,
        varies=scenario.varies,
        accused=float((found.first_case != NEVER).mean()),
        sanctioned=hits / runs,
        interval=interval,
        to_case=_spread(found.first_case),
        to_sanction=_spread(found.first_sanction),
        fines_per_100=100 * float(found.fines.mean()) / (firms * scenario.core.rounds),
    )


def _spread(rounds: Array) -> Spread | None:
    detected = rounds[rounds != NEVER]
    if not len(detected):
        return None
    return Spread(*np.quantile(detected, (0.25, 0.5, 0.75)).tolist())


def _accusing(graph: Graph) -> Iterator[tuple[str | int, ...]]:
    """Places of the comparisons whose truth can make a case, rather than prevent or gate one."""
    waiting: list[tuple[Any, tuple[str | int, ...], bool]] = [
        (norm.breached_by, (), True) for norm in graph.norms.values()
    ]
    done: set[tuple[str, bool]] = set()
    while waiting:
        condition, place, towards = waiting.pop()
        for inner, leaf in leaves(condition, ()):
            helps = towards == (inner.count("not") % 2 == 0)
            if isinstance(leaf, Comparison):
                if helps:
                    yield (*place, *inner)
            elif (leaf, helps) not in done:
                done.add((leaf, helps))
                waiting.append((graph.evidence[leaf].when, ("evidence", leaf, "when"), helps))
