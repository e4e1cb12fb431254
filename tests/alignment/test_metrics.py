"""Numbers about policies, each against a case one can count out."""

from math import log

import torch
from alignment_examples import generator, numbers
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau
from torch.testing import assert_close

from agents.alignment import metrics


def test_policy_may_rank_wrongly_and_still_have_the_right_reward():
    """It moved the right way from a wrong reference, not far enough."""
    policy, reference = numbers([-3.0, -2.0]), numbers([-5.0, -2.0])

    assert metrics.ranking_accuracy(policy) == 0
    assert metrics.reward_accuracy(policy - reference) == 1
    assert metrics.misranked_share(policy, reference) == 1


def test_idealised_policy_overcomes_a_reference_by_the_log_odds_over_beta():
    """Log 3 = 1.0986 beats a reference of -1 at beta 1 and not at beta 2."""
    agreement = numbers(0.75)

    assert_close(metrics.idealised_gap(numbers(-1.0), agreement, beta=1.0), numbers(log(3) - 1))
    assert metrics.idealised_accuracy(numbers(-1.0), agreement, beta=1.0) == 1
    assert metrics.idealised_accuracy(numbers(-1.0), agreement, beta=2.0) == 0


def test_unanimous_raters_count_as_999_of_1000():
    found = metrics.idealised_gap(numbers(0.0), numbers(1.0), beta=1.0)

    assert_close(found, numbers(log(999)))


def test_idealised_accuracy_under_a_random_reference_meets_the_published_closed_form():
    """d_ref of deviation 3, a = 0.75: Phi(log 3 / (3 beta)) = 0.643 at 1, 0.529 at 5."""
    spread = torch.randn(200_000, generator=generator(1), dtype=torch.float64) * 3
    agreement = torch.full_like(spread, 0.75)
    normal = torch.distributions.Normal(0.0, 1.0)

    for beta in (0.1, 1.0, 5.0, 10.0):
        found = metrics.idealised_accuracy(spread, agreement, beta=beta)
        exact = normal.cdf(torch.tensor(log(3) / (3 * beta), dtype=torch.float64))
        assert_close(found, exact, atol=0.004, rtol=0)


def test_divergence_of_half_and_three_quarters_by_hand():
    found = metrics.kl(numbers(0.5, 0.5).log(), numbers(0.75, 0.25).log())

    assert_close(found, numbers(0.5 * log(2 / 3) + 0.5 * log(2))[0])


def test_tilted_policy_by_hand():
    """Even odds and rewards log 3 apart at beta 1: 3 to 1."""
    found = metrics.tilted(numbers(0.5, 0.5).log(), numbers(log(3), 0.0), beta=1.0)

    assert_close(found.exp(), numbers(0.75, 0.25))


@given(
    first=st.lists(st.integers(0, 4), min_size=5, max_size=5),
    second=st.lists(st.integers(0, 4), min_size=5, max_size=5),
)
def test_kendall_is_scipys(first, second):
    found = metrics.kendall(numbers(first).double(), numbers(second).double())
    theirs = 0.0 if len(set(first)) == 1 or len(set(second)) == 1 else kendalltau(first, second)[0]

    assert_close(found, numbers(theirs))


def test_gain_of_the_best_order_is_one_and_of_a_swap_by_hand():
    """Gains 3 and 1: (1 + 3 / log2(3)) / (3 + 1 / log2(3))."""
    labels = numbers([2.0, 1.0])

    swapped = metrics.ndcg(numbers([0.0, 1.0]), labels)

    assert_close(metrics.ndcg(labels, labels), numbers(1.0))
    assert_close(swapped, numbers((1 + 3 * log(2) / log(3)) / (3 + log(2) / log(3))))
    assert_close(metrics.ndcg(numbers([0.0, 1.0]), labels, count=1), numbers(1 / 3))
    assert_close(metrics.ndcg(labels, numbers([0.0, 0.0])), numbers(1.0))


def test_calibration_error_of_stated_nine_tenths_that_come_half_the_time():
    found = metrics.calibration_error(numbers(0.9, 0.9, 0.1), torch.tensor([1, 0, 0]))

    assert_close(found, numbers((0.8 + 0.1) / 3)[0])


def test_clusters_are_right_under_another_name():
    truth = torch.tensor([0, 0, 1, 1])

    assert metrics.cluster_accuracy(1 - truth, truth, count=2) == 1
    assert metrics.cluster_accuracy(torch.tensor([0, 1, 1, 1]), truth, count=2) == 0.75


def test_best_of_takes_what_the_score_likes():
    bias = numbers([0.0, 1.0, 0.0])

    assert metrics.best_of(bias, numbers([1.0, 3.0, 2.0])).tolist() == [1.0]


def test_factor_that_decides_scores_one_and_its_ties_count_against_it():
    """Of three pairs: concordant twice and tied once, two thirds."""
    preference = torch.tensor([1.0, -1.0, 1.0])
    factors = torch.tensor([[2.0, 1.0], [-3.0, -1.0], [1.0, 0.0]])

    assert_close(metrics.factor_agreement(preference, factors), torch.tensor([1.0, 2 / 3]))
