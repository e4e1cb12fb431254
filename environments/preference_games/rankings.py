"""Whether a policy ranks as people do, and how well any could: ranking accuracies.

Chen et al. 2024, arXiv:2405.19534. For a pair in which a share `a` of people prefers the winner,
the regularised optimum has log pi(w)/pi(l) = log ref(w)/ref(l) + log(a / (1 - a)) / beta.
"""

import numpy as np

from environments.contract import Array

UNANIMOUS = 0.001
"""How far from 0 and 1 a share is kept, as in the paper: unanimity is never certain."""


def idealised_log_ratio(reference_log_ratio: Array, share: Array, *, beta: float) -> Array:
    """What log pi(w)/pi(l) the optimum has, [B], for log ref(w)/ref(l) and shares of people [B]."""
    kept = np.clip(share, UNANIMOUS, 1 - UNANIMOUS)
    return np.asarray(reference_log_ratio + np.log(kept / (1 - kept)) / beta)


def ranking_accuracy(log_ratio: Array) -> float:
    """Share of pairs whose winner is at least as likely as the loser, from log pi(w)/pi(l) [B]."""
    return float((log_ratio >= 0).mean())


def reward_accuracy(log_ratio: Array, reference_log_ratio: Array) -> float:
    """Share of pairs whose winner gained on the loser: another number, often mistaken for it."""
    return float((log_ratio > reference_log_ratio).mean())


def undesirable(log_ratio: Array, reference_log_ratio: Array) -> float:
    """Share of pairs that count as learnt (the winner gained) and are still ranked wrongly.

    Set U of arXiv:2605.20834.
    """
    wrong = (log_ratio < 0) & (log_ratio > reference_log_ratio)
    return float(wrong.mean())
