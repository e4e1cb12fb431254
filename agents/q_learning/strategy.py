"""What one session learnt, in the game's own units: the path that repeats, and best replies.

The rules are those of `conduct` and `exploitability`, which read many sessions at once.

Shapes: N agents, S states, L periods of a path, J joint actions, A numbers in one action.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import Array
from agents.q_learning import conduct
from agents.q_learning.conduct import Learned
from agents.q_learning.exploitability import best_reply
from agents.q_learning.game import Game

Strategy = NDArray[np.int16]
"""[N, S] index of the action that each agent plays in each state."""
Integers = NDArray[np.int64]


class Path(NamedTuple):
    """Consecutive periods in which everybody follows a strategy."""

    joints: Integers  # [L]
    actions: tuple[Array, ...]  # per agent [L, A], in the environment's own units
    profits: Array  # [L, N]


def follow(game: Game, strategy: Strategy, memory: int, state: int, periods: int) -> Path:
    """The next `periods` periods from `state`."""
    learned = _alone(game, strategy, memory)
    return _path(game, conduct.walk(learned, np.array([state]), periods=periods)[0])


def limit_cycle(game: Game, strategy: Strategy, memory: int, state: int) -> Path:
    """The periods that repeat for ever once play from `state` has settled.

    They begin with the first state of the cycle, in the order of states.
    """
    learned = _alone(game, strategy, memory)
    cycle = conduct.limit_cycle(learned, np.array([state]))
    first = np.flatnonzero(conduct.visited(learned, cycle)[0])[:1]
    return _path(game, conduct.walk(learned, first, periods=int(cycle.length[0]))[0])


def best_reply_share(game: Game, strategy: Strategy, memory: int, *, discount: float) -> Array:
    """For each agent the share of states in which it plays a best reply to the others, [N]."""
    learned = _alone(game, strategy, memory)
    replies = [
        best_reply(learned, firm=agent, discount=discount)[1] for agent in range(len(game.sizes))
    ]
    return np.array([reply.mean() for reply in replies])


def _alone(game: Game, strategy: Strategy, memory: int) -> Learned:
    return Learned(strategy[np.newaxis], game.payoffs, game.sizes, memory)


def _path(game: Game, joints: Integers) -> Path:
    indices = np.unravel_index(joints, game.sizes)
    return Path(
        joints,
        tuple(grid[index] for grid, index in zip(game.actions, indices, strict=True)),
        game.payoffs[joints],
    )
