"""Block 5, policy gradients: advantages from rewards, ratios, how far one step may go, divergences.

The clipped surrogate and REINFORCE are those of `agents.policies.losses`; here is what preference
methods add. Advantages are data: no gradient flows through them.

Shapes: [B, K] per response, [B, K, L] per token, [M, B, K] rewards of M groups or objectives.
"""

import torch
from torch import Tensor

from agents.alignment.views import average


def group_normalised(rewards: Tensor, *, floor: float) -> Tensor:
    """(r - mean) / (sd + floor) over the responses of each prompt, [B, K]; sd of a sample.

    Shao et al. 2024, arXiv:2402.03300, section 4.1.2 (outcome supervision).
    """
    centred = rewards - rewards.mean(dim=-1, keepdim=True)
    return (centred / (rewards.std(dim=-1, keepdim=True) + floor)).detach()


def leave_one_out(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of the prompt's others, [B, K], K at least 2.

    Ahmadian et al. 2024, arXiv:2402.14740, the RLOO estimator.
    """
    count = rewards.shape[-1]
    return ((rewards - rewards.mean(dim=-1, keepdim=True)) * count / (count - 1)).detach()


def contrastive(rewards: Tensor, log_ratios: Tensor, *, beta: float) -> Tensor:
    """Leave-one-out advantages of R - beta h, [B, K]: valid off-policy, without weights.

    Flet-Berliac et al. 2024, arXiv:2406.19185, gradient of the contrastive objective.
    """
    return leave_one_out(rewards - beta * log_ratios.detach())


def worst_group(rewards: Tensor) -> Tensor:
    """Rewards [B, K] of whichever group of [M, B, K] is worst off on average.

    Chakraborty et al. 2024, arXiv:2402.08925, the inner minimum.
    """
    return rewards[rewards.mean(dim=(1, 2)).argmin()]


def weighted_sum(rewards: Tensor, weights: Tensor) -> Tensor:
    """Rewards of M objectives weighed per prompt, [M, B, K] and [B, M] to [B, K].

    Preference Orchestrator 2025, arXiv:2511.10656, the adapted reward.
    """
    return torch.einsum("mbk,bm->bk", rewards, weights)


def sequence_log_ratio(policy: Tensor, behaviour: Tensor, mask: Tensor) -> Tensor:
    """Log of (pi / pi_old)^(1 / |y|), [..., L] to [...].

    Zheng et al. 2025, arXiv:2507.18071 (GSPO), the sequence-level ratio.
    """
    return average(policy - behaviour.detach(), mask)


def variance_penalised(ratio: Tensor, advantages: Tensor, *, price: Tensor | float) -> Tensor:
    """-(rho A) + price (rho - 1)^2, elementwise: no clip, least at rho = 1 + A / (2 price).

    Ratio-variance regularised policy optimisation 2026, arXiv:2601.03320.
    """
    return -ratio * advantages.detach() + price * (ratio - 1).square()


def next_price(price: Tensor, ratio: Tensor, *, budget: float, rate: float) -> Tensor:
    """The dual step: dearer while the ratio's variance is over budget, never below 0, scalar.

    `ratio` holds what counts, already masked.

    Ratio-variance regularised policy optimisation 2026, arXiv:2601.03320 (constants are ours).
    """
    excess = (ratio.detach() - 1).square().mean() - budget
    return (price + rate * excess).clamp(min=0)


def softly_gated(ratio: Tensor, advantages: Tensor, *, up: float, down: float) -> Tensor:
    """-(4 / t) s(t (rho - 1)) A with t = `up` for gains and `down` for losses, elementwise.

    Its slope at rho = 1 is that of rho A; it fades instead of being cut off.

    Soft Adaptive Policy Optimization 2025, arXiv:2511.20347, as TRL has it.
    """
    fixed = advantages.detach()
    sharp = down + (up - down) * (fixed > 0).to(ratio.dtype)
    return -(4 / sharp) * torch.sigmoid(sharp * (ratio - 1)) * fixed


def divergence_linear(policy: Tensor, anchor: Tensor) -> Tensor:
    """k1 = log pi - log anchor of samples from pi, elementwise: unbiased, may be negative.

    Schulman 2020, http://joschu.net/blog/kl-approx.html.
    """
    return policy - anchor


def divergence_square(policy: Tensor, anchor: Tensor) -> Tensor:
    """k2 = (log pi - log anchor)^2 / 2, elementwise: biased, but its gradient is the KL's.

    Schulman 2020, http://joschu.net/blog/kl-approx.html.
    """
    return 0.5 * (policy - anchor).square()


def divergence_positive(policy: Tensor, anchor: Tensor, *, limit: float = 10.0) -> Tensor:
    """k3 = exp(a) - a - 1 with a = log anchor - log pi within +-`limit`, elementwise, at least 0.

    Of samples from pi it estimates KL(pi || anchor).

    Schulman 2020, http://joschu.net/blog/kl-approx.html; the limit as in the code of
    arXiv:2504.04524.
    """
    a = (anchor - policy).clamp(-limit, limit)
    return a.exp() - a - 1


def duel(log_probs: Tensor, log_ratios: Tensor, wins: Tensor, *, tau: float) -> Tensor:
    """-(P - 1/2) l(y) + tau h(y) l(y) with P and h as data, [B]: its gradient is Nash-MD's.

    The KL enters by its score-function gradient over whole responses, exact at any length;
    TRL multiplies token by token and so forgets what early tokens do to later ones; equal at L = 1.

    Munos et al. 2023, arXiv:2312.00886, section 7; Calandriello et al. 2024, arXiv:2403.08635.
    """
    return (tau * log_ratios.detach() - (wins.detach() - 0.5)) * log_probs
