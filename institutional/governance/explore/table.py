"""Every standing one agent can reach and what each input does there, found by the real controller.

A breadth-first walk: each layer of standings is decoded into a register with as many markets as
there are standings and inputs, `controller.decide` rules on all of them at once, and what comes
out is encoded again. There is no second statement of the rules.

Where rounds with a suspension are ignored, one column more than `Inputs` has stands for a round
that counts for nobody because *another* agent is suspended; agents of one market have nothing else
in common, so one table serves any number of them.

Shapes: S standings in the order of their codes, I columns: the inputs, then perhaps that round.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from institutional.governance.controller import NO_MOVE, blank_register, decide
from institutional.governance.explore.abstraction import (
    LARGEST_CODE,
    NOW,
    Abstraction,
    abstraction_of,
    counter_values,
)
from institutional.governance.explore.inputs import Inputs, inputs_of
from institutional.governance.oracle import Mask
from institutional.governance.program import Program

Integers = NDArray[np.int64]
Indices = NDArray[np.int32]

UNKNOWN = -1
"""The successor that was not followed because the limit was reached."""
LIMIT = 1_000_000
WORK = 150_000_000
"""Edges tried before the exploration gives up: about five seconds on one core, on any graph."""
_LAYER = 1300
"""What a layer costs however small it is, in decisions."""
_BLOCK = 1 << 15
"""Decisions per call: the controller's arrays then stay in the processor's cache."""


@dataclass(frozen=True)
class Table:
    """The transition relation of one agent."""

    abstraction: Abstraction
    inputs: Inputs
    codes: Integers  # [S], ascending
    start: int
    successor: Indices  # [S, I]
    move: NDArray[np.int16]  # [S, I], NO_MOVE where none
    tier: Indices  # [S, I], fines before this one; meaningful where the move fines
    own: Mask  # [S], suspended
    elsewhere: bool  # whether the last column may happen: another agent's suspension counts
    exact: bool

    @property
    def program(self) -> Program:
        """The compiled graph, for one agent."""
        return self.abstraction.program

    @property
    def extent(self) -> str:
        """`exact`, or `bounded: k` when only k standings were followed."""
        return "exact" if self.exact else f"bounded: {len(self.codes)}"

    @property
    def columns(self) -> int:
        """I, the round that another's suspension spoils included."""
        return self.inputs.size + self.elsewhere

    def counted(self) -> Mask:
        """Whether the round counts, [S, I]."""
        counted = np.ones((len(self.codes), self.columns), dtype=np.bool_)
        if self.ignores:
            counted[self.own] = False
            counted[:, self.inputs.size :] = False
        return counted

    def cases(self) -> Mask:
        """Whether there is a case, [S, I]."""
        any_case: Mask = np.asarray(self.inputs.breaches.any(axis=1))
        return self.counted() & self.widened(any_case)

    def widened(self, per_input: Mask) -> Mask:
        """`per_input` with a False for the round that another's suspension spoils, [I]."""
        return np.append(per_input, np.zeros(int(self.elsewhere), dtype=np.bool_))

    @property
    def ignores(self) -> bool:
        """Whether rounds with a suspension count for nobody."""
        return self.program.loaded.graph.detection.rounds_with_a_suspension == "ignore"

    def states(self) -> Integers:
        """State indices, [S]."""
        return counter_values(self.abstraction, self.codes)["state"]


def explore(program: Program, *, limit: int = LIMIT) -> Table:
    """Follow every input from the first acting round until nothing new appears, or to a limit.

    The limits are `limit` standings and `WORK`; both stop the same graph at the same place always.

    `program` is compiled for one agent. Where anybody can ever be suspended and the graph ignores
    such rounds, the rounds that another's suspension spoils are followed too: the first who is
    suspended gets there without one.
    """
    abstraction, inputs = abstraction_of(program), inputs_of(program)
    table = _walk(abstraction, inputs, elsewhere=False, limit=limit)
    if table.ignores and (table.own.any() or not table.exact) and program.suspended.any():
        return _walk(abstraction, inputs, elsewhere=True, limit=limit)
    return table


