"""What a loss reads from a batch: one log-probability per response, as a sum or a mean over tokens.

No arithmetic between models here but the log-ratio that almost every method starts from.

Shapes: [B, K] each, [H, B, K] for past policies. Units: nats; means in nats per token.
"""

import torch
from torch import Tensor

from agents.alignment.batch import AlignmentError, Batch


def needed(tensor: Tensor | None, what: str) -> Tensor:
    """`tensor` itself; AlignmentError where the batch does not know it."""
    if tensor is None:
        raise AlignmentError(
            f"this method reads {what}, and the batch has none\n"
            "  give it in the batch, or give `train` the model to read it from"
        )
    return tensor


def total(tokens: Tensor, mask: Tensor) -> Tensor:
    """Sum over the tokens of a response, [..., L] to [...]."""
    return torch.where(mask, tokens, torch.zeros_like(tokens)).sum(dim=-1)


def average(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of a response, [..., L] to [...]."""
    return total(tokens, mask) / mask.sum(dim=-1)


def log_probs(batch: Batch) -> Tensor:
    """l(y) of the policy, [B, K] nats."""
    return total(needed(batch.policy, "the policy's log-probabilities"), batch.mask)


def mean_log_probs(batch: Batch) -> Tensor:
    """l(y) / |y| of the policy, [B, K] nats per token."""
    return log_probs(batch) / batch.lengths


def reference_log_probs(batch: Batch) -> Tensor:
    """Log ref(y), [B, K] nats."""
    return total(needed(batch.reference, "the reference's log-probabilities"), batch.mask)


def mean_reference_log_probs(batch: Batch) -> Tensor:
    """Log ref(y) / |y|, [B, K] nats per token."""
    return reference_log_probs(batch) / batch.lengths


def history_log_probs(batch: Batch) -> Tensor:
    """Log-probabilities under past policies, [H, B, K] nats."""
    return total(needed(batch.history, "past policies' log-probabilities"), batch.mask)


def log_ratios(batch: Batch) -> Tensor:
    """h(y) = log pi(y) - log ref(y), [B, K] nats."""
    return log_probs(batch) - reference_log_probs(batch)


def mean_log_ratios(batch: Batch) -> Tensor:
    """h(y) / |y|, [B, K] nats per token."""
    return mean_log_probs(batch) - mean_reference_log_probs(batch)


def scores(batch: Batch) -> Tensor:
    """Rewards or levels, [B, K], larger is better."""
    return needed(batch.scores, "a score for each response")


def win_probability(batch: Batch) -> Tensor:
    """Probability that response 0 beats response 1, [B]."""
    return needed(batch.preferences, "preference probabilities")[:, 0, 1]
