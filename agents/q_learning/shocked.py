"""Tabular learners in a market that varies: every period one of several tables pays.

Which table pays is drawn anew every `lasting` periods, all equally likely, seen by nobody. The
session's own seed decides, by a stream of its own, so that learners explore as they would without.
"""

from collections.abc import Sequence
from dataclasses import replace
from threading import Event

import numpy as np

from agents.checks import require_within
from agents.contract import AgentError, Array
from agents.q_learning.chance import seat_seed
from agents.q_learning.compiled import compiled
from agents.q_learning.game import Game
from agents.q_learning.kernel import (
    GOLDEN,
    LOWER_HALF,
    PERIOD,
    STABLE,
    STATE,
    Rules,
    Session,
    advance,
    mix,
)
from agents.q_learning.schedule import Learner
from agents.q_learning.sessions import Sessions, begin, rules_of, session_words, share_out
from agents.q_learning.strategy import limit_cycle

STRETCH = 1 << 20
"""Periods between two looks at whether the user wants to stop."""


@compiled
def advance_shocked(  # noqa: PLR0917 - compiled code takes no keywords
    sizes: tuple[int, ...],
    tables: Array,
    rules: Rules,
    session: Session,
    key: np.uint64,
    lasting: int,
    limit: int,
) -> None:
    """`kernel.advance` with one of `tables` [W, J, N], redrawn every `lasting` periods."""
    clock = session.clock
    while clock[PERIOD] < limit and clock[STABLE] < rules.stable:
        spell = clock[PERIOD] // lasting
        word = mix(key + np.uint64(spell) * GOLDEN)
        table = np.int64(((word & LOWER_HALF) * np.uint64(len(tables))) >> np.uint64(32))
        advance(sizes, tables[table], rules, session, min(limit, (spell + 1) * lasting))


def train_shocked(
    games: Sequence[Game],
    learner: Learner,
    seeds: Sequence[int],
    *,
    lasting: int = 1,
    threads: int | None = None,
) -> Sessions:
    """Play one session per seed; `games` differ in their payoffs alone.

    What is returned is about the mean of the games: its payoffs and long-run profits.
    """
    require_within("lasting", lasting, 1, 2**62)
    if len({(game.sizes, game.first) for game in games}) != 1:
        raise AgentError("the games differ in more than payoffs\n  give games of equal actions")
    tables = np.stack([game.payoffs for game in games])
    mean = replace(games[0], payoffs=tables.mean(axis=0))
    agents, states = len(mean.sizes), mean.states(learner.memory)
    words, rules, count = session_words(seeds, agents), rules_of(learner), len(seeds)
    strategy = np.zeros((count, agents, states), dtype=np.int16)
    periods, state = np.zeros((2, count), dtype=np.int64)
    converged = np.zeros(count, dtype=np.bool_)
    profit = np.zeros((count, agents))

    def play(index: int, stop: Event) -> None:
        session = begin(mean, learner, words[index])
        key = np.uint64(seat_seed(seeds[index], agents))
        reached = 0
        while reached < learner.most_periods and session.clock[STABLE] < learner.stable:
            if stop.is_set():
                return
            reached = min(reached + STRETCH, learner.most_periods)
            advance_shocked(mean.sizes, tables, rules, session, key, lasting, reached)
        strategy[index] = session.greedy
        periods[index], state[index] = session.clock[PERIOD], session.clock[STATE]
        converged[index] = session.clock[STABLE] >= learner.stable
        cycle = limit_cycle(mean, session.greedy, learner.memory, int(state[index]))
        profit[index] = cycle.profits.mean(axis=0)

    share_out(play, count, threads=threads)
    return Sessions(mean, learner, words, strategy, periods, converged, profit, state)
