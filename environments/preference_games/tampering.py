"""Answers that carry a bias, and whether quality alone explains how fast the bias spreads.

Quality q is standard normal and an answer is biased with probability s(slope q + level): a
tampering policy lets its bias ride on its good answers. A reward model sees q under noise, and the
bias bit. Two mechanisms then spread the bias: *selection*, because good answers are biased (there
without any noise), and an *omitted variable*, because the bit tells what the noise hides (there
only with noise). `slope` = 0 and `noise` = 0 are the controls that separate them.

Everything is exact for an unlimited population, by quadrature to about 1e-9.
Source of the mechanism: arXiv:2605.27355.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from environments import checks
from environments.contract import Array

_REACH = 9.0  # standard deviations of quality and of noise
_POINTS = 1801
_INNER_POINTS = 241  # of an average over a smooth function, where sums on a grid converge fast
ROUNDING = 1e-14


class Answers(NamedTuple):
    """A draw of answers, all of one shape."""

    quality: Array
    biased: NDArray[np.bool_]
    seen: Array  # quality under noise, all that is seen of it


class RewardModel(NamedTuple):
    """A reward that is linear in what is seen: `on_quality` seen + `on_bias` biased."""

    on_quality: float
    on_bias: float


class Outcome(NamedTuple):
    """What a policy's answers are like on average."""

    bias_rate: float
    quality: float


@dataclass(frozen=True)
class Answering:
    """A policy whose answers are biased with s(slope q + level), seen with `noise` (a sd)."""

    slope: float = 2.0
    level: float = -1.5
    noise: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no number, and negative noise."""
        checks.number(self.slope, "slope")
        checks.number(self.level, "level")
        checks.number(self.noise, "noise", low=0)

    def chance(self, quality: Array) -> Array:
        """The chance that an answer of this quality is biased, [...]."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * quality + self.level))))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Answers:
        """Draw answers of any `shape`."""
        quality = rng.standard_normal(shape)
        biased = rng.random(shape) < self.chance(quality)
        return Answers(quality, biased, quality + self.noise * rng.standard_normal(shape))

    def outcome(self) -> Outcome:
        """Bias rate and mean quality of what the policy says unasked."""
        quality, density = _normal()
        return Outcome(float((density * self.chance(quality)).sum()), 0.0)

    def reward_model(self) -> RewardModel:
        """Least squares of quality on what is seen and the bias bit, for unlimited answers."""
        quality, density = _normal()
        rate = self.outcome().bias_rate
        shared = float((density * quality * self.chance(quality)).sum())  # Cov(q, b)
        spread = np.array([[1 + self.noise**2, shared], [shared, rate * (1 - rate)]])
        on_quality, on_bias = np.linalg.solve(spread, np.array([1.0, shared]))
        return RewardModel(float(on_quality), float(on_bias))

    def best_of(self, model: RewardModel, *, samples: int) -> Outcome:
        """What becomes of the answers when the best of `samples` by `model` is kept.

        `model.on_quality` must be positive.
        """
        step = model.on_bias / model.on_quality  # in units of what is seen
        seen, plain, marked, plain_q, marked_q = self._joint()
        width = seen[1] - seen[0]
        below_plain = np.cumsum(plain) - plain / 2
        below_marked = np.cumsum(marked) - marked / 2

        def below(score: Array) -> Array:
            """How many answers score less than an unbiased one that is seen at `score`."""
            lower = np.interp(score, seen, below_plain, left=0.0, right=below_plain[-1])
            shifted = score - step
            lower += np.interp(shifted, seen, below_marked, left=0.0, right=below_marked[-1])
            return np.asarray(lower)

        # Over a cell of the grid the power is averaged exactly, so that any number of samples does.
        def kept(score: Array) -> Array:
            low, high = below(score - width / 2), below(score + width / 2)
            rise = np.maximum(high - low, ROUNDING)
            power = (high**samples - low**samples) / rise
            level = samples * high ** (samples - 1)
            return np.asarray(np.where(high - low > ROUNDING, power, level))

        keep_plain, keep_marked = kept(seen), kept(seen + step)
        whole = float((plain * keep_plain).sum() + (marked * keep_marked).sum())
        biased = float((marked * keep_marked).sum())
        quality = float((plain_q * keep_plain).sum() + (marked_q * keep_marked).sum())
        return Outcome(biased / whole, quality / whole)

    def _joint(self) -> tuple[Array, Array, Array, Array, Array]:
        """What is seen [S], the mass of unbiased and biased answers there, and mass x quality."""
        quality, density = _normal()
        chance = self.chance(quality)
        if self.noise == 0:
            marked, plain = density * chance, density * (1 - chance)
            return quality, plain, marked, plain * quality, marked * quality
        # Given what is seen, quality is normal around it, shrunk: integrate on that normal.
        residual, weight = _normal(_INNER_POINTS)
        total = np.sqrt(1 + self.noise**2)
        seen = quality * total
        inner = seen[:, np.newaxis] / total**2 + residual * (self.noise / total)
        biased = self.chance(inner) * weight
        unbiased = weight - biased
        return (
            seen,
            density * unbiased.sum(axis=1),
            density * biased.sum(axis=1),
            density * (unbiased * inner).sum(axis=1),
            density * (biased * inner).sum(axis=1),
        )


def _normal(count: int = _POINTS) -> tuple[Array, Array]:
    """Points of a standard normal and the mass of the cell around each, [S]."""
    points = np.linspace(-_REACH, _REACH, count)
    mass = np.exp(-(points**2) / 2)
    return points, mass / mass.sum()
