"""What a cartel is worth and what a sanction takes, before anybody plays under the institution.

Money per round and agent throughout, without shocks.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from environments.contract import Core
from environments.shocks import quiet
from institutional.governance.program import Array, Program

COMPLY = "nash"
PLANS = ("market_division", "fixed_price", "joint_monopoly")
"""What cartels agree on, by benchmark; a market has those it has."""


class Rent(NamedTuple):
    """What a plan brings its members, and what holds it together without an institution."""

    plan: str
    profit: float  # mean over agents
    rent: float  # mean over agents, above Nash
    temptation: float  # largest over agents: one round's best reply to the plan, above the plan
    critical_discount: float | None  # None: no patience sustains the plan by Nash reversion


class Need(NamedTuple):
    """How likely a sanction must be, per round of collusion, to take the whole rent."""

    plan: str
    sanction: str
    cost: float  # money, mean over agents; infinite for a restriction that never ends
    probability: float  # above 1: even certain, the sanction is smaller than the rent


def agreements(core: Core) -> dict[str, Array]:
    """Joint actions [N, A] of the plans that this market has."""
    points = core.benchmarks()
    return {plan: points[plan].actions for plan in PLANS if plan in points}


def rents(core: Core) -> list[Rent]:
    """Rent, temptation and critical discount factor of every plan.

    With Nash reversion for ever (Friedman 1971), agent i keeps to the plan if its discount factor
    is at least temptation_i / (temptation_i + rent_i); the largest over agents is reported.
    """
    nash = profits(core, core.benchmarks()[COMPLY].actions)
    found = []
    for plan, actions in agreements(core).items():
        planned = profits(core, actions)
        cheated = np.array([_cheating(core, seat, actions) for seat in range(len(planned))])
        tempted, rent = np.maximum(cheated - planned, 0.0), planned - nash
        sustained = bool((rent[tempted > 0] > 0).all())
        needed = [t / (t + r) if t > 0 else 0.0 for t, r in zip(tempted, rent, strict=True)]
        found.append(
            Rent(
                plan,
                float(planned.mean()),
                float(rent.mean()),
                float(tempted.max()),
                float(max(needed)) if sustained else None,
            )
        )
    return found


def needs(program: Program, core: Core, rent: Rent) -> list[Need]:
    """Every fine tier and every restriction of the graph against the rent of one plan.

    A fine costs max(floor, rate x signal) at the plan. A restriction costs what all agents,
    restricted together, fall short of the plan's profit for as long as it lasts.
    """
    actions = agreements(core)[rent.plan]
    record = core.benchmarks()[rent.plan].record
    costs: dict[str, float] = {}
    for move in program.moves:
        for rate in [] if move.fine is None else move.fine.rates.tolist():
            assert move.fine is not None  # noqa: S101 - mypy does not see through the condition
            reading = program.readings[move.fine.reading]
            base = np.maximum(reading.function(record, record)[0], 0.0)
            fine = float(np.maximum(rate * base, move.fine.floor).mean())
            costs[f"fine of {rate:.0%} of {reading.name}"] = fine
    for state, name in enumerate(program.states):
        if program.suspended[state] or program.cap[state] < 1:
            lost = rent.profit - float(_restricted(program, core, actions, state).mean())
            rounds = _duration(program, state)
            length = "for ever" if rounds is None else f"for {rounds} rounds"
            costs[f"{name} {length}"] = math.inf if rounds is None else lost * rounds
    return [Need(rent.plan, s, c, _probability(rent.rent, c)) for s, c in costs.items()]


def profits(core: Core, actions: Array) -> Array:
    """Everybody's profit [N] at `actions` [N, A], without shocks."""
    earned: Array = core.profits(core.settle(actions[None], quiet(core)))[0]
    return earned


def distinct(plans: Mapping[str, Array]) -> dict[str, Array]:
    """`plans` without those whose actions an earlier one has."""
    kept: dict[str, Array] = {}
    for name, actions in plans.items():
        if not any(np.allclose(actions, other, rtol=1e-9, atol=1e-9) for other in kept.values()):
            kept[name] = actions
    return kept


def _cheating(core: Core, seat: int, actions: Array) -> float:
    deviated = actions.copy()
    deviated[seat] = core.best_reply(seat, actions)
    return float(profits(core, deviated)[seat])


def _restricted(program: Program, core: Core, actions: Array, state: int) -> Array:
    everyone = (1, len(actions))
    held = core.restrict(
        actions[None],
        np.full(everyone, program.suspended[state]),
        np.full(everyone, program.cap[state]),
    )
    earned: Array = core.profits(core.settle(held, quiet(core)))[0]
    return earned


def _duration(program: Program, state: int) -> int | None:
    """Rounds until the first way out by waiting or good conduct; None where there is none."""
    ignored = program.loaded.graph.detection.rounds_with_a_suspension == "ignore"
    idle = ignored and bool(program.suspended[state])  # no round counts as clean then
    waits = [
        check.number
        for move in program.moves
        if move.source == state != move.target
        for check in move.when
        if check.kind == "rounds_in_state" or (check.kind == "clean_rounds" and not idle)
    ]
    return min(waits, default=None)


def _probability(rent: float, cost: float) -> float:
    if rent <= 0:
        return 0.0
    return rent / cost if cost > 0 else math.inf
