"""Scenarios played over many runs at once, with and without the institution in the loop.

Shapes: T rounds, M runs, N agents.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from environments.contract import Array, Record
from institutional.calibration.scenarios import Moment, Scenario, feasible
from institutional.governance.controller import NO_MOVE
from institutional.governance.institution import Institution
from institutional.governance.program import Program
from institutional.seeds import derive

NEVER = 0


class Governed(NamedTuple):
    """What the institution did in each run; rounds count from 1, `NEVER` is 0."""

    first_case: Array  # [M]
    first_sanction: Array  # [M], a fine or a suspension
    fines: Array  # [M], number of them over all agents


def watched(program: Program, scenario: Scenario, *, runs: int, seed: int) -> list[Array]:
    """Values of every reading of `program` where nothing is enforced, [T, M, N] each."""
    values: list[list[Array]] = [[] for _ in program.readings]
    before: Record | None = None
    for record in _rounds(scenario, runs=runs, seed=seed, restrict=lambda actions: actions):
        for reading, kept in zip(program.readings, values, strict=True):
            kept.append(reading.function(record, record if before is None else before))
        before = record
    return [np.stack(kept) for kept in values]


def governed(program: Program, scenario: Scenario, *, runs: int, seed: int) -> Governed:
    """Play `scenario` under the institution: restrictions hold, and moves are counted."""
    institution = Institution(program, runs)
    core = scenario.core
    into_suspension = np.array(
        [program.suspended[move.target] for move in program.moves], dtype=np.bool_
    )
    first_case, first_sanction, fines = (np.zeros(runs) for _ in range(3))

    def restrict(actions: Array) -> Array:
        return core.restrict(actions, institution.suspended(), institution.cap())

    for record in _rounds(scenario, runs=runs, seed=seed, restrict=restrict):
        ruling = institution.judge(record)
        case = np.zeros(runs, dtype=np.bool_)
        for breach in ruling.finding.breaches:
            case |= breach.any(axis=1)
        move = ruling.decisions.move
        fined = ruling.decisions.fines > 0
        harsh = fined
        if program.moves:
            harsh = fined | ((move != NO_MOVE) & into_suspension[move])
        first_case[case & (first_case == NEVER)] = institution.round
        first_sanction[harsh.any(axis=1) & (first_sanction == NEVER)] = institution.round
        fines += fined.sum(axis=1)
    return Governed(first_case, first_sanction, fines)


def _rounds(
    scenario: Scenario, *, runs: int, seed: int, restrict: Callable[[Array], Array]
) -> Iterator[Record]:
    """The public record of every round; the noise is the same whatever `restrict` does."""
    core = scenario.core
    rng = np.random.default_rng(derive(seed, "calibration", scenario.name))
    seeds = [derive(seed, "calibration", scenario.name, "shock", run) for run in range(runs)]
    path = np.stack([core.shocks(one) for one in seeds], axis=1)
    offered = played = shock = None
    for now in range(core.rounds):
        intent = scenario.intent(Moment(now, runs, rng, offered, played, shock))
        noise = 1 + scenario.noise * rng.standard_normal(intent.shape)
        offered = feasible(core, intent * noise)
        refusal = core.refuse(offered)
        if refusal is not None:
            raise AssertionError(refusal)
        played, shock = restrict(offered), path[now]
        yield core.settle(played, shock)
