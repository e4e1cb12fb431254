"""Reference points of logit price competition, from their first-order conditions.

A firm's best reply has the margin p_i - c_i = mu / (1 - q_i); jointly optimal prices share one
margin, mu / q_0, where q_0 buyers buy nothing (Anderson, de Palma and Thisse 1992, chapter 7).
"""

from collections.abc import Callable, Mapping

import numpy as np

from environments.arrays import total
from environments.bertrand.rules import Terms, consumer_surplus, settle
from environments.contract import Array, Benchmark, UnplayableError

DRAWS = 65_536
"""Rounds of random play averaged for the benchmark `random`, from a generator with seed 0."""

DIGITS = 12
"""Decimals of a price that are kept: exponentials differ in the last bits between machines."""


def all_benchmarks(terms: Terms) -> Mapping[str, Benchmark]:
    """Nash, joint monopoly, competitive and random play."""
    return {
        "nash": _outcome(_nash(terms), terms, "every firm's price is its best reply"),
        "joint_monopoly": _outcome(
            _monopoly(terms), terms, "the prices that maximise the sum of profits"
        ),
        "competitive": _outcome(terms.costs, terms, "every price equals unit cost"),
        "random": _random(terms),
    }


def best_reply(terms: Terms, agent: int, actions: Array) -> Array:
    """The most profitable price [1] of `agent` against the others' in `actions` [N, 1]."""
    prices = actions.copy()

    def excess(margin: float) -> float:
        prices[agent] = terms.costs[agent] + margin
        return margin - terms.mu / (1 - float(_shares(prices, terms)[agent]))

    cost, ceiling = float(terms.costs[agent, 0]), float(terms.ceiling[agent, 0])
    return np.array([min(cost + _root(excess, terms.mu), ceiling)])


def _nash(terms: Terms) -> Array:
    """Prices [N, 1] that reply to each other: best replies rise from cost to the fixed point."""
    prices = terms.costs.copy()
    for _ in range(1000):
        before = prices.copy()
        for agent in range(len(prices)):
            prices[agent] = best_reply(terms, agent, prices)
        if np.abs(prices - before).max() < 1e-13 * terms.mu:
            break
    off = prices - terms.costs - terms.mu / (1 - _shares(prices, terms)[:, np.newaxis])
    if np.abs(off).max() > 1e-8 * terms.mu and (prices < terms.ceiling).all():
        raise UnplayableError("no Nash prices were found: bring qualities and costs nearer")
    return _rounded(prices)


def _monopoly(terms: Terms) -> Array:
    """Prices [N, 1] that maximise joint profit."""

    def excess(margin: float) -> float:
        return margin - terms.mu / (1 - float(_shares(terms.costs + margin, terms).sum()))

    return _rounded(np.minimum(terms.costs + _root(excess, terms.mu), terms.ceiling))


def _rounded(prices: Array) -> Array:
    return np.asarray(np.round(prices, DIGITS))


def _shares(prices: Array, terms: Terms) -> Array:
    shares: Array = settle(prices[np.newaxis], terms)["quantities"][0]
    return shares


def _root(rising: Callable[[float], float], unit: float) -> float:
    """Where the increasing function `rising` crosses zero above `unit`, by bisection."""
    low, high = unit, 2 * unit
    while rising(high) < 0:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high


def _outcome(prices: Array, terms: Terms, meaning: str) -> Benchmark:
    record = settle(prices[np.newaxis], terms)
    surplus = float(consumer_surplus(record, terms)[0])
    welfare = surplus + float(total(record["profits"], 1)[0])
    return Benchmark(prices, record, surplus, welfare, meaning)


def _random(terms: Terms) -> Benchmark:
    """Mean outcome of prices drawn uniformly between zero and the ceiling.

    The record holds means over the draws; of these only the prices could be played.
    """
    generator = np.random.Generator(np.random.PCG64(0))
    draws = generator.random((DRAWS, len(terms.costs), 1)) * terms.ceiling
    record = settle(draws, terms)
    mean = {name: values.mean(axis=0, keepdims=True) for name, values in record.items()}
    surplus = float(consumer_surplus(record, terms).mean())
    return Benchmark(
        terms.ceiling / 2,
        mean,
        surplus,
        surplus + float(mean["profits"].sum()),
        f"every price is uniform between zero and the ceiling; means over {DRAWS} draws",
    )
