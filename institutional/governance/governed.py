"""Any PettingZoo environment that publishes a record, put under an institution.

One round: restrictions in force are applied to the actions (regimentation), the environment steps
and publishes, oracle and controller rule on the *recorded* round (enforcement), fines change this
round's rewards, and notices and restrictions reach the agents with the next observation.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from pettingzoo.utils import BaseParallelWrapper

from institutional.errors import InstitutionalError
from institutional.governance.controller import Ruling
from institutional.governance.institution import Institution, account
from institutional.governance.journal import Journal, as_arrays, as_read_back
from institutional.governance.loading import LoadedGraph
from institutional.governance.program import Array, Program, Record, Signal, compile_graph
from institutional.seeds import lottery_of


class Published(Protocol):
    """What `Governed` needs of an environment beyond PettingZoo's own interface."""

    possible_agents: list[str]

    def public_record(self) -> dict[str, Any]:
        """The public record of the last round: name -> number or nested lists of numbers."""

    @property
    def signals(self) -> Mapping[str, Signal]:
        """Signals over the public record."""

    def restrict(self, actions: dict[str, Any], suspended: Any, cap: Any) -> dict[str, Any]:
        """Bring joint actions under the restrictions [N] in force."""

    def references(self) -> Mapping[str, Record]:
        """Public records (M = 1) at the benchmarks; empty where there are none."""


def compile_for(loaded: LoadedGraph, env: Published) -> Program:
    """Compile `loaded` for the agents, signals and benchmarks of `env`."""
    return compile_graph(
        loaded, agents=env.possible_agents, signals=env.signals, references=env.references()
    )


class Recorded(BaseParallelWrapper[str, Any, Any]):
    """An environment whose rounds are entered into a journal, and nothing else."""

    def __init__(self, env: Any, journal: Journal = as_read_back) -> None:
        super().__init__(env)
        self._journal = journal
        self.round = 0
        self.record: dict[str, Any] = {}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start anew; nothing is recorded yet."""
        self.round = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: dict[str, Any]) -> Any:
        """Step and record."""
        return self.step_as(actions, actions)

    def step_as(self, actions: dict[str, Any], submitted: dict[str, Any]) -> Any:
        """Step with `actions`; the record keeps what was `submitted` before restriction."""
        outcome = self.env.step(actions)
        body = {
            "round": self.round,
            "record": self.env.public_record(),
            "submitted": {a: np.asarray(value).tolist() for a, value in submitted.items()},
        }
        self.record = self._journal("round", body)["record"]
        self.round += 1
        return outcome


class Governed(BaseParallelWrapper[str, Any, Any]):
    """`env` under the institution of `graph`.

    observation  the environment's (a non-dictionary one under "observation"), and
                 standing   own state, an index into `program.states`
                 standings  everybody's
                 credits    own balance
                 fine       money taken from this round's reward
                 suspended  1 if one may not act in the coming round
                 cap        largest permitted share of the largest action in the coming round
    reward       the environment's, less the fine
    infos        `notice`: the text an agent is sent, if any

    Raises InstitutionalError where the graph and the environment do not fit.
    """

    def __init__(
        self, env: Any, graph: LoadedGraph | Program, journal: Journal = as_read_back
    ) -> None:
        for needed in ("public_record", "signals", "restrict", "references"):
            if not hasattr(env, needed):
                raise InstitutionalError(
                    f"{env} has no {needed}, so it cannot be governed\n"
                    "  wrap it in environments.published.Published and say what is public"
                )
        super().__init__(env)
        self.program = graph if isinstance(graph, Program) else compile_for(graph, env)
        self._recorded = Recorded(env, journal)
        self._journal = journal
        self.institution = Institution(self.program)
        self.ruling: Ruling | None = None
        self._fines: Array = np.zeros(len(self.possible_agents))
        self._seats = {agent: seat for seat, agent in enumerate(self.possible_agents)}
        self._spaces = {agent: self._observation_space(agent) for agent in self.possible_agents}

    def _observation_space(self, agent: str) -> spaces.Dict:
        inner = self.env.observation_space(agent)
        known = inner.spaces if isinstance(inner, spaces.Dict) else {"observation": inner}
        states = len(self.program.states)
        return spaces.Dict(
            {
                **known,
                "standing": spaces.Discrete(states),
                "standings": spaces.MultiDiscrete([states] * len(self.possible_agents)),
                "credits": spaces.Box(0, np.inf, (), np.float64),
                "fine": spaces.Box(0, np.inf, (), np.float64),
                "suspended": spaces.Discrete(2),
                "cap": spaces.Box(0, 1, (), np.float64),
            }
        )

    def observation_space(self, agent: str) -> Any:
        """The environment's observation and the agent's standing."""
        return self._spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Start anew with everybody in the graph's initial state."""
        observations, infos = self._recorded.reset(seed=seed, options=options)
        self.institution = Institution(self.program, lotteries=[lottery_of(seed)])
        self.ruling = None
        self._fines = np.zeros(len(self.possible_agents))
        return self._with_standing(observations), infos

    def step(self, actions: dict[str, Any]) -> Any:
        """Regiment, step, record, rule and enforce."""
        allowed = actions
        if self.program.restricts:
            suspended, cap = self.institution.suspended()[0], self.institution.cap()[0]
            if suspended.any() or (cap < 1).any():
                allowed = self.env.restrict(actions, suspended, cap)
        observations, rewards, terminations, truncations, infos = self._recorded.step_as(
            allowed, actions
        )
        ruling = self.institution.judge(as_arrays(self._recorded.record))
        told = self._journal("ruling", account(self.program, ruling))
        self.ruling, self._fines = ruling, ruling.decisions.fines[0]
        rewards = {
            agent: float(reward) - float(self._fines[self._seats[agent]])
            for agent, reward in rewards.items()
        }
        for agent, notice in told["notices"].items():
            if agent in infos:
                infos[agent]["notice"] = notice
        return self._with_standing(observations), rewards, terminations, truncations, infos

    def _with_standing(self, observations: dict[str, Any]) -> dict[str, Any]:
        states, balances = self.institution.shown()
        state, credits_ = states[0], balances[0]
        suspended, cap = self.institution.suspended()[0], self.institution.cap()[0]
        result = {}
        for agent, inner in observations.items():
            seat = self._seats[agent]
            known = inner if isinstance(inner, dict) else {"observation": inner}
            result[agent] = {
                **known,
                "standing": state[seat],
                "standings": state,
                "credits": np.float64(credits_[seat]),
                "fine": self._fines[seat],
                "suspended": np.int64(suspended[seat]),
                "cap": cap[seat],
            }
        return result
