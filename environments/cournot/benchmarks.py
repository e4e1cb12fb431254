"""Reference points of a Cournot market: what theory, cartels and chance would play.

With a symmetric slope the game has a potential, so Nash play is an optimum too (Monderer and
Shapley 1996, Games and Economic Behavior 14): with a the intercepts, c_i the costs of firm i,
q_i its quantities and Q their sum over firms,

    competitive      maximises  sum_i (a - c_i)'q_i - Q'BQ/2
    nash             maximises  sum_i (a - c_i)'q_i - Q'BQ/2 - sum_i q_i'Bq_i/2
    joint monopoly   maximises  sum_i (a - c_i)'q_i - Q'BQ

Shocks are left out: these are the points of the market at its mean. So is the price floor: where
no good helps to sell another, a good that is sold at these points has a price of at least its cost.
"""

from collections.abc import Mapping

import numpy as np

from environments.arrays import total
from environments.contract import Array, Benchmark, Mask
from environments.cournot.programme import maximise
from environments.cournot.rules import TOLERANCE, Terms, consumer_surplus, settle

DRAWS = 65_536
"""Rounds of random play averaged for the benchmark `random`, from a generator with seed 0."""


def all_benchmarks(terms: Terms) -> Mapping[str, Benchmark]:
    """Every reference point of the market by name; the divisions only where there are two goods."""
    nash = optimum(terms, own=1.0, joint=1.0)
    monopoly = optimum(terms, own=0.0, joint=2.0)
    points = {
        "nash": (nash, "every firm's quantities are its best reply to the others'"),
        "joint_monopoly": (monopoly, "the quantities that maximise the sum of profits"),
        "competitive": (
            optimum(terms, own=0.0, joint=1.0),
            "the quantities that maximise welfare: price equals cost where capacity allows",
        ),
    }
    fixed = _fixed_price(nash, monopoly)
    if (fixed.sum(axis=1) <= terms.capacity * (1 + TOLERANCE)).all():
        points["fixed_price"] = (
            fixed,
            "cartel output without division: Nash proportions at the joint-monopoly totals",
        )
    firms, goods = nash.shape
    if firms > 1 and goods > 1:
        points["market_division"] = (
            optimum(terms, own=0.0, joint=2.0, allowed=_cheapest(terms.costs[:, :, 0])),
            "each good is left to its cheapest firm, and joint profit is maximised within that",
        )
    found = {name: _outcome(*point, terms) for name, point in points.items()}
    return found | {"random": _random(terms)}


def optimum(terms: Terms, *, own: float, joint: float, allowed: Mask | None = None) -> Array:
    """Quantities [N, G] that maximise sum (a - c_i)'q_i - joint Q'BQ/2 - own sum q_i'Bq_i/2.

    `allowed` [N, G] marks who may sell what. Equals share evenly.
    """
    firms, goods, _ = terms.costs.shape
    gain = (terms.intercept - terms.costs).ravel()
    rivalry = joint * np.ones((firms, firms)) + own * np.eye(firms)
    curvature: Array = np.kron(rivalry, terms.slope).astype(np.float64)
    members: Array = np.repeat(np.eye(firms), goods, axis=1)
    choice = np.flatnonzero(np.ones(len(gain)) if allowed is None else allowed)
    x = np.zeros(len(gain))
    x[choice] = maximise(
        gain[choice], curvature[np.ix_(choice, choice)], members[:, choice], terms.capacity
    )
    return x.reshape(firms, goods)


def best_reply(terms: Terms, agent: int, actions: Array) -> Array:
    """The most profitable quantities [G] of `agent` against the others' in `actions` [N, G]."""
    others = actions.sum(axis=0) - actions[agent]
    gain = terms.intercept[:, 0] - terms.slope @ others - terms.costs[agent, :, 0]
    return maximise(gain, 2 * terms.slope, np.ones((1, len(gain))), terms.capacity)


def _fixed_price(nash: Array, monopoly: Array) -> Array:
    """Every good's Nash proportions, scaled to its joint-monopoly total, [N, G]."""
    sold = nash.sum(axis=0)
    factor: Array = np.zeros_like(sold)
    np.divide(monopoly.sum(axis=0), sold, out=factor, where=sold > 0)
    return nash * factor


def _cheapest(costs: Array) -> Mask:
    """Who sells what if every good goes to one cheapest firm, ties dealt in turn, [N, G].

    Goods with the fewest candidates are dealt first, each to the candidate with the fewest goods,
    then with the fewest other chances, so that the numbers of goods are as equal as can be.
    """
    candidates: Mask = costs == costs.min(axis=0)
    dealt: Mask = np.zeros_like(candidates)
    for good in np.argsort(candidates.sum(axis=0), kind="stable"):
        firms = np.flatnonzero(candidates[:, good])
        chosen = min(firms, key=lambda firm: (dealt[firm].sum(), candidates[firm].sum()))
        dealt[chosen, good] = True
    return dealt


def _outcome(actions: Array, meaning: str, terms: Terms) -> Benchmark:
    record = settle(actions[np.newaxis], terms, None, None)
    surplus = float(consumer_surplus(record, terms)[0])
    welfare = surplus + float(total(record["profits"], 1)[0])
    return Benchmark(actions, record, surplus, welfare, meaning)


def _random(terms: Terms) -> Benchmark:
    """Mean outcome of firms that each draw uniformly from what their capacity allows.

    The record holds means over the draws; of these only the quantities could be played.
    """
    firms, goods, _ = terms.costs.shape
    generator = np.random.Generator(np.random.PCG64(0))
    draws = generator.standard_exponential((DRAWS, firms, goods + 1))
    shares = draws[:, :, :goods] / draws.sum(axis=2, keepdims=True)
    record = settle(terms.capacity * shares, terms, None, None)
    mean = {name: values.mean(axis=0, keepdims=True) for name, values in record.items()}
    surplus = float(consumer_surplus(record, terms).mean())
    return Benchmark(
        np.full((firms, goods), terms.capacity / (goods + 1)),
        mean,
        surplus,
        surplus + float(mean["profits"].sum()),
        f"every firm draws uniformly from its capacity; means over {DRAWS} draws",
    )
