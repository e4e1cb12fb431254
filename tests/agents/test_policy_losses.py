"""The losses by numbers that can be worked out by hand, and the signs of their gradients."""

import math

import pytest
import torch
from torch.testing import assert_close

from agents.policies.losses import (
    clipped_surrogate,
    generalised_advantages,
    normal_log_prob,
    reinforce,
    squared_error,
)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def gradient(loss, at):
    at = at.clone().requires_grad_()
    return torch.autograd.grad(loss(at).sum(), at)[0]


def test_advantages_of_three_rounds_by_hand():
    """Surprises 1 + 2 - 0 = 3, 1 + 4 - 2 = 3, 1 + 0 - 4 = -3, each next one counts half."""
    found = generalised_advantages(
        numbers(1, 1, 1), numbers(0, 2, 4), numbers(0)[0], discount=1.0, decay=0.5
    )

    assert found.advantages.tolist() == [3.75, 1.5, -3.0]
    assert found.returns.tolist() == [3.75, 3.5, 1.0]


def test_without_decay_an_advantage_is_one_surprise():
    """Each is r + 0.9 v' - v: 1 + 1.8 - 1, then 2 + 2.7 - 2."""
    found = generalised_advantages(
        numbers(1, 2), numbers(1, 2), numbers(3)[0], discount=0.9, decay=0.0
    )

    assert_close(found.advantages, numbers(1.8, 2.7))


def test_with_full_decay_returns_are_the_discounted_rewards_whatever_the_values():
    """1 + 0.5 (2 + 0.5 * 8) = 4: the run is cut off, so what comes after counts."""
    found = generalised_advantages(
        numbers(1, 2), numbers(7, -7), numbers(8)[0], discount=0.5, decay=1.0
    )

    assert_close(found.returns, numbers(4, 6))


def test_advantages_of_many_rows_are_those_of_each():
    rewards, values = torch.rand(5, 3), torch.rand(5, 3)
    together = generalised_advantages(rewards, values, values[0], discount=0.9, decay=0.8)
    alone = generalised_advantages(
        rewards[:, 1], values[:, 1], values[0, 1], discount=0.9, decay=0.8
    )

    assert_close(together.advantages[:, 1], alone.advantages)


def test_a_clipped_surrogate_by_hand():
    """Ratio 2 counts as 1.2 if that is good, as 2 if that is bad; ratio 1/2 the other way round."""
    then = numbers(0, 0, 0, 0)
    now = numbers(math.log(2), math.log(2), -math.log(2), -math.log(2))

    loss = clipped_surrogate(now, then, numbers(1, -1, 1, -1), clip=0.2)

    assert_close(loss, numbers(-1.2, 2.0, -0.5, 0.8))


def test_there_is_no_gradient_beyond_the_clip_and_one_that_pulls_back():
    then, advantages = numbers(0, 0), numbers(1, -1)
    now = numbers(math.log(2), math.log(2))

    slopes = gradient(lambda at: clipped_surrogate(at, then, advantages), now)

    assert_close(slopes, numbers(0, 2))


def test_a_good_action_becomes_likelier_and_a_bad_one_less_likely_under_both_methods():
    log_probs, advantages = numbers(-1, -1), numbers(2, -3)

    for loss in (reinforce, clipped_surrogate):
        slopes = gradient(lambda at, loss=loss: loss(at, log_probs, advantages), log_probs)
        assert_close(slopes, -advantages)


def test_no_gradient_flows_through_advantages_or_returns():
    advantages = numbers(1.0).requires_grad_()
    log_probs = numbers(-1.0).requires_grad_()

    losses = (
        reinforce(log_probs, log_probs, advantages)
        + clipped_surrogate(log_probs, log_probs, advantages)
        + squared_error(log_probs, advantages)
    )

    assert torch.autograd.grad(losses.sum(), advantages, allow_unused=True) == (None,)


def test_half_a_squared_error():
    assert squared_error(numbers(1, 5), numbers(3, 5)).tolist() == [2, 0]


def test_the_log_density_is_that_of_torch():
    draws, means, log_sds = torch.randn(4, 2), torch.randn(4, 2), torch.tensor([-1.0, 0.5])
    theirs = torch.distributions.Normal(means, log_sds.exp()).log_prob(draws).sum(-1)

    assert_close(normal_log_prob(draws, means, log_sds), theirs)


@pytest.mark.parametrize("loss", [reinforce, clipped_surrogate])
def test_shapes_that_would_broadcast_are_refused(loss):
    with pytest.raises(ValueError, match=r"\(2,\) and \(2, 1\)"):
        loss(torch.zeros(2), torch.zeros(2), torch.zeros(2, 1))
