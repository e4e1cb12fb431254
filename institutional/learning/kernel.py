"""The learning loop of one session with the institution inside it, compiled.

Between what agents chose and what they learn lies a whole round of oracle and controller, looked
up in the tables of `institutional.learning.tables`. Bit for bit what `institutional.governance`
decides and what `agents.q_learning.learner` learns from it.

Shapes: N agents, M moves, W windows, P plays.
"""

from typing import Any, NamedTuple

import numpy as np

from agents.contract import Array
from agents.q_learning.compiled import compiled, part
from agents.q_learning.kernel import (
    GOLDEN,
    JOINT,
    PERIOD,
    STABLE,
    STATE,
    Integers,
    Rules,
    Session,
    Words,
    follow,
    mix,
    randomly,
    seek,
    softly,
)
from institutional.learning.tables import MADE, RESTRICTS, TAGS, GovernedGame, Law

NO_MOVE = -1
CERTAINTY = 2.0**53

_ONE = np.uint64(1)


class Standing(NamedTuple):
    """The institution of one session under way, and what it has done so far."""

    nodes: Words  # [N] place of each agent's standing in `Law.steps`
    history: Words  # [N] comparisons of past rounds, if compact
    hits: Words  # [N, W] the same per window, if not
    play: Integers  # [1] the last round's, -1 before the first
    lottery: Words  # [1] who is looked at, where only a share is
    moved: Integers  # [N] index of the last move, -1 where none; the reader clears it
    fines: Array  # [N] the last fine, money; the reader clears it
    paid: Array  # [N] fines so far, money
    moves: Integers  # [N, M] how often each was made


class Watch(NamedTuple):
    """What is counted while somebody watches."""

    plays: Integers  # [P] rounds in which each play was played
    cases: Integers  # [N] rounds with a case
    idle: Integers  # [N] rounds suspended


