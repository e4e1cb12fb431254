"""A governance graph over a finite game, as tables: what the compiled learning loop reads.

With finitely many joint actions and no shocks there are finitely many public records, so whatever
oracle and controller would compute in a round is looked up: the environment's own rules and the
oracle's own functions are run here, once, over all of it. Any graph can be tabulated.

Shapes: N agents, J joint grid actions, P plays (joint actions as restricted, each with its public
record), Z legal states, M moves, W windows, F readings that are fined, B comparisons.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.q_learning.game import Game, nearest
from agents.q_learning.kernel import Integers, Words
from environments.contract import Core
from environments.shocks import quiet
from institutional.errors import InstitutionalError
from institutional.governance import oracle
from institutional.governance.program import Array, Check, Move, Program, Record

MOST_COMPARISONS = 20
"""What evidence says is tabulated over every combination of comparisons: two to this power."""
MOST_PLAYS = 5000
"""Signals that compare two rounds are tabulated over every pair of plays."""
MOST_RESTRICTED = 5_000_000
"""Joint actions times combinations of restrictions."""
_FACTS = 63  # bits of a word: evidence and norms

FACT, STREAK, ROUNDS, CLEAN, CREDITS, OFFENCES = range(6)
"""Kinds of check as the kernel knows them."""
_KINDS = {
    "case": FACT,
    "evidence": FACT,
    "streak": STREAK,
    "rounds_in_state": ROUNDS,
    "clean_rounds": CLEAN,
    "credits": CREDITS,
    "offences": OFFENCES,
}
(TARGET, COOLDOWN, BONUS, FINED, RATE_FIRST, RATE_LAST, WHEN, REQUIRE, END, INDEX) = range(10)
"""Columns of `Law.moves`."""
KIND, SUBJECT, NUMBER = range(3)
"""Columns of `Law.checks`."""
EARN_AFTER, CREDIT_CAP, DECAY, FORGET, NORM_SHIFT, IGNORE = range(6)
"""Places in `Law.rules`; 0 where there is no such rule."""
UNLIMITED = 1 << 40


class Law(NamedTuple):
    """Everything of the institution that the kernel reads."""

    played: NDArray[np.int32]  # [restriction combinations, J] -> play
    observed: NDArray[np.int32]  # [P] -> joint grid action nearest to what was played
    payoffs: Array  # [P, N]
    alone: NDArray[np.uint32]  # [P, N] comparisons, one bit each, that need this round alone
    paired: NDArray[np.uint32] | NDArray[np.uint8]  # [P, P, N] those that need the last as well
    windows: Words  # [W, 3] bit, mask of rounds, how many of them
    facts: Words  # [2**B] evidence (lower bits) and norms (from NORM_SHIFT) that hold
    moves: Integers  # [M, 10] grouped by the state they leave, in the order of the file
    leaving: Integers  # [Z + 1] where each state's moves begin
    needed: Words  # [M] facts that all must hold before anything else is looked at
    checks: Integers  # [., 3]
    rates: Array  # [.]
    floors: Array  # [M]
    bases: Array  # [F, P or P * P, N] what fines are a share of, never negative
    spans: Integers  # [F] 1, or P where the last round matters: row now * span + before
    restriction: Integers  # [Z] 0: none
    radix: Integers  # [N] weight of an agent's restriction in `played`
    suspended: NDArray[np.bool_]  # [Z]
    earns: NDArray[np.bool_]  # [Z]
    rules: Integers  # [6]
    audit: float  # 2**53 times the share of rounds in which an agent is looked at


@dataclass(frozen=True, eq=False)
class GovernedGame:
    """A game and the institution over it."""

    game: Game
    program: Program
    law: Law
    records: Record  # the public record of every play, [P, ...]


def tabulate(program: Program, core: Core, game: Game) -> GovernedGame:
    """`program` over the joint actions of `game` in the market of `core`.

    Raises InstitutionalError for a market with shocks, an action that the market refuses, a signal
    that is not finite, or tables that would not fit.
    """
    _check(program, core, game)
    restrictions, classes = _restrictions(program)
    plays, played = _plays(core, game, restrictions)
    settled = [core.settle(play[None], quiet(core)) for play in plays]
    records = {name: np.concatenate([record[name] for record in settled]) for name in settled[0]}
    spans = [_span(program, reading, records) for reading in range(len(program.readings))]
    alone, paired, place = _comparisons(program, records, spans)
    bases, base_spans, fined = _bases(program, records, spans)
    moves, leaving, needed, checks, rates, floors = _moves(program, fined)
    agents = len(program.agents)
    law = Law(
        played=played,
        observed=np.array([_observed(game, play) for play in plays], dtype=np.int32),
        payoffs=np.concatenate([core.profits(record) for record in settled]),
        alone=alone,
        paired=paired,
        windows=np.array(
            [
                (place[index], (1 << probe.of) - 1, probe.at_least)
                for index, probe in enumerate(program.probes)
                if probe.at_least > 1
            ],
            dtype=np.uint64,
        ).reshape(-1, 3),
        facts=_facts(program, place),
        moves=moves,
        leaving=leaving,
        needed=needed,
        checks=checks,
        rates=rates,
        floors=floors,
        bases=bases,
        spans=base_spans,
        restriction=np.array(classes, dtype=np.int64),
        radix=np.array([len(restrictions) ** (agents - 1 - seat) for seat in range(agents)]),
        suspended=program.suspended.copy(),
        earns=program.earns_credit.copy(),
        rules=_rules(program),
        audit=program.loaded.graph.detection.audit_share * 2.0**53,
    )
    return GovernedGame(game, program, law, records)


def _check(program: Program, core: Core, game: Game) -> None:
    if quiet(core).shape[1]:
        raise InstitutionalError(
            "a market with shocks has no finite table of public records\n"
            "  leave demand_shock and cost_shock out, or play ordinary runs"
        )
    if len(program.probes) > MOST_COMPARISONS:
        raise InstitutionalError(
            f'graph "{program.loaded.graph.name}": {len(program.probes)} comparisons\n'
            f"  the fast engine tabulates at most {MOST_COMPARISONS}; play ordinary runs"
        )
    if len(program.evidence) + len(program.norms) > _FACTS:
        raise InstitutionalError(
            f'graph "{program.loaded.graph.name}": {len(program.evidence)} pieces of evidence and '
            f"{len(program.norms)} norms\n  the fast engine keeps at most {_FACTS} together"
        )
    for indices in np.ndindex(*game.sizes):
        refusal = core.refuse(_joint(game, indices)[None])
        if refusal is not None:
            raise InstitutionalError(f"the grid holds an action that cannot be played: {refusal}")


def _joint(game: Game, indices: tuple[int, ...]) -> Array:
    return np.stack([grid[k] for grid, k in zip(game.actions, indices, strict=True)])


def _restrictions(program: Program) -> tuple[list[tuple[bool, float]], list[int]]:
    """The distinct (suspended, cap), freedom first, and the index of each legal state's."""
    found = [(False, 1.0)]
    classes = []
    for suspended, cap in zip(program.suspended.tolist(), program.cap.tolist(), strict=True):
        if (suspended, cap) not in found:
            found.append((suspended, cap))
        classes.append(found.index((suspended, cap)))
    return found, classes


