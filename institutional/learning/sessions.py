"""Many sessions of tabular learners under an institution, on all cores.

A session's seed is a run's seed: the same one in an ordinary run of two `q_learner` gives the same
actions, decisions and rewards, round by round.

Shapes: E sessions, N agents, S states, P plays, M moves, T rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import AgentError, Array, Mask
from agents.q_learning.game import check_fits
from agents.q_learning.kernel import PERIOD, STABLE, STATE, Integers, Session, Words
from agents.q_learning.schedule import Learner
from agents.q_learning.sessions import (
    MOST_STRATEGY_BYTES,
    STRETCH,
    Progress,
    begin,
    rules_of,
    share_out,
)
from institutional.learning import kernel
from institutional.learning.kernel import Standing
from institutional.learning.tables import GovernedGame
from institutional.seeds import derive, environment_seed, lottery_of

WATCHED = 1000
"""Rounds played after a session, without learning or exploring, to see what it came to."""


@dataclass(frozen=True, eq=False)
class GovernedSessions:
    """What E sessions learnt under the institution of `governed`, and what it did.

    `*_learning` count the whole session; everything per round is a mean over the `WATCHED` rounds
    after it, in which nobody learns or explores.
    """

    governed: GovernedGame
    learner: Learner
    seeds: tuple[int, ...]
    strategy: NDArray[np.int16]  # [E, N, S]
    periods: Integers  # [E]
    converged: Mask  # [E]
    state: Integers  # [E] when the session ended
    profit: Array  # [E, N] per round, before fines
    fines: Array  # [E, N] per round
    visits: NDArray[np.int32]  # [E, P] rounds in which each play was played
    moves: Array  # [E, N, M] per round
    cases: Array  # [E, N] share of rounds with a case
    suspended: Array  # [E, N] share of rounds
    fines_learning: Array  # [E, N] money
    moves_learning: Integers  # [E, N, M]


class Trace(NamedTuple):
    """The first T rounds of one session, round by round."""

    session: Session  # as it stands after them
    actions: Integers  # [T, N] grid action that was chosen
    play: Integers  # [T] what was played of it
    moves: Integers  # [T, N] index of the move that was made, -1 where none
    fines: Array  # [T, N] money
    rewards: Array  # [T, N] profit less fine
    states: Integers  # [T, N] legal state after the round


def words_of(governed: GovernedGame, seed: int) -> Words:
    """The learners' seeds in the run of `seed`, [N]: those that `episode` gives them."""
    return np.array(
        [derive(seed, "agent", seat, name) for seat, name in enumerate(governed.program.agents)],
        dtype=np.uint64,
    )


def open_session(governed: GovernedGame, learner: Learner, seed: int) -> tuple[Session, Standing]:
    """The run of `seed` before its first round."""
    lottery = lottery_of(environment_seed(seed))
    session = begin(governed.game, learner, words_of(governed, seed))
    return session, kernel.blank(governed, lottery)


def train_governed(
    governed: GovernedGame,
    learner: Learner,
    seeds: Sequence[int],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> GovernedSessions:
    """Play one session per seed to its end, and watch what it came to.

    Raises AgentError if tables or strategies do not fit into memory, or there are no seeds.
    """
    game, law = governed.game, governed.law
    count, agents, states = len(seeds), len(game.sizes), game.states(learner.memory)
    plays, moves = len(law.payoffs), len(governed.program.moves)
    if count == 0:
        raise AgentError("there are no seeds\n  give one for each session")
    check_fits(game, learner.memory)
    needed = count * (agents * (2 * states + 16 * moves) + 4 * plays)
    if needed > MOST_STRATEGY_BYTES:
        raise AgentError(
            f"{count} sessions take {needed >> 20} MiB\n"
            f"  one call may take {MOST_STRATEGY_BYTES >> 20} MiB. Train in several calls."
        )
    rules = rules_of(learner)
    frozen = rules._replace(softly=False, alpha=0.0, stable=1 << 62)
    result = GovernedSessions(
        governed=governed,
        learner=learner,
        seeds=tuple(seeds),
        strategy=np.zeros((count, agents, states), dtype=np.int16),
        periods=np.zeros(count, dtype=np.int64),
        converged=np.zeros(count, dtype=np.bool_),
        state=np.zeros(count, dtype=np.int64),
        profit=np.zeros((count, agents)),
        fines=np.zeros((count, agents)),
        visits=np.zeros((count, plays), dtype=np.int32),
        moves=np.zeros((count, agents, moves)),
        cases=np.zeros((count, agents)),
        suspended=np.zeros((count, agents)),
        fines_learning=np.zeros((count, agents)),
        moves_learning=np.zeros((count, agents, moves), dtype=np.int64),
    )

    def play(index: int, stop: Event) -> None:
        session, standing = open_session(governed, learner, seeds[index])
        reached = 0
        while reached < learner.most_periods and session.clock[STABLE] < learner.stable:
            if stop.is_set():
                return
            reached = min(reached + STRETCH, learner.most_periods)
            kernel.advance(game.sizes, law, rules, session, standing, None, reached)
        result.strategy[index] = session.greedy
        result.periods[index] = ended = session.clock[PERIOD]
        result.converged[index] = session.clock[STABLE] >= learner.stable
        result.state[index] = session.clock[STATE]
        result.fines_learning[index] = standing.paid
        result.moves_learning[index] = standing.moves
        watch = kernel.blank_watch(governed)
        session.level[0] = 0.0
        kernel.advance(game.sizes, law, frozen, session, standing, watch, ended + WATCHED)
        result.visits[index] = watch.plays
        result.profit[index] = watch.plays @ law.payoffs / WATCHED
        result.fines[index] = (standing.paid - result.fines_learning[index]) / WATCHED
        result.moves[index] = (standing.moves - result.moves_learning[index]) / WATCHED
        result.cases[index] = watch.cases / WATCHED
        result.suspended[index] = watch.idle / WATCHED

    share_out(play, count, threads=threads, progress=progress)
    return result


def trace(governed: GovernedGame, learner: Learner, seed: int, rounds: int) -> Trace:
    """The first `rounds` rounds of the session of `seed`, or all of it where it is shorter."""
    session, standing = open_session(governed, learner, seed)
    rules, law = rules_of(learner), governed.law
    rows: list[tuple[Any, ...]] = []
    while len(rows) < rounds and session.clock[STABLE] < learner.stable:
        standing.moved[:], standing.fines[:] = kernel.NO_MOVE, 0.0
        kernel.advance(governed.game.sizes, law, rules, session, standing, None, len(rows) + 1)
        play = int(standing.play[0])
        rows.append(
            (
                session.chosen.copy(),
                play,
                standing.moved.copy(),
                standing.fines.copy(),
                law.payoffs[play] - standing.fines,
                law.states[standing.nodes],
            )
        )
    return Trace(session, *(np.array(column) for column in zip(*rows, strict=True)))
