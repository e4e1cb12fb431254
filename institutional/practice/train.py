"""Training a policy over levels in a market, and measuring what it then does there.

Shapes: N agents, A numbers in one action, T rounds, M markets.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.alignment.method import Method
from agents.policies.level_saving import Habit, Origin, Shape
from agents.policies.levels import chosen
from agents.policies.looking import Look
from agents.policies.network import STEPS_STREAM, generator
from agents.policies.preferences import Effort, improved
from environments import presets
from environments.contract import Array, Core
from environments.shocks import quiet
from institutional.episode import Table
from institutional.errors import InstitutionalError, suggestion
from institutional.governance.loading import LoadedGraph, parse_graph
from institutional.practice.field import Field, Groups, TriedInPlay, grid
from institutional.seeds import derive

EACH, CARTEL = "each", "cartel"
LEVELS, HIDDEN, MARKETS = 11, 32, 32
MEASURED_ON = 16
UNGOVERNED_HOLD, GOVERNED_HOLD = 1, 10
"""Rounds for which a choice is kept: under an institution, long enough for evidence to gather."""
FULL = Effort(iterations=30, steps=50)
QUICK = Effort(iterations=3, steps=10)


class Measured(NamedTuple):
    """What a way of playing brings, means over markets and rounds, [N] each unless said."""

    actions: Array  # [N, A]
    profits: Array  # money
    fines: Array  # money
    replies: Array  # money a one-round best reply to what the others did would have earned

    def as_json(self, agents: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """By agent, then by field."""
        fields = self._asdict().items()
        return {
            agent: {name: np.asarray(value[seat]).tolist() for name, value in fields}
            for seat, agent in enumerate(agents)
        }


@dataclass(frozen=True, eq=False)
class Taught:
    """A trained policy and what it does, beside what it did before."""

    habit: Habit
    before: Measured
    after: Measured


def taught(
    core: Core,
    loaded: LoadedGraph | None,
    method: Method,
    *,
    seats: str = EACH,
    others: str = "nash",
    effort: Effort = FULL,
    levels: int = LEVELS,
    hold: int | None = None,
    seed: int = 0,
    report_progress: Callable[[int, float], None] = lambda _iteration, _loss: None,
) -> Taught:
    """Train one policy for `seats`: each for itself, the cartel as one, or one agent alone.

    Raises InstitutionalError for seats or a benchmark that are not there, AgentError for settings
    out of range and for a row that cannot learn from play.
    """
    table = Table(core, loaded)
    if hold is None:
        hold = UNGOVERNED_HOLD if loaded is None else GOVERNED_HOLD
    agents, actions = core.low.shape
    shape = Shape(agents=agents, actions=actions, levels=levels, hidden=HIDDEN, hold=hold)
    origin = Origin(
        method=method.name,
        seed=seed,
        environment=core.config(),
        graph="" if loaded is None else loaded.document.raw.decode(),
        seats=seats,
        others=others,
    )
    policy = shape.untrained(seed)
    habit = Habit(shape, policy, core.low, core.high, origin)
    before = measured(table, habit)
    practice = TriedInPlay(
        table,
        groups=_groups(core, seats),
        others=_rows(core, others),
        levels=levels,
        hold=hold,
        markets=MARKETS,
        seed=derive(seed, "practice"),
    )
    improved(policy, practice, method, effort=effort, seed=seed, report_progress=report_progress)
    after = measured(table, replace(habit, policy=policy.requires_grad_(requires_grad=False)))
    return Taught(habit, before, after)


def home(habit: Habit) -> Table:
    """The market, and the institution if there was one, in which a policy was trained."""
    graph = habit.origin.graph
    loaded = parse_graph(graph.encode(), "the policy's graph") if graph else None
    return Table(presets.from_config(habit.origin.environment), loaded)


def measured(table: Table, habit: Habit) -> Measured:
    """Play one run in each of many markets, the likeliest levels throughout."""
    core, origin, shape = table.core, habit.origin, habit.shape
    seats = learners(core, origin.seats)
    briefing = table.briefing(seats[0])
    look, levels = Look(briefing, seats), grid(briefing, seats, shape.levels)
    draws = generator(origin.seed, STEPS_STREAM)
    seeds = [derive(origin.seed, "measured", market) for market in range(MEASURED_ON)]
    field = Field.fresh(table, seeds)
    joint = np.repeat(_rows(core, origin.others)[np.newaxis], MEASURED_ON, axis=0)
    actions, profits, fines, replies = [], [], [], []
    for round_ in range(core.rounds):
        if round_ % shape.hold == 0:
            seen = torch.from_numpy(look(field.shown())).flatten(0, 1).unsqueeze(1)
            with torch.no_grad():
                tokens = chosen(habit.policy.seen(seen), draws, temperature=0.0).numpy()
            joint[:, seats] = levels.actions(tokens.reshape(MEASURED_ON, len(seats), -1))
        field, earned = field.played(joint)
        actions.append(field.actions.mean(axis=0))
        profits.append(earned.mean(axis=0))
        fines.append(field.fines.mean(axis=0))
        replies.append(_replied(core, field.actions))
    return Measured(*(np.mean(part, axis=0) for part in (actions, profits, fines, replies)))


def _replied(core: Core, played: Array) -> Array:
    """What a best reply of each agent would have earned, mean over distinct markets, [N]."""
    distinct, counts = np.unique(played, axis=0, return_counts=True)
    earned = np.zeros((len(distinct), len(core.agents)))
    for at, joint in enumerate(distinct):
        for seat in range(len(core.agents)):
            replied = joint.copy()
            replied[seat] = core.best_reply(seat, joint)
            earned[at, seat] = core.profits(core.settle(replied[np.newaxis], quiet(core)))[0, seat]
    mean: Array = np.average(earned, axis=0, weights=counts)
    return mean


def learners(core: Core, seats: str) -> list[int]:
    """The seats that learn, in order."""
    return [seat for group in _groups(core, seats) for seat in group]


def _groups(core: Core, seats: str) -> Groups:
    everyone = range(len(core.agents))
    known: dict[str, Groups] = {
        EACH: tuple((seat,) for seat in everyone),
        CARTEL: (tuple(everyone),),
    } | {agent: ((seat,),) for seat, agent in enumerate(core.agents)}
    if seats not in known:
        raise InstitutionalError(
            f'there are no seats "{seats}"\n  seats: {", ".join(known)}.{suggestion(seats, known)}'
        )
    return known[seats]


def _rows(core: Core, others: str) -> Array:
    points = core.benchmarks()
    if others not in points:
        raise InstitutionalError(
            f'there is no benchmark "{others}"\n  benchmarks: {", ".join(points)}.'
            f"{suggestion(others, points)}"
        )
    return points[others].actions