def _plays(
    core: Core, game: Game, restrictions: list[tuple[bool, float]]
) -> tuple[list[Array], NDArray[np.int32]]:
    """Every joint action [N, A] that can be played, the grid's own first, and where from."""
    agents, joints = len(game.sizes), len(game.payoffs)
    combinations = len(restrictions) ** agents
    if combinations * joints > MOST_RESTRICTED:
        raise InstitutionalError(
            f"{joints} joint actions under {combinations} combinations of restrictions\n"
            f"  the fast engine tabulates at most {MOST_RESTRICTED} together. Choose fewer levels."
        )
    grid = [_joint(game, indices) for indices in np.ndindex(*game.sizes)]
    plays: list[Array] = []
    known: dict[bytes, int] = {}
    table = np.empty((combinations, joints), dtype=np.int32)
    for row, combination in enumerate(product(restrictions, repeat=agents)):
        suspended = np.array([[out for out, _ in combination]])
        cap = np.array([[share for _, share in combination]])
        for joint, actions in enumerate(grid):
            # As `Governed` does it: where nothing is in force nobody touches the actions.
            allowed = core.restrict(actions[None], suspended, cap)[0] if row else actions
            key = np.ascontiguousarray(allowed).tobytes()
            if key not in known:
                known[key] = len(plays)
                plays.append(np.array(allowed, dtype=np.float64))
            table[row, joint] = known[key]
    if len(plays) > MOST_PLAYS:
        raise InstitutionalError(
            f"{len(plays)} different joint actions can be played under this graph\n"
            f"  the fast engine tabulates at most {MOST_PLAYS}. Choose fewer levels."
        )
    return plays, table


