"""What a cartel's best policy over a product of standings is, and the cycle it settles in.

Everything is deterministic, so a policy is a walk that ends in a cycle, and its value is exact:
pointer doubling sums the discounted rewards of 2, 4, 8, ... rounds.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from institutional.deterrence.product import Product
from institutional.governance.controller import Integers
from institutional.governance.program import Array

_NEGLIGIBLE = 1e-14
"""Weight of the rounds that a value leaves out."""
TIE = 1e-10
"""Gains below this share of what the largest reward for ever is worth are ties."""


class Round(NamedTuple):
    """One round of a walk: what is played in which standing, and what it brings."""

    plan: str
    standing: tuple[int, ...]  # per agent: index into the program's states
    earned: float  # mean over agents, net of fines
    fined: float  # mean over agents


class Walk(NamedTuple):
    """A policy played from good standing: rounds played once, then rounds repeated for ever."""

    lead_in: tuple[Round, ...]
    cycle: tuple[Round, ...]
    discounted: float  # the constant reward per round that is worth the same

    @property
    def mean(self) -> float:
        """What a round of the cycle brings."""
        return math.fsum(r.earned for r in self.cycle) / len(self.cycle)


def best_policy(product: Product, allowed: Sequence[str], *, discount: float) -> Integers:
    """The plan to play in each standing, [S], that maximises the discounted reward.

    Howard's policy iteration from the first of `allowed`; where plans tie, the one before stays.
    """
    columns = np.array([product.plans.index(plan) for plan in allowed])
    policy = np.full(len(product.reward), columns[0])
    everyone = np.arange(len(policy))
    while True:
        value = values(product, policy, discount=discount)
        worth = product.reward[:, columns] + discount * value[product.following[:, columns]]
        choice = worth.argmax(axis=1)
        slack = TIE * np.abs(product.reward).max() / (1 - discount)
        better: NDArray[np.bool_] = worth[everyone, choice] > value + slack
        if not better.any():
            return policy
        policy = np.where(better, columns[choice], policy)


def best_of_rounds(product: Product, rounds: int) -> float:
    """The most that `rounds` rounds from good standing can bring, mean per round, undiscounted.

    Backward induction: no way of playing the product's plans earns more in a run of that length.
    """
    ahead = np.zeros(len(product.reward))
    for _ in range(rounds):
        ahead = (product.reward + ahead[product.following]).max(axis=1)
    return float(ahead[0]) / rounds


def constant(product: Product, plan: str) -> Integers:
    """The policy that plays `plan` whatever happens, [S]."""
    return np.full(len(product.reward), product.plans.index(plan))


def values(product: Product, policy: Integers, *, discount: float) -> Array:
    """Discounted sum of rewards from each standing on, [S]."""
    everyone = np.arange(len(policy))
    total, target = product.reward[everyone, policy], product.following[everyone, policy]
    weight = discount
    while weight > _NEGLIGIBLE:
        total = total + weight * total[target]
        target = target[target]
        weight *= weight
    return total


def walk(product: Product, policy: Integers, *, discount: float) -> Walk:
    """Play `policy` from good standing until a standing comes back."""
    seen: dict[int, int] = {}
    rounds: list[Round] = []
    here = 0
    while here not in seen:
        seen[here] = len(rounds)
        plan = policy[here]
        rounds.append(
            Round(
                product.plans[plan],
                tuple(product.state[here].tolist()),
                float(product.reward[here, plan]),
                float(product.fined[here, plan]),
            )
        )
        here = int(product.following[here, plan])
    value = float(values(product, policy, discount=discount)[0])
    return Walk(*_shortest(rounds, seen[here]), discounted=(1 - discount) * value)


def _shortest(rounds: list[Round], start: int) -> tuple[tuple[Round, ...], tuple[Round, ...]]:
    """The same endless sequence with the shortest lead-in and cycle.

    Standings differ in counters that a round does not show, so what is shown may repeat sooner.
    """
    lead_in, cycle = rounds[:start], rounds[start:]
    period = next(
        p
        for p in range(1, len(cycle) + 1)
        if len(cycle) % p == 0 and cycle[:p] * (len(cycle) // p) == cycle
    )
    cycle = cycle[:period]
    while lead_in and lead_in[-1] == cycle[-1]:
        cycle = [lead_in.pop(), *cycle[:-1]]
    return tuple(lead_in), tuple(cycle)
