"""What learned strategies do when nobody explores: where they settle, and how they answer a cut.

Pure functions over plain arrays. A strategy says which action a firm takes after each history of
`memory` joint actions, so play is a walk from state to state that ends in a cycle, and everything
below is read off such walks. Nothing here learns; exploitability is in `exploitability`.

Shapes: S sessions, N firms, J joint actions, X = J ** memory states, T periods. A joint action is
one index into J, the first firm's action its most significant digit; a state is the joint actions
remembered, the oldest the most significant digit. Without memory there is one state.

Calvano, Calzolari, Denicolo and Pastorello 2020, AER 110(10), sections 4 and 5.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import AgentError, Array, Mask

Indices = NDArray[np.int64]

_TAIL = 1e-12
"""Profits further away than the discount that falls below this are not followed."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What S groups of firms do in one game, whichever way they came to it."""

    strategy: NDArray[np.integer]  # [S, N, X] index of each firm's action
    payoffs: Array  # [J, N] money per period
    sizes: tuple[int, ...]  # [N] actions of each firm
    memory: int

    def __post_init__(self) -> None:
        """Refuse arrays that do not describe one game."""
        joints, firms = math.prod(self.sizes), len(self.sizes)
        if self.payoffs.shape != (joints, firms):
            raise AgentError(
                f"payoffs have shape {self.payoffs.shape}\n"
                f"  {self.sizes} actions need one row per joint action, {(joints, firms)}"
            )
        if self.strategy.shape[1:] != (firms, joints**self.memory):
            raise AgentError(
                f"strategies have shape {self.strategy.shape}\n"
                f"  memory {self.memory} needs (sessions, {firms}, {joints**self.memory})"
            )
        if (self.strategy < 0).any() or (
            self.strategy >= np.array(self.sizes)[:, np.newaxis]
        ).any():
            raise AgentError(
                f"a strategy names an action that is none of {self.sizes}\n  count actions from 0"
            )

    @property
    def states(self) -> int:
        """How many histories are told apart, X."""
        return int(self.strategy.shape[2])

    @cached_property
    def weights(self) -> Indices:
        """What one step of each firm's action adds to the joint index, [N]."""
        after = [math.prod(self.sizes[firm + 1 :]) for firm in range(len(self.sizes))]
        return np.array(after, dtype=np.int64)

    @cached_property
    def joint(self) -> Indices:
        """The joint action taken in each state, [S, X]."""
        index: Indices = np.einsum("snx,n->sx", self.strategy.astype(np.int64), self.weights)
        return index

    def following(self, state: Indices, joint: Indices) -> Indices:
        """The state after `joint` was played in `state`; any shape."""
        after: Indices = (state * len(self.payoffs) + joint) % self.states
        return after

    def play(self, state: Indices) -> Indices:
        """The joint action that every session takes in its `state` [S]."""
        chosen: Indices = self.joint[np.arange(len(state)), state]
        return chosen

    def step(self, state: Indices) -> Indices:
        """The state that follows `state` [S] when everybody plays on."""
        return self.following(state, self.play(state))


class Cycle(NamedTuple):
    """Where each session's play ends up."""

    state: Indices  # [S] one state on the cycle
    length: Indices  # [S] periods until it recurs


def limit_cycle(learned: Learned, start: Indices) -> Cycle:
    """The cycle that play from `start` [S] runs into; Brent's search, all sessions at once."""
    anchor, state = start, learned.step(start)
    reach, length = np.ones_like(start), np.ones_like(start)
    while (searching := state != anchor).any():
        renewed = searching & (length == reach)
        anchor = np.where(renewed, state, anchor)
        reach = np.where(renewed, 2 * reach, reach)
        length = np.where(searching, np.where(renewed, 0, length) + 1, length)
        state = np.where(searching, learned.step(state), state)
    return Cycle(state, length)


def walk(learned: Learned, state: Indices, *, periods: int) -> Indices:
    """The joint actions of `periods` periods from `state` [S] on, [S, T]."""
    path = np.empty((len(state), periods), dtype=np.int64)
    for now in range(periods):
        path[:, now] = learned.play(state)
        state = learned.following(state, path[:, now])
    return path


def on_path(learned: Learned, cycle: Cycle, values: Array) -> Array:
    """Mean over the cycle of `values` [J, ...], which say something of each joint action, [S, ...].

    With `learned.payoffs` the firms' long-run profits, with a table of prices their prices.
    """
    total = np.zeros((len(cycle.state), *values.shape[1:]))
    state = cycle.state
    for now in range(int(cycle.length.max())):
        counts = now < cycle.length
        total[counts] += values[learned.play(state)[counts]]
        state = learned.step(state)
    return total / cycle.length.reshape(-1, *[1] * (values.ndim - 1))


