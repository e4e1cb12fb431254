"""`Proposals`: agents answer a prompt with one response each, and a judge says what each is worth.

A PettingZoo environment of its own rather than a `Core`: who acts has seen the round's prompt, and
acts with an index, while a core's actions are amounts chosen on the last record alone. It
publishes a record, signals and references, so it is governed like any other environment.

Shapes: X prompts, K responses, N agents.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, Space
from pettingzoo import ParallelEnv

from environments import checks
from environments.contract import Array, Mask, Record, Signal, UnplayableError
from environments.preference_games.judges import Judge
from environments.preference_games.policies import checked_policy


def reward(now: Record, _before: Record) -> Array:
    """What each agent's proposal was worth."""
    return now["rewards"]


def likelihood(now: Record, _before: Record) -> Array:
    """How likely the reference was to give each agent's proposal."""
    return now["likelihoods"]


SIGNALS: Mapping[str, Signal] = {
    "reward": Signal(reward, "reward", -np.inf, np.inf, "what the agent's proposal was worth"),
    "likelihood": Signal(
        likelihood, "probability", 0.0, 1.0, "how likely the reference is to propose the same"
    ),
}


class Proposals(ParallelEnv[str, dict[str, Any], np.int64]):
    """`agents` agents answer `rounds` prompts.

    action       a response, 0 to K - 1
    observation  `prompt`, to be answered now, and of the last round `proposals` [N], `rewards`
                 [N] and `likelihoods` [N] under the reference; zeros at reset
    reward       what the judge says
    end          truncation after `rounds`; nothing terminates

    `prompts` [X] is how often each prompt is asked, equally often if None.
    """

    render_mode = None

    def __init__(
        self,
        judge: Judge,
        *,
        agents: int = 2,
        rounds: int = 50,
        prompts: Array | None = None,
        seed: int = 0,
    ) -> None:
        self.judge = judge
        self.rounds = checks.count(rounds, "rounds")
        count, self.responses = judge.reference.shape
        shares = np.full(count, 1 / count) if prompts is None else prompts
        self.prompts = checks.array(checked_policy(shares, "prompts"), "prompts", shape=(count,))
        self.metadata: dict[str, Any] = {"name": "proposals", "render_modes": []}
        self.possible_agents = [f"policy_{n + 1}" for n in range(checks.count(agents, "agents"))]
        self.agents: list[str] = []
        each = (len(self.possible_agents),)
        self._observation = Dict(
            {
                "prompt": Discrete(count),
                "proposals": Box(0, self.responses - 1, each, np.float64),
                "rewards": Box(-np.inf, np.inf, each, np.float64),
                "likelihoods": Box(0, 1, each, np.float64),
            }
        )
        self._actions = {agent: Discrete(self.responses) for agent in self.possible_agents}
        self._restart(seed)

    def _restart(self, seed: int) -> None:
        self.seed = seed
        self._next = np.random.Generator(np.random.PCG64(seed))

    @property
    def signals(self) -> Mapping[str, Signal]:
        """What an oracle may compute from public records, by name."""
        return SIGNALS

    def observation_space(self, agent: str) -> Space[Any]:  # noqa: ARG002 - all see the same
        """Return the space of the prompt and the last round, one object for all agents."""
        return self._observation

    def action_space(self, agent: str) -> Space[Any]:
        """Return the agent's responses."""
        return self._actions[agent]

    def reset(
        self,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - part of the interface
    ) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Start a run with the prompts of `seed`, or else of one drawn from the last seed given."""
        if seed is None:
            self.seed = int(self._next.integers(2**63))
        else:
            self._restart(seed)
        generator = np.random.Generator(np.random.PCG64(self.seed))
        # One more than is answered: the last observation, too, shows a prompt.
        self._asked = generator.choice(len(self.prompts), size=self.rounds + 1, p=self.prompts)
        self._round = 0
        self.agents = self.possible_agents[:]
        blank = np.zeros(len(self.agents))
        self._record = {"prompt": 0, "proposals": blank, "rewards": blank, "likelihoods": blank}
        return self._observed(), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[
        dict[str, dict[str, Any]],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Judge one round. Raises `UnplayableError`, and nothing happens, for a bad proposal."""
        if not self.agents:
            raise UnplayableError("no run is under way: call reset")
        proposals = self._joint(actions)
        prompt = int(self._asked[self._round])
        rewards = self.judge.rewards(prompt, proposals)
        self._record = {
            "prompt": prompt,
            "proposals": proposals.astype(np.float64),
            "rewards": rewards,
            "likelihoods": self.judge.reference[prompt, proposals],
        }
        self._round += 1
        over = self._round == self.rounds
        agents, observations = self.agents, self._observed()
        if over:
            self.agents = []
        return (
            observations,
            dict(zip(agents, rewards.tolist(), strict=True)),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, over),
            {agent: {} for agent in agents},
        )

    def restrict(
        self, actions: Mapping[str, Any], suspended: Mask, cap: Array
    ) -> dict[str, np.int64]:
        """Bring proposals near the reference: [N] restrictions on joint `actions`.

        A suspended agent proposes what the reference gives most often; a capped one may propose
        what the reference gives at least (1 - cap) times as often as that, or else proposes that.
        """
        proposals = self._joint(actions)
        reference = self.judge.reference[int(self._asked[self._round])]
        usual = int(reference.argmax())
        least = (1 - cap) * reference[usual]
        kept = ~suspended & (reference[proposals] >= least)
        allowed = np.where(kept, proposals, usual)
        return dict(zip(self.agents, allowed, strict=True))

    def references(self) -> Mapping[str, Record]:
        """Mean records (M = 1) where all play the best policy, `nash`, or the `reference`."""
        points = {"nash": self.judge.best(), "reference": self.judge.reference}
        return {name: self._mean_record(policy) for name, policy in points.items()}

    def public_record(self) -> dict[str, Any]:
        """The last round as JSON-serialisable numbers; zeros before the first."""
        return {name: np.asarray(value).tolist() for name, value in self._record.items()}

    def _mean_record(self, policy: Array) -> Record:
        count = len(self.possible_agents)
        worth = float((self.prompts * self.judge.expected(policy, agents=count)).sum())
        usual = float((self.prompts * (policy * self.judge.reference).sum(axis=1)).sum())
        each = np.ones((1, count))
        return {"rewards": worth * each, "likelihoods": usual * each}

    def _observed(self) -> dict[str, dict[str, Any]]:
        told: dict[str, Any] = {name: np.asarray(value) for name, value in self._record.items()}
        for values in told.values():
            values.setflags(write=False)
        told["prompt"] = np.int64(self._asked[self._round])
        return {agent: told.copy() for agent in self.agents}

    def _joint(self, actions: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The agents' proposals in seat order, [N]."""
        wanted = f"give every agent a whole number from 0 to {self.responses - 1}"
        for agent in self.agents:
            if agent not in actions:
                raise UnplayableError(f"{agent} has no proposal: {wanted}")
            if not self._actions[agent].contains(actions[agent]):
                raise UnplayableError(f"{agent} proposes {actions[agent]!r}: {wanted}")
        for agent in actions:
            if agent not in self.agents:
                raise UnplayableError(
                    f"{agent} is not in this game: propose for {', '.join(self.agents)}"
                )
        return np.array([int(actions[agent]) for agent in self.agents], dtype=np.int64)
