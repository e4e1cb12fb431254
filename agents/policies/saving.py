"""A trained Gaussian policy as one file: its weights, and what they were trained to see."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from agents.policies import archive
from agents.policies.network import Weights, fresh, shapes
from agents.policies.watching import width

FORMAT = "institutional.policy/1"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a policy is made for: how many agents, numbers, states, rounds and hidden units."""

    agents: int
    actions: int
    states: int  # legal states; 1 where nothing governs
    memory: int
    hidden: int

    @property
    def features(self) -> int:
        """F."""
        return width(
            agents=self.agents, actions=self.actions, states=self.states, memory=self.memory
        )

    def untrained(self, seed: int) -> Weights:
        """First weights."""
        return fresh(features=self.features, actions=self.actions, hidden=self.hidden, seed=seed)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights."""
        return shapes(features=self.features, actions=self.actions, hidden=self.hidden)


@dataclass(frozen=True, eq=False)
class Policy:
    """Weights and what they see."""

    sight: Sight
    weights: Weights


def save(path: Path, policy: Policy) -> None:
    """Write `policy` to `path`; the same policy gives the same bytes."""
    arrays = {name: weight.numpy() for name, weight in policy.weights.items()}
    archive.write(path, FORMAT, asdict(policy.sight), arrays)


def load(path: Path) -> Policy:
    """Read the policy at `path`; AgentError says what is not one."""
    return archive.read(path, FORMAT, _parsed, written_by="institutional graph redteam --out")


def _parsed(header: archive.Header, arrays: archive.Arrays) -> Policy:
    names = [field.name for field in fields(Sight)]
    archive.require_fields(header, names)
    sight = Sight(**archive.require_counts(header, names))
    archive.require_arrays(arrays, sight.shapes())
    return Policy(sight, {name: torch.from_numpy(arrays[name].copy()) for name in sight.shapes()})
