"""The red team: adversaries that learn, from their earnings alone, to get around a graph.

A learner maps a target and a seed to what it found. One whose search holds no chance is tried once.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.checks import require_within
from agents.policies.entries import require_torch
from institutional.errors import InstitutionalError, suggestion
from institutional.experiments.statistics import FEWEST_VALUES_FOR_INTERVAL, bootstrap_interval
from institutional.redteam.bound import Bound, bound
from institutional.redteam.schedules import best_schedule
from institutional.redteam.target import Measured, Target
from institutional.seeds import derive

if TYPE_CHECKING:
    from agents.policies.saving import Policy

NEGLIGIBLE_SHARE = 0.05
"""A gain below this share of the ceiling is no exploit unless another tolerance is given."""
FREE, PLANS = "free", "plans"


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard is tried."""

    seeds: int
    updates: int  # runs that each learner trains on, each played in every market
    markets: int
    schedules: int


FULL = Effort(seeds=5, updates=150, markets=32, schedules=20_000)
QUICK = Effort(seeds=1, updates=6, markets=8, schedules=300)


class Trial(NamedTuple):
    """What one learner found."""

    seed: int
    measured: Measured
    schedule: tuple[str, ...] = ()  # of a search: the plans it repeats
    policy: "Policy | None" = None  # of a network that can take a seat


@dataclass(frozen=True)
class Report:
    """What the red team found against a target."""

    target: Target
    trials: tuple[Trial, ...]
    bound: Bound | str
    interval: tuple[float, float] | None  # 95 % of the mean gain over seeds
    tolerated: float  # money per round and seat

    @property
    def best(self) -> Trial:
        """The trial that found most."""
        return max(self.trials, key=lambda trial: trial.measured.gain)

    @property
    def exploited(self) -> bool:
        """Whether more was gained than is tolerated."""
        return self.best.measured.gain > self.tolerated


Advance = Callable[[int, int], None]
"""(updates done, updates in all)"""


def attack(
    target: Target,
    *,
    learner: str = "ppo",
    plays: str = FREE,
    effort: Effort = FULL,
    seed: int = 0,
    device: str = "cpu",
    tolerated: float | None = None,
    advance: Advance = lambda _done, _total: None,
) -> Report:
    """Set `learner` on `target`, once per seed, and hold the result against the bound.

    `plays` is `free` (any action) or `plans` (nothing but the plans that the bound knows). Raises
    InstitutionalError for a name that is not there, AgentError where torch or a device is missing.
    """
    _known(learner, LEARNERS, "learner")
    _known(plays, (FREE, PLANS), "way to play")
    for name in ("seeds", "updates", "markets", "schedules"):
        require_within(name, getattr(effort, name), 1, 1_000_000)
    trials = LEARNERS[learner](
        target, plays=plays, effort=effort, seed=seed, device=device, advance=advance
    )
    gains = [trial.measured.gain for trial in trials]
    interval = None
    if len(gains) >= FEWEST_VALUES_FOR_INTERVAL:
        rng = np.random.default_rng(derive(seed, "interval"))
        low, high = bootstrap_interval([gains], rng=rng)
        interval = float(low[0]), float(high[0])
    if tolerated is None:
        tolerated = NEGLIGIBLE_SHARE * target.unit
    return Report(target, trials, bound(target), interval, tolerated)


def _known(name: str, names: Collection[str], what: str) -> None:
    if name not in names:
        raise InstitutionalError(
            f'there is no {what} "{name}"\n  choose one of: {", ".join(names)}.'
            f"{suggestion(name, names)}"
        )


def _network(
    target: Target,
    *,
    method: str,
    plays: str,
    effort: Effort,
    seed: int,
    device: str,
    advance: Advance,
) -> tuple[Trial, ...]:
    require_torch()
    from institutional.redteam.learning import trained  # noqa: PLC0415 - needs the extra

    updates = effort.updates

    def trial(number: int) -> Trial:
        measured, policy = trained(
            target,
            method=method,
            plans_only=plays == PLANS,
            updates=updates,
            markets=effort.markets,
            seed=derive(seed, "redteam", number),
            device=device,
            advance=lambda done: advance(number * updates + done, effort.seeds * updates),
        )
        return Trial(number, measured, policy=policy)

    return tuple(trial(number) for number in range(effort.seeds))


def _search(
    target: Target,
    *,
    plays: str,
    effort: Effort,
    seed: int,
    device: str,
    advance: Advance,
) -> tuple[Trial, ...]:
    del plays, device  # it knows nothing but plans, and numpy
    schedule, measured = best_schedule(
        target, limit=effort.schedules, seed=derive(seed, "redteam", "search")
    )
    advance(1, 1)
    return (Trial(0, measured, schedule=schedule),)


LEARNERS: Mapping[str, Callable[..., tuple[Trial, ...]]] = {
    "ppo": partial(_network, method="ppo"),
    "reinforce": partial(_network, method="reinforce"),
    "search": _search,
}