def _observed(game: Game, play: Array) -> int:
    return game.joint([nearest(g, action) for g, action in zip(game.actions, play, strict=True)])


def _reading(program: Program, reading: int, records: Record, before: int) -> Array:
    """The reading of every play after the play `before`, [P, N]; raises if it is not finite."""
    earlier = {
        name: np.broadcast_to(values[before], values.shape) for name, values in records.items()
    }
    values = program.readings[reading].function(records, earlier)
    if not np.isfinite(values).all():
        raise InstitutionalError(
            f"the signal {program.readings[reading].name} is not a finite number at some joint "
            "action of the grid\n  nothing can be decided on it; choose another grid or signal"
        )
    return values


def _span(program: Program, reading: int, records: Record) -> int:
    """1 where a reading depends on the present round alone, else P."""
    plays = len(next(iter(records.values())))
    first = _reading(program, reading, records, 0)
    same = all(
        np.array_equal(first, _reading(program, reading, records, before))
        for before in range(1, plays)
    )
    return 1 if same else plays


def _comparisons(
    program: Program, records: Record, spans: list[int]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32] | NDArray[np.uint8], list[int]]:
    """Bits of every comparison: of this round alone, of both rounds, and each one's place.

    Those of both rounds come first, so that few of them need only bytes in the larger table.
    """
    plays, agents = len(next(iter(records.values()))), len(program.agents)
    paired_first = sorted(range(len(program.probes)), key=lambda p: spans[_of(program, p)] == 1)
    place = [paired_first.index(probe) for probe in range(len(program.probes))]
    both = [p for p in paired_first if spans[_of(program, p)] > 1]
    alone = np.zeros((plays, agents), dtype=np.uint32)
    for probe in paired_first[len(both) :]:
        values = _reading(program, _of(program, probe), records, 0)
        alone |= _compared(program, probe, values).astype(np.uint32) << np.uint32(place[probe])
    shape = (plays, plays, agents) if both else (1, 1, agents)
    paired = np.zeros(shape, dtype=np.uint8 if len(both) <= 8 else np.uint32)
    for before in range(plays) if both else ():
        for probe in both:
            values = _reading(program, _of(program, probe), records, before)
            bits = _compared(program, probe, values).astype(paired.dtype)
            paired[:, before] |= bits << paired.dtype.type(place[probe])
    return alone, paired, place


def _of(program: Program, probe: int) -> int:
    return program.probes[probe].reading


def _compared(program: Program, probe: int, values: Array) -> oracle.Mask:
    return oracle.compared(program.probes[probe], values)


