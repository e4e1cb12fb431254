"""A softmax over levels: each number of an action is one of V levels between its bounds.

An action is a response of A tokens, one a number, so whatever learns from the log-probabilities of
tokens (`agents.alignment`) learns from it as it is. Seats that share what they earn answer
together: their tokens follow each other, and each still looks through its own features alone.

Shapes: B situations, S seats that answer together, F features, A numbers in one action, V levels,
K responses, L = S A tokens.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from agents.alignment import bandit
from agents.alignment.batch import Batch
from agents.alignment.sources import Drawn
from agents.contract import Array
from agents.policies.network import WEIGHTS_STREAM, generator
from agents.policies.reach import fitted

Tokens = NDArray[np.int64]


class LevelPolicy(nn.Module):
    """Log-probabilities of all levels of L tokens, from what each of S seats sees."""

    def __init__(self, scores: nn.Module, *, levels: int) -> None:
        """`scores` maps features [B, S, F] to [B, S, A V]."""
        super().__init__()
        self.scores, self._levels = scores, levels

    def seen(self, features: Tensor) -> Tensor:
        """Log-probabilities for `features` [B, S, F], [B, L, V]."""
        scores: Tensor = self.scores(features)
        return log_softmax(scores.reshape(len(features), -1, self._levels), dim=-1)

    def distribution(self, batch: Batch) -> Tensor:
        """Log-probabilities of every level of every token, [B, L, V]."""
        return self.seen(bandit.prompts(batch))

    def logits(self, batch: Batch) -> Tensor:
        """The same at each response, [B, K, L, V]."""
        return self.distribution(batch).unsqueeze(1).expand(*batch.responses.shape, self._levels)

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities of the batch's responses, [B, K, L]."""
        return self.logits(batch).gather(-1, batch.responses.unsqueeze(-1)).squeeze(-1)

    def draw(self, batch: Batch, draws: torch.Generator) -> Drawn:
        """One response to each situation of `batch`."""
        with torch.no_grad():
            return bandit.drawn(self.distribution(batch), draws)


def untrained(*, features: int, hidden: int, actions: int, levels: int, seed: int) -> LevelPolicy:
    """A small network that finds all levels equally likely, whatever it sees."""
    draws = generator(seed, WEIGHTS_STREAM)
    widths = (features, hidden, actions * levels)
    scores = bandit.layers(widths, generator=draws, dtype=torch.float32)
    last_weight, _last_bias = list(scores.parameters())[-2:]
    with torch.no_grad():
        last_weight.zero_()
    return LevelPolicy(scores, levels=levels)


def chosen(distribution: Tensor, draws: torch.Generator, *, temperature: float) -> Tensor:
    """Tokens [B, L] from [B, L, V]: drawn at `temperature`; at 0 the likeliest, ties by lot."""
    if temperature == 0:
        likeliest = distribution == distribution.max(dim=-1, keepdim=True).values
        return bandit.drawn(likeliest.to(distribution.dtype).log(), draws).tokens
    return bandit.drawn(log_softmax(distribution / temperature, dim=-1), draws).tokens


@dataclass(frozen=True, eq=False)
class Grid:
    """The levels of S seats: from `low` to `high` [S, A] in equal steps, within `capacity`."""

    low: Array
    high: Array
    capacity: float | None
    levels: int

    def actions(self, tokens: Tokens) -> Array:
        """Tokens [..., S, A] as actions; over capacity, scaled back in proportion."""
        wanted = self.low + (self.high - self.low) * (tokens / (self.levels - 1))
        return fitted(wanted, low=self.low, capacity=self.capacity)
