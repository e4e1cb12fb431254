"""What a trainer needs of a market: many of them in step, as tensors.

Duck-typed, so that anything with two methods can be trained against: markets under an institution,
a toy in a test, a simulator on a GPU. `FromArrays` brings one that speaks numpy to a device.

Shapes: B rows (every seat of every market), F features, A numbers in one action.
"""

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Step(NamedTuple):
    """What a round brought."""

    features: Tensor  # [B, F], what is seen now
    rewards: Tensor  # [B], of order one
    over: bool  # whether the run ends here, for all rows at once


class Batch(Protocol):
    """Many markets in step, on the device of the network."""

    @property
    def widths(self) -> tuple[int, int]:
        """F and A."""

    def reset(self) -> Tensor:
        """Start a run; what is seen before the first round, [B, F]."""

    def step(self, steps: Tensor) -> Step:
        """Play `steps` [B, A] from honest play (see `reach`)."""


class ArrayBatch(Protocol):
    """The same in numpy."""

    @property
    def widths(self) -> tuple[int, int]:
        """F and A."""

    def reset(self) -> NDArray[np.float32]:
        """Start a run; what is seen before the first round, [B, F]."""

    def step(
        self, steps: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], bool]:
        """Play `steps` [B, A]; features [B, F], rewards [B] and whether the run is over."""


class FromArrays:
    """An `ArrayBatch` as a `Batch` on `device`."""

    def __init__(self, batch: ArrayBatch, *, device: str = "cpu") -> None:
        self._batch, self._device = batch, device

    @property
    def widths(self) -> tuple[int, int]:
        """F and A."""
        return self._batch.widths

    def reset(self) -> Tensor:
        """Start a run."""
        return torch.from_numpy(self._batch.reset()).to(self._device)

    def step(self, steps: Tensor) -> Step:
        """Play a round on the host and carry what it brought to the device."""
        features, rewards, over = self._batch.step(steps.double().cpu().numpy())
        return Step(
            torch.from_numpy(features).to(self._device),
            torch.from_numpy(rewards.astype(np.float32)).to(self._device),
            over,
        )
