"""Block 3, lists: what a ranking of K responses costs, given a score for each.

Scores are whatever the method ranks by (beta h, mean log-probability, a reward model's output).
Labels say which response is better: larger is better. No gradient flows through labels or weights.

Shapes: scores and labels [B, K], pair matrices [B, K, K] with entry (i, j) about "i beats j".
All losses are [B]. Units: scores in nats times their temperature.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, softmax

Link = Callable[[Tensor], Tensor]


def gaps(values: Tensor) -> Tensor:
    """values_i - values_j for every pair, [B, K] to [B, K, K]."""
    return values.unsqueeze(-1) - values.unsqueeze(-2)


def beats(labels: Tensor) -> Tensor:
    """1 where the label of i exceeds that of j, [B, K] to [B, K, K]; ties are no pair."""
    return (gaps(labels) > 0).to(labels.dtype)


def pairwise(scores: Tensor, weights: Tensor, *, link: Link) -> Tensor:
    """Sum over pairs of weight times link of the score gap, [B].

    With `beats` as weights all pairs count once; TRPA, LiPO and soft judges are other weights.

    Liu et al. 2024, arXiv:2402.01878, the pairwise logistic over a list.
    """
    return (weights.detach() * link(gaps(scores))).sum(dim=(-2, -1))


def averaged(weights: Tensor) -> Tensor:
    """Each pair's weight divided by the number of pairs with any, so that a list counts once."""
    return weights / (weights > 0).sum(dim=(-2, -1), keepdim=True).clamp(min=1)


def lambda_weights(scores: Tensor, labels: Tensor) -> Tensor:
    """|G_i - G_j| |1 / D(rank_i) - 1 / D(rank_j)| where i beats j, [B, K, K].

    G = 2^label - 1 and D(rank) = log(1 + rank), ranks counted from 1 under the *present* scores:
    what a swap of i and j would change in DCG. Equal scores take successive ranks: if they shared
    one, a policy equal to its reference would have no gradient and never start.

    Liu et al. 2024, arXiv:2402.01878, the lambda weight.
    """
    rank = 1 + scores.detach().argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    discount = 1 / torch.log1p(rank.to(scores.dtype))
    gain = 2.0**labels - 1
    return beats(labels) * gaps(gain).abs() * gaps(discount).abs()


def level_weights(levels: Tensor, *, emphasis: float, top: float) -> Tensor:
    """1 where i beats j, `emphasis` where i has the level `top` (correct answers), [B, K, K].

    TRPA multiplies the *margin* by it, not the loss: see `trust_region_pairs`.
    """
    correct = (levels >= top).to(levels.dtype).unsqueeze(-1)
    return (1 + (emphasis - 1) * correct) * beats(levels)


def trust_region_pairs(scores: Tensor, levels: Tensor, *, emphasis: float, top: float) -> Tensor:
    """Mean over pairs of -log s(c (s_i - s_j)), c = `emphasis` where i is correct, [B].

    Where all responses have one level there is no pair: then correct answers are raised and
    others lowered, each against the reference, as in the official code.

    Su et al. 2025, arXiv:2504.04524, code of the pairwise loss.
    """
    weights = level_weights(levels, emphasis=emphasis, top=top)
    chosen = (weights > 0).to(scores.dtype)
    margins = torch.where(weights > 0, weights, 1.0) * gaps(scores)
    paired = (averaged(chosen) * -logsigmoid(margins)).sum(dim=(-2, -1))
    sign = torch.where(levels >= top, 1.0, -1.0).to(scores.dtype)
    alone = -logsigmoid(sign * scores).mean(dim=-1)
    return torch.where(chosen.sum(dim=(-2, -1)) > 0, paired, alone)


def plackett_luce(scores: Tensor, labels: Tensor) -> Tensor:
    """Minus the log-likelihood of the whole order under Plackett-Luce, [B]; ties in given order.

    sum_k [logsumexp_{i >= k} s_(i) - s_(k)], best first.

    Liu et al. 2024, arXiv:2402.01878, list-MLE; Rafailov et al. 2023, arXiv:2305.18290,
    appendix A.3.
    """
    ordered = scores.gather(-1, labels.argsort(dim=-1, descending=True, stable=True))
    rest = ordered.flip(-1).logcumsumexp(dim=-1).flip(-1)
    return (rest - ordered).sum(dim=-1)


def softmax_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy from softmax(labels) to softmax(scores), [B].

    Liu et al. 2024, arXiv:2402.01878, the softmax loss over a list.
    """
    return -(softmax(labels, dim=-1) * log_softmax(scores, dim=-1)).sum(dim=-1)


def tempered_ranking(scores: Tensor, rewards: Tensor) -> Tensor:
    """Each response against all worse ones, at temperatures of the reward gaps, [B].

    With the best first, T_ki = r_k - r_i for i > k and T_kk = max_i T_ki:
    sum_k -log [ exp(T_kk p_k) / (exp(T_kk p_k) + sum_{i>k} exp(T_ki p_i)) ].
    Scores are log-probabilities, hence negative: a near tie adds about exp(0) = 1 to the
    denominator, it does not vanish.

    Song et al. 2023, arXiv:2306.17492, official code.
    """
    order = rewards.argsort(dim=-1, descending=True, stable=True)
    score, reward = scores.gather(-1, order), rewards.gather(-1, order)
    count = scores.shape[-1]
    worse = torch.ones(count, count, dtype=torch.bool, device=scores.device).triu(1)
    temperature = torch.where(worse, gaps(reward), 0.0)
    own = temperature.amax(dim=-1) * score
    others = (temperature * score.unsqueeze(-2)).masked_fill(~worse, -torch.inf)
    against = torch.cat([own.unsqueeze(-1), others], dim=-1).logsumexp(dim=-1)
    return (against - own)[..., :-1].sum(dim=-1)
