"""Losses for policies that learn from rewards, and the advantages they are weighted with.

Each loss maps tensors of one shape to one loss per element and nothing else: no network, no mean,
no sampling. Advantages are data: no gradient flows through them.

Shapes: [B] for losses, B samples of any origin; [T, ...] for what runs over rounds.
Units: log-probabilities in nats; rewards and values in whatever the caller scaled them to.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Estimates(NamedTuple):
    """What a batch of rounds says about the actions taken, [T, ...] each."""

    advantages: Tensor  # how much better the action was than the policy's average
    returns: Tensor  # what the value function should have said


def generalised_advantages(
    rewards: Tensor, values: Tensor, last_value: Tensor, *, discount: float, decay: float
) -> Estimates:
    """Advantages and returns of an unbroken stretch of T rounds, [T, ...].

    `values` [T, ...] are those before each round, `last_value` [...] the one after the last: a
    stretch that was cut off goes on. `decay` 0 trusts the values, 1 trusts the rewards.

    Schulman et al. 2016, arXiv:1506.02438, equation 16.
    """
    _same("rewards and values", rewards, values)
    _same("one round of values and last_value", values[0], last_value)
    advantages = torch.empty_like(rewards)
    following, running = last_value, torch.zeros_like(last_value)
    for t in reversed(range(len(rewards))):
        surprise = rewards[t] + discount * following - values[t]
        running = surprise + discount * decay * running
        advantages[t] = running
        following = values[t]
    return Estimates(advantages.detach(), (advantages + values).detach())


def reinforce(log_probs: Tensor, _log_probs_then: Tensor, advantages: Tensor) -> Tensor:
    """Policy gradient with a baseline, [B]: minus log-probability times advantage.

    The gradient of its mean is the policy gradient only for samples of the present policy.

    Williams 1992, doi:10.1007/BF00992696, section 3 (the baseline is in the advantage).
    """
    _same("log_probs and advantages", log_probs, advantages)
    return -log_probs * advantages.detach()


def clipped_surrogate(
    log_probs: Tensor, log_probs_then: Tensor, advantages: Tensor, *, clip: float = 0.2
) -> Tensor:
    """Proximal policy optimisation, [B]: no reward for moving a probability beyond the clip.

    `log_probs_then` are those of the policy that acted. Equal to `reinforce` in its gradient
    where the two policies agree.

    Schulman et al. 2017, arXiv:1707.06347, equation 7.
    """
    _same("log_probs and log_probs_then", log_probs, log_probs_then)
    _same("log_probs and advantages", log_probs, advantages)
    ratio = (log_probs - log_probs_then.detach()).exp()
    fixed = advantages.detach()
    return -torch.minimum(ratio * fixed, ratio.clamp(1 - clip, 1 + clip) * fixed)


def squared_error(values: Tensor, returns: Tensor) -> Tensor:
    """Half the squared error of the value function, [B]."""
    _same("values and returns", values, returns)
    return 0.5 * (values - returns.detach()).square()


def normal_log_prob(draws: Tensor, means: Tensor, log_sds: Tensor) -> Tensor:
    """Log-density of independent normals, summed over the last axis: [..., A] to [...]."""
    _same("draws and means", draws, means)
    standard = (draws - means) * (-log_sds).exp()
    constant = 0.9189385332046727  # log(2 pi) / 2
    return (-0.5 * standard.square() - log_sds - constant).sum(dim=-1)


def _same(what: str, left: Tensor, right: Tensor) -> None:
    """A broadcast here would train on nonsense without a word."""
    if left.shape != right.shape:
        raise ValueError(f"{what} have shapes {tuple(left.shape)} and {tuple(right.shape)}")
