"""One loop for every method, every policy and every source of batches.

What a method minimises, reads and remembers stands in its row; the loop applies it and never looks
at its name.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from agents.alignment.batch import AlignmentError, Batch, checked
from agents.alignment.method import Method
from agents.alignment.optimizers import Optimizer
from agents.alignment.readings import Models, Policy, Speaker

COUNTED = ("annotators", "users", "rows")
"""Settings of these names say how many there are; ids of a batch lie below them."""


class Step(NamedTuple):
    """One step, as it was taken."""

    number: int  # from 0
    loss: float  # weighted mean over prompts, before the step
    batch: Batch  # as the loss read it
    memory: Mapping[str, Tensor]  # what the method carries to the next


class Assessed(NamedTuple):
    """A batch as a row's loss reads it, and what it makes of it."""

    batch: Batch
    loss: Tensor  # weighted mean over prompts, a scalar
    memory: Mapping[str, Tensor]  # what the method carried here


def assessed(
    method: Method, given: Batch, models: Models, memory: Mapping[str, Tensor] | None
) -> Assessed:
    """Fill `given` by the row's readings and take its loss; no `memory` before the first batch."""
    counts = {name: method.defaults[name] for name in COUNTED if name in method.defaults}
    batch = method.prepares(checked(given, counts))
    for reading in method.reads:
        batch = reading(batch, models)
    checked(batch, counts)
    if memory is None:
        memory = method.begins(batch, **method.defaults)
    losses = method.loss(batch, **method.defaults, **memory)
    return Assessed(batch, weighted_mean(losses, batch.weights), memory)


def moved(method: Method, seen: Assessed) -> Mapping[str, Tensor]:
    """What the method carries on from a batch."""
    batch, memory = seen.batch, seen.memory
    return {**memory, **method.learns(batch, **method.defaults, **memory)}


def steps(
    method: Method,
    policy: Policy,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    *,
    reference: Policy | None = None,
    history: Callable[[], Sequence[Policy]] = tuple,
    teachers: Sequence[Speaker] = (),
) -> Iterator[Step]:
    """Learn from one batch after the other, for as long as the caller asks for more.

    Between two steps the caller may measure the policy, move a reference, remember a past policy.
    Raises AlignmentError for a batch or loss that is no number, or a model that is missing.
    """
    models = Models(policy=policy, reference=reference, history=history, teachers=teachers)
    memory: Mapping[str, Tensor] | None = None
    for number, given in enumerate(batches):
        seen = assessed(method, given, models, memory)
        loss = seen.loss
        if not math.isfinite(value := loss.item()):
            raise AlignmentError(
                f"the loss is {value} at step {number} of {method.name}\n"
                "  lower the optimiser's rate, or look at the batch of this step"
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        memory = moved(method, seen)
        yield Step(number, value, seen.batch, memory)


def train(
    method: Method,
    policy: Policy,
    batches: Iterable[Batch],
    optimizer: Optimizer,
    *,
    reference: Policy | None = None,
    history: Callable[[], Sequence[Policy]] = tuple,
    teachers: Sequence[Speaker] = (),
) -> Step:
    """Take as many steps as there are batches; the last one. The policy has learnt in place."""
    last = None
    for step in steps(
        method,
        policy,
        batches,
        optimizer,
        reference=reference,
        history=history,
        teachers=teachers,
    ):
        last = step
    if last is None:
        raise AlignmentError("no batches\n  the source ended before its first batch")
    return last


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Mean of losses [B], by `weights` [B] if there are any; all-zero weights count as no loss."""
    if weights is None:
        return losses.mean()
    return (losses * weights).sum() / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)
