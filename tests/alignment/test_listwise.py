"""What the rows of the method table leave open about lists: ties, weights, single levels."""

from math import exp, log

import torch
from alignment_examples import numbers
from torch.testing import assert_close

from agents.alignment import listwise
from agents.alignment.link import logistic


def test_ties_are_no_pair():
    assert listwise.beats(numbers([1.0, 1.0, 0.0])).tolist() == [[[0, 0, 1], [0, 0, 1], [0, 0, 0]]]


def test_lambda_weights_of_a_wrongly_ranked_pair_by_hand():
    """Gains 3 and 1, ranks 2 and 1: |3 - 1| (1 / log 2 - 1 / log 3)."""
    found = listwise.lambda_weights(numbers([0.0, 5.0]), numbers([2.0, 1.0]))

    assert_close(found[0, 0, 1], numbers(2 * (1 / log(2) - 1 / log(3)))[0])
    assert found[0, 1, 0] == 0


def test_lambda_weights_do_not_vanish_where_all_scores_are_equal():
    weights = listwise.lambda_weights(numbers([0.0, 0.0, 0.0]), numbers([2.0, 1.0, 0.0]))

    assert (weights[0][weights[0] > 0] > 0.1).sum() == 3


def test_pair_weights_get_no_gradient():
    scores = numbers([0.3, 0.1]).requires_grad_()

    loss = listwise.pairwise(scores, scores.exp().unsqueeze(-1).expand(1, 2, 2), link=logistic)

    (found,) = torch.autograd.grad(loss.sum(), scores)
    weight = scores.exp().detach()[0]
    slope = weight[0] * -torch.sigmoid(numbers(-0.2)) + weight[1] * torch.sigmoid(numbers(0.2))
    assert_close(found[0, :1], slope.detach())


def test_averaged_weights_make_long_lists_count_as_much_as_short_ones():
    weights = listwise.averaged(listwise.beats(numbers([3.0, 2.0, 1.0, 0.0])))

    assert_close(weights.sum(), numbers(1.0)[0])


def test_answers_that_are_all_correct_are_each_raised():
    found = listwise.trust_region_pairs(
        numbers([1.0, 2.0]), numbers([-1.0, -1.0]), emphasis=2.5, top=-1.0
    )

    assert_close(found, numbers((log(1 + exp(-1)) + log(1 + exp(-2))) / 2))


def test_answers_that_are_all_wrong_are_each_lowered():
    found = listwise.trust_region_pairs(
        numbers([1.0, 2.0]), numbers([-2.0, -2.0]), emphasis=2.5, top=-1.0
    )

    assert_close(found, numbers((log(1 + exp(1)) + log(1 + exp(2))) / 2))


def test_likelihood_of_an_order_sums_to_one_over_all_orders():
    scores = numbers([0.7, -0.2, 0.1])
    orders = torch.cartesian_prod(*[torch.arange(3.0)] * 3)
    orders = orders[[len(set(order.tolist())) == 3 for order in orders]].double()

    total = listwise.plackett_luce(scores.expand(6, 3), orders).neg().exp().sum()

    assert_close(total, numbers(1.0)[0])


def test_near_tie_adds_one_to_the_denominator_of_preference_ranking():
    """Temperatures 0 and 0: log(1 + 1), whatever the likelihoods."""
    found = listwise.tempered_ranking(numbers([-5.0, -9.0]), numbers([1.0, 1.0]))

    assert_close(found, numbers(log(2)))
