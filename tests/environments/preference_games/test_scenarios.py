"""Groups, sellers, tampering and rankings: the pilots' numbers, derived rather than drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.contract import UnplayableError
from environments.preference_games.bandits import optimum
from environments.preference_games.groups import Groups
from environments.preference_games.named import chakraborty2024
from environments.preference_games.policies import divergence, softmax
from environments.preference_games.rankings import (
    idealised_log_ratio,
    ranking_accuracy,
    reward_accuracy,
    undesirable,
)
from environments.preference_games.sellers import ACTS, Seller, deception_rate
from environments.preference_games.tampering import Answering, RewardModel

# Groups


@pytest.mark.parametrize(("majority", "gets"), [(0.8, [0.950, 0.074]), (0.95, [0.988, 0.018])])
def test_one_reward_model_leaves_the_minority_with_little(majority, gets):
    groups = chakraborty2024(majority=majority)

    assert groups.utilities(groups.pooled()) == pytest.approx(gets, abs=5e-4)


def test_the_fairest_policy_is_the_compromise_and_gives_both_the_same():
    """The even mixture has rewards .5, .5, .6, 0: e^5, e^5, e^6 and 1 share the probability."""
    groups = chakraborty2024()
    fairest = groups.fairest()
    weights = np.exp([5.0, 5.0, 6.0, 0.0])

    assert fairest.policy == pytest.approx(weights[np.newaxis] / weights.sum())
    assert groups.utilities(fairest.policy) == pytest.approx([0.5568, 0.5568], abs=5e-5)
    assert fairest.mixture == pytest.approx([0.5, 0.5])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_other_policy_is_fairer(seed):
    rng = np.random.default_rng(seed)
    groups = Groups(rng.normal(size=(3, 2, 4)), softmax(rng.normal(size=(2, 4))), beta=0.5)

    def worst(policy):
        cost = groups.beta * divergence(policy, groups.reference).mean()
        return groups.utilities(policy).min() - cost

    fairest = groups.fairest(tolerance=1e-8)
    for size in (0.01, 0.1, 1.0):
        other = softmax(np.log(fairest.policy) + size * rng.normal(size=(2, 4)))
        assert worst(other) <= worst(fairest.policy) + 1e-8


def test_a_group_that_is_never_worst_off_has_no_weight():
    """The second group gets one more of everything."""
    reward = np.array([[1.0, 0.0]])
    groups = Groups(np.stack([reward, reward + 1]), np.full((1, 2), 0.5), beta=1.0)
    fairest = groups.fairest()

    assert fairest.mixture[1] == pytest.approx(0, abs=1e-9)
    assert fairest.policy == pytest.approx(optimum(reward, np.full((1, 2), 0.5), beta=1.0))


def test_groups_of_the_wrong_number_are_refused():
    with pytest.raises(UnplayableError, match="give one share for 2"):
        Groups(np.zeros((2, 1, 2)), np.full((1, 2), 0.5), 1.0, sizes=np.array([1.0]))
    with pytest.raises(UnplayableError, match=r"not 1\.0e-10: allow a larger tolerance"):
        Groups(np.array([[[9.0, 0.0]], [[0.0, 1.0]]]), np.full((1, 2), 0.5), 1.0).fairest(
            most_steps=1
        )


# Sellers


def test_who_is_rated_at_once_lies_and_who_is_rated_in_hindsight_does_not():
    """Missing feature: the lie is worth 1 - .45 believed, and 0 - .45 to whoever bought."""
    seller, reference = Seller(), np.full((2, 3), 1 / 3)

    assert seller.foresight() == pytest.approx(np.array([[0.55, 0, 0.05], [0, 0.55, 0.05]]))
    assert seller.hindsight() == pytest.approx(np.array([[0.55, 0, 0.55], [0, -0.45, -0.45]]))
    assert (seller.hindsight() == seller.utility()).all()
    lying = optimum(seller.foresight(), reference, beta=0.05)
    honest = optimum(seller.hindsight(), reference, beta=0.05)
    assert deception_rate(lying) > 0.99
    assert deception_rate(honest) < 0.01
    assert (seller.prompts() @ (honest * seller.utility()).sum(axis=1)) > 0.25
    assert (seller.prompts() @ (lying * seller.utility()).sum(axis=1)) < 0.1


def test_lies_pay_again_when_the_simulator_errs_more_often_than_the_price():
    """Shown the wrong outcome with chance e, a lie is rated e - .45 and the truth 0."""
    lie = ACTS.index("deceit")

    assert Seller().hindsight(error=0.40)[1, lie] == pytest.approx(-0.05)
    assert Seller().hindsight(error=0.50)[1, lie] == pytest.approx(0.05)


def test_drawn_ratings_average_to_hindsight():
    seller, rng = Seller(), np.random.default_rng(0)
    prompts, acts = np.indices((2, 3))
    draws = [
        seller.draw_ratings(rng, prompts.ravel(), acts.ravel(), error=0.2) for _ in range(20_000)
    ]

    assert np.mean(draws, axis=0) == pytest.approx(seller.hindsight(error=0.2).ravel(), abs=0.012)
    with pytest.raises(UnplayableError, match="price is 1"):
        Seller(price=1)


# Tampering


@pytest.mark.parametrize(
    ("slope", "noise", "rates"),
    [
        (0.0, 1.0, [0.18, 0.18, 0.18, 0.18, 0.18]),
        (2.0, 0.0, [0.27, 0.58, 0.85, 0.94, 0.98]),
        (2.0, 1.0, [0.27, 0.68, 0.95, 1.00, 1.00]),
    ],
)
def test_the_bias_spreads_as_in_the_pilot(slope, noise, rates):
    """Best of 1, 4, 16, 64, 256; the pilot drew its answers, so it is a few hundredths off."""
    answering = Answering(slope=slope, noise=noise)
    model = answering.reward_model()
    found = [answering.best_of(model, samples=n).bias_rate for n in (1, 4, 16, 64, 256)]

    assert found == pytest.approx(rates, abs=0.02)
    assert found[0] == pytest.approx(answering.outcome().bias_rate, abs=1e-9)


def test_only_noise_gives_the_bias_a_weight_of_its_own():
    assert Answering(slope=2, noise=0).reward_model() == pytest.approx((1, 0), abs=1e-12)
    assert Answering(slope=0, noise=1).reward_model() == pytest.approx((0.5, 0), abs=1e-12)
    assert Answering(slope=2, noise=1).reward_model().on_bias > 0.7


def test_exact_best_of_n_agrees_with_drawing():
    answering, rng = Answering(), np.random.default_rng(0)
    model = answering.reward_model()
    quality, biased, seen = answering.draw(rng, (100_000, 4))
    kept = (model.on_quality * seen + model.on_bias * biased).argmax(axis=1)
    rows = np.arange(len(kept))
    exact = answering.best_of(model, samples=4)

    assert biased[rows, kept].mean() == pytest.approx(exact.bias_rate, abs=0.005)
    assert quality[rows, kept].mean() == pytest.approx(exact.quality, abs=0.01)


def test_the_fitted_reward_model_is_the_least_squares_of_many_answers():
    answering = Answering()
    quality, biased, seen = answering.draw(np.random.default_rng(1), (200_000,))
    columns = np.stack([seen, biased, np.ones_like(seen)], axis=1)
    found = np.linalg.lstsq(columns, quality, rcond=None)[0]

    assert found[:2] == pytest.approx(answering.reward_model(), abs=0.01)


def test_a_model_that_ignores_the_bit_leaves_selection_alone():
    """Without noise the two are the same; with noise ignoring the bit slows the spread."""
    answering = Answering(noise=1.0)
    blind = RewardModel(answering.reward_model().on_quality, 0.0)
    seen = answering.best_of(answering.reward_model(), samples=16).bias_rate

    assert answering.outcome().bias_rate < answering.best_of(blind, samples=16).bias_rate < seen
    with pytest.raises(UnplayableError, match="noise is -1"):
        Answering(noise=-1)


# Rankings


def test_the_idealised_ratio_adds_the_peoples_log_odds_over_beta():
    """Three in four at beta 1/2 add 2 log 3."""
    assert idealised_log_ratio(np.array([-1.0]), np.array([0.75]), beta=0.5) == pytest.approx(
        [-1 + 2 * np.log(3)]
    )
    assert np.isfinite(idealised_log_ratio(np.zeros(1), np.ones(1), beta=0.1)).all()


def test_idealised_accuracies_are_those_of_the_pilot():
    """Reference ratios N(0, 3), three in four agree: Phi(log 3 / (3 beta)) is ranked rightly."""
    ratios = 3 * np.random.default_rng(0).standard_normal(200_000)
    share = np.full_like(ratios, 0.75)
    found = [
        ranking_accuracy(idealised_log_ratio(ratios, share, beta=beta)) for beta in (0.1, 1, 5, 10)
    ]

    assert found == pytest.approx([1.0, 0.643, 0.529, 0.515], abs=0.005)


def test_a_pair_that_gained_and_is_still_wrong_counts_as_learnt_and_as_undesirable():
    now, before = np.array([-1.0, 1.0, -3.0]), np.array([-2.0, 0.0, -2.0])

    assert ranking_accuracy(now) == pytest.approx(1 / 3)
    assert reward_accuracy(now, before) == pytest.approx(2 / 3)
    assert undesirable(now, before) == pytest.approx(1 / 3)
