"""Block 9, transforms: data to data, before any model reads it.

Each maps a batch, or arrays of it, to another; where a method speaks of a pair, response 0 is the
preferred one afterwards.

Shapes: B prompts, K responses; angles in degrees.
"""

from dataclasses import replace
from enum import IntEnum

import torch
from torch import Tensor

from agents.alignment.batch import AXES, AlignmentError, Batch
from agents.alignment.views import needed, scores


def unchanged(batch: Batch) -> Batch:
    """The batch as it is."""
    return batch


def joined(first: Batch, second: Batch) -> Batch:
    """Both batches as one, [B + B']; they know the same fields."""
    ours, theirs = first.known(), second.known()
    if ours.keys() != theirs.keys():
        raise AlignmentError(
            f"batches that know different fields: {', '.join(sorted(ours.keys() ^ theirs.keys()))}"
            "\n  fill these in both, or in neither, before joining them"
        )
    return replace(
        first,
        **{
            name: torch.cat([tensor, theirs[name]], dim=AXES[name].index("B"))
            for name, tensor in ours.items()
        },
    )


def goal_relabelled(batch: Batch) -> Batch:
    """Each scored pair twice: asked for the winner's score, and, swapped, for the loser's, [2 B].

    Under the reward -(goal - score)^2 either response is the best one for its own score.

    Reward-augmented data 2024, arXiv:2410.08067, scripts/reward_augmentation.py. (The official
    branch without system messages forgets to swap the answers.)
    """
    score = scores(batch)
    asked_high = replace(batch, goals=score[:, 0])
    asked_low = replace(batch.swapped(), goals=score[:, 1])
    return joined(asked_high, asked_low)


def consistent(batch: Batch, details: Tensor) -> Batch:
    """The pairs whose mean detailed score [B, 2, C] agrees with the order of the responses.

    Reward-augmented data 2024, arXiv:2410.08067, the filter before relabelling.
    """
    mean = details.mean(dim=-1)
    return batch.picked(mean[:, 0] > mean[:, 1])


def ordered(batch: Batch, by: Tensor) -> Batch:
    """Responses of each prompt by falling `by` [B, K].

    With realised instead of believed value it is hindsight; with new verdicts, inversion.
    """
    return batch.arranged(by.argsort(dim=-1, descending=True, stable=True))


def best_and_worst(batch: Batch) -> Batch:
    """One pair per prompt: the highest and the lowest score."""
    score = scores(batch)
    return batch.arranged(torch.stack([score.argmax(dim=-1), score.argmin(dim=-1)], dim=-1))


def every_pair(batch: Batch) -> Batch:
    """All K (K - 1) / 2 pairs of each prompt's responses, given best first, pair by pair."""
    count = batch.responses.shape[1]
    return _pairs(batch, [(i, j) for i in range(count) for j in range(i + 1, count)])


def ladder(batch: Batch) -> Batch:
    """Neighbours along the order, and the two ends: K pairs of each prompt, given best first.

    Online Self-Preferring Language Models 2024, arXiv:2405.14103 (the pattern is our reading).
    """
    count = batch.responses.shape[1]
    return _pairs(batch, [(i, i + 1) for i in range(count - 1)] + [(0, count - 1)])


def _pairs(batch: Batch, pairs: list[tuple[int, int]]) -> Batch:
    rows = len(batch.responses)
    whole = None
    for pair in pairs:
        order = torch.tensor([pair], device=batch.responses.device).expand(rows, 2)
        part = batch.arranged(order)
        whole = part if whole is None else joined(whole, part)
    if whole is None:
        raise AlignmentError("one response makes no pair\n  draw two or more for each prompt")
    return whole


def self_ranked(batch: Batch) -> Batch:
    """Responses by their mean probability of beating the prompt's others."""
    wins = needed(batch.preferences, "preference probabilities")
    return ordered(batch, wins.mean(dim=-1))


def flipped(batch: Batch, which: Tensor) -> Batch:
    """The pairs with those that `which` [B] names turned around: label noise."""
    second = which.long()
    return batch.arranged(torch.stack([second, 1 - second], dim=-1))


class Verdict(IntEnum):
    """What a new policy makes of an old preference."""

    RETAIN = 0
    INVERT = 1
    PUNISH = 2


def triage(complies: Tensor) -> Tensor:
    """A verdict for each pair from whether its answers comply, [B, 2] boolean to [B].

    TRACE 2025, arXiv:2511.02623, the triage.
    """
    first, second = complies.unbind(dim=-1)
    verdict = torch.full(first.shape, int(Verdict.PUNISH), device=complies.device)
    verdict[~first & second] = int(Verdict.INVERT)
    verdict[first] = int(Verdict.RETAIN)
    return verdict


def impact_weights(gold: Tensor, gradients: Tensor, *, gamma: float) -> Tensor:
    """How far each example's gradient agrees with the gold one, [P] and [N, P] to [N]; sum 1.

    max(0, <g, g_i> / gamma), normalised: `gamma` cancels, whatever the paper tunes it to.

    TRACE 2025, arXiv:2511.02623, src/trace.py.
    """
    agreement = (gradients @ gold / gamma).clamp(min=0)
    return agreement / agreement.sum().clamp(min=torch.finfo(agreement.dtype).tiny)


def hardest(batch: Batch, losses: Tensor, *, share: float) -> Batch:
    """The `share` of prompts with the largest losses [B], hardest first; at least one.

    iTool 2025, arXiv:2501.09766, the hard share by perplexity.
    """
    count = max(1, round(share * len(losses)))
    return batch.picked(losses.argsort(descending=True, stable=True)[:count])


def neighbours(target: float, grid: Tensor, *, spread: float, count: int) -> Tensor:
    """The `count` angles of `grid` nearest to `target`, within `spread` of it, nearest first.

    Robust Preference Selection 2025, arXiv:2510.20498, utils/directions.py.
    """
    within = grid[(grid - target).abs() <= spread]
    return within[(within - target).abs().argsort(stable=True)[:count]]
