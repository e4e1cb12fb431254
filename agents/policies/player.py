"""A network in one seat of one market: trained and fixed, or learning while it plays."""

from pathlib import Path

import numpy as np
import torch

from agents.checks import require_within
from agents.contract import AgentError, Array, Briefing, Observation
from agents.policies.network import STEPS_STREAM, Weights, explored, generator, opinion
from agents.policies.reach import Reach
from agents.policies.saving import Policy, Sight, load
from agents.policies.train import Improver, Samples
from agents.policies.watching import Features, Seen, Watcher

MEMORY, HIDDEN = 8, 64


def for_seat(briefing: Briefing, file: str) -> Policy | Sight:
    """The policy in `file`, or without one what an untrained policy of this market sees."""
    graph = briefing.graph
    agents, actions = briefing.low.shape
    states = 1 if graph is None else len(graph.states)
    here = Sight(agents=agents, actions=actions, states=states, memory=MEMORY, hidden=HIDDEN)
    if not file:
        return here
    policy = load(Path(file))
    for count in ("agents", "actions", "states"):
        trained, found = getattr(policy.sight, count), getattr(here, count)
        if trained != found:
            raise AgentError(
                f"{file}: trained for {trained} {count}, and here are {found}\n"
                "  play it in a market, and under a graph, of the kind it was trained in"
            )
    return policy


class Senses:
    """The watcher and the reach of one seat, fed with observations."""

    def __init__(self, briefing: Briefing, sight: Sight) -> None:
        self._briefing = briefing
        self._reach = Reach.of(briefing, [briefing.seat])
        self._watcher = Watcher(briefing, [briefing.seat], states=sight.states, memory=sight.memory)
        self.reset()

    def reset(self) -> None:
        """Forget the last run."""
        self._watcher.reset(1)
        self._begun = False

    def features(self, observation: Observation) -> torch.Tensor:
        """What is seen now, [F]; call once per round, in order."""
        agents, seat = len(self._briefing.agents), self._briefing.seat
        standings = np.zeros((1, agents), dtype=np.int64)
        suspended, cap = np.zeros((1, agents), dtype=np.bool_), np.ones((1, agents))
        credits_, fines = np.zeros((1, agents)), np.zeros((1, agents))
        if self._briefing.graph is not None:
            standings[0] = observation["standings"]
            # A partial institution, as in a test, may show no more than standings.
            suspended[0, seat] = bool(observation.get("suspended", False))
            cap[0, seat] = float(observation.get("cap", 1.0))
            credits_[0, seat] = float(observation.get("credits", 0.0))
            fines[0, seat] = float(observation.get("fine", 0.0))
        seen: Features
        if self._begun:
            actions = np.asarray(observation[self._briefing.action_field])[np.newaxis]
            seen = self._watcher(Seen(actions, standings, credits_, fines, suspended, cap))
        else:
            seen = self._watcher.first(standings, suspended, cap)
            self._begun = True
        return torch.from_numpy(seen[0, 0])

    def action(self, steps: torch.Tensor) -> Array:
        """`steps` [A] as an action of the seat, [A]."""
        alone = steps.double().numpy()[np.newaxis, np.newaxis]
        action: Array = self._reach.actions(alone)[0, 0]
        return action


class Player:
    """Plays the means of a trained network; without a file, Nash, as the untrained do."""

    def __init__(self, briefing: Briefing, *, file: str = "") -> None:
        found = for_seat(briefing, file)
        self._weights = found.weights if isinstance(found, Policy) else found.untrained(0)
        self._senses = Senses(briefing, found.sight if isinstance(found, Policy) else found)

    def reset(self, seed: int) -> None:  # noqa: ARG002 - it draws nothing
        """Forget the last run; the weights stay."""
        self._senses.reset()

    def act(self, observation: Observation) -> Array:
        """Return the network's action, [A]."""
        with torch.no_grad():
            said = opinion(self._weights, self._senses.features(observation))
        return self._senses.action(said.means)


class LearningPlayer:
    """Explores, and improves its network after every `rounds_per_update` rounds of a run.

    A run forgets what the last one taught: it starts from `file`, or from weights drawn from its
    seed. Rewards count in honest profits, above the honest one.
    """

    def __init__(
        self,
        briefing: Briefing,
        *,
        method: str,
        file: str = "",
        rounds_per_update: int = 64,
        learning_rate: float = 0.003,
        discount: float = 0.95,
    ) -> None:
        require_within("rounds_per_update", rounds_per_update, 2, 1_000_000)
        require_within("learning_rate", learning_rate, 0, 1)
        found = for_seat(briefing, file)
        self._trained: Weights | None = found.weights if isinstance(found, Policy) else None
        self._sight = found.sight if isinstance(found, Policy) else found
        self._senses = Senses(briefing, self._sight)
        self._honest = float(briefing.profits["nash"][briefing.seat])
        self._method, self._rounds = method, rounds_per_update
        self._rate, self._discount = learning_rate, discount
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Start from the first weights; all exploration to come derives from `seed`."""
        self._senses.reset()
        self._draws = generator(seed, STEPS_STREAM)
        weights = self._sight.untrained(seed) if self._trained is None else self._trained
        self._learner = Improver(
            weights,
            method=self._method,
            seed=seed,
            discount=self._discount,
            learning_rate=self._rate,
        )
        self._played: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        self._rewards: list[float] = []

    def act(self, observation: Observation) -> Array:
        """Return an explored action, [A]."""
        features = self._senses.features(observation)
        if len(self._rewards) == self._rounds:
            self._improve(features)
        with torch.no_grad():
            steps, log_prob = explored(opinion(self._learner.weights, features), self._draws)
        self._played.append((features, steps, log_prob))
        return self._senses.action(steps)

    def learn(
        self, observation: Observation, action: Array, reward: float, following: Observation
    ) -> None:
        """Keep what the round brought; the improvement waits for what is seen next."""
        del observation, action, following  # kept when it acted; a tremble is the market's noise
        unit = abs(self._honest) or 1.0
        self._rewards.append((reward - self._honest) / unit)

    def _improve(self, following: torch.Tensor) -> None:
        features, steps, log_probs = (
            torch.stack(part).unsqueeze(1) for part in zip(*self._played, strict=True)
        )
        rewards = torch.tensor(self._rewards, dtype=torch.float32).unsqueeze(1)
        self._learner.improve(Samples(features, steps, log_probs, rewards, following.unsqueeze(0)))
        self._played, self._rewards = [], []
