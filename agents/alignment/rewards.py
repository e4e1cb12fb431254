"""Block 7, reward models: from features or log-ratios to a reward, and what its mistakes cost.

Heads are functions of their parameters; who holds and trains these is the caller's.

Shapes: [B, 2] rewards of a pair, preferred first; D dimensions of the ideal space, P prototypes,
M models, C criteria.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, logsigmoid, relu

from agents.alignment.margin import gap

FIRST_SHARPNESS = 2.659260036932778  # log(1 / 0.07), where PAL-B starts its learnt temperature


def bradley_terry(rewards: Tensor, *, lead: Tensor | float = 0.0, centring: float = 0.0) -> Tensor:
    """-log s(r_w - r_l - lead) + centring (r_w + r_l)^2, [B, 2] to [B].

    Ouyang et al. 2022, arXiv:2203.02155, equation 1; lead: Touvron et al. 2023, arXiv:2307.09288,
    equation 2; centring as in TRL.
    """
    return -logsigmoid(gap(rewards) - lead) + centring * rewards.sum(dim=-1).square()


def implicit(log_ratios: Tensor, *, beta: float) -> Tensor:
    """Beta h(y): the reward that a policy is optimal for, up to a constant per prompt.

    Rafailov et al. 2023, arXiv:2305.18290, equation 5.
    """
    return beta * log_ratios


def mixture(rewards: Tensor, weights: Tensor) -> Tensor:
    """One reward from M models' [M, ...] and weights [M] (SALSA's soup and MaxMin's average)."""
    return torch.einsum("m...,m->...", rewards, weights)


def rubric(verdicts: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of verdicts on C criteria, [..., C] and [C] to [...]; verdicts in [0, 1].

    ARCANE 2025, arXiv:2512.06196, the proxy utility.
    """
    return (verdicts * weights).sum(dim=-1) / weights.sum()


def ideal_points(
    weights: Tensor, prototypes: Tensor, project: Callable[[Tensor], Tensor]
) -> Tensor:
    """f(softmax(W_i) P): where each user's ideal lies, [B, P] and [P, D] to [B, D'].

    Chen et al. 2024, arXiv:2406.08469, PAL-A, the form its code uses by default.
    """
    return project(torch.softmax(weights, dim=-1) @ prototypes)


def nearness(items: Tensor, ideals: Tensor) -> Tensor:
    """Minus the distance of each item to its user's ideal, [B, 2, D] and [B, D] to [B, 2].

    The one place where the sign is decided: nearer is better, so its gap is positive where the
    preferred item is nearer.

    Chen et al. 2024, arXiv:2406.08469, PAL-A.
    """
    distance: Tensor = torch.linalg.vector_norm(items - ideals.unsqueeze(-2), dim=-1)
    return -distance


def angular(
    items: Tensor, weights: Tensor, prototypes: Tensor, sharpness: Tensor | float = FIRST_SHARPNESS
) -> Tensor:
    """exp(t) cosine(item, sum_k w_k g_k(x)), [B, 2, D], [B, P], [B, P, D] to [B, 2]; at most 100.

    Chen et al. 2024, arXiv:2406.08469, PAL-B with prompt-conditioned prototypes.
    """
    point = torch.einsum("bp,bpd->bd", torch.softmax(weights, dim=-1), prototypes)
    scale = torch.as_tensor(sharpness).exp().clamp(max=100.0)
    near: Tensor = cosine_similarity(items, point.unsqueeze(-2), dim=-1)
    return scale * near


def preference_hinge(rewards: Tensor) -> Tensor:
    """max(0, 1 - (r_w - r_l)), [B, 2] to [B]: what PAL-A trains on."""
    return relu(1 - gap(rewards))


def norm_bound(prototypes: Tensor, *, radius: float) -> Tensor:
    """Sum of max(0, |p| - radius) over prototypes, scalar.

    Chen et al. 2024, arXiv:2406.08469, code (radius 23).
    """
    return relu(torch.linalg.vector_norm(prototypes, dim=-1) - radius).sum()
