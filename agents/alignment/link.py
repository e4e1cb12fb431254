"""Block 2, links: what a margin costs.

Each function maps margins, or the log-ratios of both responses of a pair, to one loss per pair;
`beta` and the like have already multiplied them. No link knows what the margin was made of.

Shapes: [B] for margins `m` and for log-ratios `h` of single responses. All losses are [B].
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu


def logistic(m: Tensor) -> Tensor:
    """-log s(m): the negative log-likelihood of the preference; log 2 at 0.

    Rafailov et al. 2023, arXiv:2305.18290, equation 7.
    """
    return -logsigmoid(m)


def hinge(m: Tensor) -> Tensor:
    """max(0, 1 - m): nothing more to gain beyond a margin of 1.

    Liu et al. 2023, arXiv:2309.06657, the hinge on normalised likelihoods; Zhao et al. 2023,
    arXiv:2305.10425 (SLiC).
    """
    return relu(1 - m)


def squared(m: Tensor, target: Tensor | float) -> Tensor:
    """(m - target)^2: a margin beyond the target costs as much as one short of it.

    Azar et al. 2023, arXiv:2310.12036, equation 17 with target 1 / (2 tau).
    """
    return (m - target).square()


def exponential(m: Tensor) -> Tensor:
    """exp(-m): wrong rankings cost without bound.

    Tang et al. 2024, arXiv:2402.05749, table of convex links.
    """
    return (-m).exp()


def blended_exponential(m: Tensor, *, temperature: float) -> Tensor:
    """Logistic and exponential, mixed by s(m / temperature).

    Lu et al. 2024, arXiv:2406.08414, equation 5 (DiscoPOP, log-ratio modulated loss).
    """
    share = torch.sigmoid(m / temperature)
    return logistic(m) * (1 - share) + exponential(m) * share


def reverse_cross(m: Tensor, *, flip_rate: float) -> Tensor:
    """Reverse KL from the policy's preference s(m) to the label's (1 - flip_rate, flip_rate).

    `flip_rate` in (0, 1): at 0 the divergence is infinite.

    Ji et al. 2024, arXiv:2402.00856, equation 16 (EXO on pairs).
    """
    right = torch.sigmoid(m) * (logsigmoid(m) - math.log1p(-flip_rate))
    wrong = torch.sigmoid(-m) * (logsigmoid(-m) - math.log(flip_rate))
    return right + wrong


def soft_zero(h_liked: Tensor, h_disliked: Tensor) -> Tensor:
    """(1 - s(h_w)) + s(h_l): up with the liked, down with the disliked, each on its own.

    D'Oosterlinck et al. 2024, arXiv:2408.06266, equation 7 (APO-zero).
    """
    return (1 - torch.sigmoid(h_liked)) + torch.sigmoid(h_disliked)


def soft_down(h_liked: Tensor, h_disliked: Tensor) -> Tensor:
    """s(h_w) + (1 - s(h_w - h_l)): down with both, the disliked further.

    D'Oosterlinck et al. 2024, arXiv:2408.06266, equation 8 (APO-down).
    """
    return torch.sigmoid(h_liked) + (1 - torch.sigmoid(h_liked - h_disliked))


def utility(h: Tensor, origin: Tensor) -> Tensor:
    """1 - s(h - origin) of desirable answers; of undesirable ones call it with both negated.

    `origin` is what an answer must beat to count as a gain; no gradient flows through it.

    Ethayarajh et al. 2024, arXiv:2402.01306, equation 7 (KTO).
    """
    return 1 - torch.sigmoid(h - origin.detach())


def negative(h: Tensor) -> Tensor:
    """-log s(-h): down with an answer on its own, less and less as it is forgotten.

    Zhang et al. 2024, arXiv:2404.05868, equation 3 (NPO, up to the factor 2 / beta).
    """
    return -logsigmoid(-h)


def contrasted(h_liked: Tensor, h_disliked: Tensor) -> Tensor:
    """-log s(h_w) - (log s(-h_w) + log s(-h_l)) / 2: also keeps the liked from sinking.

    Chen et al. 2024, arXiv:2402.05369, the NCA loss for pairs.
    """
    return logistic(h_liked) + 0.5 * (negative(h_liked) + negative(h_disliked))


def classified(h_liked: Tensor, h_disliked: Tensor, origin: Tensor | float = 0.0) -> Tensor:
    """-log s(h_w - origin) - log s(-(h_l - origin)): a classifier of good and bad.

    Jung et al. 2024, arXiv:2404.04656, the BCO loss; `origin` is its running reward shift.
    """
    return logistic(h_liked - origin) + negative(h_disliked - origin)


def halves(h_liked: Tensor, h_disliked: Tensor, *, target: float) -> Tensor:
    """(h_w - target)^2 + (h_l + target)^2.

    Wu et al. 2024, arXiv:2405.00675, equation 4.7 with hard labels and target 1 / (2 beta).
    """
    return squared(h_liked, target) + squared(h_disliked, -target)


def sorted_gaps(values: Tensor, anchors: Tensor) -> Tensor:
    """Gaps between the order statistics of two samples over the batch, [B]: not pair by pair.

    A loss of these asks for first-order stochastic dominance of the whole distribution.

    Melnyk et al. 2024, arXiv:2406.05882, the sorting solution (AOT).
    """
    return values.sort(dim=0).values - anchors.sort(dim=0).values


def log_odds(log_p: Tensor) -> Tensor:
    """log(p / (1 - p)) of log-probabilities below 0, elementwise.

    Hong et al. 2024, arXiv:2403.07691, equation 4 (ORPO's odds).
    """
    return log_p - torch.log(-torch.expm1(log_p))
