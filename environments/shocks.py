"""Random shifts of demand or cost that last: a stationary first-order autoregression.

    x_0 = sd e_0        x_t = persistence x_(t-1) + sd sqrt(1 - persistence^2) e_t

with independent standard normal e_t, so that every x_t has standard deviation `sd`.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from environments import checks
from environments.contract import Array, Core, UnplayableError

SCOPES = ("common", "private")


@dataclass(frozen=True)
class Shock:
    """How strongly (`sd`, money), how lastingly and for whom the market is disturbed.

    `common` is one path for all; `private` is one per good (demand) or per firm and good (cost).
    """

    sd: float
    persistence: float = 0.0
    scope: Literal["common", "private"] = "common"

    def __post_init__(self) -> None:
        """Refuse a spread below zero, a persistence outside [0, 1) and an unknown scope."""
        object.__setattr__(self, "sd", checks.number(self.sd, "sd", low=0))
        persistence = checks.number(self.persistence, "persistence", low=0)
        if persistence >= 1:
            raise UnplayableError(f"persistence is {persistence}: give a number below 1")
        object.__setattr__(self, "persistence", persistence)
        checks.known([self.scope], SCOPES, "scope of a shock")

    @classmethod
    def parsed(cls, value: Any, name: str) -> Self | None:
        """Read a shock from None, a `Shock` or a mapping of its fields."""
        if value is None or isinstance(value, cls):
            return value
        fields = checks.mapping(value, name)
        checks.known(fields, ("sd", "persistence", "scope"), f"field of {name}")
        if "sd" not in fields:
            raise UnplayableError(f"{name} has no sd: give its standard deviation in money")
        return cls(**fields)

    def path(
        self, generator: np.random.Generator, *, rounds: int, width: int
    ) -> NDArray[np.float64]:
        """Draw `width` independent paths, [rounds, width]."""
        draws = self.sd * generator.standard_normal((rounds, width))
        fresh = math.sqrt(1 - self.persistence * self.persistence)
        for now in range(1, rounds):
            draws[now] = self.persistence * draws[now - 1] + fresh * draws[now]
        return draws


def quiet(core: Core) -> Array:
    """One round in which nothing shifts, [1, K]: what benchmarks and rehearsals are played with."""
    return core.shocks(0)[:1] * 0
