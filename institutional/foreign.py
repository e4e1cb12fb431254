"""Learners that others wrote, in a governed market.

A library that speaks PettingZoo takes `Governed` as it is. One that knows Gymnasium alone trains on
`OneSeat`, where agents of the catalogue have the other seats, and then takes its seat in a logged
run as `Foreign`. Both see flat numbers and say numbers between -1 and 1, which such libraries like.

Shapes: F flat numbers of an observation, A numbers in one action.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agents import catalogue
from agents.contract import Observation
from agents.tremble import bounded
from environments.market import Market
from institutional.episode import Seat, Table
from institutional.errors import InstitutionalError
from institutional.governance.governed import Governed
from institutional.governance.program import Array
from institutional.seeds import derive, environment_seed

Flat = NDArray[np.float32]
MOST_SEED = 2**53


class Seating:
    """How one seat's observations and actions look to a library."""

    def __init__(self, table: Table, seat: int) -> None:
        if table.program is None:
            raise InstitutionalError("the table has no institution\n  give it a governance graph")
        briefing = table.briefing(seat)
        market = Governed(Market(table.core), table.program)
        self._space = market.observation_space(table.core.agents[seat])
        self._low, self._high = briefing.low[seat], briefing.high[seat]
        self._capacity = briefing.capacity
        width = spaces.flatdim(self._space)
        self.observation_space = spaces.Box(-np.inf, np.inf, (width,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, self._low.shape, np.float32)

    def seen(self, observation: Observation) -> Flat:
        """The observation as flat numbers, states one-hot, [F]."""
        flat: Flat = np.asarray(spaces.flatten(self._space, observation), dtype=np.float32)
        return flat

    def action(self, numbers: Any) -> Array:
        """Numbers in [-1, 1] as an action within bounds and capacity, [A]."""
        share = (np.asarray(numbers, dtype=np.float64) + 1) / 2
        wanted = self._low + share * (self._high - self._low)
        return bounded(wanted, low=self._low, high=self._high, capacity=self._capacity)


class OneSeat(gymnasium.Env[Flat, Any]):
    """The seat of `agent` at a governed table; `others` are seated by agent name.

    reward   money, net of fines
    end      truncation after the market's rounds
    infos    `notice`, if one was sent
    """

    def __init__(self, table: Table, agent: str, others: Mapping[str, Seat]) -> None:
        names = table.core.agents
        if agent not in names or {agent, *others} != set(names) or agent in others:
            raise InstitutionalError(
                f"{agent} and {', '.join(others)} do not fill the seats {', '.join(names)}\n"
                "  name an agent for every seat but one"
            )
        self._seating = Seating(table, names.index(agent))
        assert table.program is not None  # noqa: S101 - or there would be no seating
        self._market = Governed(Market(table.core), table.program)
        self._agent = agent
        self._others = {
            name: catalogue.make(seat.agent, table.briefing(names.index(name)), **seat.parameters)
            for name, seat in others.items()
        }
        self.observation_space = self._seating.observation_space
        self.action_space = self._seating.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Flat, dict[str, Any]]:
        """Start a run; without a seed, one drawn from the last seed given."""
        super().reset(seed=seed, options=options)
        run = int(self.np_random.integers(MOST_SEED))
        for index, (name, other) in enumerate(self._others.items()):
            other.reset(derive(run, "agent", index, name))
        self._seen, infos = self._market.reset(seed=environment_seed(run))
        return self._seating.seen(self._seen[self._agent]), infos[self._agent]

    def step(self, action: Any) -> tuple[Flat, float, bool, bool, dict[str, Any]]:
        """Play a round; the others act on what they saw, and learn if they can."""
        before = self._seen
        actions = {name: other.act(before[name]) for name, other in self._others.items()}
        joint = {**actions, self._agent: self._seating.action(action)}
        self._seen, earned, _, over, infos = self._market.step(joint)
        for name, other in self._others.items():
            if hasattr(other, "learn"):
                other.learn(before[name], actions[name], earned[name], self._seen[name])
        mine = self._agent
        return self._seating.seen(self._seen[mine]), earned[mine], False, over[mine], infos[mine]


class Foreign:
    """An agent that asks `predict` (flat numbers [F] to numbers [A]) what to do."""

    def __init__(self, table: Table, seat: int, predict: Callable[[Flat], Any]) -> None:
        self._seating, self._predict = Seating(table, seat), predict

    def reset(self, seed: int) -> None:
        """Nothing to forget: what `predict` remembers is its own affair."""

    def act(self, observation: Observation) -> Array:
        """Return the predicted action, [A]."""
        return self._seating.action(self._predict(self._seating.seen(observation)))
