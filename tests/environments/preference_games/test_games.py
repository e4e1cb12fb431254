"""Preference games: equilibria with proofs, gaps, lotteries and the best rewards that fit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.contract import UnplayableError
from environments.preference_games.bandits import optimum
from environments.preference_games.games import (
    Game,
    best_reply,
    bradley_terry,
    fitted_rewards,
    maximal_lottery,
    pair_gap,
    regularised_nash,
    win_rate,
)
from environments.preference_games.named import calandriello2024, from_wins, three_arm_cycle
from environments.preference_games.policies import softmax


def random_game(seed, *, tau, games=()):
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.random((*games, 4, 4)), k=1)
    lower = np.tril(1 - np.swapaxes(upper, -1, -2), k=-1)
    preference = upper + lower + 0.5 * np.eye(4)
    return Game(preference, softmax(rng.normal(size=(*games, 4))), tau), rng


def test_nash_of_the_symmetric_cycle_is_uniform_whatever_tau():
    for tau in (0.0, 0.01, 1.0):
        game = three_arm_cycle(tau=tau)
        assert game.nash() == pytest.approx(np.full(3, 1 / 3), abs=1e-12)
        assert game.gap(np.full(3, 1 / 3)) == pytest.approx(0, abs=1e-15)


def test_who_always_plays_one_response_of_the_cycle_loses_to_the_next():
    """Always 0 is beaten by 2 with 0.9: a gap of 0.4."""
    game = three_arm_cycle()
    always = np.array([1.0, 0.0, 0.0])

    assert game.best_reply(always).tolist() == [0, 0, 1]
    assert game.gap(always) == pytest.approx(0.4)
    assert game.payoff(np.array([0.0, 0.0, 1.0]), always) == pytest.approx(0.4)
    assert pair_gap(always, always, game.preference, game.reference, tau=0) == pytest.approx(0.8)


def test_the_lottery_of_the_lopsided_cycle_is_four_one_four():
    """Margins .4, .4, .1: each response is played in proportion to the margin it is not in."""
    lottery = maximal_lottery(calandriello2024().preference)

    assert lottery == pytest.approx(np.array([4, 1, 4, 0, 0]) / 9)


def test_the_gaps_of_calandriello2024_are_those_of_the_pilot():
    """The facts' pilot: reference 0.246, Bradley-Terry with exact RLHF 0.106."""
    game = calandriello2024()
    rewards = fitted_rewards(game.preference)
    by_reward = optimum(rewards, game.reference, beta=game.tau)

    assert game.gap(game.reference) == pytest.approx(0.2464, abs=5e-5)
    assert game.gap(by_reward) == pytest.approx(0.1059, abs=5e-5)
    assert game.gap(game.nash()) < 1e-15


def test_mirror_descent_on_paper_follows_the_pilots_curve():
    """INPO at a rate of 0.3: gaps 0.070 and 0.0002 after 20 and 200 steps."""
    game, rate, gaps = calandriello2024(), 0.3, {}
    policy = game.reference
    for step in range(1, 201):
        worth = game.preference @ policy
        kept = (1 - rate * game.tau) * np.log(policy) + rate * game.tau * np.log(game.reference)
        policy = softmax(kept + rate * worth)
        gaps[step] = float(game.gap(policy))

    assert gaps[20] == pytest.approx(0.070, abs=5e-4)
    assert gaps[200] == pytest.approx(0.0002, abs=5e-5)


def test_where_one_response_beats_all_the_lottery_is_that_response():
    preference = from_wins({(0, 1): 0.6, (0, 2): 0.6, (1, 2): 0.9}, responses=3)

    assert maximal_lottery(preference).tolist() == [1, 0, 0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), tau=st.floats(0.02, 2))
