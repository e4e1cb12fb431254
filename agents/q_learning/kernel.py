"""The learning loop of one session, compiled: choose, pay, learn, until nothing changes any more.

Bit for bit the arithmetic of `agents.q_learning.learner`. What costs time is kept small: the most
valued action of a state is remembered and sought again only when its own value falls; a word of
chance is a hash of seed and period, so that periods wait for nothing.

Shapes: N agents, J joint actions, S states, K the largest number of actions of an agent.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import Array
from agents.q_learning import chance
from agents.q_learning.compiled import compiled, part

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

GOLDEN = np.uint64(chance.GOLDEN)
FIRST_FACTOR = np.uint64(chance.FIRST_FACTOR)
SECOND_FACTOR = np.uint64(chance.SECOND_FACTOR)
LOWER_HALF = np.uint64(0xFFFFFFFF)
UNIT = 2.0**-53

PERIOD, STABLE, STATE, JOINT = range(4)
"""Places in `Session.clock`: periods played, how many of the last changed nothing, the state of the
coming one and the joint action chosen in the last one."""


class Rules(NamedTuple):
    """A `Learner` as the kernel reads it."""

    memory: int
    alpha: float
    discount: float
    softly: bool  # Boltzmann
    decay: float
    floor: float
    stable: int


class Session(NamedTuple):
    """One session under way; every call goes on from where the last one stopped."""

    keys: Words  # [N] the learners' seeds
    values: Array  # [N, S, K]
    top: Array  # [N, S] largest value of each state
    greedy: NDArray[np.int16]  # [N, S] the first action that has it
    chosen: Integers  # [N]
    weights: Array  # [K]
    clock: Integers  # [4]
    level: Array  # [1] of exploration


@part
def mix(word: Any) -> Any:
    """`chance.mix` over numpy.uint64."""
    word = (word ^ (word >> np.uint64(30))) * FIRST_FACTOR
    word = (word ^ (word >> np.uint64(27))) * SECOND_FACTOR
    return word ^ (word >> np.uint64(31))


@part
def softly(
    values: Any, agent: Any, state: Any, size: Any, top: Any, word: Any, heat: Any, weights: Any
) -> Any:
    """An action of `agent` in `state` by Boltzmann's rule at temperature `heat`."""
    whole = 0.0
    for action in range(size):
        weights[action] = math.exp((values[agent, state, action] - top) / heat)
        whole += weights[action]
    share = np.float64(word >> np.uint64(11)) * UNIT * whole
    running = 0.0
    for action in range(size):
        running += weights[action]
        if running > share:
            return action
    return size - 1


@part
def randomly(word: Any, size: Any) -> Any:
    """An action among `size` equally likely ones, from the lower half of `word`."""
    return np.int64(((word & LOWER_HALF) * np.uint64(size)) >> np.uint64(32))


@part
def seek(values: Any, top: Any, greedy: Any, agent: Any, state: Any, size: Any) -> Any:
    """Find the first most valued action again; return whether it is another than before."""
    most, found = values[agent, state, 0], 0
    for action in range(1, size):
        value = values[agent, state, action]
        if value > most:
            most, found = value, action
    top[agent, state] = most
    before = greedy[agent, state]
    greedy[agent, state] = found
    return found != before


@part
def follow(memory: Any, joints: Any, states: Any, state: Any, joint: Any) -> Any:
    """The state after `joint`; the common cases without a division."""
    if memory == 1:
        return joint
    if memory == 0:
        return 0
    return (state * joints + joint) % states


@compiled
def advance(
    sizes: tuple[int, ...], payoffs: Array, rules: Rules, session: Session, limit: int
) -> None:
    """Play until the session has converged or `limit` periods have been played in all.

    `payoffs` is [J, N]. Everything is written into `session`.
    """
    # One body with arrays by name: parts of a tuple are counted in and out of it at every use, and
    # as a function of its own the second half of the loop takes three times as long.
    keys, values, top, greedy, chosen, weights, clock, exploration = session
    memory, alpha, discount, boltzmann, decay, floor, needed = rules
    period, stable, state, joint = clock[PERIOD], clock[STABLE], clock[STATE], clock[JOINT]
    level = exploration[0]
    joints, states = payoffs.shape[0], top.shape[1]
    while period < limit and stable < needed:
        threshold = 0 if boltzmann else np.int64(level)
        joint = 0
        for agent in range(len(sizes)):
            size = sizes[agent]
            word = mix(keys[agent] + np.uint64(period) * GOLDEN)
            if boltzmann:
                action = softly(values, agent, state, size, top[agent, state], word, level, weights)
            elif np.int64(word >> np.uint64(32)) < threshold:
                action = randomly(word, size)
            else:
                action = np.int64(greedy[agent, state])
            chosen[agent] = action
            joint = joint * size + action
        following = follow(memory, joints, states, state, joint)
        changed = False
        for agent in range(len(sizes)):
            action = chosen[agent]
            old = values[agent, state, action]
            target = payoffs[joint, agent] + discount * top[agent, following]
            new = old + alpha * (target - old)
            best = greedy[agent, state]
            values[agent, state, action] = new
            if action == best:
                top[agent, state] = new
                if new < old and seek(values, top, greedy, agent, state, sizes[agent]):
                    changed = True
            elif new > top[agent, state] or (new == top[agent, state] and action < best):
                top[agent, state] = new
                greedy[agent, state] = action
                changed = True
        stable = 0 if changed else stable + 1
        level = max(level * decay, floor)
        state = following
        period += 1
    clock[PERIOD], clock[STABLE], clock[STATE], clock[JOINT] = period, stable, state, joint
    exploration[0] = level