def _facts(program: Program, place: list[int]) -> Words:
    """What evidence and norms hold for every combination of comparisons, [2**B]."""
    words = np.arange(1 << len(program.probes))
    past = [(words >> bit & 1).astype(np.bool_) for bit in place]
    evidence, breaches = oracle.concluded(program, past)
    facts = np.zeros(len(words), dtype=np.uint64)
    for bit, true in enumerate((*evidence, *breaches)):
        facts |= np.broadcast_to(true, words.shape).astype(np.uint64) << np.uint64(bit)
    return facts


def _bases(
    program: Program, records: Record, spans: list[int]
) -> tuple[Array, Integers, Mapping[int, int]]:
    """What fines are a share of, its spans, and the row of each reading that is fined."""
    readings = sorted({move.fine.reading for move in program.moves if move.fine is not None})
    plays, agents = len(next(iter(records.values()))), len(program.agents)
    widest = max((spans[reading] for reading in readings), default=1)
    bases = np.zeros((max(len(readings), 1), plays * widest, agents))
    for row, reading in enumerate(readings):
        span = spans[reading]
        for before in range(span):
            values = np.maximum(_reading(program, reading, records, before), 0.0)
            bases[row, before : plays * span : span] = values
    return (
        bases,
        np.array([spans[reading] for reading in readings] or [1], dtype=np.int64),
        {reading: row for row, reading in enumerate(readings)},
    )


def _moves(
    program: Program, fined: Mapping[int, int]
) -> tuple[Integers, Integers, Words, Integers, Array, Array]:
    """The moves grouped by the state they leave, with their checks, rates and floors."""
    rows, needed, floors = [], [], []
    checks: list[tuple[int, int, int]] = []
    rates: list[float] = []
    leaving = [0]
    for state in range(len(program.states)):
        for index, move in enumerate(program.moves):
            if move.source != state:
                continue
            wanted = 0
            when = len(checks)
            for check in move.when:
                if _KINDS[check.kind] == FACT:
                    wanted |= 1 << _fact(program, check)
                else:
                    checks.append((_KINDS[check.kind], check.subject, check.number))
            require = len(checks)
            checks.extend(_plain(program, check) for check in move.require)
            first_rate = len(rates)
            rates.extend([] if move.fine is None else move.fine.rates.tolist())
            rows.append(
                (
                    move.target,
                    move.cooldown,
                    move.credits,
                    -1 if move.fine is None else fined[move.fine.reading],
                    first_rate,
                    len(rates) - 1,
                    when,
                    require,
                    len(checks),
                    index,
                )
            )
            needed.append(wanted)
            floors.append(_floor(move))
        leaving.append(len(rows))
    return (
        np.array(rows, dtype=np.int64).reshape(-1, 10),
        np.array(leaving, dtype=np.int64),
        np.array(needed, dtype=np.uint64),
        np.array(checks, dtype=np.int64).reshape(-1, 3),
        np.array(rates, dtype=np.float64),
        np.array(floors, dtype=np.float64),
    )


def _floor(move: Move) -> float:
    return 0.0 if move.fine is None else move.fine.floor


def _fact(program: Program, check: Check) -> int:
    """The bit of a case or a piece of evidence among the facts."""
    return check.subject + (len(program.evidence) if check.kind == "case" else 0)


def _plain(program: Program, check: Check) -> tuple[int, int, int]:
    kind = _KINDS[check.kind]
    return kind, _fact(program, check) if kind == FACT else check.subject, check.number


def _rules(program: Program) -> Integers:
    graph: Any = program.loaded.graph
    earned = graph.restoration.credits
    rules = np.zeros(6, dtype=np.int64)
    rules[CREDIT_CAP] = UNLIMITED
    if earned is not None:
        rules[EARN_AFTER], rules[CREDIT_CAP] = earned.earn_after, earned.cap
        rules[DECAY] = earned.decay
    rules[FORGET] = graph.restoration.forget_offences_after or 0
    rules[NORM_SHIFT] = len(program.evidence)
    rules[IGNORE] = graph.detection.rounds_with_a_suspension == "ignore"
    return rules
