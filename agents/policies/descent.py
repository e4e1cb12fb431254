"""One step of Adam on named weights, with gradients that cannot run away.

Not `torch.optim`: to import it loads torch's compiler, five seconds of work before the first round.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from agents.policies.network import Weights

LARGEST_NORM = 0.5
"""The gradient over all weights is scaled back to this length."""
MEAN_DECAY, SQUARE_DECAY, FLOOR = 0.9, 0.999, 1e-5


class Moments(NamedTuple):
    """What Adam remembers of past gradients, and how many there were."""

    means: Weights
    squares: Weights
    steps: int


def no_moments(weights: Weights) -> Moments:
    """The memory before the first step."""
    zeros = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    return Moments(zeros, dict(zeros), 0)


def descended(
    weights: Weights, moments: Moments, loss: Tensor, *, rate: float
) -> tuple[Weights, Moments]:
    """`weights` a step down the gradient of the scalar `loss`, and the memory after it."""
    slopes = torch.autograd.grad(loss, list(weights.values()))
    with torch.no_grad():
        after, memory = moved(weights, moments, slopes, rate=rate, largest_norm=LARGEST_NORM)
        return {name: weight.requires_grad_() for name, weight in after.items()}, memory


def moved(
    weights: Weights,
    moments: Moments,
    slopes: Sequence[Tensor],
    *,
    rate: float,
    largest_norm: float,
) -> tuple[Weights, Moments]:
    """`weights` a step against `slopes` (scaled back to `largest_norm`), and the memory after it.

    Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """
    norm = torch.stack([slope.square().sum() for slope in slopes]).sum().sqrt()
    share = (largest_norm / (norm + 1e-6)).clamp(max=1.0)
    count = moments.steps + 1
    after, means, squares = {}, {}, {}
    for (name, weight), slope in zip(weights.items(), slopes, strict=True):
        kept = slope * share
        means[name] = torch.lerp(kept, moments.means[name], MEAN_DECAY)
        squares[name] = torch.lerp(kept.square(), moments.squares[name], SQUARE_DECAY)
        mean = means[name] / (1 - MEAN_DECAY**count)
        scale = (squares[name] / (1 - SQUARE_DECAY**count)).sqrt() + FLOOR
        after[name] = weight - rate * mean / scale
    return after, Moments(means, squares, count)
