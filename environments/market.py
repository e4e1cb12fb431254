"""Two views of one `Core`: `Markets`, thousands as arrays, and `Market`, one as a PettingZoo env.

The second is the first with one market in it, so for equal seeds both give the same bits.

Shapes: M markets, N agents, A numbers in one action, K shocks.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from gymnasium.spaces import Box, Dict, Space
from pettingzoo import ParallelEnv

from environments.contract import Array, Benchmark, Core, Mask, Record, Signal, UnplayableError
from environments.spaces import CapacityBox


class Markets:
    """M markets under one core, stepped together; market m has the shocks of `seeds[m]`."""

    def __init__(self, core: Core, seeds: Sequence[int]) -> None:
        if not seeds:
            raise UnplayableError("there are no seeds: give one for each market")
        self.core = core
        self.seeds = tuple(seeds)
        self.round = 0
        path = core.shocks(self.seeds[0])
        others = self.seeds[1:] if path.shape[1] else ()
        self._path = np.zeros((core.rounds, len(self.seeds), path.shape[1]))
        self._path[:, 0] = path
        for market, seed in enumerate(others, start=1):
            self._path[:, market] = core.shocks(seed)

    def reset(self) -> None:
        """Go back to before the first round, with the same shocks to come."""
        self.round = 0

    def picked(self, which: Sequence[int]) -> Self:
        """The markets `which` as they now are, to be played on apart; a repeat is a copy."""
        apart = copy.copy(self)
        apart.seeds = tuple(self.seeds[market] for market in which)
        apart._path = self._path[:, list(which)]  # noqa: SLF001 - its own
        return apart

    def step(self, actions: Array, *, checked: bool = True) -> Record:
        """Play `actions` [M, N, A] in every market and return the public record of the round.

        Raises `UnplayableError` if the run is over and, where `checked`, if an action cannot be
        played; then no round has passed.
        """
        if self.round == self.core.rounds:
            raise UnplayableError(f"all {self.round} rounds have been played: call reset")
        actions = np.asarray(actions, dtype=np.float64)
        if checked:
            if len(actions) != len(self.seeds):
                raise UnplayableError(
                    f"actions are for {len(actions)} markets: give them for {len(self.seeds)}"
                )
            refusal = self.core.refuse(actions)
            if refusal is not None:
                raise UnplayableError(refusal)
        record = self.core.settle(actions, self._path[self.round])
        self.round += 1
        return record


class Market(ParallelEnv[str, dict[str, Array], Array]):
    """One market as a PettingZoo environment.

    action       [A]    between the core's `low` and `high`, in all at most its capacity
    observation         the last public record, the same for every agent; zeros at reset
    reward       money  the agent's profit in the round
    end                 truncation after the core's `rounds`; nothing terminates

    Observations are read-only: they are the record, not copies of it.
    """

    render_mode = None

    def __init__(self, core: Core, *, seed: int = 0) -> None:
        self.core = core
        self.metadata: dict[str, Any] = {"name": core.name, "render_modes": []}
        self.possible_agents = list(core.agents)
        self.agents: list[str] = []
        self._low, self._high = core.low, core.high
        self._observation = Dict(
            {name: Box(-np.inf, np.inf, shape, np.float64) for name, shape in core.fields.items()}
        )
        self._actions = {agent: self._space(seat) for seat, agent in enumerate(core.agents)}
        self._restart(seed)

    def _space(self, seat: int) -> Box:
        if self.core.capacity is None:
            return Box(self._low[seat], self._high[seat], dtype=np.float64)
        return CapacityBox(self.core.capacity, self._low.shape[1])

    def _restart(self, seed: int) -> None:
        self.seed = seed
        self._next = np.random.Generator(np.random.PCG64(seed))

    @property
    def signals(self) -> Mapping[str, Signal]:
        """What an oracle may compute from public records, by name."""
        return self.core.signals

    def benchmarks(self) -> Mapping[str, Benchmark]:
        """Reference points of this market, by name."""
        return self.core.benchmarks()

    def observation_space(self, agent: str) -> Space[Any]:  # noqa: ARG002 - all see the same
        """Return the space of the public record, one object for all agents."""
        return self._observation

    def action_space(self, agent: str) -> Space[Any]:
        """Return the agent's box of actions."""
        return self._actions[agent]

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - part of the interface
    ) -> tuple[dict[str, dict[str, Array]], dict[str, dict[str, Any]]]:
        """Start a run: with the shocks of `seed`, or else of one drawn from the last seed given."""
        if seed is None:
            self.seed = int(self._next.integers(2**63))
        else:
            self._restart(seed)
        self._markets = Markets(self.core, [self.seed])
        self.agents = self.possible_agents[:]
        blank = {name: np.zeros((1, *shape)) for name, shape in self.core.fields.items()}
        return self._publish(blank), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[
        dict[str, dict[str, Array]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Play one round. Raises `UnplayableError`, and nothing happens, for an invalid action."""
        agents = self.agents
        if not agents:
            raise UnplayableError("no run is under way: call reset")
        record = self._markets.step(self._joint(actions))
        over = self._markets.round == self.core.rounds
        observations = self._publish(record)
        if over:
            self.agents = []
        return (
            observations,
            dict(zip(agents, self.core.profits(record)[0].tolist(), strict=True)),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, over),
            {agent: {} for agent in agents},
        )

    def restrict(self, actions: Mapping[str, Any], suspended: Mask, cap: Array) -> dict[str, Array]:
        """Bring joint `actions` under restrictions [N].

        Raises `UnplayableError` as `step` would: no restriction makes a bad action good.
        """
        joint = self._joint(actions)
        refusal = self.core.refuse(joint)
        if refusal is not None:
            raise UnplayableError(refusal)
        allowed = self.core.restrict(joint, suspended[np.newaxis], cap[np.newaxis])[0]
        return dict(zip(self.agents, allowed, strict=True))

    def references(self) -> Mapping[str, Record]:
        """The public record of one round (M = 1) at each benchmark."""
        return {name: benchmark.record for name, benchmark in self.core.benchmarks().items()}

    def public_record(self) -> dict[str, Any]:
        """The last round as JSON-serialisable lists of numbers; zeros before the first."""
        return {name: values.tolist() for name, values in self._record.items()}

    def _publish(self, record: Record) -> dict[str, dict[str, Array]]:
        self._record = {name: values[0] for name, values in record.items()}
        for values in self._record.values():
            values.setflags(write=False)
        return {agent: self._record.copy() for agent in self.agents}

    def _joint(self, actions: Mapping[str, Any]) -> Array:
        """The agents' actions in seat order, [1, N, A]."""
        try:
            joint = np.array([[actions[agent] for agent in self.agents]], dtype=np.float64)
        except (KeyError, TypeError, ValueError):
            joint = np.empty(0)
        if joint.shape[1:] != self._low.shape or len(actions) > len(self.agents):
            raise UnplayableError(self._misfit(actions))
        return joint

    def _misfit(self, actions: Mapping[str, Any]) -> str:
        """Say whose action is missing, misshapen or out of place."""
        wanted = f"give every agent a list or array of {self._low.shape[1]} number(s)"
        for agent in self.agents:
            if agent not in actions:
                return f"{agent} has no action: {wanted}"
            action = actions[agent]
            try:
                fits = np.asarray(action, dtype=np.float64).shape == self._low[0].shape
            except (TypeError, ValueError):
                fits = False
            if not fits:
                return f"{agent} plays {action!r}: {wanted}"
        stranger = next(agent for agent in actions if agent not in self.agents)
        return f"{stranger} is not in this market: act for {', '.join(self.agents)}"
