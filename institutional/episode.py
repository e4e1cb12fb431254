"""The one loop: environment, agents, institution and journal, from the first round to the last.

A run is scored and decided from what its journal gave back, never from live values, so that an
auditor who has the journal has everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents import catalogue
from agents.contract import Agent, Briefing, Inspection, Words
from environments.contract import Array, Core, Mask, Record, UnplayableError
from environments.market import Market
from environments.shocks import quiet
from institutional import scoring
from institutional.governance.governed import Governed, Recorded
from institutional.governance.journal import Journal, as_read_back
from institutional.governance.loading import LoadedGraph
from institutional.governance.program import Program, compile_graph
from institutional.governance.reading import PublicReading
from institutional.seeds import derive, environment_seed, lottery_of


@dataclass(frozen=True)
class Seat:
    """An agent of the catalogue with its parameters."""

    agent: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a run's journal gave back, and whether the run counts."""

    records: list[dict[str, Any]]  # public record per round
    rulings: list[dict[str, Any]]  # empty where nothing governs
    rewards: Array  # [T, N], net of fines
    invalid: str | None = None  # why the run counts for nothing


class Table:
    """A market and, if there is one, its institution: where agents take their seats.

    Compiling, solving the benchmarks and rehearsing happen once per table, not once per run.
    `rules` is the regime's text for agents that read, `inspection` who holds their plans to it.
    """

    def __init__(
        self,
        core: Core,
        loaded: LoadedGraph | None,
        *,
        rules: str = "",
        inspection: Inspection | None = None,
    ) -> None:
        self.core = core
        self._rules, self._inspection = rules, inspection
        self._quiet = quiet(core)
        self.program: Program | None = None
        self._reading: PublicReading | None = None
        if loaded is not None:
            self.program = compile_graph(
                loaded,
                agents=core.agents,
                signals=core.signals,
                references={name: b.record for name, b in core.benchmarks().items()},
            )
            self._reading = PublicReading(self.program, self._play)

    def _play(self, actions: Array, suspended: Mask, cap: Array) -> Record:
        return self.core.settle(self.core.restrict(actions, suspended, cap), self._quiet)

    def briefing(self, seat: int) -> Briefing:
        """The facts that the agent in `seat` is given before the first round."""
        core, benchmarks = self.core, self.core.benchmarks()
        return Briefing(
            seat=seat,
            agents=core.agents,
            low=core.low,
            high=core.high,
            capacity=core.capacity,
            benchmarks={name: b.actions for name, b in benchmarks.items()},
            profits={name: core.profits(b.record)[0] for name, b in benchmarks.items()},
            action_field=core.action_field,
            best_reply=core.best_reply,
            profit=lambda actions: core.profits(core.settle(actions[None], self._quiet))[0],
            graph=self._reading,
            words=Words(*core.words(seat)),
            rules=self._rules,
            inspection=self._inspection,
        )

    def seat(self, seats: Sequence[Seat]) -> dict[str, Agent]:
        """Build the agents, one per seat; raises AgentError for what cannot play here."""
        return {
            name: catalogue.make(chosen.agent, self.briefing(index), **chosen.parameters)
            for index, (name, chosen) in enumerate(zip(self.core.agents, seats, strict=True))
        }

    def play(
        self,
        agents: Mapping[str, Agent],
        *,
        seed: int,
        journal: Journal = as_read_back,
        after_round: Callable[[int], None] = lambda _: None,
    ) -> Outcome:
        """Play one run of `agents` (see `seat`); everything public goes through `journal`.

        An action that cannot be played ends the run and marks it invalid. `after_round` is called
        when a round is decided and before any agent hears of it: the place for a durable commit.
        """
        records: list[dict[str, Any]] = []
        rulings: list[dict[str, Any]] = []

        def keep(kind: str, body: dict[str, Any]) -> dict[str, Any]:
            read = journal(kind, body)
            (records if kind == "round" else rulings).append(read)
            return read

        market = Market(self.core)
        env: Any = (
            Recorded(market, keep) if self.program is None else Governed(market, self.program, keep)
        )
        for index, (name, agent) in enumerate(agents.items()):
            agent.reset(derive(seed, "agent", index, name))
        rewards: list[list[float]] = []
        outcome = Outcome(records, rulings, np.zeros((0, len(agents))))
        try:
            _rounds(env, agents, environment_seed(seed), rewards, after_round)
        except UnplayableError as error:
            outcome.invalid = f"round {len(records)}: {error}"
        outcome.rewards = np.array(rewards).reshape(-1, len(agents))
        if outcome.invalid is None and len(records) != self.core.rounds:
            outcome.invalid = f"{len(records)} of {self.core.rounds} rounds were played"
        return outcome


def lottery(seed: int) -> int:
    """The word that decides who is audited in the run of `seed`; part of its record."""
    return lottery_of(environment_seed(seed))


def _rounds(
    env: Any,
    agents: Mapping[str, Agent],
    seed: int,
    rewards: list[list[float]],
    after_round: Callable[[int], None],
) -> None:
    learners = {name: agent.learn for name, agent in agents.items() if hasattr(agent, "learn")}
    observations, _ = env.reset(seed=seed)
    while env.agents:
        actions = {name: agents[name].act(observations[name]) for name in env.agents}
        following, earned, _, _, _ = env.step(actions)
        after_round(len(rewards))
        rewards.append([earned[name] for name in agents])
        for name, learn in learners.items():
            learn(observations[name], actions[name], earned[name], following[name])
        observations = following


def measured(table: Table, outcome: Outcome) -> dict[str, float]:
    """Run-level measures of a finished run; `*_net` are after fines."""
    return scoring.measured(table.core, table.program, outcome.records, outcome.rulings)


def enforcement(table: Table, outcome: Outcome) -> dict[str, float | int | None]:
    """What the institution did in a run, counted; None everywhere where there was none."""
    return scoring.enforcement(table.program, outcome.rulings)
