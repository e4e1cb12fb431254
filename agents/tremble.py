"""Trembling hands: multiplicative noise on any agent's actions, inside the rules of the market.

Without it most scripted agents play the same run under every seed, and pairs of runs that differ
in the seed alone say nothing.
"""

import math

import numpy as np

from agents.checks import require_within
from agents.contract import Agent, AgentError, Array, Briefing, Learner, Observation, Reader

TREMBLE_STREAM = 1  # keeps the noise independent of an agent's own draws from the same seed

# Another order of summation may differ in the last bits, and a market refuses what is above
# capacity by any amount: stay below by more than rounding.
CAPACITY_SLACK = 1e-12


def bounded(action: Array, *, low: Array, high: Array, capacity: float | None) -> Array:
    """`action` clipped to its bounds and then, if its sum exceeds `capacity`, scaled back, [A].

    What is scaled is the part above `low`, so that no bound is broken.
    """
    clipped: Array = np.clip(action, low, high)
    if capacity is None or clipped.sum() <= capacity:
        return clipped
    least = low.sum()
    share = (capacity * (1 - CAPACITY_SLACK) - least) / (clipped.sum() - least)
    scaled: Array = np.maximum(low, low + share * (clipped - low))
    return scaled


def trembled(
    action: Array,
    rng: np.random.Generator,
    *,
    sd: float,
    low: Array,
    high: Array,
    capacity: float | None,
) -> Array:
    """`action` times 1 + `sd` z with z standard normal per component, made feasible, [A].

    What is zero stays zero: a firm that left a market does not enter it by accident.
    """
    noise = 1 + sd * rng.standard_normal(action.shape)
    return bounded(action * noise, low=low, high=high, capacity=capacity)


class Trembling:
    """Any agent, with a relative noise of `tremble` on what it does."""

    def __init__(self, agent: Agent, briefing: Briefing, *, tremble: float) -> None:
        require_within("tremble", tremble, 0, math.inf)
        if isinstance(agent, Reader):
            raise AgentError(
                "an agent that reads does not tremble: what it plays is what it answered\n"
                "  leave `tremble` out; a model varies by its temperature"
            )
        self.agent = agent
        self._sd = tremble
        self._low = briefing.low[briefing.seat]
        self._high = briefing.high[briefing.seat]
        self._capacity = briefing.capacity
        self._learner = agent if isinstance(agent, Learner) else None

    def reset(self, seed: int) -> None:
        """Forget the last run; the noise does not depend on how often the agent draws."""
        self._rng = np.random.default_rng((seed, TREMBLE_STREAM))
        self.agent.reset(seed)

    def act(self, observation: Observation) -> Array:
        """Return the agent's action with this round's noise, [A]."""
        return trembled(
            self.agent.act(observation),
            self._rng,
            sd=self._sd,
            low=self._low,
            high=self._high,
            capacity=self._capacity,
        )

    def learn(
        self, observation: Observation, action: Array, reward: float, following: Observation
    ) -> None:
        """Pass the round on to an agent that learns; the others have nothing to learn."""
        if self._learner is not None:
            self._learner.learn(observation, action, reward, following)
