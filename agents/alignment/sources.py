"""Where batches come from: generators that the loop draws on, one batch a step.

Fixed data, fresh responses of the policy, of its mixture with the reference, of past opponents: the
difference between many methods is which of these feeds them. Randomness comes from a generator.

Shapes: N examples of a data set, B prompts, K responses, L tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from agents.alignment.batch import Batch
from agents.alignment.views import needed


class Drawn(NamedTuple):
    """One response to each prompt, [B, L] each."""

    tokens: Tensor
    mask: Tensor
    log_probs: Tensor  # under whoever drew them


class Sampler(Protocol):
    """Anyone who answers: a policy, a past one, a mixture."""

    def draw(self, batch: Batch, generator: torch.Generator) -> Drawn:
        """One response to each prompt of `batch`; its own responses are not read."""


Judge = Callable[[Batch, torch.Generator], Batch]
"""Fills scores, preferences or other labels of responses, or puts them in order."""


def fixed(data: Batch, *, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Batches of `size` examples in a fresh order each epoch, without end.

    What is left of an epoch, less than `size`, is dropped. `rows` are filled where unknown.
    """
    count = len(data.responses)
    everyone = torch.arange(count, device=data.responses.device)
    whole = data if data.rows is not None else replace(data, rows=everyone)
    most = min(size, count)
    while True:
        order = torch.randperm(count, generator=generator)
        for start in range(0, count - most + 1, most):
            yield whole.picked(order[start : start + most])


def asked(prompts: Tensor, **known: Tensor) -> Batch:
    """A batch of prompts [B, ...] that nobody has answered yet, for samplers to read."""
    blank = torch.zeros(len(prompts), 1, 1, dtype=torch.long, device=prompts.device)
    mask = torch.ones_like(blank, dtype=torch.bool)
    return Batch(responses=blank, mask=mask, prompts=prompts, **known)


def answered(questions: Batch, samplers: Sequence[Sampler], generator: torch.Generator) -> Batch:
    """`questions` with one response of each sampler, in their order; shorter ones are padded."""
    draws = [sampler.draw(questions, generator) for sampler in samplers]
    width = max(draw.tokens.shape[1] for draw in draws)
    tokens, mask, log_probs = (
        torch.stack([_padded(part, width) for part in parts], dim=1)
        for parts in zip(*draws, strict=True)
    )
    return replace(questions, responses=tokens, mask=mask, behaviour=log_probs)


def played(
    questions: Iterable[Batch],
    samplers: Sequence[Sampler],
    judge: Judge,
    *,
    generator: torch.Generator,
) -> Iterator[Batch]:
    """Fresh responses to each batch of `questions`, judged.

    The samplers make the method: [policy] * K is on-policy; [blend] * 2 is IPO-MD's mixture with
    the reference; [policy, blend] is Nash-MD's duel; [policy, past] is play against an opponent.
    They are asked anew for each batch, so a policy that learns answers as it now is.
    """
    for question in questions:
        yield judge(answered(question, samplers, generator), generator)


Samplers = Callable[[Sampler, Callable[[float], Sampler]], Sequence[Sampler]]
"""(the policy, share of the reference -> their mixture) -> one sampler per response."""


def itself(policy: Sampler, _mixed: Callable[[float], Sampler], *, count: int) -> list[Sampler]:
    """`count` responses of the policy as it is."""
    return [policy] * count


def mixture(
    _policy: Sampler, mixed: Callable[[float], Sampler], *, count: int, share: float
) -> list[Sampler]:
    """`count` responses of the policy's mixture with `share` of the reference."""
    return [mixed(share)] * count


def against_mixture(
    policy: Sampler, mixed: Callable[[float], Sampler], *, share: float
) -> list[Sampler]:
    """A response of the policy, and one of the mixture for it to beat."""
    return [policy, mixed(share)]


def repeated(batches: Iterable[Batch], times: int) -> Iterator[Batch]:
    """Each batch `times` times: several steps on the same responses, off-policy from the second."""
    for batch in batches:
        for _ in range(times):
            yield batch


def scored(reward: Callable[[Batch], Tensor]) -> Judge:
    """A judge that gives each response its reward, [B, K]."""

    def judge(batch: Batch, _generator: torch.Generator) -> Batch:
        return replace(batch, scores=reward(batch))

    return judge


def compared(probability: Callable[[Batch], Tensor]) -> Judge:
    """A judge that says how likely each response beats each other, [B, K, K]."""

    def judge(batch: Batch, _generator: torch.Generator) -> Batch:
        return replace(batch, preferences=probability(batch))

    return judge


def decided(probability: Callable[[Batch], Tensor]) -> Judge:
    """A judge of pairs who tosses a coin of that probability and puts the winner first."""

    def judge(batch: Batch, generator: torch.Generator) -> Batch:
        chance = probability(batch)[:, 0, 1]
        toss = torch.rand(chance.shape, generator=generator, dtype=chance.dtype)
        loser_first = (toss >= chance).long()
        return batch.arranged(torch.stack([loser_first, 1 - loser_first], dim=1))

    return judge


def bradley_terry(batch: Batch) -> Tensor:
    """Preference probabilities that the scores imply, [B, K, K]."""
    scores = needed(batch.scores, "a score for each response")
    return torch.sigmoid(scores.unsqueeze(-1) - scores.unsqueeze(-2))


def _padded(part: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(part, (0, width - part.shape[1]))
