"""Block 1, margins: by how much the policy prefers one response to another, and how much it should.

Each function maps log-probabilities to a margin or to what a margin must exceed; links (`link`)
turn margins into losses. Nothing here knows where the numbers come from: sums or means over tokens.

Shapes: [B, 2] for a pair's two responses, [B, K] for lists, [B] for margins. Units: nats.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from agents.alignment.batch import AlignmentError


def gap(values: Tensor) -> Tensor:
    """How much more the first response of each pair has than the second, [B, 2] to [B]."""
    if values.shape[-1] != 2:
        raise AlignmentError(
            f"a margin is between two responses, these prompts have {values.shape[-1]}\n"
            "  make pairs first: transforms.best_and_worst, transforms.every_pair"
        )
    return values[..., 0] - values[..., 1]


def relative(policy: Tensor, reference: Tensor, *, share: float = 1.0) -> Tensor:
    """Log-probability beyond `share` of the reference's, elementwise.

    1 is DPO, 0 is free of the reference, between them the reference is attenuated.

    Chen et al. 2024, arXiv:2405.19534, section 5 (attenuated loss).
    """
    return policy - share * reference


def anchored(policy: Tensor, anchors: Tensor, weights: Tensor) -> Tensor:
    """Log-probability beyond a weighted sum of anchors', [B, K] and [H, B, K] to [B, K].

    `weights` [H] sum to 1 where the anchors stand in for one reference.

    Wu et al. 2025, arXiv:2509.23102, code of the loss (reference and past policies as anchors).
    """
    return policy - torch.einsum("h,hbk->bk", weights, anchors)


def softplus_floor(reference_gap: Tensor, *, gamma: float, tau: float) -> Tensor:
    """What DPO's margin must exceed so that the policy itself ranks right, [B] nats.

    softplus(tau (gamma - d_ref)) / tau: near zero where the reference already ranks by more than
    `gamma`, near gamma - d_ref where it ranks wrongly; `tau` is how sharp the bend is.

    Constrained Preference Optimization 2026, arXiv:2605.20834, the CPO margin.
    """
    return softplus(tau * (gamma - reference_gap)) / tau


def clipped_floor(reference_gap: Tensor) -> Tensor:
    """max(0, -d_ref), [B] nats: the reference's wrong rankings are not held against the policy.

    Constrained Preference Optimization 2026, arXiv:2605.20834, the clip variant:
    d - max(d_ref, 0) = D - max(0, -d_ref).
    """
    return (-reference_gap).clamp(min=0)


def easy_floor(reference: Tensor, *, gamma: float) -> Tensor:
    """Gamma (1 / log ref(y_w) + 1 / log ref(y_l)), [B, 2] to [B], as the official code has it.

    Sign alarm: log-probabilities are negative, so this floor is negative and asks for *less* than
    DPO does. If the paper means a conservative margin, the sign is wrong in the code; give a
    negative `gamma` for that reading.

    Constrained Preference Optimization 2026, arXiv:2605.20834, E-CPOC.
    """
    return gamma * (1 / reference).sum(dim=-1)


def length_weighted(policy: Tensor, lengths: Tensor) -> Tensor:
    """What a weighted entropy takes for the reward, [B, K]: w (log pi(y) + 1) with w = 1 / |y|.

    Its gap is the length-normalised margin plus the gap of 1 / |y|.

    POWER 2024, arXiv:2412.09544, the reparametrised reward (beta apart).
    """
    return (policy + 1) / lengths
