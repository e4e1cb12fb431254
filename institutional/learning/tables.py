"""A governance graph over a finite game, as tables: what the compiled learning loop reads.

With finitely many joint actions and no shocks there are finitely many public records, so whatever
an oracle would see of a round is looked up. So is whatever a controller would do: the model
checker's table of every standing that one agent can reach (`explore.table`) says where each input
leads. Both are filled here, once, by the very functions that govern ordinary runs: there is no
second statement of any rule, and any graph whose standings can be explored can be tabulated.

Shapes: N agents, J joint grid actions, P plays (joint actions as restricted, each with its public
record), Z legal states, M moves, W windows, F readings that are fined, S standings of one agent,
I columns of `explore.table.Table`: inputs, and perhaps the round that another's suspension spoils.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.q_learning.game import Game, nearest
from agents.q_learning.kernel import Integers, Words
from environments.contract import Core
from environments.shocks import quiet
from institutional.errors import InstitutionalError
from institutional.governance import oracle
from institutional.governance.explore.inputs import told_apart
from institutional.governance.explore.table import Table, explore
from institutional.governance.hypothetical import compile_on_paper
from institutional.governance.oracle import Mask
from institutional.governance.program import Array, Probe, Program, Record

LONGEST_HISTORY = 20
"""Bits: up to two to this power of histories are looked up at once; longer windows are counted."""
MOST_COMPARISONS = 20
MOST_PLAYS = 5000
"""Signals that compare two rounds are tabulated over every pair of plays."""
MOST_RESTRICTED = 5_000_000
"""Joint actions times combinations of restrictions."""
TAGS, MADE, RESTRICTS = np.uint64(2), np.uint64(1), np.uint64(2)
"""Bits that `Law.steps` is shifted by; the tags: a move is made, and it changes restrictions."""
MOST_COLUMNS = 255


class Law(NamedTuple):
    """Everything of the institution that the kernel reads.

    A comparison is one bit of a word. If `compact`, the word is the agent's whole history: each
    comparison has as many bits as its window is long, the newest the lowest. If not, a word holds
    the present round only and `windows` says what to count.
    """

    played: NDArray[np.int32]  # [restriction combinations, J] -> play
    observed: NDArray[np.int32]  # [P] -> joint grid action nearest to what was played
    payoffs: Array  # [P, N]
    alone: NDArray[np.uint32]  # [P, N] comparisons that need this round alone
    paired: NDArray[np.uint32] | NDArray[np.uint8]  # [P, P, N] those that need the last as well
    compact: bool
    keep: np.uint64  # what of a history is left when it moves up by one bit
    windows: Words  # [W, 3] bit, mask of rounds, how many of them; empty if compact
    classes: NDArray[np.uint8]  # [words] -> column of `steps`
    unseen: NDArray[np.uint8]  # [I] the column instead, if the agent is not looked at
    steps: NDArray[np.uint32]  # [S * I] I * the next standing, shifted by TAGS, and two tags
    moves: NDArray[np.int16]  # [S * I] index of the move, -1 where none
    rates: Array  # [S * I] of the fine, if there is one
    states: NDArray[np.int16]  # [S * I] legal state
    start: int  # I * the standing before the first round
    fined: Integers  # [M] row of `bases`, -1 where the move does not fine
    floors: Array  # [M]
    bases: Array  # [F, P or P * P, N] what fines are a share of, never negative
    spans: Integers  # [F] 1, or P where the last round matters: row now * span + before
    restriction: Integers  # [Z] 0: none
    radix: Integers  # [N] weight of an agent's restriction in `played`
    suspended: NDArray[np.bool_]  # [Z]
    accused: NDArray[np.bool_]  # [I] whether the column holds a case
    ignores: bool  # rounds with a suspension count for nobody
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
    layout = _layout(program, spans)
    alone, paired = _comparisons(program, records, layout)
    bases, base_spans, rows = _bases(program, records, spans)
    table = _standings(program)
    seen, unseen = _classes(program, table, layout)
    agents, columns = len(program.agents), table.columns
    accused: Mask = np.asarray(table.inputs.breaches.any(axis=1))
    law = Law(
        played=played,
        observed=np.array([_observed(game, play) for play in plays], dtype=np.int32),
        payoffs=np.concatenate([core.profits(record) for record in settled]),
        alone=alone,
        paired=paired,
        compact=layout.compact,
        keep=np.uint64(layout.keep),
        windows=layout.windows,
        classes=seen,
        unseen=unseen,
        steps=_steps(program, table),
        moves=np.ascontiguousarray(table.move, dtype=np.int16).ravel(),
        rates=_rates(program, table),
        states=np.repeat(table.states(), columns).astype(np.int16),
        start=table.start * columns,
        fined=np.array([rows[m.fine.reading] if m.fine else -1 for m in program.moves] or [-1]),
        floors=np.array([move.fine.floor if move.fine else 0.0 for move in program.moves] or [0.0]),
        bases=bases,
        spans=base_spans,
        restriction=np.array(classes, dtype=np.int64),
        radix=np.array([len(restrictions) ** (agents - 1 - seat) for seat in range(agents)]),
        suspended=program.suspended.copy(),
        accused=np.append(accused, [False] * (columns - len(accused))),
        ignores=table.ignores,
        audit=program.loaded.graph.detection.audit_share * 2.0**53,
    )
    return GovernedGame(game, program, law, records)


def _steps(program: Program, table: Table) -> NDArray[np.uint32]:
    """`Law.steps`: where each standing and column lead, and whether that matters at once."""
    states = table.states()
    held = np.array([(s, c) for s, c in zip(program.suspended, program.cap, strict=True)])
    changes = (held[states[table.successor]] != held[states][:, None]).any(axis=2)
    tags = np.where(table.move >= 0, MADE, 0 * MADE) | np.where(changes, RESTRICTS, 0 * MADE)
    places = (table.successor.astype(np.int64) * table.columns).astype(np.uint64)
    return (places << TAGS | tags).astype(np.uint32).ravel()


def _rates(program: Program, table: Table) -> Array:
    """`Law.rates`: the rate at the tier that each standing has reached."""
    rates = np.zeros(table.move.shape)
    for index, move in enumerate(program.moves):
        if move.fine is not None:
            made = table.move == index
            rates[made] = move.fine.rates[np.minimum(table.tier[made], len(move.fine.rates) - 1)]
    return rates.ravel()


def _standings(program: Program) -> Table:
    """Every standing of one agent; raises InstitutionalError where there are too many."""
    table = explore(compile_on_paper(program.loaded, ["agent"]))
    if not table.abstraction.exact:
        raise InstitutionalError(
            f'graph "{program.loaded.graph.name}": credits are given and spent without a cap\n'
            "  the fast engine needs one: write restoration.credits, or play ordinary runs"
        )
    if not table.exact or len(table.codes) * table.columns >= 1 << 29:
        raise InstitutionalError(
            f'graph "{program.loaded.graph.name}": more than {len(table.codes)} standings can be '
            "told apart\n  the fast engine looks them all up: shorten the counters, or play "
            "ordinary runs"
        )
    if table.columns > MOST_COLUMNS:
        raise InstitutionalError(
            f'graph "{program.loaded.graph.name}": {table.columns} different findings\n'
            f"  the fast engine tells at most {MOST_COLUMNS} apart; play ordinary runs"
        )
    return table


def _check(program: Program, core: Core, game: Game) -> None:
    program.loaded.certain("the fast engine")
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


class _Layout(NamedTuple):
    """Where the comparisons lie in a word; those that need two rounds come first (few bytes)."""

    place: list[int]  # of each probe: its bit, the newest of its history if compact
    both: list[int]  # probes that need two rounds
    bits: int
    compact: bool
    keep: int
    windows: Words


def _layout(program: Program, spans: list[int]) -> _Layout:
    probes = program.probes
    order = sorted(range(len(probes)), key=lambda p: spans[probes[p].reading] == 1)
    widths = [probe.of if probe.at_least > 1 else 1 for probe in probes]
    compact = sum(widths) <= LONGEST_HISTORY
    place, bit, keep = [0] * len(probes), 0, 0
    for probe in order:
        place[probe] = bit
        width = widths[probe] if compact else 1
        keep |= ((1 << width) - 2) << bit
        bit += width
    windows = [
        (place[index], (1 << probe.of) - 1, probe.at_least)
        for index, probe in enumerate(probes)
        if probe.at_least > 1 and not compact
    ]
    both = [p for p in order if spans[probes[p].reading] > 1]
    return _Layout(
        place, both, bit, compact, keep, np.array(windows, dtype=np.uint64).reshape(-1, 3)
    )


def _comparisons(
    program: Program, records: Record, layout: _Layout
) -> tuple[NDArray[np.uint32], NDArray[np.uint32] | NDArray[np.uint8]]:
    """What holds of this round alone [P, N], and of this round after another [P, P, N]."""
    plays, agents = len(next(iter(records.values()))), len(program.agents)
    alone = np.zeros((plays, agents), dtype=np.uint32)
    for index, probe in enumerate(program.probes):
        if index not in layout.both:
            past = oracle.compared(probe, _reading(program, probe.reading, records, 0))
            alone |= past.astype(np.uint32) << np.uint32(layout.place[index])
    shape = (plays, plays, agents) if layout.both else (1, 1, agents)
    highest = max((layout.place[probe] for probe in layout.both), default=0)
    paired = np.zeros(shape, dtype=np.uint8 if highest < 8 else np.uint32)
    for before in range(plays) if layout.both else ():
        for index in layout.both:
            probe = program.probes[index]
            past = oracle.compared(probe, _reading(program, probe.reading, records, before))
            paired[:, before] |= past.astype(paired.dtype) << paired.dtype.type(layout.place[index])
    return alone, paired


def _classes(
    program: Program, table: Table, layout: _Layout
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The column of every word, and the column that each turns into where nobody looks."""
    words = np.arange(1 << layout.bits)
    past = [
        _past(words >> bit, probe, layout)
        for bit, probe in zip(layout.place, program.probes, strict=True)
    ]
    evidence, breaches = oracle.concluded(program, past)
    found = told_apart(program, _columns(evidence, len(words)), _columns(breaches, len(words)))
    inputs = table.inputs
    known = told_apart(program, inputs.evidence, inputs.breaches)
    blind = told_apart(program, inputs.evidence, np.zeros_like(inputs.breaches))
    numbers = {row.tobytes(): number for number, row in enumerate(known)}
    unseen = [numbers.get(row.tobytes(), 0) for row in blind]  # asked for under audits only
    distinct, inverse = np.unique(found, axis=0, return_inverse=True)
    # What the model checker leaves out cannot happen (a signal both above 5 and at most 2).
    column = np.array([numbers.get(row.tobytes(), 0) for row in distinct], dtype=np.uint8)
    spoilt = [len(unseen)] * (table.columns - len(unseen))
    return column[inverse.ravel()], np.array([*unseen, *spoilt], dtype=np.uint8)


def _past(history: Integers, probe: Probe, layout: _Layout) -> Mask:
    """Whether a probe holds where its bits of the word are the lowest of `history`."""
    now: Mask = (history & 1).astype(np.bool_)
    if probe.at_least == 1 or not layout.compact:
        return now
    window = np.uint64((1 << probe.of) - 1)
    sustained: Mask = np.bitwise_count(history.astype(np.uint64) & window) >= probe.at_least
    return now & sustained


def _columns(masks: Sequence[Mask], rows: int) -> Mask:
    """Masks [rows] side by side, [rows, .]."""
    return np.stack([np.zeros(rows, dtype=np.bool_), *masks], axis=1)[:, 1:]


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
