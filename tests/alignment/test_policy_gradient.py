"""Advantages, ratios and divergences by hand."""

from itertools import product
from math import exp, log

import torch
from alignment_examples import generator, numbers
from torch.testing import assert_close

from agents.alignment import policy_gradient as pg


def test_group_advantages_have_mean_nought_and_sample_deviation_one():
    found = pg.group_normalised(numbers([3.0, 2.0, 1.0]), floor=0.0)

    assert_close(found, numbers([1.0, 0.0, -1.0]))


def test_equal_rewards_are_no_advantage_and_no_nan():
    assert pg.group_normalised(numbers([1.0, 1.0]), floor=1e-4).tolist() == [[0.0, 0.0]]


def test_left_out_baseline_is_the_mean_of_the_others():
    """3 - (2 + 1) / 2, 2 - (3 + 1) / 2, 1 - (3 + 2) / 2."""
    assert_close(pg.leave_one_out(numbers([3.0, 2.0, 1.0])), numbers([1.5, 0.0, -1.5]))


def test_contrastive_advantages_pay_for_log_ratios():
    found = pg.contrastive(numbers([3.0, 1.0]), numbers([4.0, 0.0]), beta=0.5)

    assert found.tolist() == [[0.0, 0.0]]


def test_worst_group_is_the_one_with_the_least_mean():
    rewards = torch.stack([numbers([2.0, 2.0]), numbers([9.0, -9.0]), numbers([3.0, 1.0])])

    assert pg.worst_group(rewards).tolist() == [[9.0, -9.0]]


def test_objectives_are_weighed_per_prompt():
    rewards = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])

    found = pg.weighted_sum(rewards, torch.tensor([[0.75, 0.25], [0.0, 1.0]]))

    assert found.tolist() == [[0.75, 0.25], [0.0, 1.0]]


def test_sequence_ratio_is_the_geometric_mean_over_its_own_tokens():
    mask = torch.tensor([[True, True, False]])

    found = pg.sequence_log_ratio(numbers(-1.0, -2.0, 5.0), numbers(-1.5, -2.1, 0.0), mask)

    assert_close(found, numbers(0.3))


def test_price_rises_over_budget_falls_under_it_and_never_below_nought():
    price, ratio = torch.tensor(1.0).double(), numbers(1.2, 0.8)

    assert_close(pg.next_price(price, ratio, budget=0.01, rate=10.0), price + 0.3)
    assert_close(pg.next_price(price, ratio, budget=0.1, rate=10.0), price - 0.6)
    assert pg.next_price(price, ratio, budget=9.0, rate=10.0) == 0


def test_soft_gate_starts_with_the_slope_of_the_ratio_and_fades():
    ratio = numbers(1.0, 3.0).requires_grad_()

    loss = pg.softly_gated(ratio, numbers(2.0, 2.0), up=1.0, down=1.05).sum()

    (slope,) = torch.autograd.grad(loss, ratio)
    assert_close(slope[0], numbers(-2.0)[0])
    assert -1.0 < slope[1] < 0


def test_divergence_estimators_average_to_the_divergence():
    """Over all tokens weighed by their probability: k1 and k3 are exact, k2 is near."""
    policy, anchor = numbers(0.5, 0.3, 0.2).log(), numbers(0.4, 0.4, 0.2).log()
    exact = (policy.exp() * (policy - anchor)).sum()

    one, two, three = (
        (policy.exp() * estimate(policy, anchor)).sum()
        for estimate in (pg.divergence_linear, pg.divergence_square, pg.divergence_positive)
    )

    assert_close(one, exact)
    assert_close(three, exact)
    assert_close(two, exact, atol=2e-3, rtol=0)


def test_positive_estimate_by_hand_is_bounded():
    assert_close(pg.divergence_positive(numbers(0.0), numbers(log(2))), numbers(2 - log(2) - 1))
    assert_close(pg.divergence_positive(numbers(0.0), numbers(99.0)), numbers(exp(10) - 11))


def test_duel_of_whole_sequences_has_the_gradient_of_the_true_objective():
    """Two tokens of two kinds, the second's odds depending on the first; all four answers."""
    draw = generator(1)
    first = torch.randn(2, generator=draw, dtype=torch.float64).requires_grad_()
    second = torch.randn(2, 2, generator=draw, dtype=torch.float64).requires_grad_()
    chance = torch.rand(2, 2, generator=draw, dtype=torch.float64)
    anchor = torch.randn(4, generator=draw, dtype=torch.float64).log_softmax(0).reshape(2, 2)

    def log_probs():
        return first.log_softmax(0).unsqueeze(-1) + second.log_softmax(-1)

    said = log_probs()
    objective = -(said.exp() * (chance - 0.5)).sum() + 0.3 * (said.exp() * (said - anchor)).sum()
    exact = torch.autograd.grad(objective, [first, second])

    said = log_probs()
    losses = torch.stack(
        [
            said[i, j].detach().exp()
            * pg.duel(said[i, j], said[i, j] - anchor[i, j], chance[i, j], tau=0.3)
            for i, j in product(range(2), range(2))
        ]
    )
    sampled = torch.autograd.grad(losses.sum(), [first, second])

    assert_close(sampled, exact)


def test_policy_that_drew_the_answers_gets_no_gradient():
    behaviour = numbers(-1.0, -2.0).requires_grad_()
    mask = torch.tensor([True, True])

    assert not pg.sequence_log_ratio(numbers(-1.5, -2.1), behaviour, mask).requires_grad
