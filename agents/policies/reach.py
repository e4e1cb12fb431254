"""From what a network says to actions that the market accepts.

A network speaks in steps from honest play: zero is one's own row of the start, one is a quarter of
the range further. What leaves the bounds is clipped, so that a quantity of exactly zero can be
reached, which no smooth squashing allows.

Shapes: M markets, S seats that the network plays, A numbers in one action.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from agents.checks import actions_at
from agents.contract import Array, Briefing
from agents.tremble import CAPACITY_SLACK

STEP_SHARE = 0.25
"""One step, as a share of the range between the bounds."""


@dataclass(frozen=True, eq=False)
class Reach:
    """Where the seats start and how far their steps carry, [S, A] each."""

    start: Array
    step: Array
    low: Array
    high: Array
    capacity: float | None

    @classmethod
    def of(cls, briefing: Briefing, seats: list[int], *, start: str = "nash") -> Self:
        """The reach of `seats` in the market of `briefing`; AgentError without that benchmark."""
        low, high = briefing.low[seats], briefing.high[seats]
        return cls(
            start=actions_at(briefing, start)[seats],
            step=STEP_SHARE * (high - low),
            low=low,
            high=high,
            capacity=briefing.capacity,
        )

    @property
    def width(self) -> int:
        """Numbers in one seat's steps: A."""
        return int(self.start.shape[1])

    def actions(self, steps: Array) -> Array:
        """`steps` [M, S, A] as actions within bounds and capacity, [M, S, A].

        Over capacity, what is above the lower bounds is scaled back in proportion.
        """
        wanted: Array = np.clip(self.start + self.step * steps, self.low, self.high)
        return fitted(wanted, low=self.low, capacity=self.capacity)


def fitted(wanted: Array, *, low: Array, capacity: float | None) -> Array:
    """`wanted` [..., S, A] within capacity: what is above `low` is scaled back in proportion."""
    if capacity is None:
        return wanted
    above = wanted - low
    room = capacity * (1 - CAPACITY_SLACK) - low.sum(axis=-1)
    asked = above.sum(axis=-1)
    share = np.ones_like(asked)
    np.divide(room, asked, out=share, where=asked > room)
    scaled: Array = low + share[..., np.newaxis] * above
    return scaled