def visited(learned: Learned, cycle: Cycle) -> Mask:
    """Whether each state lies on the session's cycle, [S, X]."""
    marks = np.zeros(learned.joint.shape, dtype=np.bool_)
    rows, state = np.arange(len(cycle.state)), cycle.state
    for _ in range(int(cycle.length.max())):
        marks[rows, state] = True
        state = learned.step(state)
    return marks


def profit_gain(profits: Array, *, nash: Array, monopoly: Array) -> Array:
    """Delta: 0 where mean profits are those of Nash, 1 where they are joint monopoly's, [S].

    `profits` is [S, N]; `nash` and `monopoly` are [N] and bring different means.
    """
    start, end = float(nash.mean()), float(monopoly.mean())
    gain: Array = (profits.mean(axis=1) - start) / (end - start)
    return gain


def static_best_reply(learned: Learned, joint: Indices, firm: int) -> Indices:
    """The action that earns `firm` most in one period against the others' part of `joint` [S]."""
    rest = joint - _own(learned, joint, firm) * learned.weights[firm]
    choices = rest[:, np.newaxis] + np.arange(learned.sizes[firm]) * learned.weights[firm]
    best: Indices = learned.payoffs[choices, firm].argmax(axis=1)
    return best


class Deviation(NamedTuple):
    """What follows when one firm is made to leave the cycle for one period."""

    possible: Mask  # [S] whether the forced action differs from the usual one
    usual: Indices  # [S, T] joint actions had nobody interfered
    forced: Indices  # [S, T] joint actions with the interference in the first period
    at_once: Array  # [S] money the firm gains in the period of the deviation
    afterwards: Array  # [S] money from all later periods, discounted to the deviation
    punishment: Array  # [S] periods of other play than the cycle's; infinite if it never returns

    @property
    def gain(self) -> Array:
        """Discounted money that the deviation brings in all, [S]; below zero it does not pay."""
        return self.at_once + self.afterwards


def deviation(
    learned: Learned,
    cycle: Cycle,
    *,
    firm: int,
    discount: float,
    action: Indices | None = None,
    shown: int = 25,
) -> Deviation:
    """Force `firm` to `action` [S] for one period, then let both learned strategies run.

    Without `action`, to its static best reply. Profits are followed until discounting leaves
    nothing of them, the paths returned are `shown` periods long.
    """
    periods = shown
    if discount > 0:
        periods = max(shown, 2 + math.ceil(math.log(_TAIL) / math.log(discount)))
    usual = walk(learned, cycle.state, periods=periods)
    if action is None:
        action = static_best_reply(learned, usual[:, 0], firm)
    own = _own(learned, usual[:, 0], firm)
    first = usual[:, 0] + (action - own) * learned.weights[firm]
    state = learned.following(cycle.state, first)
    # What is remembered is on the cycle only when the last `memory` periods were.
    away = _until(learned, state, visited(learned, cycle))
    punishment = np.maximum(away - learned.memory, 0)
    forced = np.column_stack([first, walk(learned, state, periods=periods - 1)])
    extra = learned.payoffs[forced, firm] - learned.payoffs[usual, firm]
    extra *= np.power(discount, np.arange(periods))
    return Deviation(
        possible=action != own,
        usual=usual[:, :shown],
        forced=forced[:, :shown],
        at_once=extra[:, 0],
        afterwards=extra[:, 1:].sum(axis=1),
        punishment=punishment,
    )


def genuine(delta: Array, deviations: list[Deviation], *, above: float) -> Mask:
    """Sessions whose profits exceed `above` because a cut is answered, [S].

    In each of `deviations`, one per firm, the firm loses by what follows its cut and does not gain
    in all. What is above and not genuine is spurious: high prices that nothing defends, as with
    learners that remember nothing. Calvano et al. 2023, "Algorithmic collusion: genuine or
    spurious?", IJIO 90.
    """
    defended = np.ones(len(delta), dtype=np.bool_)
    for one in deviations:
        defended &= ~one.possible | ((one.afterwards < 0) & (one.gain <= 0))
    held: Mask = (delta > above) & defended
    return held


def _own(learned: Learned, joint: Indices, firm: int) -> Indices:
    own: Indices = joint // learned.weights[firm] % learned.sizes[firm]
    return own


def _until(learned: Learned, state: Indices, marks: Mask) -> Array:
    """Periods from `state` [S] until a marked state is reached, [S]; infinity where none is."""
    rows = np.arange(len(state))
    found = np.where(marks[rows, state], 0.0, np.inf)
    # A walk that misses the cycle ends in another one; when it is there, nothing new comes.
    other = limit_cycle(learned, state)
    missing = ~marks[rows, other.state]
    for now in range(1, learned.states + 1):
        if (np.isfinite(found) | missing).all():
            break
        state = learned.step(state)
        found = np.where(np.isinf(found) & marks[rows, state], float(now), found)
    return found