@part
def hits_in(word: Any) -> Any:
    """How many bits of a word are set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def advance(
    sizes: tuple[int, ...],
    law: Law,
    rules: Rules,
    session: Session,
    standing: Standing,
    watch: Watch | None,
    limit: int,
) -> None:
    """Play until the session has converged or `limit` periods have been played in all.

    Everything is written into `session`, `standing` and, if given, `watch`.
    """
    # One body with arrays by name; see `agents.q_learning.kernel.advance`.
    keys, values, top, greedy, chosen, weights, clock, exploration = session
    memory, alpha, discount, boltzmann, decay, floor, needed = rules
    played, observed, payoffs = law.played, law.observed, law.payoffs
    alone, paired, classes, windows = law.alone, law.paired, law.classes, law.windows
    steps, made, rates, states_of = law.steps, law.moves, law.rates, law.states
    unseen, audit, suspended, accused = law.unseen, law.audit, law.suspended, law.accused
    restriction, radix, fined, spans = law.restriction, law.radix, law.fined, law.spans
    floors, bases = law.floors, law.bases
    nodes, history, hits, last_play, lottery, moved, fines, paid, moves = standing
    period, stable, state, joint = clock[PERIOD], clock[STABLE], clock[STATE], clock[JOINT]
    level, before = exploration[0], last_play[0]
    agents, watched = len(sizes), windows.shape[0]
    joints, states = played.shape[1], top.shape[1]
    by_pairs, compact, keep = paired.shape[0] > 1, law.compact, law.keep
    audited, ignores = law.audit < CERTAINTY, law.ignores
    columns = np.uint64(unseen.shape[0])
    spoilt = columns - _ONE
    row, out, fining = 0, 0, True
    for agent in range(agents):
        legal = states_of[nodes[agent]]
        row += restriction[legal] * radix[agent]
        out += suspended[legal]

    while period < limit and stable < needed:
        threshold = 0 if boltzmann else np.int64(level)
        joint = 0
        for agent in range(agents):
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
        play, seen = joint, joint
        if row:
            play = np.int64(played[row, joint])
            seen = np.int64(observed[play])
        if before < 0:
            before = play
        following = follow(memory, joints, states, state, seen)
        counted = out == 0 or not ignores
        if watch is not None:
            watch.plays[play] += 1

        if fining:
            fines[:] = 0.0
        moving, fining = False, False
        for agent in range(agents):
            # The oracle: comparisons, windows, and which finding they are.
            word = np.uint64(alone[play, agent])
            if by_pairs:
                word |= np.uint64(paired[play, before, agent])
            if compact:
                word |= (history[agent] << _ONE) & keep
                if counted:
                    history[agent] = word
            else:
                for window in range(watched):
                    bit = windows[window, 0]
                    hit = (hits[agent, window] << _ONE) | ((word >> bit) & _ONE)
                    if counted:
                        hits[agent, window] = hit
                    if hits_in(hit & windows[window, 1]) < windows[window, 2]:
                        word &= ~(_ONE << bit)
            column = np.uint64(classes[word])
            if audited:
                ticket = np.uint64(period) * np.uint64(agents) + np.uint64(agent + 1)
                drawn = mix(lottery[0] + ticket * GOLDEN) >> np.uint64(11)
                if not np.float64(drawn) < audit:
                    column = np.uint64(unseen[column])
            if not counted:
                column = spoilt

            # The controller: where that leads from where the agent stands.
            place = nodes[agent] + column
            step = np.uint64(steps[place])
            if watch is not None:
                watch.cases[agent] += counted and accused[column]
                watch.idle[agent] += suspended[states_of[nodes[agent]]]
            nodes[agent] = step >> TAGS
            if step & MADE:
                if step & RESTRICTS:
                    moving = True
                move = np.int64(made[place])
                moved[agent] = move
                moves[agent, move] += 1
                basis = fined[move]
                if basis >= 0:
                    line = play
                    if spans[basis] > 1:
                        line = play * spans[basis] + before
                    fine = max(rates[place] * bases[basis, line, agent], floors[move])
                    fines[agent] = fine
                    paid[agent] += fine
                    fining = True

        # The learners, as in `agents.q_learning.kernel.advance`.
        changed = False
        for agent in range(agents):
            reward = payoffs[play, agent]
            if fining:
                reward -= fines[agent]
            action = chosen[agent]
            old = values[agent, state, action]
            target = reward + discount * top[agent, following]
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
        if moving:
            row, out = 0, 0
            for agent in range(agents):
                legal = states_of[nodes[agent]]
                row += restriction[legal] * radix[agent]
                out += suspended[legal]
        stable = 0 if changed else stable + 1
        level = max(level * decay, floor)
        state, before = following, play
        period += 1
    clock[PERIOD], clock[STABLE], clock[STATE], clock[JOINT] = period, stable, state, joint
    exploration[0], last_play[0] = level, before


def blank(governed: GovernedGame, lottery: int) -> Standing:
    """Everybody in the initial state with no past; `lottery` is the session's word."""
    law = governed.law
    agents, moves = len(law.radix), len(governed.program.moves)
    return Standing(
        nodes=np.full(agents, law.start, dtype=np.uint64),
        history=np.zeros(agents, dtype=np.uint64),
        hits=np.zeros((agents, len(law.windows)), dtype=np.uint64),
        play=np.array([-1]),
        lottery=np.array([lottery], dtype=np.uint64),
        moved=np.full(agents, NO_MOVE, dtype=np.int64),
        fines=np.zeros(agents),
        paid=np.zeros(agents),
        moves=np.zeros((agents, moves), dtype=np.int64),
    )


def blank_watch(governed: GovernedGame) -> Watch:
    """Nothing seen yet."""
    agents = np.zeros((2, len(governed.law.radix)), dtype=np.int64)
    return Watch(np.zeros(len(governed.law.payoffs), dtype=np.int64), agents[0], agents[1])
