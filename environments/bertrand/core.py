"""`Bertrand`: firms choose prices of differentiated products, round after round.

The rules are in `rules`, the reference points in `benchmarks`, what an oracle may compute in
`signals`, what a run is scored by in `measures`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from environments import checks
from environments.bertrand import benchmarks, measures, rules, signals, words
from environments.contract import (
    Array,
    Benchmark,
    Mask,
    Record,
    Signal,
    UnplayableError,
    Words,
)


@dataclass(frozen=True)
class Bertrand:
    """A repeated price market with logit demand; see `rules` for the economics and the units.

    quality   [N]   what a product is worth to the mean buyer
    costs     [N]   money per unit, not negative
    outside         what buying nothing is worth
    mu              how much buyers differ; small means that the cheapest sells nearly all

    A price lies between zero and a ceiling at which practically nobody buys. A suspended firm
    stands at its ceiling.
    """

    name: ClassVar[str] = "bertrand"
    action_field: ClassVar[str] = "prices"
    capacity: ClassVar[None] = None

    quality: tuple[float, ...]
    costs: tuple[float, ...]
    outside: float = 0.0
    mu: float = 0.25
    rounds: int = 50

    def __post_init__(self) -> None:
        """Refuse what is no market, and keep plain numbers so that equal markets are equal."""
        quality = checks.array(self.quality, "quality", shape=(None,))
        costs = checks.array(self.costs, "costs", shape=(len(quality),))
        if (costs < 0).any():
            raise UnplayableError(f"costs contain {costs.min()}: give costs of at least 0")
        normal = {
            "quality": tuple(quality.tolist()),
            "costs": tuple(costs.tolist()),
            "outside": checks.number(self.outside, "outside"),
            "mu": checks.number(self.mu, "mu", above=0),
            "rounds": checks.count(self.rounds, "rounds"),
        }
        for name, value in normal.items():
            object.__setattr__(self, name, value)
        if (self.terms.ceiling <= self.terms.costs).any():
            raise UnplayableError(
                f"costs {costs.tolist()} exceed what any buyer would pay, "
                f"{self.terms.ceiling.ravel().tolist()}: lower the costs or raise the quality"
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuild a market from what `config` returned."""
        given = {name: value for name, value in config.items() if name != "name"}
        checks.known(given, [field.name for field in fields(cls)], "parameter of a price market")
        missing = [name for name in ("quality", "costs") if name not in given]
        if missing:
            raise UnplayableError(f"a price market needs {', '.join(missing)}")
        return cls(**given)

    def config(self) -> dict[str, Any]:
        """All parameters and the name of the environment, as JSON-serialisable data."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        return {"name": self.name} | plain

    @cached_property
    def terms(self) -> rules.Terms:
        """The market's numbers as the arrays that `rules` works with."""
        quality, costs = np.array([self.quality]).T, np.array([self.costs]).T
        return rules.Terms(quality, costs, self.outside, self.mu)

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """`firm_1` to `firm_N`."""
        return tuple(f"firm_{firm + 1}" for firm in range(len(self.costs)))

    @property
    def low(self) -> Array:
        """Smallest prices: zeros, [N, 1]."""
        return np.zeros((len(self.costs), 1))

    @property
    def high(self) -> Array:
        """Largest prices, [N, 1]: at these a firm has fewer than 1e-12 buyers."""
        return self.terms.ceiling

    @cached_property
    def fields(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes of the public record."""
        firms = len(self.costs)
        return {"prices": (firms, 1), "quantities": (firms,), "profits": (firms,)}

    @cached_property
    def signals(self) -> Mapping[str, Signal]:
        """`signals.SIGNALS` with this market's bounds."""
        ceiling = float(self.terms.ceiling.max())
        return signals.bounded(firms=len(self.costs), ceiling=ceiling, costs=self.costs)

    def refuse(self, actions: Array) -> str | None:
        """Say why `actions` [M, N, 1] cannot be played (NaN, below 0, above the ceiling)."""
        firms = len(self.costs)
        if actions.shape[1:] != (firms, 1):
            return f"actions have shape {actions.shape[1:]}: give {firms} firms' prices, one each"
        playable = (actions >= 0) & (actions <= self.terms.ceiling)
        if playable.all():
            return None
        market, firm, _ = np.argwhere(~playable)[0]
        where = f" in market {market}" if len(actions) > 1 else ""
        return (
            f"{self.agents[firm]} asks {actions[market, firm, 0]}{where}: a price is a number "
            f"between 0 and {self.terms.ceiling[firm, 0]}; change the price"
        )

    def restrict(self, actions: Array, suspended: Mask, cap: Array) -> Array:
        """Suspended firms stand at the ceiling; a capped firm asks at most `cap` of it."""
        return rules.restrict(actions, suspended, cap, terms=self.terms)

    def shocks(self, seed: int) -> Array:  # noqa: ARG002 - part of the contract
        """No shocks: an empty path, [T, 0]."""
        return np.zeros((self.rounds, 0))

    def settle(self, actions: Array, shock: Array) -> Record:  # noqa: ARG002 - part of the contract
        """`prices` [M, N, 1], `quantities` [M, N] and `profits` [M, N] of one round."""
        return rules.settle(actions, self.terms)

    def words(self, seat: int) -> Words:
        """The market as the firm in `seat` is told of it; see `words`."""
        return words.words(seat, self.costs[seat])

    def profits(self, record: Record) -> Array:
        """Each firm's profit in the round of `record`, [M, N]."""
        return record["profits"]

    def best_reply(self, agent: int, actions: Array) -> Array:
        """The most profitable price [1] of `agent` against the others' in `actions` [N, 1]."""
        return benchmarks.best_reply(self.terms, agent, actions)

    @cached_property
    def _benchmarks(self) -> Mapping[str, Benchmark]:
        return benchmarks.all_benchmarks(self.terms)

    def benchmarks(self) -> Mapping[str, Benchmark]:
        """Reference points, computed once; see `benchmarks`."""
        return self._benchmarks

    def measures(self, history: Record, active: Mask) -> dict[str, Array]:  # noqa: ARG002 - contract
        """Price, profit gain, consumer surplus and welfare of each run; see `measures`."""
        points = self.benchmarks()
        nash, monopoly = points["nash"], points["joint_monopoly"]
        return measures.measure(history, terms=self.terms, nash=nash, monopoly=monopoly)
