"""Many independent sessions of tabular learners in one game, on all cores.

Threads take the next session when they are done with one: sessions differ in length, and other
programs keep cores busy. A session depends on its seed alone, never on who played it or when.

Shapes: E sessions, N agents, S states, K the largest number of actions of an agent.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from agents.contract import AgentError, Array, Mask
from agents.q_learning import kernel
from agents.q_learning.chance import seat_seed
from agents.q_learning.game import Game, check_fits, starting_values
from agents.q_learning.kernel import PERIOD, STABLE, STATE, Integers, Rules, Session, Words
from agents.q_learning.schedule import Boltzmann, Learner
from agents.q_learning.strategy import limit_cycle

STRETCH = 1 << 22
"""Periods between two looks at whether the user wants to stop; about a tenth of a second."""
MOST_STRATEGY_BYTES = 1 << 31
"""Memory for the strategies of all sessions of one call."""

Progress = Callable[[int, int], None]
"""(sessions done, of how many)"""


@dataclass(frozen=True, eq=False)
class Sessions:
    """What E sessions learnt."""

    game: Game
    learner: Learner
    seeds: Words  # [E, N] of each learner
    strategy: NDArray[np.int16]  # [E, N, S] most valued action of each state
    periods: Integers  # [E] played, the last `learner.stable` of a converged session included
    converged: Mask  # [E]; False: the cap ended it
    profit: Array  # [E, N] per period, mean over the limit cycle from `state`
    state: Integers  # [E] in which the next period would begin
    values: Array | None = None  # [E, N, S, K], if asked for


def train(
    game: Game,
    learner: Learner,
    seeds: Sequence[int] | Words,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    keep_values: bool = False,
) -> Sessions:
    """Play one session per seed to its end.

    `seeds` are one number per session, or one per session and agent [E, N]. Raises AgentError if a
    session's tables or all strategies together do not fit into memory, or there are no seeds.
    """
    count, states = len(seeds), game.states(learner.memory)
    check_fits(game, learner.memory)
    width = max(game.sizes) * 8 if keep_values else 0
    needed = count * len(game.sizes) * states * (2 + width)
    if needed > MOST_STRATEGY_BYTES:
        raise AgentError(
            f"{count} sessions with {states} states each take {needed >> 20} MiB\n"
            f"  one call may take {MOST_STRATEGY_BYTES >> 20} MiB. Train in several calls."
        )
    words = session_words(seeds, len(game.sizes))
    rules, sizes = rules_of(learner), game.sizes
    strategy = np.zeros((count, len(sizes), states), dtype=np.int16)
    values = np.zeros((count, len(sizes), states, max(sizes))) if keep_values else None
    periods, state = np.zeros((2, count), dtype=np.int64)
    converged = np.zeros(count, dtype=np.bool_)
    profit = np.zeros((count, len(sizes)))

    def play(index: int, stop: Event) -> None:
        session = begin(game, learner, words[index])
        reached = 0
        while reached < learner.most_periods and session.clock[STABLE] < learner.stable:
            if stop.is_set():
                return
            reached = min(reached + STRETCH, learner.most_periods)
            kernel.advance(sizes, game.payoffs, rules, session, reached)
        strategy[index] = session.greedy
        if values is not None:
            values[index] = session.values
        periods[index], state[index] = session.clock[PERIOD], session.clock[STATE]
        converged[index] = session.clock[STABLE] >= learner.stable
        cycle = limit_cycle(game, session.greedy, learner.memory, int(state[index]))
        profit[index] = cycle.profits.mean(axis=0)

    share_out(play, count, threads=threads, progress=progress)
    return Sessions(game, learner, words, strategy, periods, converged, profit, state, values)


def session_words(seeds: Sequence[int] | Words, agents: int) -> Words:
    """The seeds of all learners, [E, N], from one number per session or per session and agent."""
    if len(seeds) == 0:
        raise AgentError("there are no seeds\n  give one for each session")
    if np.ndim(seeds) == 2:
        words = np.asarray(seeds, dtype=np.uint64)
        if words.shape[1] != agents:
            raise AgentError(f"{words.shape[1]} seeds per session for {agents} agents")
        return words
    return np.array(
        [[seat_seed(int(seed), seat) for seat in range(agents)] for seed in seeds], dtype=np.uint64
    )


def rules_of(learner: Learner) -> Rules:
    """`learner` as the kernel reads it."""
    exploration = learner.exploration
    return Rules(
        memory=learner.memory,
        alpha=float(learner.alpha),
        discount=float(learner.discount),
        softly=isinstance(exploration, Boltzmann),
        decay=exploration.decay,
        floor=exploration.floor,
        stable=learner.stable,
    )


def begin(game: Game, learner: Learner, words: Words) -> Session:
    """A session before its first period, of learners with seeds `words` [N]."""
    agents, states, width = len(game.sizes), game.states(learner.memory), max(game.sizes)
    values = np.full((agents, states, width), -np.inf)
    for seat, size in enumerate(game.sizes):
        values[seat, :, :size] = starting_values(
            game, seat, initial=learner.initial, discount=learner.discount
        )
    first = game.following(0, game.first, learner.memory)
    return Session(
        keys=np.array(words, dtype=np.uint64),
        values=values,
        top=values.max(axis=2),
        greedy=values.argmax(axis=2).astype(np.int16),
        chosen=np.zeros(agents, dtype=np.int64),
        weights=np.zeros(width),
        clock=np.array([0, 0, first, game.first], dtype=np.int64),
        level=np.array([learner.exploration.start]),
    )


def share_out(
    play: Callable[[int, Event], None],
    count: int,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Call `play` (index, stop) for every index below `count`; threads take the next when free.

    If anything goes wrong, or the user interrupts, the others are told to stop and nothing more is
    begun.
    """
    with _stopping() as stop, ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        waiting = [pool.submit(play, index, stop) for index in range(count)]
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                future.result()
                if progress is not None:
                    progress(done, count)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _stopping() -> Iterator[Event]:
    stop = Event()
    try:
        yield stop
    finally:
        stop.set()