def test_the_equilibrium_replies_to_itself_and_everything_else_can_be_beaten(seed, tau):
    game, rng = random_game(seed, tau=tau)
    nash = game.nash()
    other = softmax(np.log(nash) + rng.normal(size=4))

    assert game.best_reply(nash) == pytest.approx(nash, abs=1e-11)
    assert game.payoff(other, nash) <= 1e-12
    assert game.gap(other) > 0
    assert game.payoff(other, nash) == pytest.approx(-game.payoff(nash, other))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), tau=st.sampled_from([0.0, 0.05, 0.5]))
def test_the_gap_is_what_the_best_reply_wins_and_never_negative(seed, tau):
    game, rng = random_game(seed, tau=tau)
    policy = softmax(rng.normal(size=4))
    won = game.payoff(game.best_reply(policy), policy)

    assert game.gap(policy) == pytest.approx(won, abs=1e-12)
    assert game.gap(policy) >= 0
    for _ in range(20):
        assert game.payoff(softmax(3 * rng.normal(size=4)), policy) <= won + 1e-12


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_lottery_is_beaten_by_nothing(seed):
    game, _ = random_game(seed, tau=0)

    assert game.gap(game.nash()) < 1e-11


def test_many_games_are_solved_at_once_and_as_each_alone():
    game, _ = random_game(0, tau=0.1, games=(2, 3))
    together = game.nash()
    lotteries = Game(game.preference, game.reference, 0).nash()

    assert together.shape == (2, 3, 4)
    for where in np.ndindex(2, 3):
        alone = regularised_nash(game.preference[where], game.reference[where], tau=0.1)
        assert together[where] == pytest.approx(alone.policy, abs=1e-10)
        assert lotteries[where] == pytest.approx(maximal_lottery(game.preference[where]))


def test_a_small_tau_leads_to_the_lottery():
    game = calandriello2024()
    near = regularised_nash(game.preference, game.reference, tau=1e-3).policy

    assert near == pytest.approx(maximal_lottery(game.preference), abs=0.02)


def test_rewards_are_recovered_from_their_own_preference_under_any_weights():
    rewards = np.array([1.0, 0.2, -1.2])
    uneven = np.outer([0.7, 0.2, 0.1], [0.7, 0.2, 0.1])

    assert fitted_rewards(bradley_terry(rewards)) == pytest.approx(rewards)
    assert fitted_rewards(bradley_terry(rewards), uneven) == pytest.approx(rewards)


def test_a_symmetric_cycle_has_equal_rewards():
    assert fitted_rewards(three_arm_cycle().preference) == pytest.approx(np.zeros(3))


def test_win_rates_are_probabilities():
    assert win_rate(np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), three_arm_cycle().preference) == (
        pytest.approx(0.9)
    )
    reply = best_reply(np.array([0, 1.0, 0]), three_arm_cycle().preference, np.ones(3) / 3, tau=10)
    assert reply.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Game(np.full((2, 2), 0.6), np.ones(2) / 2, 0.1), "no table of win rates"),
        (lambda: Game(np.full((2, 3), 0.5), np.ones(2) / 2, 0.1), r"shape \(2, 3\)"),
        (lambda: Game(np.array([[0.5, 1.5], [-0.5, 0.5]]), np.ones(2) / 2, 0.1), "no table"),
        (lambda: Game(np.full((2, 2), 0.5), np.array([1.0, 0.0]), 0.1), "a positive probability"),
        (lambda: Game(np.full((2, 2), 0.5), np.ones(3) / 3, 0.1), "for 2 responses"),
        (lambda: Game(np.full((2, 2), 0.5), np.ones(2) / 2, -1), "tau is -1.0"),
        (lambda: maximal_lottery(np.full((13, 13), 0.5)), "too many supports"),
        (lambda: fitted_rewards(from_wins({(0, 1): 1.0}, responses=2)), "no finite rewards"),
        (
            lambda: regularised_nash(
                calandriello2024().preference,
                calandriello2024().reference,
                tau=0.05,
                most_steps=3,
            ),
            "after 3 steps the policy is .* from its best reply, .* take a larger one",
        ),
    ],
)
def test_what_cannot_be_solved_is_refused_with_the_next_step(call, said):
    with pytest.raises(UnplayableError, match=said):
        call()
