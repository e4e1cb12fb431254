"""What a study is: one paper's claim, made small, with bands fixed before anything is measured.

A study's `run` returns values, one per seed, and nothing else: means, intervals and verdicts are
made here, the same way for every paper. Writing files and printing are elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from institutional.experiments.statistics import bootstrap_interval, wilson_interval

Values = NDArray[np.float64] | NDArray[np.bool_]
Verdict = Literal["reproduced", "null", "undecided", "contradicted"]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A band for the mean over seeds of one measured quantity.

    `no_effect` is what the quantity would be if the claim were empty. Outside the band, it makes
    the prediction one of an effect; inside, one of none. A quantity that has no such value, like
    a duration, is judged by the band alone.
    """

    quantity: str  # a key of the outcome's `measured`
    low: float
    high: float
    source: str
    number: float | None = None  # what the source says
    no_effect: float | None = None
    fixed: str = "before"  # or what had been seen when the band was chosen

    @property
    def expects_none(self) -> bool:
        """Whether what is predicted is the absence of an effect."""
        return self.no_effect is not None and self.low <= self.no_effect <= self.high

    @property
    def direction(self) -> str:
        """In words, on which side of no effect the band lies."""
        if self.no_effect is None:
            return "in the band"
        if self.expects_none:
            return f"no effect ({self.no_effect:g})"
        return f"{'above' if self.no_effect < self.low else 'below'} {self.no_effect:g}"


class Estimate(NamedTuple):
    """A mean over `n` values, one per seed, and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a study measured.

    `measured` maps a quantity to one value per seed; truth values become a share. `table` has a
    row for whatever the study repeats: a session, a cell of its design.
    """

    measured: Mapping[str, Values]
    table: Mapping[str, Sequence[Any]]
    draw: Callable[[], Figure]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """One paper's claim, what is run in its place, and what would contradict it."""

    name: str
    paper: str
    claim: str
    miniature: str
    predictions: tuple[Prediction, ...]
    controls: tuple[Prediction, ...]  # negative controls: where nothing should be found
    does_not_show: tuple[str, ...]
    seeds: int  # repetitions that the bands were fixed for
    quick_seeds: int  # enough to see that everything works, in seconds
    run: Callable[[Sequence[int]], Outcome]
    needs_torch: bool = False  # its module is imported without; `run` is not


class Finding(NamedTuple):
    """One quantity as measured; without a prediction there is no verdict."""

    quantity: str
    estimate: Estimate
    prediction: Prediction | None
    verdict: Verdict | None

    @property
    def surprises(self) -> bool:
        """Whether the verdict speaks against the prediction."""
        if self.prediction is None or self.verdict == "undecided":
            return False
        return self.verdict != ("null" if self.prediction.expects_none else "reproduced")


def judge(prediction: Prediction, estimate: Estimate) -> Verdict:
    """Say how `estimate` bears on `prediction`.

    null          no effect lies in the interval; where none was predicted: the value in the band
    reproduced    else, the value lies in the band
    undecided     else, the interval reaches into the band: more seeds would tell
    contradicted  else
    """
    nothing = prediction.no_effect
    within = prediction.low <= estimate.value <= prediction.high
    if prediction.expects_none:
        if within:
            return "null"
    elif nothing is not None and estimate.low <= nothing <= estimate.high:
        return "null"
    elif within:
        return "reproduced"
    reaches = estimate.low <= prediction.high and prediction.low <= estimate.high
    return "undecided" if reaches else "contradicted"


def estimate(values: Values) -> Estimate:
    """Mean and interval of `values`, one per seed: Wilson's for a share, else a BCa bootstrap.

    Fewer than five values, or one that is not finite, raise InstitutionalError.
    """
    if values.dtype == np.bool_:
        interval = wilson_interval(values.sum(), len(values))
    else:
        # A fixed stream: the interval is a function of the values.
        interval = bootstrap_interval(values[np.newaxis], rng=np.random.default_rng(0))
    return Estimate(
        float(values.mean()), float(interval.low[0]), float(interval.high[0]), len(values)
    )


def stacked(parts: Iterable[Mapping[str, ArrayLike]]) -> dict[str, list[Any]]:
    """One table from the columns of several parts of a design, in their order."""
    table: dict[str, list[Any]] = {}
    for part in parts:
        for column, values in part.items():
            table.setdefault(column, []).extend(np.asarray(values).tolist())
    return table


def by_seed(measured: Mapping[str, Values], seeds: Sequence[int]) -> dict[str, list[Any]]:
    """A row for every quantity and seed."""
    return stacked(
        {"quantity": [name] * len(seeds), "seed": list(seeds), "value": values.astype(np.float64)}
        for name, values in measured.items()
    )


def findings(study: Study, outcome: Outcome) -> tuple[Finding, ...]:
    """Every measured quantity, the predicted ones first and in the study's order."""
    predicted = {p.quantity: p for p in (*study.predictions, *study.controls)}
    order = [*predicted, *(name for name in outcome.measured if name not in predicted)]
    found = []
    for quantity in order:
        measured = estimate(outcome.measured[quantity])
        prediction = predicted.get(quantity)
        verdict = None if prediction is None else judge(prediction, measured)
        found.append(Finding(quantity, measured, prediction, verdict))
    return tuple(found)
