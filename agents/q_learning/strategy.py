"""What learnt strategies do once learning and exploration are over, and how good they are.

A strategy is an array [N, S] of action indices: what each of N agents plays in each of S states.
Shapes besides: L periods of a path, J joint actions, K actions of one agent, A numbers in one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import Array, Mask
from agents.q_learning.game import Game

Strategy = NDArray[np.int16]
Integers = NDArray[np.int64]

CLOSE = 1e-9
"""Values that differ by less, relative to the largest, count as equally good."""
_PASSES = 100_000


class Path(NamedTuple):
    """Consecutive periods in which everybody follows a strategy."""

    states: Integers  # [L] in which the periods begin
    joints: Integers  # [L]
    actions: tuple[Array, ...]  # per agent [L, A], in the environment's own units
    profits: Array  # [L, N]


class Reply(NamedTuple):
    """What one agent could earn against the strategies of the others."""

    best: Array  # [S] discounted profit of the best reply
    own: Array  # [S] discounted profit of the learnt strategy
    optimal: Mask  # [S, K] which actions are a best reply


def joint_actions(game: Game, strategy: Strategy) -> Integers:
    """The joint action played in every state, [S]."""
    joint: Integers = np.zeros(strategy.shape[1], dtype=np.int64)
    for size, actions in zip(game.sizes, strategy, strict=True):
        joint = joint * size + actions
    return joint


def follow(game: Game, strategy: Strategy, memory: int, state: int, periods: int) -> Path:
    """The next `periods` periods from `state`."""
    visited: list[int] = []
    played: list[int] = []
    for _ in range(periods):
        joint = game.joint(strategy[:, state].tolist())
        visited.append(state)
        played.append(joint)
        state = game.following(state, joint, memory)
    return path(game, visited, played)


def limit_cycle(game: Game, strategy: Strategy, memory: int, state: int) -> Path:
    """The periods that repeat for ever once play from `state` has settled."""
    seen: dict[int, int] = {}
    visited: list[int] = []
    played: list[int] = []
    while state not in seen:
        seen[state] = len(visited)
        joint = game.joint(strategy[:, state].tolist())
        visited.append(state)
        played.append(joint)
        state = game.following(state, joint, memory)
    return path(game, visited[seen[state] :], played[seen[state] :])


def path(game: Game, states: list[int], joints: list[int]) -> Path:
    """A path from its states and joint actions."""
    indices = np.unravel_index(np.array(joints, dtype=np.int64), game.sizes)
    return Path(
        np.array(states, dtype=np.int64),
        np.array(joints, dtype=np.int64),
        tuple(grid[index] for grid, index in zip(game.actions, indices, strict=True)),
        game.payoffs[joints],
    )


def reply(game: Game, strategy: Strategy, memory: int, agent: int, *, discount: float) -> Reply:
    """Solve the decision problem of `agent` against the others' strategies, by value iteration."""
    states, size = strategy.shape[1], game.sizes[agent]
    joints = np.zeros((states, size), dtype=np.int64)
    for seat, actions in enumerate(strategy):
        choice = np.arange(size) if seat == agent else actions[:, None]
        joints = joints * game.sizes[seat] + choice
    earned = game.payoffs[joints, agent]
    following = (np.arange(states)[:, None] * len(game.payoffs) + joints) % game.states(memory)
    mine = strategy[agent].astype(np.int64)[:, None]
    kept = np.take_along_axis(earned, mine, axis=1)[:, 0]
    stays = np.take_along_axis(following, mine, axis=1)[:, 0]
    best, own = earned.max(axis=1), kept
    for _ in range(_PASSES):
        value, follows = earned + discount * best[following], kept + discount * own[stays]
        change = max(np.abs(value.max(axis=1) - best).max(), np.abs(follows - own).max())
        best, own = value.max(axis=1), follows
        if change * discount <= CLOSE * (1 - discount) * np.abs(best).max() / 10:
            break
    value = earned + discount * best[following]
    within = CLOSE * max(1.0, float(np.abs(best).max()))
    return Reply(best, own, value >= value.max(axis=1, keepdims=True) - within)


def best_reply_share(game: Game, strategy: Strategy, memory: int, *, discount: float) -> Array:
    """For each agent the share of states in which it plays a best reply to the others, [N]."""
    shares = []
    for agent, actions in enumerate(strategy):
        optimal = reply(game, strategy, memory, agent, discount=discount).optimal
        shares.append(np.take_along_axis(optimal, actions.astype(np.int64)[:, None], axis=1).mean())
    return np.array(shares)
