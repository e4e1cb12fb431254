"""The Cournot market as pure functions: who sells what, at which price, and what buyers gain.

Inverse demand p = max(0, a - B Q) over the goods' total quantities Q; B is symmetric and positive
definite, its diagonal the effect of a good on its own price, the rest that of its substitutes.
Unit costs are constant; each firm has one capacity over all goods.

Shapes: M markets, N firms, G goods. Units: quantities in units, prices and costs in money per unit.

Inside, the markets are the last axis: every operation is one long loop whatever N and G are, and no
operation's order depends on M.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environments.arrays import total
from environments.contract import Array, Record

TOLERANCE = 1e-9
"""How far above capacity, as a share of it, rounding may carry a firm."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The numbers of one market, with the shapes that `settle` multiplies by."""

    intercept: Array  # [G, 1]
    slope: Array  # [G, G]
    columns: tuple[Array, ...]  # G columns of `slope`, [G, 1] each
    independent: Array | None  # own effects [G, 1] where no good affects another: the same bits
    costs: Array  # [N, G, 1]
    capacity: float

    @classmethod
    def of(cls, intercept: Array, slope: Array, costs: Array, capacity: float) -> "Terms":
        """Shape `intercept` [G], `slope` [G, G] and `costs` [N, G]."""
        columns = tuple(np.ascontiguousarray(column[:, np.newaxis]) for column in slope.T)
        own = np.diag(slope)
        return cls(
            intercept=intercept[:, np.newaxis],
            slope=slope,
            columns=columns,
            independent=own[:, np.newaxis].copy() if (slope == np.diag(own)).all() else None,
            costs=costs[:, :, np.newaxis],
            capacity=capacity,
        )


def settle(
    actions: Array, terms: Terms, demand_shift: Array | None, cost_shift: Array | None
) -> dict[str, Array]:
    """Quantities [M, N, G], prices [M, G] and profits [M, N] of one round.

    `demand_shift` [1 or G, M] is added to the intercepts, `cost_shift` [1 or N, 1 or G, M] to the
    unit costs; both in money.
    """
    quantities = actions.transpose(1, 2, 0).copy()
    sold = total(quantities, 0)
    intercept = terms.intercept if demand_shift is None else terms.intercept + demand_shift
    costs = terms.costs if cost_shift is None else terms.costs + cost_shift
    if terms.independent is None:
        prices = intercept
        for good, column in enumerate(terms.columns):
            prices = prices - column * sold[good]
    else:
        prices = intercept - terms.independent * sold
    prices = np.maximum(prices, 0.0)
    earned = (prices - costs) * quantities
    return {
        "quantities": quantities.transpose(2, 0, 1),
        "prices": prices.T,
        "profits": total(earned.transpose(1, 0, 2), 0).T,
    }


def restrict(actions: Array, suspended: NDArray[np.bool_], cap: Array, *, capacity: float) -> Array:
    """Quantities [M, N, G] with the suspended at zero and the capped scaled to their limit.

    A cap is a share of capacity: a firm that offers more than `cap * capacity` in all keeps its
    proportions. Returns `actions` itself where nothing is in force.
    """
    capped = bool((cap < 1).any())
    if not capped and not suspended.any():
        return actions
    factor = np.ones(actions.shape[:2])
    if capped:
        offered = total(actions, 2)
        limit = cap * capacity
        np.divide(limit, offered, out=factor, where=offered > limit)
    factor[suspended] = 0.0
    return actions * factor[:, :, np.newaxis]


def consumer_surplus(record: Record, terms: Terms) -> Array:
    """Consumers' gain a'x - x'Bx/2 - p'x in money per round, [...] for prices [..., G].

    Buyers take x = Q where no price is at its floor; then a - p = B Q and the gain is Q'BQ/2
    whatever the shock was. At a floor they take what they demand at the posted prices,
    B^-1 (a - p), as far as it is offered; the intercept there is the one without shock, for the
    record shows only that it was no higher than B Q.
    """
    prices = np.moveaxis(record["prices"], -1, 0)
    offered = np.moveaxis(total(record["quantities"], -2), -1, 0)
    discount = _product(terms.slope, offered)
    taken = offered
    floored = prices <= 0
    if floored.any():
        intercept = terms.intercept.reshape(-1, *[1] * (prices.ndim - 1))
        discount = np.where(floored, np.minimum(discount, intercept), discount)
        inverse: Array = np.linalg.inv(terms.slope).astype(np.float64)
        demanded = _product(inverse, discount)
        taken = np.where(floored.any(axis=0), np.clip(demanded, 0.0, offered), offered)
    return total(discount * taken, 0) - total(taken * _product(terms.slope, taken), 0) / 2


def _product(matrix: Array, vectors: Array) -> Array:
    """Matrix [G, G] times every vector in `vectors` [G, ...], without a linear-algebra library."""
    return np.stack(
        [total(np.stack([w * v for w, v in zip(row, vectors, strict=True)]), 0) for row in matrix]
    )
