"""Price competition with logit demand as pure functions (Calvano et al. 2020, equation 5).

A unit mass of buyers; firm i at price p_i sells

    q_i = exp((a_i - p_i) / mu) / (sum_j exp((a_j - p_j) / mu) + exp(a_0 / mu))

Shapes: M markets, N firms. Units: prices, costs and qualities in money.

Exponentials and logarithms may differ in the last bit between machines. They stand in the rules of
the market alone: an oracle decides from the logged records, with signals that use none.
"""

from dataclasses import dataclass

import numpy as np

from environments.arrays import largest, total
from environments.contract import Array, Mask, Record

CHOKE = 28.0
"""Ceiling in units of `mu` above a firm's quality: exp(-28) leaves it less than 1e-12 buyers."""


@dataclass(frozen=True, eq=False)
class Terms:
    """The numbers of one market."""

    quality: Array  # a_i, [N, 1]
    costs: Array  # [N, 1]
    outside: float  # a_0
    mu: float

    @property
    def ceiling(self) -> Array:
        """Price at which a firm has practically no buyers, [N, 1]."""
        return self.quality - self.outside + CHOKE * self.mu


def settle(actions: Array, terms: Terms) -> dict[str, Array]:
    """Prices [M, N, 1], quantities [M, N] and profits [M, N] of one round."""
    prices = actions[:, :, 0].T.copy()
    weights, outside, _ = _weights(prices, terms)
    quantities = weights / (total(weights, 0) + outside)
    return {
        "prices": prices.T[:, :, np.newaxis],
        "quantities": quantities.T,
        "profits": ((prices - terms.costs) * quantities).T,
    }


def restrict(actions: Array, suspended: Mask, cap: Array, *, terms: Terms) -> Array:
    """Prices [M, N, 1] with the suspended at their ceiling and the capped at most at their cap.

    A cap is a share of the ceiling. Returns `actions` itself where nothing is in force.
    """
    if not suspended.any() and not (cap < 1).any():
        return actions
    ceiling = terms.ceiling[:, 0]
    prices = np.where(suspended, ceiling, np.minimum(actions[:, :, 0], cap * ceiling))
    return prices[:, :, np.newaxis]


def consumer_surplus(record: Record, terms: Terms) -> Array:
    """Expected utility mu log(sum_j exp((a_j - p_j)/mu) + exp(a_0/mu)) in money, [...].

    For prices [..., N, 1]. Small and Rosen 1981, Econometrica 49(1).
    """
    prices = np.moveaxis(record["prices"][..., 0], -1, 0)
    flat = prices.reshape(len(prices), -1)
    weights, outside, shift = _weights(flat, terms)
    utility = terms.outside + terms.mu * (shift + np.log(total(weights, 0) + outside))
    return np.asarray(utility.reshape(prices.shape[1:]))


def _weights(prices: Array, terms: Terms) -> tuple[Array, Array, Array]:
    """Weights of the firms [N, M] and of buying nothing [M], and the log of their unit [M].

    The unit is the largest weight, so that no exponential overflows.
    """
    utility = (terms.quality - terms.outside - prices) / terms.mu
    shift = np.maximum(largest(utility, 0), 0.0)
    return np.exp(utility - shift), np.exp(-shift), shift
