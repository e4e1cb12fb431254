"""What the studies of alignment share: seeds side by side, draws of their own, gold by divergence.

A policy over arms keeps one table row, or one network, per seed, and a batch holds every seed's
share one after the other: one loop trains them all. With Adam no seed feels another, but for its
epsilon; plain descent follows the mean over seeds, so its rate is S times that of one alone.
Needs torch, which is an extra: studies import this when they run, never before.

Shapes: S seeds, A arms, F features, T moments; B = S * each, the first seed's first.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.alignment.bandit import ArmPolicy, tabular
from agents.alignment.bandit import prompts as seeds_of
from agents.alignment.batch import Batch
from agents.alignment.method import Method
from agents.alignment.references import geometric
from agents.alignment.sources import Drawn, Judge, Sampler
from agents.alignment.train import Step
from environments.contract import Array
from institutional.errors import InstitutionalError
from institutional.seeds import derive


def streams(seeds: Sequence[int], *names: str | int) -> list[np.random.Generator]:
    """A generator for each seed, of the stream called `names`."""
    return [np.random.default_rng(derive(seed, *names)) for seed in seeds]


def drawn(
    seeds: Sequence[int], *names: str | int, draw: Callable[[np.random.Generator], NDArray[Any]]
) -> NDArray[Any]:
    """What `draw` makes of each seed's stream `names`, [S, ...]."""
    return np.stack([draw(stream) for stream in streams(seeds, *names)])


def tensor(values: NDArray[Any]) -> Tensor:
    """The same numbers for torch, in double precision where they are real."""
    return torch.from_numpy(np.ascontiguousarray(values))


def spread(seeds: int, *, each: int) -> Tensor:
    """Which seed each row of a batch belongs to, [B]: the prompts of a tabular policy."""
    return torch.arange(seeds).repeat_interleave(each)


def table(policies: Array) -> ArmPolicy:
    """A tabular policy that starts as `policies` [S, A], all positive; one row per seed."""
    policy = tabular(*policies.shape)
    with torch.no_grad():
        next(policy.parameters()).copy_(tensor(np.log(policies)))
    return policy


def rows(policy: ArmPolicy, seeds: int) -> Array:
    """The probabilities that a tabular policy gives all arms now, [S, A]."""
    with torch.no_grad():
        prompts = torch.arange(seeds)
        blank = torch.zeros(seeds, 1, 1, dtype=torch.long)
        asked = Batch(responses=blank, mask=blank == 0, prompts=prompts)
        return np.asarray(policy.distribution(asked).exp().numpy())


class LinearSideBySide(nn.Module):
    """One direction per seed, zero at first, for all its arms: seeds [B] to scores [B, A].

    Arms that look alike move together, which no table can show.
    """

    def __init__(self, features: Array) -> None:
        """`features` [S, A, F]."""
        super().__init__()
        self.register_buffer("features", tensor(features))
        self.directions = nn.Parameter(
            torch.zeros(features.shape[0], features.shape[2], dtype=torch.float64)
        )

    def forward(self, which: Tensor) -> Tensor:
        """Scores of all arms of the seeds `which` [B]."""
        scores = torch.einsum("saf,sf->sa", self.get_buffer("features"), self.directions)
        return scores[which]


class SideBySide(nn.Module):
    """One network of tanh layers per seed, side by side: features [B, F] to scores [B, A]."""

    def __init__(
        self, seeds: Sequence[int], widths: Sequence[int], *names: str | int, scale: float = 1.0
    ) -> None:
        """Weights are normal with deviation `scale` / sqrt(inputs), from each seed's stream."""
        super().__init__()
        self._seeds = len(seeds)
        shapes = list(itertools.pairwise(widths))
        self.weights = nn.ParameterList(
            nn.Parameter(
                tensor(
                    drawn(
                        seeds,
                        *names,
                        layer,
                        draw=lambda rng, shape=shape: (  # type: ignore[misc]
                            rng.standard_normal(shape) * scale / np.sqrt(shape[0])
                        ),
                    )
                )
            )
            for layer, shape in enumerate(shapes)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(len(seeds), 1, wide, dtype=torch.float64))
            for _, wide in shapes
        )

    def forward(self, features: Tensor) -> Tensor:
        """Each seed's network applied to its own rows."""
        hidden = features.reshape(self._seeds, -1, features.shape[-1])
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden, weight)
            hidden = hidden if layer == last else hidden.tanh()
        return hidden.reshape(len(features), -1)


class Dice:
    """Numbers in [0, 1), each seed's from a stream of its own."""

    def __init__(self, seeds: Sequence[int], *names: str | int) -> None:
        self._streams = streams(seeds, *names)

    def __call__(self, count: int) -> Tensor:
        """`count` numbers in all, equally many for each seed, [B]."""
        each = count // len(self._streams)
        return tensor(np.concatenate([stream.random(each) for stream in self._streams]))


class Seeded:
    """Draws one arm per prompt from log-probabilities [B, A], each seed's with its own dice."""

    def __init__(self, distribution: Callable[[Batch], Tensor], dice: Dice) -> None:
        self._distribution, self._dice = distribution, dice

    def draw(self, batch: Batch, _generator: torch.Generator) -> Drawn:
        """One arm for each prompt of `batch`; the dice are the randomness."""
        with torch.no_grad():
            spoken = self._distribution(batch)
            edges = spoken.exp().cumsum(dim=-1)
            thrown = self._dice(len(spoken)).unsqueeze(-1) * edges[:, -1:]
            arms = (thrown >= edges).sum(dim=-1, keepdim=True)
            return Drawn(arms, torch.ones_like(arms, dtype=torch.bool), spoken.gather(-1, arms))


