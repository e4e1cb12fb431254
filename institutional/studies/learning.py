"""Tabular learners in a market, trained and then looked at: what the studies of pricing share.

A market is played on grids of actions; every joint action is settled once by the environment's own
rules, so prices, profits and all other measures of learned play are looked up, never recomputed.

Shapes: S sessions, N firms, J joint actions, A numbers in one action, T periods.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from agents.q_learning.conduct import (
    Cycle,
    Deviation,
    Indices,
    Learned,
    deviation,
    genuine,
    limit_cycle,
    on_path,
    profit_gain,
)
from agents.q_learning.exploitability import Exploitability, exploitability
from agents.q_learning.game import Game, action_grid, from_payoffs
from agents.q_learning.schedule import Learner
from agents.q_learning.sessions import Sessions, train
from environments.contract import Array, Core, Mask, Record
from environments.shocks import quiet
from institutional.episode import Table

SUPRA = 0.1
"""Delta above which profits are called supra-competitive: a tenth of the way to monopoly."""

DISCOUNT = 0.95
"""What a firm's next period is worth to it when the profit of a cut is weighed."""


@dataclass(frozen=True, eq=False)
class World:
    """A market on grids."""

    core: Core
    game: Game
    record: Record  # the public record of every joint action, [J, ...]
    prices: Array  # [J, N] price of each firm, or its quantity where firms choose quantities

    @classmethod
    def of(cls, core: Core, *, levels: int = 15, grids: Sequence[Array] | None = None) -> "World":
        """`core` with `levels` points per number, a tenth of the gap beyond Nash and monopoly.

        `grids` [K, A], one per firm, replace these.
        """
        briefing = Table(core, None).briefing(0)
        if grids is None:
            grids = [
                action_grid(briefing, seat, plan="joint_monopoly", levels=levels, stretch=0.1)
                for seat in range(len(core.agents))
            ]
        sizes = [len(grid) for grid in grids]
        indices = np.unravel_index(np.arange(math.prod(sizes)), sizes)
        actions = np.stack(
            [grid[index] for grid, index in zip(grids, indices, strict=True)], axis=1
        )
        record = core.settle(actions, np.repeat(quiet(core), len(actions), axis=0))
        game = from_payoffs(core.profits(record), sizes, actions=grids, names=core.agents)
        return cls(core, game, record, actions[:, :, 0])

    def delta(self, profits: Array) -> Array:
        """Profit gain of `profits` [S, N], [S]."""
        points = self.core.benchmarks()
        nash, monopoly = (
            self.core.profits(points[name].record)[0] for name in ("nash", "joint_monopoly")
        )
        return profit_gain(profits, nash=nash, monopoly=monopoly)


@dataclass(frozen=True, eq=False)
class Trained:
    """S sessions of learners in one world, and what their strategies do."""

    world: World
    learner: Learner
    learned: Learned
    cycle: Cycle
    periods: Indices  # [S]
    converged: Mask  # [S]

    @property
    def firms(self) -> range:
        """The seats."""
        return range(len(self.world.game.sizes))

    @cached_property
    def profits(self) -> Array:
        """Long-run profits, [S, N]."""
        return on_path(self.learned, self.cycle, self.world.game.payoffs)

    @cached_property
    def delta(self) -> Array:
        """Profit gain, [S]."""
        return self.world.delta(self.profits)

    @cached_property
    def cuts(self) -> list[Deviation]:
        """Each firm in turn is forced to its static best reply for one period."""
        return [
            deviation(self.learned, self.cycle, firm=firm, discount=DISCOUNT) for firm in self.firms
        ]

    def columns(self, arm: str, seeds: Sequence[int]) -> dict[str, ArrayLike]:
        """What a table says of each session, as columns of one length."""
        count = len(self.delta)
        return {
            "arm": [arm] * count,
            "seed": list(seeds[:count]),
            "delta": self.delta,
            "periods": self.periods,
            "converged": self.converged,
            "cycle_length": self.cycle.length,
            "genuine": self.genuine,
        }

    @cached_property
    def genuine(self) -> Mask:
        """Supra-competitive sessions in which every cut is answered and does not pay, [S]."""
        return genuine(self.delta, self.cuts, above=SUPRA)

    @cached_property
    def exploited(self) -> list[Exploitability]:
        """What each firm could gain by the best reply to the others' strategies."""
        return [
            exploitability(self.learned, self.cycle, firm=firm, discount=DISCOUNT)
            for firm in self.firms
        ]

    def unprofitable(self) -> Array:
        """Share of the possible cuts that do not pay, per session with a possible one."""
        return over_cuts(self.cuts, lambda cut, _: cut.gain <= 0)

    def answers(self) -> Array:
        """What the other firms change in the period after a cut, per session with a possible one.

        In units of the action (a price, a quantity); the mean over cuts and the other firms.
        """
        return over_cuts(self.cuts, self._answer)

    def aftermath(self, periods: int) -> Array:
        """How far the firms' mean action is from the usual one `periods` after a cut.

        One value per session with a possible cut.
        """

        def change(cut: Deviation, _: int) -> Array:
            prices = self.world.prices
            apart = prices[cut.forced[:, periods]] - prices[cut.usual[:, periods]]
            return np.asarray(apart.mean(axis=1))

        return over_cuts(self.cuts, change)

    def punishments(self) -> Array:
        """Periods of other play after a cut, for the cuts after which play returns."""
        lengths = np.concatenate([cut.punishment[cut.possible] for cut in self.cuts])
        return np.asarray(lengths[np.isfinite(lengths)])

    def returns(self) -> Array:
        """Share of the possible cuts after which play returns to the cycle, per session."""
        return over_cuts(self.cuts, lambda cut, _: np.isfinite(cut.punishment))

    def path(self, firm: int) -> tuple[Array, Array]:
        """Mean actions of the cutting `firm` and of the others around a possible cut, [T] each.

        The first period is the last before the cut.
        """
        cut = self.cuts[firm]
        prices = self.world.prices[cut.forced[cut.possible]]
        before = self.world.prices[cut.usual[cut.possible]][:, :1]
        mean = np.concatenate([before, prices], axis=1).mean(axis=0)
        return mean[:, firm], np.delete(mean, firm, axis=1).mean(axis=1)

    def _answer(self, cut: Deviation, firm: int) -> Array:
        change = self.world.prices[cut.forced[:, 1]] - self.world.prices[cut.usual[:, 1]]
        return np.asarray(np.delete(change, firm, axis=1).mean(axis=1))


def trained(world: World, learner: Learner, seeds: Sequence[int]) -> Trained:
    """Train one session per seed and see where it settles."""
    return settled(world, train(world.game, learner, seeds))


def settled(world: World, sessions: Sessions) -> Trained:
    """What the strategies of `sessions`, trained in `world`, do when nobody explores."""
    learner = sessions.learner
    learned = Learned(sessions.strategy, world.game.payoffs, world.game.sizes, learner.memory)
    cycle = limit_cycle(learned, sessions.state)
    return Trained(world, learner, learned, cycle, sessions.periods, sessions.converged)


def over_cuts(cuts: Sequence[Deviation], value: Callable[[Deviation, int], Array | Mask]) -> Array:
    """Mean over a session's possible cuts of `value`, one per session that has a possible cut."""
    values = np.stack([value(cut, firm) for firm, cut in enumerate(cuts)]).astype(np.float64)
    possible = np.stack([cut.possible for cut in cuts])
    some = possible.any(axis=0)
    sums = np.where(possible, values, 0.0).sum(axis=0)
    return np.asarray(sums[some] / possible.sum(axis=0)[some])
