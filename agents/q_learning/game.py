"""The one-period game that tabular learners repeat: a finite table of profits and its sources.

Shapes: N agents, K actions of one agent, A numbers in one action, J = product of the K joint
actions in row-major order (the last agent's action moves fastest).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agents.checks import actions_at
from agents.contract import AgentError, Array, Briefing

MOST_JOINT_ACTIONS = 100_000  # more would take minutes to value before the first round
MOST_TABLE_BYTES = 1 << 28
"""Memory for the values of one session; every core at work holds one such table."""


@dataclass(frozen=True, eq=False)
class Game:
    """What every joint action pays every agent.

    `first` is the joint action that learners take for the last one before the first period.
    """

    payoffs: Array  # [J, N] money per period
    actions: tuple[Array, ...]  # per agent [K, A]: what the environment calls action k
    names: tuple[str, ...]
    first: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of actions of each agent."""
        return tuple(len(grid) for grid in self.actions)

    def states(self, memory: int) -> int:
        """Number of states of a learner that remembers `memory` joint actions."""
        return int(len(self.payoffs) ** memory)

    def following(self, state: int, joint: int, memory: int) -> int:
        """The state after joint action `joint` was played in `state`: the oldest is forgotten."""
        return (state * len(self.payoffs) + joint) % self.states(memory)

    def indices(self, joint: int) -> tuple[int, ...]:
        """Each agent's action in joint action `joint`."""
        return tuple(int(k) for k in np.unravel_index(joint, self.sizes))

    def joint(self, indices: Sequence[int]) -> int:
        """The joint action in which agent i plays `indices[i]`."""
        return int(np.ravel_multi_index(tuple(indices), self.sizes))


def from_payoffs(
    payoffs: Array,
    sizes: Sequence[int],
    *,
    actions: Sequence[Array] | None = None,
    names: Sequence[str] | None = None,
    first: int = 0,
) -> Game:
    """A game from any table: `payoffs` [J, N], or [*sizes, N].

    Without `actions` they are called 0, 1, 2, ... Raises AgentError if the table is not one.
    """
    table = np.ascontiguousarray(payoffs, dtype=np.float64)
    agents = len(sizes)
    if agents == 0 or min(sizes) < 2:
        raise AgentError(
            f"a grid of {min(sizes, default=0)} action(s) leaves nothing to learn\n"
            "  give every agent at least two actions"
        )
    joints = math.prod(sizes)
    if joints > MOST_JOINT_ACTIONS:
        raise AgentError(
            f"{' x '.join(map(str, sizes))} actions make {joints} joint actions\n"
            f"  a table holds at most {MOST_JOINT_ACTIONS}. Choose fewer levels."
        )
    if table.size != joints * agents or table.shape[-1] != agents:
        raise AgentError(
            f"payoffs have shape {table.shape}\n"
            f"  {agents} agents with {tuple(sizes)} actions need ({joints}, {agents})"
        )
    table = table.reshape(joints, agents)
    if not np.isfinite(table).all():
        joint, agent = np.argwhere(~np.isfinite(table))[0]
        where = tuple(int(k) for k in np.unravel_index(joint, tuple(sizes)))
        raise AgentError(
            f"agent {agent} is paid {table[joint, agent]} at actions {where}\n"
            "  every payoff must be a finite number"
        )
    grids = [np.arange(size, dtype=np.float64)[:, None] for size in sizes]
    if actions is not None:
        grids = [np.ascontiguousarray(grid, dtype=np.float64) for grid in actions]
        if [len(grid) for grid in grids] != list(sizes):
            raise AgentError(f"there are {[len(g) for g in grids]} actions for sizes {sizes}")
    if not 0 <= first < joints:
        raise AgentError(f"first={first} is no joint action\n  choose it in [0, {joints - 1}]")
    called = [f"agent_{agent}" for agent in range(agents)] if names is None else list(names)
    if len(called) != agents:
        raise AgentError(f"{len(called)} names for {agents} agents")
    return Game(table, tuple(grids), tuple(called), first)


def from_profit(
    profit: Callable[[Array], Array],
    grids: Sequence[Array],
    *,
    names: Sequence[str] | None = None,
    first: int = 0,
) -> Game:
    """A game from a rule `profit` (joint actions [N, A] -> profits [N]) and a grid [K, A] each."""
    sizes = [len(grid) for grid in grids]
    if math.prod(sizes) > MOST_JOINT_ACTIONS:
        from_payoffs(np.zeros((0, len(sizes))), sizes)  # says so before the work, not after it
    payoffs = np.array(
        [
            profit(np.stack([grid[k] for grid, k in zip(grids, indices, strict=True)]))
            for indices in np.ndindex(*sizes)
        ]
    )
    return from_payoffs(payoffs, sizes, actions=grids, names=names, first=first)


def from_briefing(
    briefing: Briefing,
    *,
    levels: int = 15,
    plan: str = "joint_monopoly",
    stretch: float = 0.1,
    grids: Sequence[Array] | None = None,
) -> Game:
    """The market of `briefing` with its actions brought on `grids`, or on `action_grid` for each.

    Before the first round an observation shows zeros: `first` is what lies nearest to them.
    """
    agents = range(len(briefing.agents))
    if grids is None:
        grids = [
            action_grid(briefing, agent, plan=plan, levels=levels, stretch=stretch)
            for agent in agents
        ]
    first = 0
    for grid in grids:
        first = first * len(grid) + nearest(grid, np.zeros(grid.shape[1]))
    return from_profit(briefing.profit, grids, names=briefing.agents, first=first)


def nearest(grid: Array, action: Array) -> int:
    """The index of the point of `grid` [K, A] nearest to `action` [A]."""
    return int(np.square(grid - action).sum(axis=1).argmin())


def action_grid(briefing: Briefing, agent: int, *, plan: str, levels: int, stretch: float) -> Array:
    """All combinations of `levels` evenly spaced values per number that respect capacity, [K, A].

    From the lower of Nash and `plan` to the higher, `stretch` of the gap beyond both. A number
    whose Nash and planned values agree has that one value only.
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


def against_chance(game: Game, seat: int, *, discount: float) -> Array:
    """The discounted profit of each action of `seat` against uniformly random rivals, [K].

    The values Calvano et al. 2020 start from; summed in the order of the joint actions.
    """
    own = np.unravel_index(np.arange(len(game.payoffs)), game.sizes)[seat]
    sums = np.zeros(game.sizes[seat])
    np.add.at(sums, own, game.payoffs[:, seat])
    rivals = len(game.payoffs) // len(sums)
    return sums / rivals / (1 - discount)


def starting_values(game: Game, seat: int, *, initial: float | None, discount: float) -> Array:
    """What `seat` takes each of its actions to be worth at the start in every state, [K]."""
    if initial is None:
        return against_chance(game, seat, discount=discount)
    return np.full(game.sizes[seat], float(initial))


def check_fits(game: Game, memory: int) -> None:
    """Raise AgentError if the values of one session would not fit into memory."""
    needed = game.states(memory) * len(game.sizes) * max(game.sizes) * 8
    if needed > MOST_TABLE_BYTES:
        raise AgentError(
            f"memory={memory} over {len(game.payoffs)} joint actions makes "
            f"{game.states(memory)} states\n"
            f"  a session's values may take {MOST_TABLE_BYTES >> 20} MiB, these take "
            f"{needed >> 20}. Choose fewer levels or a shorter memory."
        )
