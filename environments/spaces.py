"""A box of actions whose entries share one limit."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box

from environments.contract import Array
from environments.cournot.rules import TOLERANCE


class CapacityBox(Box):
    """All non-negative [A] whose entries add up to at most `capacity`.

    Samples are uniform over that simplex, so that no sample is an action the market refuses.
    """

    def __init__(self, capacity: float, length: int) -> None:
        super().__init__(0.0, capacity, shape=(length,), dtype=np.float64)
        self.capacity = capacity

    def sample(self, mask: None = None, probability: None = None) -> Array:
        """Draw one action, uniformly; there is nothing to mask."""
        if mask is not None or probability is not None:
            raise ValueError("a CapacityBox has no mask or probability: pass neither")
        draws = self.np_random.standard_exponential(len(self.low) + 1)
        return np.asarray(self.capacity * (draws[:-1] / draws.sum()))

    def contains(self, x: Any) -> bool:
        """Whether `x` is an action that the market accepts."""
        return super().contains(x) and float(np.sum(x)) <= self.capacity * (1 + TOLERANCE)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CapacityBox) and super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as Box: spaces are mutable

    def __repr__(self) -> str:
        return f"CapacityBox({self.capacity}, {len(self.low)})"
