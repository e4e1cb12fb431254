"""The learning loop of one session with the institution inside it, compiled.

Between what agents chose and what they learn lies a whole round of oracle and controller, over the
tables of `institutional.learning.tables`. Bit for bit what `institutional.governance` decides and
what `agents.q_learning.learner` learns from it, under any graph.

Shapes: N agents, M moves, C norms, W windows, P plays.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
from institutional.governance.controller import NEVER
from institutional.learning.tables import (
    BONUS,
    CLEAN,
    COOLDOWN,
    CREDIT_CAP,
    CREDITS,
    DECAY,
    EARN_AFTER,
    END,
    FACT,
    FINED,
    FORGET,
    IGNORE,
    INDEX,
    KIND,
    NORM_SHIFT,
    NUMBER,
    OFFENCES,
    RATE_FIRST,
    RATE_LAST,
    REQUIRE,
    ROUNDS,
    STREAK,
    SUBJECT,
    TARGET,
    WHEN,
    GovernedGame,
    Law,
)

STANDING, ENTERED, UNBROKEN, BALANCE, BALANCED, FINES, MOVED = range(7)
"""Columns of `Standing.register`: legal state, round it was entered, clean rounds, credits, round of
their last change by earning or decay, offences, and the move of the last round (-1: none)."""
NO_MOVE = -1

_ONE = np.uint64(1)
_NONE = np.uint64(0)


class Standing(NamedTuple):
    """The institution of one session under way, and what it has done so far."""

    register: Integers  # [N, 7]
    streaks: Integers  # [N, C]
    used: Integers  # [N, M] round of each move's last use, in the order of the file
    hits: Words  # [N, W]
    play: Integers  # [1] the last round's, -1 before the first
    lottery: Words  # [1] who is looked at, where only a share is
    fines: Array  # [N] of the last round, money
    paid: Array  # [N] fines so far, money
    moves: Integers  # [N, M] how often each was made
    refusals: Integers  # [N, M] how often each was refused
    cases: Integers  # [N, C]
    idle: Integers  # [N] rounds suspended


@part
def holds(kind: Any, number: Any, fact: Any, subject: Any, streak: Any, counters: Any) -> Any:
    """Whether a check holds; `counters` are rounds in state, clean rounds, credits, offences."""
    since, clean, credits_, offences = counters
    if kind == FACT:
        return (fact >> np.uint64(subject)) & _ONE != _NONE
    if kind == STREAK:
        return streak >= number
    if kind == ROUNDS:
        return since >= number
    if kind == CLEAN:
        return clean >= number
    if kind == CREDITS:
        return credits_ >= number
    return offences >= number


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
    visits: Integers | None,
    limit: int,
) -> None:
    """Play until the session has converged or `limit` periods have been played in all.

    Everything is written into `session` and `standing`; `visits` [P], if given, counts plays.
    """
    # One body with arrays by name; see `agents.q_learning.kernel.advance`.
    keys, values, top, greedy, chosen, weights, clock, exploration = session
    memory, alpha, discount, boltzmann, decay, floor, needed = rules
    played, observed, payoffs, alone, paired, windows, facts = law[:7]
    law_moves, leaving, wanted, checks, rates, floors, bases, spans = law[7:15]
    restriction, radix, suspended, earns, general, audit = law[15:]
    register, streaks, used, hits, last_play, lottery, fines, paid = standing[:8]
    moves, refusals, cases, idle = standing[8:]

    period, stable, state, joint = clock[PERIOD], clock[STABLE], clock[STATE], clock[JOINT]
    level, before = exploration[0], last_play[0]
    agents, norms, watched = len(sizes), streaks.shape[1], windows.shape[0]
    joints, states = played.shape[1], top.shape[1]
    by_pairs = paired.shape[0] > 1
    earn_after, credit_cap, credit_life, forget = (
        general[EARN_AFTER],
        general[CREDIT_CAP],
        general[DECAY],
        general[FORGET],
    )
    shift, ignores = np.uint64(general[NORM_SHIFT]), general[IGNORE] != 0
    evidence_only = (_ONE << shift) - _ONE
    audited = audit < 9007199254740992.0
    row, out = 0, 0
    for agent in range(agents):
        row += restriction[register[agent, STANDING]] * radix[agent]
        out += suspended[register[agent, STANDING]]

    while period < limit and stable < needed:
        threshold = 0 if boltzmann else np.int64(level)
        joint = 0
        for agent in range(agents):
            size = sizes[agent]
            word = mix(keys[agent] + np.uint64(period) * GOLDEN)
            if boltzmann:
                action = softly(
                    values, agent, state, size, top[agent, state], word, level, weights
                )
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
        if visits is not None:
            visits[play] += 1

        changed, moved = False, False
        for agent in range(agents):
            # The oracle: comparisons, windows, evidence, cases.
            past = np.uint64(alone[play, agent])
            if by_pairs:
                past |= np.uint64(paired[play, before, agent])
            for window in range(watched):
                bit = windows[window, 0]
                hit = (hits[agent, window] << _ONE) | ((past >> bit) & _ONE)
                if counted:
                    hits[agent, window] = hit
                if hits_in(hit & windows[window, 1]) < windows[window, 2]:
                    past &= ~(_ONE << bit)
            fact = facts[past] if counted else _NONE
            breached = fact >> shift
            if audited and breached:
                ticket = np.uint64(period) * np.uint64(agents) + np.uint64(agent + 1)
                drawn = mix(lottery[0] + ticket * GOLDEN) >> np.uint64(11)
                if not np.float64(drawn) < audit:
                    breached = _NONE
                    fact &= evidence_only

            # The controller counts ...
            standing_now = register[agent, STANDING]
            clean = register[agent, UNBROKEN]
            credits_ = register[agent, BALANCE]
            offences = register[agent, FINES]
            if counted:
                for norm in range(norms):
                    if (breached >> np.uint64(norm)) & _ONE:
                        streaks[agent, norm] += 1
                        cases[agent, norm] += 1
                    else:
                        streaks[agent, norm] = 0
                clean = 0 if breached else clean + 1
            if earn_after:
                lapses = credits_ > 0 and period - register[agent, BALANCED] >= credit_life
                gains = (
                    counted and clean > 0 and earns[standing_now] and clean % earn_after == 0
                )
                if lapses or gains:
                    register[agent, BALANCED] = period
                    credits_ = min(credits_ - np.int64(lapses) + np.int64(gains), credit_cap)
            if forget and clean >= forget:
                offences = 0
            register[agent, UNBROKEN] = clean

            # ... and decides: the first move that may be made.
            fine, move = 0.0, NO_MOVE
            counters = (period - register[agent, ENTERED], clean, credits_, offences)
            for edge in range(leaving[standing_now], leaving[standing_now + 1]):
                if fact & wanted[edge] != wanted[edge]:
                    continue
                asked = True
                for check in range(law_moves[edge, WHEN], law_moves[edge, REQUIRE]):
                    subject = checks[check, SUBJECT]
                    streak = streaks[agent, subject] if checks[check, KIND] == STREAK else 0
                    if not holds(
                        checks[check, KIND], checks[check, NUMBER], fact, subject, streak, counters
                    ):
                        asked = False
                        break
                if not asked:
                    continue
                index = law_moves[edge, INDEX]
                granted = period - used[agent, index] >= law_moves[edge, COOLDOWN]
                for check in range(law_moves[edge, REQUIRE], law_moves[edge, END]):
                    subject = checks[check, SUBJECT]
                    streak = streaks[agent, subject] if checks[check, KIND] == STREAK else 0
                    if not holds(
                        checks[check, KIND], checks[check, NUMBER], fact, subject, streak, counters
                    ):
                        granted = False
                if not granted:
                    refusals[agent, index] += 1
                    continue
                move = index
                moves[agent, index] += 1
                moved = True
                register[agent, STANDING] = law_moves[edge, TARGET]
                register[agent, ENTERED] = period
                if law_moves[edge, COOLDOWN]:
                    used[agent, index] = period
                if law_moves[edge, BONUS]:
                    credits_ = min(max(credits_ + law_moves[edge, BONUS], 0), credit_cap)
                if law_moves[edge, FINED] >= 0:
                    basis = law_moves[edge, FINED]
                    tier = min(law_moves[edge, RATE_FIRST] + offences, law_moves[edge, RATE_LAST])
                    line = play if spans[basis] == 1 else play * spans[basis] + before
                    fine = max(rates[tier] * bases[basis, line, agent], floors[edge])
                    paid[agent] += fine
                    offences += 1
                break
            register[agent, BALANCE] = credits_
            register[agent, FINES] = offences
            register[agent, MOVED] = move
            fines[agent] = fine
            if out and suspended[standing_now]:
                idle[agent] += 1

            # The learner, as in `agents.q_learning.kernel.advance`.
            action = chosen[agent]
            old = values[agent, state, action]
            target = payoffs[play, agent] - fine + discount * top[agent, following]
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
        if moved:
            row, out = 0, 0
            for agent in range(agents):
                row += restriction[register[agent, STANDING]] * radix[agent]
                out += suspended[register[agent, STANDING]]
        stable = 0 if changed else stable + 1
        level = max(level * decay, floor)
        state, before = following, play
        period += 1
    clock[PERIOD], clock[STABLE], clock[STATE], clock[JOINT] = period, stable, state, joint
    exploration[0], last_play[0] = level, before


def blank(governed: GovernedGame, lottery: int) -> Standing:
    """Everybody in the initial state with no past; `lottery` is the session's word."""
    program = governed.program
    agents, moves, norms = len(program.agents), len(program.moves), len(program.norms)
    register = np.zeros((agents, 7), dtype=np.int64)
    register[:, STANDING] = program.initial
    register[:, (ENTERED, BALANCED, MOVED)] = -1
    counts = np.zeros((4, agents, max(moves, norms)), dtype=np.int64)
    return Standing(
        register=register,
        streaks=counts[0, :, :norms].copy(),
        used=np.full((agents, moves), NEVER, dtype=np.int64),
        hits=np.zeros((agents, len(governed.law.windows)), dtype=np.uint64),
        play=np.array([-1]),
        lottery=np.array([lottery], dtype=np.uint64),
        fines=np.zeros(agents),
        paid=np.zeros(agents),
        moves=counts[1, :, :moves].copy(),
        refusals=counts[2, :, :moves].copy(),
        cases=counts[3, :, :norms].copy(),
        idle=np.zeros(agents, dtype=np.int64),
    )
