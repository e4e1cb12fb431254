"""A small Gaussian actor-critic as pure functions over named weights.

Two hidden layers of tanh for the means, two for the value; one standard deviation per number of the
action, the same everywhere. An untrained network says exactly zero, which is honest play.

Shapes: [..., F] features, [..., A] steps, H units in a hidden layer.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.policies.losses import normal_log_prob

Weights = dict[str, Tensor]

WEIGHTS_STREAM, STEPS_STREAM, BATCHES_STREAM = 11, 12, 13
"""Streams of one seed: first weights, explored steps, order of the samples."""

FIRST_LOG_SD = -1.0


class Opinion(NamedTuple):
    """What a network says of what it sees."""

    means: Tensor  # [..., A] steps
    log_sds: Tensor  # [A]
    values: Tensor  # [...]


def generator(seed: int, stream: int, device: str | torch.device = "cpu") -> torch.Generator:
    """The generator of one stream under `seed`; the global one is never touched."""
    word = np.random.SeedSequence((seed, stream)).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(word) >> 1)


def shapes(*, features: int, actions: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a network's weights."""
    found: dict[str, tuple[int, ...]] = {"log_sds": (actions,)}
    for part, outputs in (("actor", actions), ("critic", 1)):
        sizes = (features, hidden, hidden, outputs)
        for layer, (into, out) in enumerate(pairwise(sizes)):
            found[f"{part}_{layer}_weight"] = (out, into)
            found[f"{part}_{layer}_bias"] = (out,)
    return found


def fresh(*, features: int, actions: int, hidden: int, seed: int) -> Weights:
    """Untrained weights: orthogonal hidden layers, silent last ones."""
    draws = generator(seed, WEIGHTS_STREAM)
    weights = {}
    for name, shape in shapes(features=features, actions=actions, hidden=hidden).items():
        weights[name] = torch.zeros(shape)
        if name.endswith(("_0_weight", "_1_weight")):
            torch.nn.init.orthogonal_(weights[name], gain=2**0.5, generator=draws)
    weights["log_sds"] += FIRST_LOG_SD
    return weights


def opinion(weights: Mapping[str, Tensor], features: Tensor) -> Opinion:
    """Mean steps, their spread and the value of `features` [..., F]."""
    return Opinion(
        means=_layers(weights, "actor", features),
        log_sds=weights["log_sds"],
        values=_layers(weights, "critic", features).squeeze(-1),
    )


def _layers(weights: Mapping[str, Tensor], part: str, inputs: Tensor) -> Tensor:
    for layer in (0, 1):
        inputs = torch.nn.functional.linear(
            inputs, weights[f"{part}_{layer}_weight"], weights[f"{part}_{layer}_bias"]
        ).tanh()
    return torch.nn.functional.linear(
        inputs, weights[f"{part}_2_weight"], weights[f"{part}_2_bias"]
    )


def explored(said: Opinion, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random steps [..., A] around the means, and their log-probabilities [...]."""
    noise = torch.randn(said.means.shape, generator=draws, device=said.means.device)
    steps = said.means + said.log_sds.exp() * noise
    return steps, normal_log_prob(steps, said.means, said.log_sds)