def _walk(abstraction: Abstraction, inputs: Inputs, *, elsewhere: bool, limit: int) -> Table:
    program = abstraction.program
    columns = inputs.size + elsewhere
    # Nothing can happen before the round from which the institution acts but that time passes.
    acting = program.loaded.graph.detection.from_round
    first = abstraction.encode(blank_register(program, 1), acting)
    too_large = abstraction.codes >= LARGEST_CODE
    frontier = first[:0] if too_large else first
    known = first
    layers = [first[:0]]
    steps: list[tuple[Integers, NDArray[np.int16], Indices]] = []
    work = 0
    while len(frontier):
        work += (len(frontier) * columns + _LAYER) * (len(program.moves) + 10)
        if len(known) > limit or work > WORK:
            break
        layers.append(frontier)
        steps.append(_step(abstraction, inputs, frontier, columns))
        found = _distinct(steps[-1][0].ravel())
        place = np.searchsorted(known, found)
        fresh = known[np.minimum(place, len(known) - 1)] != found
        frontier = found[fresh]
        known = np.insert(known, place[fresh], frontier)
    codes = np.concatenate(layers)
    order = np.argsort(codes)
    codes = codes[order]
    nothing = _step(abstraction, inputs, first[:0], columns)
    followed, move, tier = (
        np.concatenate(parts)[order] for parts in zip(nothing, *steps, strict=True)
    )
    successor = np.searchsorted(codes, followed).astype(np.int32)
    if len(frontier):
        inside = codes[np.minimum(successor, len(codes) - 1)] == followed
        successor = np.where(inside, successor, np.int32(UNKNOWN))
    return Table(
        abstraction=abstraction,
        inputs=inputs,
        codes=codes,
        start=int(np.searchsorted(codes, first[0])),
        successor=successor,
        move=move,
        tier=tier,
        own=program.suspended[counter_values(abstraction, codes)["state"]],
        elsewhere=elsewhere,
        exact=abstraction.exact and not too_large and not len(frontier),
    )


def _step(
    abstraction: Abstraction, inputs: Inputs, codes: Integers, columns: int
) -> tuple[Integers, NDArray[np.int16], Indices]:
    """Rule on every standing with every input: codes reached, moves, tiers, [standings, I]."""
    shape = (len(codes), columns)
    reached = np.empty(shape, dtype=np.int64)
    move, tier = np.empty(shape, dtype=np.int16), np.empty(shape, dtype=np.int32)
    rows = max(1, _BLOCK // columns)
    for begin in range(0, len(codes), rows):
        block = slice(begin, begin + rows)
        size = len(codes[block])
        chosen = np.tile(np.arange(columns), size)
        after = _rule(abstraction, inputs, np.repeat(codes[block], columns), chosen)
        reached[block], move[block], tier[block] = (part.reshape(size, columns) for part in after)
    return reached, move, tier


def _rule(
    abstraction: Abstraction, inputs: Inputs, codes: Integers, column: Integers
) -> tuple[Integers, Integers, Integers]:
    program = abstraction.program
    register = abstraction.decode(codes)
    counted = column < inputs.size
    if program.loaded.graph.detection.rounds_with_a_suspension == "ignore":
        counted &= ~program.suspended[register.state[:, 0]]
    finding = inputs.finding(program, column % inputs.size, counted)
    after, decisions = decide(program, register, finding, NOW)
    return abstraction.encode(after, NOW + 1), decisions.move[:, 0], after.offences[:, 0] - 1


def _distinct(values: Integers) -> Integers:
    """Ascending distinct values; sorting beats hashing where most are repeated in runs."""
    values = np.sort(values)
    if not len(values):
        return values
    return np.asarray(values[np.append(True, values[1:] != values[:-1])])


def fining(program: Program) -> Mask:
    """Whether each move fines, [moves + 1]; the last entry answers for NO_MOVE."""
    return np.array([*(move.fine is not None for move in program.moves), False])


assert NO_MOVE == -1  # noqa: S101 - `fining` is indexed by it
