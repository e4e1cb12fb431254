"""Policies over arms: a softmax of scores that a table, a linear form or a small network gives.

A policy is a callable from batches to token log-probabilities [B, K, L]; these have L = 1, and also
say all logits and draw arms, as a language model would.

Shapes: B prompts, A arms, F features of a prompt, K responses.
"""

import itertools
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from agents.alignment.batch import Batch
from agents.alignment.references import geometric
from agents.alignment.sources import Drawn
from agents.alignment.views import needed

Reads = Callable[[Batch], Tensor]


def prompts(batch: Batch) -> Tensor:
    """What a policy reads unless it is told otherwise: the prompts, [B, ...]."""
    return needed(batch.prompts, "prompts")


def prompts_and_goals(batch: Batch) -> Tensor:
    """Prompt features [B, F] with the goal behind them, [B, F + 1]."""
    goals = needed(batch.goals, "goals").to(prompts(batch).dtype)
    return torch.cat([prompts(batch), goals.unsqueeze(-1)], dim=-1)


class ArmPolicy(nn.Module):
    """A softmax over A arms of what `scores` makes of a batch's prompts."""

    def __init__(self, scores: nn.Module, *, reads: Reads = prompts) -> None:
        """`scores` maps what `reads` takes from a batch to [B, A]."""
        super().__init__()
        self.scores, self._reads = scores, reads

    def distribution(self, batch: Batch) -> Tensor:
        """Log-probabilities of all arms, [B, A]."""
        return log_softmax(self.scores(self._reads(batch)), dim=-1)

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities of the batch's responses, [B, K, 1]."""
        arms = batch.responses[..., 0]
        return self.distribution(batch).gather(-1, arms).unsqueeze(-1)

    def logits(self, batch: Batch) -> Tensor:
        """Log-probabilities of all arms at each response, [B, K, 1, A]."""
        everywhere = self.distribution(batch)[:, None, None]
        return everywhere.expand(*batch.responses.shape, everywhere.shape[-1])

    def draw(self, batch: Batch, generator: torch.Generator) -> Drawn:
        """One arm for each prompt of `batch`."""
        with torch.no_grad():
            return drawn(self.distribution(batch), generator)


class Table(nn.Module):
    """One free number per prompt and arm, zero at first; prompts are indices [B]."""

    def __init__(self, prompt_count: int, arms: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(prompt_count, arms, dtype=dtype))

    def forward(self, which: Tensor) -> Tensor:
        """Scores of all arms for prompts `which` [B]."""
        return self.numbers[which]


def tabular(prompt_count: int, arms: int, *, dtype: torch.dtype = torch.float64) -> ArmPolicy:
    """A policy with one free number per prompt and arm, uniform at first."""
    return ArmPolicy(Table(prompt_count, arms, dtype=dtype))


class SharedFeatures(nn.Module):
    """One vector of weights for all arms: features [P, A, F] and prompts [B] to scores [B, A]."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.register_buffer("features", features)
        self.direction = nn.Parameter(torch.zeros(features.shape[-1], dtype=features.dtype))

    def forward(self, which: Tensor) -> Tensor:
        """Scores of all arms for prompts `which` [B]."""
        features: Tensor = self.get_buffer("features")
        return features[which] @ self.direction


def linear(features: Tensor) -> ArmPolicy:
    """A log-linear policy over `features` [P, A, F], uniform at first."""
    return ArmPolicy(SharedFeatures(features))


def layers(
    widths: tuple[int, ...], *, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> nn.Sequential:
    """Layers of tanh from `widths[0]` to `widths[-1]` numbers; weights from `generator`."""
    parts: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        # Made on the meta device: torch's own first weights would use its global generator.
        layer = nn.Linear(wide, narrow, device="meta", dtype=dtype).to_empty(device="cpu")
        with torch.no_grad():
            layer.weight.normal_(0.0, wide**-0.5, generator=generator)
            layer.bias.zero_()
        parts += [layer, nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def network(
    widths: tuple[int, ...],
    *,
    generator: torch.Generator,
    reads: Reads = prompts,
    dtype: torch.dtype = torch.float64,
) -> ArmPolicy:
    """`layers` from `widths[0]` features to `widths[-1]` arms."""
    return ArmPolicy(layers(widths, generator=generator, dtype=dtype), reads=reads)


class Distributed(Protocol):
    """A policy that can list what it might say."""

    def distribution(self, batch: Batch) -> Tensor:
        """Log-probabilities of all arms [B, A], or of V values of L free tokens [B, L, V]."""


class Blend:
    """Draws from pi^(1 - share) ref^share of two policies, as they are at each draw."""

    def __init__(self, policy: Distributed, reference: Distributed, *, share: float) -> None:
        self._policy, self._reference, self._share = policy, reference, share

    def draw(self, batch: Batch, generator: torch.Generator) -> Drawn:
        """One response to each prompt of `batch`."""
        with torch.no_grad():
            blend = geometric(
                self._policy.distribution(batch),
                self._reference.distribution(batch),
                share=self._share,
            )
            return drawn(blend, generator)


def drawn(distribution: Tensor, generator: torch.Generator) -> Drawn:
    """A response from log-probabilities [B, V] of one token or [B, L, V] of L independent ones."""
    spoken = distribution.reshape(len(distribution), -1, distribution.shape[-1])
    tokens = spoken.exp().flatten(0, 1).multinomial(1, generator=generator)
    tokens = tokens.view(spoken.shape[:2])
    log_probs = spoken.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return Drawn(tokens, torch.ones_like(tokens, dtype=torch.bool), log_probs)
