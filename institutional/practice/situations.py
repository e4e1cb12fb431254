"""What a policy would do in situations that a reader can imagine: after Nash play, or a cartel.

Shapes: N agents, A numbers in one action.
"""

from typing import NamedTuple

import numpy as np
import torch

from agents.contract import Array
from agents.policies.level_saving import Habit
from agents.policies.looking import STATUSES, Look, Shown
from institutional.episode import Table
from institutional.practice.field import grid
from institutional.practice.train import learners

AFTER = ("nash", "joint_monopoly")


class Situation(NamedTuple):
    """One agent's likeliest action in one situation, as JSON data."""

    agent: str
    after: str  # what everybody did in the last round: a benchmark
    status: str  # of the agent's own standing
    action: list[float]
    likelihood: float  # of exactly this action


def situations(table: Table, habit: Habit) -> list[Situation]:
    """Every learner after a round of each of AFTER, in each status that its institution knows."""
    core, shape = table.core, habit.shape
    found = []
    for seat in learners(core, habit.origin.seats):
        briefing = table.briefing(seat)
        look, levels = Look(briefing, [seat]), grid(briefing, [seat], shape.levels)
        for after in AFTER:
            actions = core.benchmarks()[after].actions
            for status in _statuses(table):
                seen = look(_shown(actions, STATUSES.index(status)))
                with torch.no_grad():
                    said = habit.policy.seen(torch.from_numpy(seen))[0]
                best = said.max(dim=-1)
                action = levels.actions(best.indices.numpy()[np.newaxis])[0]
                likelihood = float(best.values.sum().exp())
                name = core.agents[seat]
                found.append(Situation(name, after, status, action.tolist(), likelihood))
    return found


def _statuses(table: Table) -> list[str]:
    graph, program = table.briefing(0).graph, table.program
    if graph is None or program is None:
        return [STATUSES[0]]
    known = {graph.status(state) for state in range(len(program.states))}
    return [status for status in STATUSES if status in known]


def _shown(actions: Array, status: int) -> Shown:
    free = np.zeros((1, len(actions)))
    return Shown(actions[np.newaxis], np.full(free.shape, status), free, free, free > 0, free + 1)
