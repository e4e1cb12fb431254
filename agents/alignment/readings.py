"""Readings: each fills one field of a batch from a model, if the batch does not bring it.

A method lists the readings its loss needs; the loop applies them in order and knows no more. The
policy is read with its gradient, every other model without.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from agents.alignment.batch import AlignmentError, Batch
from agents.alignment.views import total


class Policy(Protocol):
    """Anything that gives the tokens of a batch's responses a log-probability."""

    def __call__(self, batch: Batch) -> Tensor:
        """Log-probabilities [B, K, L] in nats; values outside the mask do not matter."""


class Speaker(Protocol):
    """A policy that can also say what it thinks of every token."""

    def logits(self, batch: Batch) -> Tensor:
        """Logits [B, K, L, V] at each token of the responses."""


@dataclass(frozen=True, kw_only=True)
class Models:
    """Who may be read."""

    policy: Policy
    reference: Policy | None = None
    history: Callable[[], Sequence[Policy]] = tuple  # past policies, the latest first
    teachers: Sequence[Speaker] = ()


Reading = Callable[[Batch, Models], Batch]


def read_policy(batch: Batch, models: Models) -> Batch:
    """The trained policy's log-probabilities, with gradient."""
    return replace(batch, policy=models.policy(batch))


def read_reference(batch: Batch, models: Models) -> Batch:
    """The reference's log-probabilities; what the data brings is kept."""
    if batch.reference is not None:
        return batch
    with torch.no_grad():
        return replace(batch, reference=_reference(models)(batch))


def read_behaviour(batch: Batch, _models: Models) -> Batch:
    """Those of the policy that drew the responses; without any, it was the present policy."""
    if batch.behaviour is not None or batch.policy is None:
        return batch
    return replace(batch, behaviour=batch.policy.detach())


def read_history(batch: Batch, models: Models) -> Batch:
    """Past policies' log-probabilities, the latest first."""
    if batch.history is not None:
        return batch
    past = models.history()
    if not past:
        raise AlignmentError(
            "this method reads past policies, and there are none\n"
            "  give `train` a history: references.History(policy, most=2).policies"
        )
    with torch.no_grad():
        return replace(batch, history=torch.stack([model(batch) for model in past]))


def read_mismatched(batch: Batch, models: Models) -> Batch:
    """Log-ratio of each first response as an answer to the next prompt, [B]: KTO's baseline."""
    if batch.mismatched is not None:
        return batch
    first = torch.zeros_like(batch.responses[:, :1, 0])
    rolled = replace(
        batch.arranged(first),
        responses=batch.responses[:, :1].roll(1, dims=0),
        mask=batch.mask[:, :1].roll(1, dims=0),
    )
    with torch.no_grad():
        ratio = models.policy(rolled) - _reference(models)(rolled)
    return replace(batch, mismatched=total(ratio, rolled.mask)[:, 0])


def read_logits(batch: Batch, models: Models) -> Batch:
    """The policy's logits at each token, with gradient."""
    logits = getattr(models.policy, "logits", None)
    if logits is None:
        raise AlignmentError(
            f"this method reads all logits, and {type(models.policy).__name__} gives none\n"
            "  give the policy a method logits(batch) -> [B, K, L, V]"
        )
    return replace(batch, logits=logits(batch))


def read_teachers(batch: Batch, models: Models) -> Batch:
    """Teachers' logits at each token of the responses."""
    if batch.teachers is not None:
        return batch
    if not models.teachers:
        raise AlignmentError(
            "this method reads a teacher, and there is none\n  give `train` teachers=[...]"
        )
    with torch.no_grad():
        return replace(batch, teachers=torch.stack([t.logits(batch) for t in models.teachers]))


def _reference(models: Models) -> Policy:
    if models.reference is None:
        raise AlignmentError(
            "this method reads a reference, and there is none\n"
            "  give `train` one: references.frozen(policy) is the policy as it is now"
        )
    return models.reference
