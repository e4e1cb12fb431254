"""Known rewards: the regularised optimum, what it is worth, and best-of-n."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.contract import UnplayableError
from environments.preference_games.bandits import Bandit, linear_bandit
from environments.preference_games.policies import best_of, divergence, log_partition, softmax


def two_arms(**changes):
    """Rewards log 3 and 0 at beta 1 under an even reference: the optimum is 3 to 1."""
    return Bandit(**({"reward": [[np.log(3), 0]], "reference": [[0.5, 0.5]], "beta": 1} | changes))


def test_the_optimum_of_two_arms_is_three_to_one_and_worth_log_two():
    """Z = (3 + 1) / 2."""
    bandit = two_arms()

    assert bandit.optimum() == pytest.approx(np.array([[0.75, 0.25]]))
    assert bandit.optimal_value() == pytest.approx(np.log(2))
    assert bandit.value(bandit.optimum()) == pytest.approx(np.log(2))


def test_the_reference_is_worth_its_mean_reward_and_drifts_nowhere():
    bandit = two_arms()

    assert bandit.value(bandit.reference) == pytest.approx(np.log(3) / 2)
    assert bandit.expected_reward(bandit.reference) == pytest.approx(np.log(3) / 2)
    assert bandit.drift(bandit.reference) == 0


def test_prompts_count_as_often_as_they_are_asked():
    bandit = Bandit(
        np.array([[1.0, 0.0], [0.0, 0.0]]), np.full((2, 2), 0.5), 1, prompts=np.array([0.9, 0.1])
    )

    assert bandit.expected_reward(np.array([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(0.9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), beta=st.floats(0.05, 5))
def test_no_policy_beats_the_optimum_and_the_shortfall_is_beta_times_the_divergence(seed, beta):
    rng = np.random.default_rng(seed)
    bandit = linear_bandit(rng, prompts=3, responses=5, features=2, beta=beta, tilt=1.0)
    other = softmax(np.log(bandit.optimum()) + rng.normal(size=(3, 5)))

    lost = bandit.optimal_value() - bandit.value(other)

    assert lost > 0
    assert bandit.shortfall(other) == pytest.approx(lost, rel=1e-6, abs=1e-12)
    assert bandit.shortfall(bandit.optimum()) == 0


def test_a_linear_bandit_has_rewards_in_its_features_and_a_reference_that_shuns_them():
    bandit = linear_bandit(
        np.random.default_rng(0), prompts=4, responses=6, features=2, beta=1, norm=3, tilt=1
    )
    flat = bandit.features.reshape(-1, 2)
    direction = np.linalg.lstsq(flat, bandit.reward.ravel(), rcond=None)[0]

    assert flat @ direction == pytest.approx(bandit.reward.ravel())
    assert np.sqrt((direction**2).sum()) == pytest.approx(3)
    assert bandit.expected_reward(bandit.reference) < bandit.reward.mean()


def test_best_of_two_keeps_the_better_and_shares_ties():
    """An even coin: the better wins 3 times in 4. Three alike: nothing changes."""
    assert best_of(np.array([0.5, 0.5]), np.array([1.0, 0.0]), samples=2).tolist() == [0.75, 0.25]
    shares = np.array([0.2, 0.3, 0.5])
    assert best_of(shares, np.zeros(3), samples=7) == pytest.approx(shares)


def test_best_of_n_agrees_with_drawing():
    rng = np.random.default_rng(0)
    policy, scores = np.array([0.1, 0.2, 0.3, 0.4]), np.array([2.0, 1.0, 1.0, 0.0])
    draws = rng.choice(4, size=(200_000, 3), p=policy)
    kept = draws[np.arange(len(draws)), (scores[draws]).argmax(axis=1)]

    seen = np.bincount(kept, minlength=4) / len(kept)

    assert best_of(policy, scores, samples=3) == pytest.approx(seen, abs=0.005)


def test_extreme_scores_do_not_overflow():
    assert log_partition(np.array([1e4, 0.0])) == 1e4
    assert log_partition(np.array([-np.inf, -np.inf])) == -np.inf
    assert softmax(np.array([1e4, 0.0])).tolist() == [1, 0]
    assert divergence(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == np.inf
    assert divergence(np.array([1.0, 0.0]), np.array([0.5, 0.5])) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": [[np.nan, 0]]}, "every number must be finite"),
        ({"reward": [1, 0]}, "reward has shape 2: give any x any"),
        ({"reference": [[0.5, 0.6]]}, "reference adds up to 1.1"),
        ({"reference": [[1, 0]]}, "never gives some response"),
        ({"reference": [[0.2, 0.3, 0.5]]}, r"reference has shape \(1, 3\) and reward \(1, 2\)"),
        ({"reference": [[-0.5, 1.5]]}, "reference has the entry -0.5"),
        ({"reference": [[np.nan, 1]]}, "reference has the entry nan"),
        ({"reference": []}, "give probabilities of responses"),
        ({"beta": 0}, "beta is 0.0: give one number greater than 0"),
        ({"prompts": [0.5, 0.5]}, "give one share for 1"),
        ({"features": [[[1.0]]]}, "features has shape 1 x 1 x 1: give 1 x 2 x any numbers"),
    ],
)
def test_what_is_no_bandit_is_refused_with_value_and_rule(changes, said):
    with pytest.raises(UnplayableError, match=said):
        two_arms(**changes)
