"""Links as functions of [B] numbers: what the rows of the method table do not show of them."""

from math import log

import pytest
import torch
from alignment_examples import numbers
from torch.testing import assert_close

from agents.alignment import link
from agents.alignment.batch import AlignmentError
from agents.alignment.labels import smoothed, unflipped
from agents.alignment.margin import clipped_floor, easy_floor, softplus_floor


def test_logistic_at_zero_is_log_two_and_large_margins_neither_overflow_nor_vanish():
    found = link.logistic(numbers(0.0, 1000.0, -1000.0))

    assert_close(found, numbers(log(2), 0.0, 1000.0))


def test_exponential_costs_by_hand():
    assert_close(link.exponential(numbers(0.0, log(2))), numbers(1.0, 0.5))


@pytest.mark.parametrize("loss", [link.logistic, link.hinge, link.exponential])
def test_convex_links_fall_with_the_margin(loss):
    assert (loss(torch.linspace(-3, 0.9, 20)).diff() < 0).all()


def test_sharp_blend_is_exponential_for_right_and_logistic_for_wrong_rankings():
    found = link.blended_exponential(numbers(2.0, -2.0), temperature=1e-3)

    assert_close(
        found, torch.stack([link.exponential(numbers(2.0))[0], link.logistic(numbers(-2.0))[0]])
    )


def test_reverse_divergence_is_nought_at_the_smoothed_label():
    """s(log 3) = 3/4: the policy doubts the label as much as its flip rate says."""
    assert_close(link.reverse_cross(numbers(log(3)), flip_rate=0.25), numbers(0.0))


def test_smoothed_labels_are_met_at_a_finite_margin():
    margin = numbers(log(3)).requires_grad_()

    loss = smoothed(link.logistic, turned=torch.neg, right=0.75)(margin)

    assert_close(torch.autograd.grad(loss, margin)[0], numbers(0.0))


@pytest.mark.parametrize("rate", [-0.1, 0.5, 0.7, float("nan")])
def test_flip_rate_that_cannot_be_undone_is_refused(rate):
    with pytest.raises(AlignmentError, match="choose it in"):
        unflipped(link.logistic, turned=torch.neg, flip_rate=rate)


def test_softplus_floor_is_what_the_reference_lacks():
    """Far below gamma it is gamma - d_ref, far above nothing, at gamma log 2 / tau."""
    found = softplus_floor(numbers(-50.0, 50.0, 0.5), gamma=0.5, tau=2.0)

    assert_close(found, numbers(50.5, 0.0, log(2) / 2))


def test_clipped_floor_is_how_wrong_the_reference_is():
    assert clipped_floor(numbers(-2.0, 3.0)).tolist() == [2.0, 0.0]


def test_easy_floor_as_coded_asks_for_less_than_dpo():
    """The sign alarm: log-probabilities are negative, so the floor is below nought."""
    assert_close(easy_floor(numbers([-2.0, -4.0]), gamma=1.0), numbers(-0.75))


def test_order_statistics_are_compared_not_pairs():
    found = link.sorted_gaps(numbers(3.0, 1.0, 2.0), numbers(0.0, 2.0, 1.0))

    assert found.tolist() == [1.0, 1.0, 1.0]


def test_log_odds_of_one_half_are_nought():
    assert_close(link.log_odds(numbers(log(0.5), log(0.75))), numbers(0.0, log(3)))


def test_constrained_optimum_ranks_right_whatever_the_reference():
    """d* = d_ref + m + log(3) / beta with three of four raters; DPO has no m.

    References of deviation 3 leave DPO right with chance Phi(log 3 / (3 beta)): 0.643 and 0.529.
    """
    references = torch.randn(20_000, generator=torch.Generator().manual_seed(1)).double() * 3
    lead = {beta: log(3) / beta for beta in (1.0, 5.0)}

    plain = {beta: ((references + more) > 0).double().mean() for beta, more in lead.items()}
    clipped = references + clipped_floor(references) + lead[5.0]
    soft = references + softplus_floor(references, gamma=0.5, tau=2.0) + lead[5.0]

    assert_close(plain[1.0], numbers(0.643)[0], atol=0.01, rtol=0)
    assert_close(plain[5.0], numbers(0.529)[0], atol=0.01, rtol=0)
    assert (clipped > 0).all()
    assert (soft > 0).all()
