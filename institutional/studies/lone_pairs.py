"""Pairs that are each a prompt of their own: what a loss makes of a ranking the reference has.

No pair shares a parameter with another, so what is trained here can be held against the exact
optimum pair by pair. Needs torch: studies import this when they run, never before.

Shapes: S seeds, N pairs, T moments. Units: gaps are log pi(w) - log pi(l), in nats.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat

import numpy as np
import torch

from agents.alignment.batch import Batch, single
from agents.alignment.method import Method
from agents.alignment.optimizers import Adam
from agents.alignment.references import frozen
from agents.alignment.train import steps as learning_steps
from agents.alignment.transforms import joined
from environments.contract import Array
from institutional.studies import alignment as lab

RATE = 0.05
SPREAD = 3.0  # deviation of the reference's gaps around even


def reference_gaps(seeds: Sequence[int], *, count: int) -> Array:
    """What the reference makes of pairs, [S, N]: normal around even, whatever people prefer."""
    return lab.drawn(
        seeds, "lone_pairs", "gaps", draw=lambda rng: rng.normal(0.0, SPREAD, size=count)
    )


def judged(count: int, *, agreement: float) -> Batch:
    """Each of `count` pairs, preferred by that share of raters; both ways round if some differ."""
    everyone = torch.arange(count)
    liked = single(torch.tensor([[0, 1]]).expand(count, 2), prompts=everyone)
    if agreement == 1:
        return liked
    both = joined(liked, liked.swapped())
    weights = torch.full((2, count), agreement, dtype=torch.float64)
    weights[1] = 1 - agreement
    return replace(both, weights=weights.flatten())


def gaps_during(row: Method, reference: Array, *, agreement: float, after: Sequence[int]) -> Array:
    """The policy's gaps after so many exact steps of `row` from the reference's [S, N], [T, S, N].

    `agreement` is the share of raters who prefer the first answer; the others' labels are data too.
    """
    first = 1 / (1 + np.exp(-reference.ravel()))
    policy = lab.table(np.stack([first, 1 - first], axis=1))
    learning = learning_steps(
        row,
        policy,
        repeat(judged(reference.size, agreement=agreement)),
        Adam(policy.parameters(), rate=RATE),
        reference=frozen(policy),
    )

    def gap() -> Array:
        scores = next(policy.parameters()).detach().numpy()
        return np.asarray(scores[:, 0] - scores[:, 1]).reshape(reference.shape)

    return np.stack(lab.watched(learning, gap, after=after))


def ended(row: Method, reference: Array, *, agreement: float, steps: int) -> Array:
    """The policy's gaps after `steps` exact steps, [S, N]."""
    last: Array = gaps_during(row, reference, agreement=agreement, after=(steps,))[-1]
    return last


def spent(gaps: Array, reference: Array) -> Array:
    """KL from the policies with these gaps to the reference's, mean over each seed's pairs, [S]."""
    now, before = _spoken(gaps), _spoken(reference)
    return np.asarray((np.exp(now) * (now - before)).sum(axis=0).mean(axis=-1))


def _spoken(gaps: Array) -> Array:
    """Log-probabilities of both answers, [2, ...]."""
    return np.stack([-np.logaddexp(0.0, -gaps), -np.logaddexp(0.0, gaps)])
