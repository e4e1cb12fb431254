"""Two optimisers for small policies, in place.

Not `torch.optim`: to use it loads torch's compiler, seconds of work before the first step. Anything
with `zero_grad` and `step` will do for `train`, torch's own included.
"""

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from agents.policies.descent import moved, no_moments


class Optimizer(Protocol):
    """What the loop asks of an optimiser."""

    def zero_grad(self) -> None:
        """Forget the gradients."""

    def step(self) -> None:
        """Move the parameters once."""


class Descent:
    """Plain gradient descent: what theorems speak about."""

    def __init__(self, parameters: Iterable[Tensor], *, rate: float) -> None:
        self._parameters, self._rate = list(parameters), rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        _forget(self._parameters)

    def step(self) -> None:
        """Move every parameter by minus `rate` times its gradient."""
        with torch.no_grad():
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.sub_(self._rate * parameter.grad)


class Adam:
    """Adam without any clipping of the gradient."""

    def __init__(self, parameters: Iterable[Tensor], *, rate: float) -> None:
        self._weights = {str(at): weight for at, weight in enumerate(parameters)}
        self._moments, self._rate = no_moments(self._weights), rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        _forget(self._weights.values())

    def step(self) -> None:
        """Move every parameter; one without a gradient counts as flat.

        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
        """
        slopes = [
            torch.zeros_like(weight) if weight.grad is None else weight.grad
            for weight in self._weights.values()
        ]
        with torch.no_grad():
            after, self._moments = moved(
                self._weights, self._moments, slopes, rate=self._rate, largest_norm=math.inf
            )
            for name, weight in self._weights.items():
                weight.copy_(after[name])


def _forget(parameters: Iterable[Tensor]) -> None:
    for parameter in parameters:
        parameter.grad = None
