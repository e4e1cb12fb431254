"""Agents that do the same in every round: a row of a benchmark, or a uniform draw.

The innocents of the comparison (Nash, the efficient planner, random play) and the price fixer,
which colludes without dividing the market.
"""

import math

import numpy as np

from agents.checks import actions_at
from agents.contract import Array, Briefing, Observation


class Static:
    """Plays its own row of one benchmark in every round."""

    def __init__(self, briefing: Briefing, *, benchmark: str) -> None:
        self._action: Array = actions_at(briefing, benchmark)[briefing.seat]

    def reset(self, seed: int) -> None:
        """Nothing to forget."""

    def act(self, observation: Observation) -> Array:  # noqa: ARG002 - it looks at nothing
        """Return the same action as ever, [A]."""
        return self._action.copy()


def price_fixer(briefing: Briefing) -> Static:
    """An agent that plays the cartel's price without division: `fixed_price` where there is one.

    A market with one good has no `fixed_price` of its own: there it is the joint monopoly.
    """
    there = "fixed_price" in briefing.benchmarks
    return Static(briefing, benchmark="fixed_price" if there else "joint_monopoly")


class RandomPlay:
    """Plays uniformly among all actions within bounds and capacity."""

    def __init__(self, briefing: Briefing) -> None:
        self._low: Array = briefing.low[briefing.seat]
        self._width = briefing.high[briefing.seat] - self._low
        self._room = math.inf if briefing.capacity is None else briefing.capacity - self._low.sum()

    def reset(self, seed: int) -> None:
        """Start the draws of `seed`."""
        self._rng = np.random.default_rng(seed)

    def act(self, observation: Observation) -> Array:  # noqa: ARG002 - it looks at nothing
        """Return a fresh draw, [A]."""
        return self._low + uniform_below(self._rng, width=self._width, room=self._room)


def uniform_below(rng: np.random.Generator, *, width: Array, room: float) -> Array:
    """A uniform draw from the x with 0 <= x <= `width` and sum(x) <= `room`, [A].

    Proposes from the box or from the simplex, whichever is smaller, until the other holds too.
    """
    box_is_smaller = width.prod() <= room ** len(width) / math.factorial(len(width))
    while True:
        if box_is_smaller:
            draw = width * rng.random(len(width))
        else:
            shares = rng.standard_exponential(len(width) + 1)  # the last share stays idle
            draw = room * shares[:-1] / shares.sum()
        if (draw <= width).all() and draw.sum() <= room:
            return draw
