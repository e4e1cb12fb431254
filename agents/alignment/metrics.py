"""Block 9, metrics: policies and scores to numbers, none of which is a loss.

Shapes: [B, 2] per pair (preferred first), [B, K] per list, [A] distributions over arms. Everything
is returned as a tensor without gradient, a scalar unless said otherwise.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import logsigmoid

from agents.alignment.listwise import gaps
from agents.alignment.margin import gap


def ranking_accuracy(log_probs: Tensor) -> Tensor:
    """Share of pairs whose preferred answer the policy itself holds at least as likely.

    Of summed or mean log-probabilities [B, 2], not of log-ratios.

    Chen et al. 2024, arXiv:2405.19534, section 2.
    """
    return (gap(log_probs.detach()) >= 0).double().mean()


def reward_accuracy(rewards: Tensor) -> Tensor:
    """Share of pairs with the larger reward (or log-ratio) on the preferred answer, [B, 2]."""
    return (gap(rewards.detach()) > 0).double().mean()


def idealised_gap(reference_gap: Tensor, agreement: Tensor, *, beta: float) -> Tensor:
    """Log pi*(w) / pi*(l) of the exact optimum of DPO, [B].

    d_ref + log(a / (1 - a)) / beta, a the share of raters that agree; unanimous ones count 0.999.

    Chen et al. 2024, arXiv:2405.19534, section 3 (idealised ranking accuracy).
    """
    return reference_gap + torch.logit(agreement.clamp(0.001, 0.999)) / beta


def idealised_accuracy(reference_gap: Tensor, agreement: Tensor, *, beta: float) -> Tensor:
    """Share of pairs that the exact optimum ranks right."""
    return (idealised_gap(reference_gap, agreement, beta=beta) > 0).double().mean()


def loss_for_right_ranking(reference_gap: Tensor, *, beta: float) -> Tensor:
    """The largest DPO loss of a pair that ranks right, [B]: -log s(beta c) with c = -d_ref.

    Chen et al. 2024, arXiv:2405.19534, the theorem on ranking accuracy and DPO loss.
    """
    return -logsigmoid(-beta * reference_gap)


def misranked_share(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Share of pairs ranked wrongly though better than the reference does: d < 0 and d > d_ref.

    Constrained Preference Optimization 2026, arXiv:2605.20834, the undesirable set.
    """
    policy, anchor = gap(log_probs.detach()), gap(reference)
    return ((policy < 0) & (policy > anchor)).double().mean()


def kl(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of log-probabilities [..., A], [...] nats."""
    probabilities = first.detach().exp()
    terms = torch.where(probabilities > 0, probabilities * (first - second).detach(), 0.0)
    return terms.sum(dim=-1)


def tilted(reference: Tensor, rewards: Tensor, *, beta: float) -> Tensor:
    """Log of ref exp(R / beta) / Z, [..., A]: the optimum of KL-regularised reward.

    Rafailov et al. 2023, arXiv:2305.18290, equation 4.
    """
    return (reference + rewards / beta).log_softmax(dim=-1)


def kendall(first: Tensor, second: Tensor) -> Tensor:
    """Kendall's tau-b of each list, [B, K] to [B]; 0 where one side is all ties."""
    one, other = gaps(first.detach()).sign(), gaps(second.detach()).sign()
    agree = (one * other).sum(dim=(-2, -1))
    untied = one.square().sum(dim=(-2, -1)) * other.square().sum(dim=(-2, -1))
    return torch.where(untied > 0, agree / untied.clamp(min=1).sqrt(), 0.0)


def ndcg(scores: Tensor, labels: Tensor, *, count: int | None = None) -> Tensor:
    """Normalised discounted cumulative gain of each list, [B, K] to [B], in [0, 1].

    Gains 2^label - 1, discounts log2(1 + rank), the first `count` places; 1 where nothing has gain.
    """
    places = scores.shape[-1] if count is None else count
    discount = torch.log2(torch.arange(places, dtype=torch.float64, device=scores.device) + 2)

    def gained(order: Tensor) -> Tensor:
        gain = 2.0 ** labels.double().gather(-1, order) - 1
        return (gain[..., :places] / discount).sum(dim=-1)

    found = gained(scores.detach().argsort(dim=-1, descending=True, stable=True))
    best = gained(labels.argsort(dim=-1, descending=True, stable=True))
    return torch.where(best > 0, found / best, 1.0)


def calibration_error(probabilities: Tensor, outcomes: Tensor, *, bins: int = 10) -> Tensor:
    """Mean gap between stated probability and frequency over equal bins, weighed by size, [B]s.

    Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    stated, came = probabilities.detach().double(), outcomes.double()
    index = (stated * bins).long().clamp(max=bins - 1)
    difference = torch.zeros(bins, dtype=torch.float64).index_add(0, index, stated - came)
    return difference.abs().sum() / len(stated)


def cluster_accuracy(found: Tensor, truth: Tensor, *, count: int) -> Tensor:
    """Share of [U] assignments that are right under the best naming of `count` clusters."""
    table = torch.zeros(count, count, dtype=torch.long)
    table.index_put_((found, truth), torch.ones_like(found), accumulate=True)
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    return table[rows, columns].sum().double() / len(found)


def best_of(choices: Tensor, scores: Tensor) -> Tensor:
    """The value in `choices` of each list's highest score, [B, K] to [B]."""
    return choices.gather(-1, scores.argmax(dim=-1, keepdim=True))[..., 0]


def factor_agreement(preference: Tensor, factors: Tensor) -> Tensor:
    """(concordant - discordant) / (both + ties of the factor alone) for each factor, [F].

    `preference` [N] and `factors` [N, F] hold signs of first against second.

    PROFILE 2024, arXiv:2410.06965, factor-level preference score (tie rule K-med).
    """
    decided = preference.sign().unsqueeze(-1)
    counted = (decided != 0).sum(dim=0).clamp(min=1)
    return (decided * factors.sign()).sum(dim=0) / counted
