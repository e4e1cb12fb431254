"""Distributions over K responses: the few functions that every exact answer here is made of.

Shapes: a policy is [..., K], positive and adding up to one along its last axis; what stands before
are games, prompts or both, all handled at once. Units: divergences and entropies in nats.
"""

from typing import Any

import numpy as np

from environments.contract import Array, UnplayableError

SUM_ERROR = 1e-9
"""How far the probabilities of a policy may be from adding up to one."""


def log_partition(scores: Array) -> Array:
    """Log of the sum of exp(scores) over the last axis, [...]; no score is too large for it."""
    largest = scores.max(axis=-1, keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        summed = np.log(np.exp(scores - shift).sum(axis=-1))
    return np.asarray(summed + shift[..., 0])


def softmax(scores: Array) -> Array:
    """The policy proportional to exp(scores), [..., K]."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def log_policy(policy: Array) -> Array:
    """Logarithms [..., K]; minus infinity, without a warning, where a response is never given."""
    with np.errstate(divide="ignore"):
        return np.log(policy)


def divergence(policy: Array, reference: Array) -> Array:
    """Kullback-Leibler divergence KL(policy || reference), [...], in nats and never negative.

    Infinite where `policy` gives a response that `reference` never gives.
    """
    given = policy > 0
    gap = np.where(given, log_policy(policy), 0.0) - np.where(given, log_policy(reference), 0.0)
    return np.asarray(np.maximum((policy * gap).sum(axis=-1), 0.0))


def best_of(policy: Array, scores: Array, *, samples: int) -> Array:
    """The policy that draws `samples` responses and keeps the one of highest score, [..., K].

    Exact: response k wins with probability F(k)^n - F(below k)^n, where F sums `policy` over all
    responses of at most its score; responses of equal score share in proportion to `policy`.
    """
    level = scores[..., np.newaxis, :]
    own = scores[..., np.newaxis]
    most = policy[..., np.newaxis, :]
    up_to = np.minimum(np.where(level <= own, most, 0.0).sum(axis=-1), 1.0)
    tied = np.where(level == own, most, 0.0).sum(axis=-1)
    below = np.maximum(up_to - tied, 0.0)
    share = np.divide(policy, tied, out=np.zeros_like(policy), where=tied > 0)
    return np.asarray(share * (up_to**samples - below**samples))


def checked_policy(value: Any, name: str) -> Array:
    """Return `value` as a policy [..., K]; raises `UnplayableError` if it is none."""
    policy = np.asarray(value, dtype=np.float64)
    if policy.ndim == 0 or policy.size == 0:
        raise UnplayableError(f"{name} has shape {policy.shape}: give probabilities of responses")
    if not np.isfinite(policy).all() or (policy < 0).any():
        raise UnplayableError(f"{name} has the entry {_worst(policy)}: give numbers from 0 to 1")
    sums = policy.sum(axis=-1)
    off = np.abs(sums - 1)
    if off.max() > SUM_ERROR:
        worst = float(sums.ravel()[off.argmax()])
        raise UnplayableError(f"{name} adds up to {worst:g}: probabilities add up to 1")
    return policy


def _worst(policy: Array) -> float:
    bad = policy[~np.isfinite(policy)]
    return float(bad[0] if bad.size else policy.min())
