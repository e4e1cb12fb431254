"""What an environment promises: array rules, a public record, signals and benchmarks.

Shapes throughout: M markets, N agents, A numbers in one action, G goods, T rounds.

Nothing here steps anything: `environments.market` has the two views (one market as a PettingZoo
`ParallelEnv`, thousands as arrays) and each environment's folder has its rules as a `Core`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Record = Mapping[str, Array]
"""The public record of one round: name -> [M, ...]. Never an agent's private text."""


class UnplayableError(Exception):
    """A market that cannot exist or an action that is not one; says what and what next."""


@dataclass(frozen=True)
class Signal:
    """A number per agent and round, computed from public records alone.

    `function(now, before, **parameters)` maps two successive public records to [M, N]; in the
    first round `before` is `now`, so that every change is zero. It uses elementwise arithmetic
    and `environments.arrays.total` only: the same bits on every machine and for every M.
    """

    function: Callable[..., Array]
    unit: str
    low: float
    high: float
    meaning: str
    parameters: Mapping[str, float] = field(default_factory=dict)


class Benchmark(NamedTuple):
    """A reference point of a market: what is played and what it brings."""

    actions: Array  # [N, A]
    record: Record  # the public record of one round at these actions, M = 1
    consumer_surplus: float  # money per round
    welfare: float  # money per round: consumer surplus plus profits
    meaning: str


class Words(NamedTuple):
    """A market in words, for one seat: what a participant who reads is told of it."""

    setting: str  # what the market is and what is decided in it, a paragraph
    labels: tuple[str, ...]  # names of the A numbers of an action, fit for JSON keys
    terms: Mapping[str, float]  # one's own: unit costs
    told: Callable[[Record], Mapping[str, float]]
    """The last public record (without M) as one's own labelled numbers, the same labels in every
    round; `profit` is the round's, from which who reads keeps a running total."""


class Core(Protocol):
    """The rules of one market as pure functions over [M, ...] arrays, and what is known of it."""

    @property
    def name(self) -> str:
        """What the environment is called: `cournot`, `bertrand`."""

    @property
    def agents(self) -> tuple[str, ...]:
        """Names of the N agents, in the order of every array."""

    @property
    def rounds(self) -> int:
        """Rounds in a run, T."""

    @property
    def action_field(self) -> str:
        """The field of the public record that holds the joint actions, [M, N, A]."""

    @property
    def capacity(self) -> float | None:
        """Largest sum of one action's numbers; None where only `high` limits them."""

    @property
    def low(self) -> Array:
        """Smallest action, [N, A]."""

    @property
    def high(self) -> Array:
        """Largest action, [N, A]."""

    @property
    def fields(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes (without M) of the public record."""

    @property
    def signals(self) -> Mapping[str, Signal]:
        """Every signal that can be computed from the public record."""

    def config(self) -> dict[str, Any]:
        """All parameters as JSON-serialisable data, enough to rebuild the core."""

    def refuse(self, actions: Array) -> str | None:
        """Say why `actions` [M, N, A] cannot be played (NaN, bounds, capacity), else None."""

    def restrict(self, actions: Array, suspended: Mask, cap: Array) -> Array:
        """Bring `actions` [M, N, A] under the restrictions [M, N]; `cap` is a share, 1 = free."""

    def shocks(self, seed: int) -> Array:
        """The whole path of shocks of one market, [T, K]; K = 0 where there are none."""

    def settle(self, actions: Array, shock: Array) -> Record:
        """Return the public record of one round for `actions` [M, N, A] and `shock` [M, K]."""

    def words(self, seat: int) -> Words:
        """The market as the agent in `seat` is told of it; nothing of demand or of its rivals."""

    def profits(self, record: Record) -> Array:
        """Each agent's reward in the round of `record`, [M, N]."""

    def best_reply(self, agent: int, actions: Array) -> Array:
        """The most profitable action [A] of `agent` against the others' in `actions` [N, A]."""

    def benchmarks(self) -> Mapping[str, Benchmark]:
        """Reference points by name; always `nash`, `joint_monopoly`, `competitive`, `random`."""

    def measures(self, history: Record, active: Mask) -> dict[str, Array]:
        """Run-level outcome measures, name -> [M], from records stacked as [M, T, ...].

        `active` [M, T] is False in rounds in which an agent was suspended.
        """
