"""What is attacked: a market under a graph, who attacks, and what honest play brings them.

Shapes: N agents, A numbers in one action, S seats of the adversary, P plans, E markets that a way
of playing is measured on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from environments.contract import Core
from institutional.deterrence.account import cartel_plans
from institutional.deterrence.market import COMPLY, profits
from institutional.episode import Table
from institutional.errors import InstitutionalError, suggestion
from institutional.governance.loading import LoadedGraph
from institutional.governance.program import Array, Program
from institutional.redteam.market import GovernedMarkets, Played

CARTEL = "cartel"
MEASURED_ON = 64
"""Markets a way of playing is measured on where shocks or audits are random; else one says all."""

Rows = Callable[[int], Array]
"""Round -> joint actions [M, N, A]."""


class Round(NamedTuple):
    """One round of a trace, as JSON data."""

    actions: list[list[float]]  # per agent
    standings: list[str]  # after the round
    suspended: list[bool]  # during the round
    fines: list[float]
    gain: float  # mean over the adversary's seats, above honest play


class Measured(NamedTuple):
    """What a way of playing brings."""

    gain: float  # money per round and seat above honest play
    fined: float  # money per round and seat
    trace: tuple[Round, ...]


@dataclass(frozen=True, eq=False)
class Target:
    """A market under an institution and the seats from which it is attacked."""

    table: Table
    program: Program
    seats: tuple[int, ...]
    others: Array  # [N, A]; what the remaining seats play in every round
    plans: Mapping[str, Array]  # joint actions [N, A] to choose among; the first is honest play
    honest: float  # money per round and seat
    ceiling: float  # the most a round can bring above honest play, whatever is played

    @property
    def core(self) -> Core:
        """The market."""
        return self.table.core

    @property
    def unit(self) -> float:
        """Gains are learnt in this unit, money: the ceiling, or where there is none, a share."""
        return max(self.ceiling, 0.01 * abs(self.honest), 1e-9)

    @property
    def whole(self) -> bool:
        """Whether the adversary holds every seat."""
        return len(self.seats) == len(self.core.agents)

    @property
    def random(self) -> bool:
        """Whether two runs of the same play can differ."""
        lots = self.program.loaded.graph.detection.draws
        return lots or self.core.shocks(0).shape[1] > 0

    def markets(self, count: int, *, seed: int) -> GovernedMarkets:
        """Fresh markets under the institution."""
        return GovernedMarkets(self.table, self.program, markets=count, seed=seed)

    def measuring(self, *, seed: int) -> GovernedMarkets:
        """As many markets as a way of playing must be measured on."""
        return self.markets(MEASURED_ON if self.random else 1, seed=seed)

    def measured(self, history: Sequence[Played]) -> Measured:
        """What the run in `history` brought; the trace is that of its first market."""
        seats, states = list(self.seats), self.program.states
        earned = np.stack([played.earned[:, seats].mean(axis=1) for played in history])  # [T, E]
        fined = np.stack([played.fines[:, seats].mean(axis=1) for played in history])
        trace = tuple(
            Round(
                actions=played.actions[0].tolist(),
                standings=[states[state] for state in played.standings[0].tolist()],
                suspended=played.suspended[0].tolist(),
                fines=played.fines[0].tolist(),
                gain=float(earned[now, 0]) - self.honest,
            )
            for now, played in enumerate(history)
        )
        return Measured(float(earned.mean()) - self.honest, float(fined.mean()), trace)


def aim(
    loaded: LoadedGraph, core: Core, *, adversary: str = CARTEL, others: str = COMPLY, seed: int = 0
) -> Target:
    """The market `core` under `loaded`, attacked by the whole cartel or by one agent.

    Against one agent the others play their rows of the benchmark `others`. Raises
    InstitutionalError for an agent or a benchmark that is not there, and where no plan pays.
    """
    table = Table(core, loaded)
    program = table.program
    assert program is not None  # noqa: S101 - a table with a graph has a program
    names = (CARTEL, *core.agents)
    if adversary not in names:
        raise InstitutionalError(
            f'there is no adversary "{adversary}"\n  adversaries: {", ".join(names)}.'
            f"{suggestion(adversary, names)}"
        )
    points = core.benchmarks()
    if others not in points:
        raise InstitutionalError(
            f'there is no benchmark "{others}"\n  benchmarks: {", ".join(points)}.'
            f"{suggestion(others, points)}"
        )
    if adversary == CARTEL:
        if others != COMPLY:
            raise InstitutionalError(
                "a cartel has every seat: there are no others\n  name one agent as the adversary"
            )
        seats = tuple(range(len(core.agents)))
        plans, _ = cartel_plans(table)
        best = max(float(profits(core, actions).mean()) for actions in plans.values())
    else:
        seats = (core.agents.index(adversary),)
        plans = _replies(core, seats[0], points[others].actions)
        best = _most(program, core, seats[0], points[others].actions)
    rows = plans[COMPLY]
    target = Target(table, program, seats, rows, plans, honest=0.0, ceiling=0.0)
    honest = _played(target, lambda _: rows[np.newaxis], seed=seed).gain
    return Target(table, program, seats, rows, plans, honest=honest, ceiling=best - honest)


def _most(program: Program, core: Core, seat: int, rows: Array) -> float:
    """The most a round can bring one agent: its best reply, to rivals restricted or free.

    Rivals that are out of the market leave more of it, and sanctions can put them out.
    """
    everyone = np.arange(len(rows)) != seat
    free = np.ones((1, len(rows)))
    left = core.restrict(rows[np.newaxis], everyone[np.newaxis], free)[0]
    found = []
    for others in (rows, left) if program.restricts else (rows,):
        replied = others.copy()
        replied[seat] = core.best_reply(seat, others)
        found.append(float(profits(core, replied)[seat]))
    return max(found)


def _replies(core: Core, seat: int, rows: Array) -> dict[str, Array]:
    """What one agent may do while the others keep to `rows`: a benchmark, or its best reply."""
    points = core.benchmarks()
    own = {name: point.actions[seat] for name, point in points.items()}
    own = {COMPLY: own[COMPLY]} | own | {"best_reply": core.best_reply(seat, rows)}
    plans = {}
    for name, action in own.items():
        plans[name] = rows.copy()
        plans[name][seat] = action
    return plans


def _played(target: Target, rows: Rows, *, seed: int) -> Measured:
    return play(target, target.measuring(seed=seed), rows)


def play(target: Target, markets: GovernedMarkets, rows: Rows) -> Measured:
    """Play one run of what `rows` says, and measure it."""
    markets.reset()
    while not markets.over:
        joint = rows(len(markets.history))
        markets.step(np.broadcast_to(joint, (markets.markets, *joint.shape[1:])))
    return target.measured(markets.history)
