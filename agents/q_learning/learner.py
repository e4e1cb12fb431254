"""A tabular Q-learner for repeated markets, after Calvano et al. 2020 (AER 110(10)).

One learner that plays through the common interface, for runs under an institution. The batches of
millions of rounds that the paper needs are not here: they need a compiled loop.

Shapes: N agents, A numbers in one action, K grid points, S states.
"""

import math

import numpy as np

from agents.checks import actions_at, require_within
from agents.contract import AgentError, Array, Briefing, Observation

LEFT_TO_CHANCE = 0.01  # share of random choices when `exploration_rounds` are over
MOST_JOINT_ACTIONS = 100_000  # more would take minutes to value before the first round


class QLearner:
    """Learns the value of each grid action, given the last joint action if `memory` is 1.

    `levels` points per number between Nash and `plan`, `stretch` beyond both; rate `alpha`;
    epsilon-greedy with epsilon = exp(-beta t), one in a hundred after `exploration_rounds`.
    The default schedule is short: 1 000 rounds against the paper's millions.
    """

    def __init__(
        self,
        briefing: Briefing,
        *,
        levels: int = 5,
        memory: int = 1,
        alpha: float = 0.15,
        discount: float = 0.95,
        exploration_rounds: int = 1000,
        plan: str = "joint_monopoly",
        stretch: float = 0.1,
    ) -> None:
        require_within("levels", levels, 2, 1000)
        require_within("memory", memory, 0, 1)
        require_within("alpha", alpha, 0, 1)
        require_within("discount", discount, 0, 0.999)
        require_within("exploration_rounds", exploration_rounds, 1, math.inf)
        require_within("stretch", stretch, 0, math.inf)
        grids = [
            action_grid(briefing, agent, plan=plan, levels=levels, stretch=stretch)
            for agent in range(len(briefing.agents))
        ]
        sizes = [len(grid) for grid in grids]
        if math.prod(sizes) > MOST_JOINT_ACTIONS:
            raise AgentError(
                f"levels={levels} makes {math.prod(sizes)} joint actions\n"
                f"  a table holds at most {MOST_JOINT_ACTIONS}. Choose fewer levels."
            )
        self._grids = grids
        self._sizes = sizes
        self._seat = briefing.seat
        self._field = briefing.action_field
        self._memory = memory
        self._alpha = alpha
        self._discount = discount
        self._beta = -math.log(LEFT_TO_CHANCE) / exploration_rounds
        self._first = value_against_chance(briefing, grids, discount=discount)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget everything learnt; all exploration to come derives from `seed`."""
        self._rng = np.random.default_rng(seed)
        self._round = 0
        states = math.prod(self._sizes) if self._memory else 1
        self.values = np.tile(self._first, (states, 1))  # [S, K]

    def act(self, observation: Observation) -> Array:
        """Return a random grid action with probability epsilon, else the most valued, [A]."""
        epsilon = math.exp(-self._beta * self._round)
        self._round += 1
        grid = self._grids[self._seat]
        if self._rng.random() < epsilon:
            index = int(self._rng.integers(len(grid)))
        else:
            index = int(self.values[self.state(observation)].argmax())
        action: Array = grid[index].copy()
        return action

    def learn(
        self, observation: Observation, action: Array, reward: float, following: Observation
    ) -> None:
        """Move the value of `action` towards the reward plus the discounted best to come.

        An action off the grid (a trembling hand, a cap) teaches about the nearest grid point.
        """
        state, chosen = self.state(observation), nearest(self._grids[self._seat], action)
        target = reward + self._discount * self.values[self.state(following)].max()
        self.values[state, chosen] += self._alpha * (target - self.values[state, chosen])

    def state(self, observation: Observation) -> int:
        """The index of the joint grid action nearest to the last round's, or 0 without memory."""
        if not self._memory:
            return 0
        index = 0
        for grid, action in zip(self._grids, observation[self._field], strict=True):
            index = index * len(grid) + nearest(grid, action)
        return index


def nearest(grid: Array, action: Array) -> int:
    """The index of the point of `grid` [K, A] nearest to `action` [A]."""
    return int(np.square(grid - action).sum(axis=1).argmin())


def action_grid(briefing: Briefing, agent: int, *, plan: str, levels: int, stretch: float) -> Array:
    """All combinations of `levels` evenly spaced values per number that respect capacity, [K, A].

    A number whose Nash and planned values agree has that one value only.
    """
    ends = np.stack([actions_at(briefing, name)[agent] for name in ("nash", plan)])
    margin = stretch * np.ptp(ends, axis=0)
    low = np.maximum(ends.min(axis=0) - margin, briefing.low[agent])
    high = np.minimum(ends.max(axis=0) + margin, briefing.high[agent])
    axes = [np.unique(np.linspace(*end, levels)) for end in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    if briefing.capacity is None:
        return points
    feasible: Array = points[points.sum(axis=1) <= briefing.capacity]
    return feasible


def value_against_chance(briefing: Briefing, grids: list[Array], *, discount: float) -> Array:
    """The discounted profit of each own grid action against uniformly random rivals, [K].

    The values Calvano et al. 2020 start from.
    """
    seat = briefing.seat
    sums = np.zeros(len(grids[seat]))
    sizes = [len(grid) for grid in grids]
    for indices in np.ndindex(*sizes):
        joint = np.stack([grid[index] for grid, index in zip(grids, indices, strict=True)])
        sums[indices[seat]] += briefing.profit(joint)[seat]
    rivals = math.prod(sizes) / len(sums)
    return sums / rivals / (1 - discount)
