"""A policy over levels as one file: its weights, what they were made for, and by what training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.contract import Array
from agents.policies import archive
from agents.policies.levels import LevelPolicy, untrained
from agents.policies.looking import width


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a policy is made for."""

    agents: int
    actions: int
    levels: int
    hidden: int
    hold: int  # rounds for which each choice is kept

    def untrained(self, seed: int) -> LevelPolicy:
        """The first policy."""
        return untrained(
            features=width(agents=self.agents, actions=self.actions),
            hidden=self.hidden,
            actions=self.actions,
            levels=self.levels,
            seed=seed,
        )


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a policy came about: enough to play it again where it was trained."""

    method: str
    seed: int
    environment: Mapping[str, Any]  # the market's configuration
    graph: str  # the institution's text; empty where nothing governed
    seats: str  # who learnt
    others: str  # what the remaining seats played


@dataclass(frozen=True, eq=False)
class Habit:
    """A policy, the bounds [N, A] between which its levels lie, and its origin."""

    shape: Shape
    policy: LevelPolicy
    low: Array
    high: Array
    origin: Origin


def save(path: Path, habit: Habit) -> None:
    """Write `habit` to `path`; the same policy gives the same bytes."""
    weights = {name: weight.numpy() for name, weight in habit.policy.state_dict().items()}
    bounds = {"low": habit.low, "high": habit.high}
    header = asdict(habit.shape) | asdict(habit.origin)
    archive.write(path, archive.LEVEL_POLICY, header, weights | bounds)


def load(path: Path) -> Habit:
    """Read the policy at `path`; AgentError says what is not one."""
    return archive.read(
        path, archive.LEVEL_POLICY, _parsed, written_by="institutional agent train policy"
    )


_KINDS = {
    "method": str,
    "seed": int,
    "environment": dict,
    "graph": str,
    "seats": str,
    "others": str,
}


def _parsed(header: archive.Header, arrays: archive.Arrays) -> Habit:
    counts = [field.name for field in fields(Shape)]
    archive.require_fields(header, [*counts, *_KINDS])
    shape = Shape(**archive.require_counts(header, counts))
    if shape.levels < 2:
        raise ValueError("levels=1 in the header")
    for name, kind in _KINDS.items():
        if type(header[name]) is not kind:
            raise ValueError(f"{name}={header[name]!r} in the header")
    bounds = {name: arrays[name] for name in ("low", "high")}
    both = (shape.agents, shape.actions)
    archive.require_arrays(bounds, dict.fromkeys(bounds, both), np.float64)
    if (bounds["low"] > bounds["high"]).any():
        raise ValueError("low is above high")
    policy = shape.untrained(0)
    shapes = {name: tuple(weight.shape) for name, weight in policy.state_dict().items()}
    weights = {name: array for name, array in arrays.items() if name not in bounds}
    archive.require_arrays(weights, shapes)
    policy.load_state_dict({name: torch.from_numpy(weights[name].copy()) for name in shapes})
    return Habit(
        shape,
        policy.requires_grad_(requires_grad=False),
        bounds["low"],
        bounds["high"],
        Origin(**{name: header[name] for name in _KINDS}),
    )