def answering(
    method: Method, policy: ArmPolicy, reference: ArmPolicy, dice: Dice
) -> Sequence[Sampler]:
    """Whoever answers for `method`, with dice of each seed's own."""
    if method.samplers is None:
        raise InstitutionalError(f"{method.name} learns from fixed data: nobody answers")

    def mixed(share: float) -> Sampler:
        return Seeded(
            lambda batch: geometric(
                policy.distribution(batch), reference.distribution(batch), share=share
            ),
            dice,
        )

    return method.samplers(Seeded(policy.distribution, dice), mixed)


def tossed(probability: Callable[[Batch], Tensor], dice: Dice) -> Judge:
    """A judge of pairs whose `probability` [B, K, K] is a coin; the winner is put first."""

    def judge(batch: Batch, _generator: torch.Generator) -> Batch:
        chance = probability(batch)[:, 0, 1]
        second = (dice(len(chance)) >= chance).long()
        return batch.arranged(torch.stack([second, 1 - second], dim=1))

    return judge


def shuffled(data: Batch, seeds: Sequence[int], *names: str | int, each: int) -> Iterator[Batch]:
    """Batches of `each` examples of every seed, each epoch in an order of its own, without end.

    `data` holds equally many examples of every seed, the first seed's first.
    """
    examples = len(data.responses) // len(seeds)
    rngs = streams(seeds, *names)
    first = np.arange(len(seeds))[:, np.newaxis] * examples
    while True:
        order = first + np.stack([rng.permutation(examples) for rng in rngs])
        for start in range(0, examples - each + 1, each):
            yield data.picked(tensor(order[:, start : start + each].reshape(-1)))


def looked_up(values: Array) -> Callable[[Batch], Tensor]:
    """The values [S, A] of a batch's arms, [B, K], where prompts are seeds."""
    known = tensor(values)

    def look(batch: Batch) -> Tensor:
        return known[seeds_of(batch).unsqueeze(-1), batch.responses[..., 0]]

    return look


def beating(preference: Array) -> Callable[[Batch], Tensor]:
    """How likely a batch's arms beat each other by [S, A, A], [B, K, K]; prompts are seeds."""
    known = tensor(preference)

    def look(batch: Batch) -> Tensor:
        arms = batch.responses[..., 0]
        return known[seeds_of(batch)[:, None, None], arms.unsqueeze(-1), arms.unsqueeze(-2)]

    return look


def watched(
    steps: Iterable[Step], look: Callable[[], Array], *, after: Sequence[int]
) -> list[Array]:
    """What `look` sees after so many steps, [T]; 0 is before the first. `after` rises."""
    wanted, seen = set(after), []
    if 0 in wanted:
        seen.append(look())
    if after[-1] == 0:
        return seen
    for step in steps:
        if step.number + 1 in wanted:
            seen.append(look())
        if step.number + 1 == after[-1]:
            break
    return seen


def best_within(gold: Array, divergence: Array, budget: float) -> Array:
    """The most gold at any moment whose divergence is within `budget`, [T, S] to [S].

    The first moment is the reference itself: something is always within.
    """
    within = divergence <= budget
    within[0] = True  # its divergence is zero but for rounding
    return np.asarray(np.where(within, gold, -np.inf).max(axis=0))


def gold_at(gold: Array, divergence: Array, budget: float | Array) -> Array:
    """Gold where the divergence first reaches `budget`, between moments by a line, [T, S] to [S].

    One budget for all seeds, or [S] one for each.

    Not a number for a seed that never gets there: nothing can be compared at that divergence.
    """
    budgets = np.broadcast_to(budget, gold.shape[1:])
    there = divergence >= budgets
    found = np.full(gold.shape[1], np.nan)
    for seed in np.flatnonzero(there.any(axis=0)):
        at = int(there[:, seed].argmax())
        if at == 0:
            found[seed] = gold[0, seed]
            continue
        low, high = divergence[at - 1, seed], divergence[at, seed]
        share = (budgets[seed] - low) / (high - low)
        found[seed] = (1 - share) * gold[at - 1, seed] + share * gold[at, seed]
    return found


def reached(values: Array) -> Array:
    """The values of the seeds that have one: where the others never got is no measurement."""
    return np.asarray(values[np.isfinite(values)])


def every_pair_of(arms: int, seeds: int) -> Batch:
    """All pairs of different arms, once, for each seed."""
    return _pairs(torch.triu_indices(arms, arms, offset=1).T, seeds)


def every_meeting_of(arms: int, seeds: int) -> Batch:
    """All ordered pairs of arms, an arm with itself included, for each seed."""
    return _pairs(torch.cartesian_prod(torch.arange(arms), torch.arange(arms)), seeds)


def weighed(batch: Batch, first: Array, second: Array | None = None) -> Batch:
    """Each pair as often as a draw from `first` and one from `second`, both [S, A], make it.

    The gradient of the batch is then exactly what a sample's is on average. Without a `second`,
    both are drawn from `first`.
    """
    one = looked_up(first)(batch)[:, 0]
    other = looked_up(first if second is None else second)(batch)[:, 1]
    return replace(batch, weights=one * other)


def _pairs(arms: Tensor, seeds: int) -> Batch:
    pairs = arms.repeat(seeds, 1).unsqueeze(-1)
    mask = torch.ones_like(pairs, dtype=torch.bool)
    return Batch(responses=pairs, mask=mask, prompts=spread(seeds, each=len(arms)))
