"""Block 4, label models: what a label is worth when it may be wrong, soft, or somebody else's.

Most are functions from loss to loss and so apply to every pair loss at once. `turned` gives the
same example with its preference reversed: `Batch.swapped` for losses of batches, `torch.neg` for
links of margins.

Shapes: [B] per pair, [A] per annotator, [N] per example of the data set. Probabilities in [0, 1].
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from agents.alignment.batch import AlignmentError

Example = TypeVar("Example")
Loss = Callable[[Example], Tensor]
Turn = Callable[[Example], Example]


def weighed(
    loss: Loss[Example], *, turned: Turn[Example], right: Tensor | float, wrong: Tensor | float
) -> Loss[Example]:
    """`right` times the loss of each example plus `wrong` times that of its reverse."""

    def total(example: Example) -> Tensor:
        return right * loss(example) + wrong * loss(turned(example))

    return total


def smoothed(loss: Loss[Example], *, turned: Turn[Example], right: Tensor | float) -> Loss[Example]:
    """The loss in expectation over labels that are right with probability `right`.

    A number is conservative DPO's 1 - flip rate; a tensor [B] a judge's own strength of preference.

    Mitchell 2023, https://ericmitchell.ai/cdpo.pdf; Online Self-Preferring Language
    Models 2024, arXiv:2405.14103 (SPCE).
    """
    return weighed(loss, turned=turned, right=right, wrong=1 - right)


def unflipped(loss: Loss[Example], *, turned: Turn[Example], flip_rate: float) -> Loss[Example]:
    """The loss whose expectation over labels flipped at `flip_rate` is the loss of clean ones.

    [(1 - e) L(w > l) - e L(l > w)] / (1 - 2 e). Not bounded below: a flip rate near one half needs
    many samples or bounded parameters.

    Chowdhury et al. 2024, arXiv:2403.00409, the robust loss.
    """
    if not 0 <= flip_rate < 0.5:
        raise AlignmentError(
            f"flip_rate={flip_rate} cannot be undone\n"
            "  choose it in [0, 0.5): at one half labels say nothing"
        )
    scale = 1 - 2 * flip_rate
    return weighed(loss, turned=turned, right=(1 - flip_rate) / scale, wrong=-flip_rate / scale)


def log_odds_of_label(loss: Loss[Example], example: Example, *, turned: Turn[Example]) -> Tensor:
    """L(l > w) - L(w > l), [B]: what the loss itself holds of the label, as log-odds.

    Exactly Bradley-Terry's margin for the logistic loss, a surrogate for others.

    RE-PO 2025, arXiv:2509.24159, the calibrated probability.
    """
    return loss(turned(example)) - loss(example)


def posterior(log_odds: Tensor, reliability: Tensor) -> Tensor:
    """Probability that a label is right, [B]: p eta / (p eta + (1 - p)(1 - eta)), no gradient.

    `reliability` [B] is how often its annotator is right, in [0, 1].

    RE-PO 2025, arXiv:2509.24159, E-step.
    """
    p = torch.sigmoid(log_odds.detach())
    right, wrong = p * reliability, (1 - p) * (1 - reliability)
    return right / (right + wrong)


def soft_likelihood(log_odds: Tensor, right: Tensor) -> Tensor:
    """-[q log p + (1 - q) log(1 - p)] with log-odds of p, [B]; `right` q carries no gradient.

    RE-PO 2025, arXiv:2509.24159, M-step.
    """
    q = right.detach()
    return -(q * logsigmoid(log_odds) + (1 - q) * logsigmoid(-log_odds))


def moved_reliability(
    reliability: Tensor, right: Tensor, annotators: Tensor, *, rate: float
) -> Tensor:
    """Each annotator's reliability [A], moved towards the mean of `right` [B] over their labels.

    Those who have no label in the batch keep theirs.

    RE-PO 2025, arXiv:2509.24159, the running update with step `rate`.
    """
    totals = torch.zeros_like(reliability).index_add(0, annotators, right.detach())
    counts = torch.zeros_like(reliability).index_add(0, annotators, torch.ones_like(right))
    mean = totals / counts.clamp(min=1)
    return torch.where(counts > 0, torch.lerp(reliability, mean, rate), reliability)


def moved_labels(labels: Tensor, rows: Tensor, margins: Tensor, *, rate: float) -> Tensor:
    """Soft labels [N] with those of `rows` [B] moved towards s(margin), no gradient.

    Pairs that are seldom seen keep their labels, and so cannot be exploited.

    POWER-DL 2024, arXiv:2412.09544, dynamic labels.
    """
    found = torch.sigmoid(margins.detach())
    return labels.index_copy(0, rows, torch.lerp(labels[rows], found, rate))


def smallest(losses: Tensor, *, share: float) -> Tensor:
    """The `share` of the batch with the smallest losses, [B] boolean; at least one.

    Mask one model's batch by the other's losses (peer review) or by its own (self-selection).

    Collaborative Reward Modeling 2025, arXiv:2505.10597; Han et al. 2018, arXiv:1804.06872.
    """
    count = max(1, round(share * len(losses)))
    kept = losses.detach().argsort(stable=True)[:count]
    return torch.zeros(len(losses), dtype=torch.bool, device=losses.device).index_fill(0, kept, 1)


def kept_share(epoch: int, *, noise_rate: float, ramp: int) -> float:
    """1 - eta_t: all at first, 1 - `noise_rate` from epoch `ramp` on.

    Han et al. 2018, arXiv:1804.06872, the drop rate schedule.
    """
    return 1 - noise_rate * min(1.0, epoch / ramp)


def user_log_likelihoods(margins: Tensor, users: Tensor, *, count: int) -> Tensor:
    """Log-likelihood of each user's pairs under each of M reward models, [B, M] to [count, M].

    `margins` are r_m(y_w) - r_m(y_l).
    """
    totals = torch.zeros(count, margins.shape[1], dtype=margins.dtype, device=margins.device)
    return totals.index_add(0, users, logsigmoid(margins.detach()))


def hard_clusters(log_likelihoods: Tensor) -> Tensor:
    """The reward model that explains each user best, [U, M] to [U].

    Chakraborty et al. 2024, arXiv:2402.08925, E-step with hard assignment.
    """
    return log_likelihoods.argmax(dim=-1)


def soft_clusters(log_likelihoods: Tensor, log_shares: Tensor) -> Tensor:
    """Probability that each reward model is each user's, [U, M]; `log_shares` [M] of the groups."""
    return torch.softmax(log_likelihoods + log_shares, dim=-1)
