"""`Cournot`: firms choose quantities of several goods, round after round, under one capacity each.

The rules are in `rules`, the reference points in `benchmarks`, what an oracle may compute in
`signals`, what a run is scored by in `measures`. This module checks the parameters and binds the
four into one `Core`.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from environments import checks
from environments.arrays import total
from environments.contract import (
    Array,
    Benchmark,
    Mask,
    Record,
    Signal,
    UnplayableError,
    Words,
)
from environments.cournot import benchmarks, measures, rules, signals, words
from environments.shocks import Shock


@dataclass(frozen=True)
class Cournot:
    """A repeated quantity market; see `rules` for the economics and the units.

    intercept      [G]      money per unit: price of a good of which nothing is sold
    slope          [G, G]   symmetric, positive definite, not negative; entry g, h: what a unit of
                            h takes off the price of g
    costs          [N, G]   money per unit, not negative
    capacity       units    per firm and round, over all goods
    demand_shock            added to the intercepts; `common`, or `private` to each good
    cost_shock              added to the unit costs; `common`, or `private` to each firm and good
    """

    name: ClassVar[str] = "cournot"
    action_field: ClassVar[str] = "quantities"

    intercept: tuple[float, ...]
    slope: tuple[tuple[float, ...], ...]
    costs: tuple[tuple[float, ...], ...]
    capacity: float
    rounds: int = 50
    demand_shock: Shock | None = None
    cost_shock: Shock | None = None

    def __post_init__(self) -> None:
        """Refuse what is no market, and keep plain numbers so that equal markets are equal."""
        intercept = checks.array(self.intercept, "intercept", shape=(None,))
        goods = len(intercept)
        slope = checks.array(self.slope, "slope", shape=(goods, goods))
        costs = checks.array(self.costs, "costs", shape=(None, goods))
        if (slope != slope.T).any() or np.linalg.eigvalsh(slope).min() <= 1e-12 * slope.max():
            raise UnplayableError(
                f"slope is {slope.tolist()}: give a symmetric, positive definite matrix, in which "
                "goods lower their own price more than each other's"
            )
        if (slope < 0).any():
            raise UnplayableError(
                f"slope contains {slope.min()}: give effects of at least 0; with complements a "
                "firm could flood one good at a price of zero to lift another without limit"
            )
        if (costs < 0).any():
            raise UnplayableError(f"costs contain {costs.min()}: give costs of at least 0")
        if (intercept <= 0).any():
            raise UnplayableError(f"intercept contains {intercept.min()}: give prices above 0")
        normal = {
            "intercept": tuple(intercept.tolist()),
            "slope": tuple(map(tuple, slope.tolist())),
            "costs": tuple(map(tuple, costs.tolist())),
            "capacity": checks.number(self.capacity, "capacity", above=0),
            "rounds": checks.count(self.rounds, "rounds"),
            "demand_shock": Shock.parsed(self.demand_shock, "demand_shock"),
            "cost_shock": Shock.parsed(self.cost_shock, "cost_shock"),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuild a market from what `config` returned."""
        given = {name: value for name, value in config.items() if name != "name"}
        known = [field.name for field in fields(cls)]
        checks.known(given, known, "parameter of a Cournot market")
        missing = [name for name in known[:4] if name not in given]
        if missing:
            raise UnplayableError(f"a Cournot market needs {', '.join(missing)}")
        return cls(**given)

    def config(self) -> dict[str, Any]:
        """All parameters and the name of the environment, as JSON-serialisable data."""
        return {"name": self.name} | {
            field.name: _plain(getattr(self, field.name)) for field in fields(self)
        }

    @cached_property
    def terms(self) -> rules.Terms:
        """The market's numbers as the arrays that `rules` works with."""
        return rules.Terms.of(
            np.array(self.intercept), np.array(self.slope), np.array(self.costs), self.capacity
        )

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """`firm_1` to `firm_N`."""
        return tuple(f"firm_{firm + 1}" for firm in range(len(self.costs)))

    @property
    def shape(self) -> tuple[int, int]:
        """Firms and goods."""
        return len(self.costs), len(self.intercept)

    @property
    def low(self) -> Array:
        """Smallest quantities: zeros, [N, G]."""
        return np.zeros(self.shape)

    @property
    def high(self) -> Array:
        """Largest quantity of each good on its own: the capacity, [N, G]."""
        return np.full(self.shape, self.capacity)

    @cached_property
    def fields(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the public record."""
        firms, goods = self.shape
        return {"quantities": (firms, goods), "prices": (goods,), "profits": (firms,)}

    @cached_property
    def signals(self) -> Mapping[str, Signal]:
        """`signals.SIGNALS` with this market's bounds; infinite where a shock makes them so."""
        firms, goods = self.shape
        prices = self.terms.intercept[:, 0]
        best = float((prices - self.terms.costs[:, :, 0]).max()) * self.capacity
        worst = -float(self.terms.costs.max()) * self.capacity
        quiet = self.demand_shock is None
        certain = quiet and self.cost_shock is None
        return signals.bounded(
            firms=firms,
            goods=goods,
            capacity=self.capacity,
            highest_price=float(prices.mean()) if quiet else math.inf,
            profits=(worst, max(best, 0.0)) if certain else (-math.inf, math.inf),
        )

    def refuse(self, actions: Array) -> str | None:
        """Say why `actions` [M, N, G] cannot be played (NaN, below 0, over capacity), else None."""
        if actions.shape[1:] != self.shape:
            return (
                f"actions have shape {actions.shape[1:]}: "
                f"give {self.shape[0]} firms' quantities of {self.shape[1]} goods"
            )
        limit = self.capacity * (1 + rules.TOLERANCE)
        if len(actions) == 1 and all(
            # Plain numbers: for one market numpy takes several times as long to say the same. A
            # NaN makes the sum one, and that comparison false.
            min(offer) >= 0 and sum(offer) <= limit
            for offer in actions[0].tolist()
        ):
            return None
        offered = total(actions, 2)
        # A NaN makes both comparisons false.
        # `reduce` is what `min` calls after a detour that costs a single market more than the work.
        if np.minimum.reduce(actions, None) >= 0 and np.maximum.reduce(offered, None) <= limit:
            return None
        amiss = ~(actions >= 0)
        if amiss.any():
            market, firm, good = np.argwhere(amiss)[0]
            what = f"{actions[market, firm, good]} of good {good + 1}"
            rule = "a quantity is a number of at least 0"
        else:
            market, firm = np.argwhere(~(offered <= limit))[0]
            what = f"{actions[market, firm].tolist()}, in all {offered[market, firm]}"
            rule = f"a firm's quantities add up to at most {self.capacity}"
        where = f" in market {market}" if len(actions) > 1 else ""
        return f"{self.agents[firm]} offers {what}{where}: {rule}; change the offer"

    def restrict(self, actions: Array, suspended: Mask, cap: Array) -> Array:
        """Suspended firms offer nothing; a capped firm at most `cap` of capacity, in proportion."""
        return rules.restrict(actions, suspended, cap, capacity=self.capacity)

    @cached_property
    def _widths(self) -> tuple[int, int]:
        """How many numbers a round's demand and cost shocks have."""
        firms, goods = self.shape
        return _width(self.demand_shock, goods), _width(self.cost_shock, firms * goods)

    def shocks(self, seed: int) -> Array:
        """The whole path of demand shocks, then cost shocks, [T, K]; K = 0 where there are none."""
        generator = np.random.Generator(np.random.PCG64(seed))
        paths = [
            shock.path(generator, rounds=self.rounds, width=width)
            for shock, width in zip((self.demand_shock, self.cost_shock), self._widths, strict=True)
            if shock is not None
        ]
        return np.concatenate(paths, axis=1) if paths else np.zeros((self.rounds, 0))

    def settle(self, actions: Array, shock: Array) -> Record:
        """`quantities` [M, N, G], `prices` [M, G] and `profits` [M, N] of one round."""
        width = shock.shape[1]
        if width == 0:
            return rules.settle(actions, self.terms, None, None)
        of_demand, of_cost = self._widths
        demand = shock[:, :of_demand].T if of_demand else None
        cost = shock[:, of_demand:].T if of_cost else None
        if cost is not None:
            cost = cost.reshape(*((1, 1) if of_cost == 1 else self.shape), -1)
        return rules.settle(actions, self.terms, demand, cost)

    def words(self, seat: int) -> Words:
        """The market as the firm in `seat` is told of it; see `words`."""
        return words.words(
            seat,
            self.costs[seat],
            capacity=self.capacity,
            costs_vary=self.cost_shock is not None,
        )

    def profits(self, record: Record) -> Array:
        """Each firm's profit in the round of `record`, [M, N]."""
        return record["profits"]

    def best_reply(self, agent: int, actions: Array) -> Array:
        """The most profitable quantities [G] of `agent` against the others' in `actions` [N, G]."""
        return benchmarks.best_reply(self.terms, agent, actions)

    @cached_property
    def _benchmarks(self) -> Mapping[str, Benchmark]:
        return benchmarks.all_benchmarks(self.terms)

    def benchmarks(self) -> Mapping[str, Benchmark]:
        """Reference points at mean demand and cost, computed once; see `benchmarks`."""
        return self._benchmarks

    def measures(self, history: Record, active: Mask) -> dict[str, Array]:
        """Tiers, price, profit gain, consumer surplus and welfare of each run; see `measures`."""
        points = self.benchmarks()
        return measures.measure(
            history,
            active,
            terms=self.terms,
            nash=points["nash"],
            monopoly=points["joint_monopoly"],
        )


def _width(shock: Shock | None, private: int) -> int:
    if shock is None:
        return 0
    return 1 if shock.scope == "common" else private


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return asdict(value) if isinstance(value, Shock) else value
