import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lin_market import briefing
from numpy.testing import assert_allclose

from agents.contract import AgentError
from agents.q_learning import chance, kernel
from agents.q_learning.game import from_briefing, from_payoffs
from agents.q_learning.learner import QLearner
from agents.q_learning.schedule import Boltzmann, EpsilonGreedy, Learner
from agents.q_learning.sessions import begin, rules_of, train
from agents.q_learning.strategy import best_reply_share, follow, limit_cycle

DILEMMA = np.array([[3, 3], [0, 5], [5, 0], [1, 1]], dtype=np.float64)


def dilemma():
    return from_payoffs(DILEMMA, (2, 2))


@given(st.integers(0, 2**64 - 1))
def test_a_word_of_chance_is_the_same_compiled_and_not(word):
    assert int(kernel.mix(np.uint64(word))) == chance.mix(word)


def test_the_first_words_are_those_of_splitmix64():
    """Steele et al. 2014 add GOLDEN before mixing; so the second draw of seed 0 is their first."""
    assert chance.draw(0, 1) == 0xE220A8397B1DCDAF
    assert chance.draw(0, 2) == 0x6E789E6AA1B965F4


MARKETS = {
    "one memory": ({"memory": 1}, Learner(memory=1, exploration=EpsilonGreedy(0.01))),
    "none": ({"memory": 0}, Learner(memory=0, exploration=EpsilonGreedy(0.01))),
    "two": ({"memory": 2}, Learner(memory=2, exploration=EpsilonGreedy(0.01))),
    "Boltzmann": (
        {"temperature": 500.0, "cooling": 0.99},
        Learner(exploration=Boltzmann(500.0, 0.99)),
    ),
}


@pytest.mark.parametrize("name", MARKETS)
def test_the_compiled_session_is_the_ordinary_learners_to_the_last_bit(name):
    """Two learners of the catalogue in Lin's market, round by round against one kernel."""
    parameters, rules = MARKETS[name]
    if "temperature" not in parameters:
        parameters = {**parameters, "beta": 0.01}
    seats = [QLearner(briefing(seat), levels=2, **parameters) for seat in (0, 1)]
    game = seats[0].game
    words = np.array([11, 2**63 + 5], dtype=np.uint64)
    for learner, word in zip(seats, words, strict=True):
        learner.reset(int(word))
    session = begin(game, rules, words)
    seen = {"quantities": np.zeros((2, 2))}
    for period in range(1500):
        joint = np.stack([learner.act(seen) for learner in seats])
        following = {"quantities": joint}
        for seat, learner in enumerate(seats):
            learner.learn(seen, joint[seat], briefing().profit(joint)[seat], following)
        seen = following
        kernel.advance(game.sizes, game.payoffs, rules_of(rules), session, period + 1)
        played = [grid[k] for grid, k in zip(game.actions, session.chosen, strict=True)]
        assert np.array_equal(joint, np.stack(played)), period
    for seat, learner in enumerate(seats):
        assert np.array_equal(learner.values, session.values[seat])
        assert np.array_equal(learner.values.argmax(axis=1), session.greedy[seat])
        assert np.array_equal(learner.values.max(axis=1), session.top[seat])


def test_stopped_and_continued_a_session_is_the_same():
    game, learner = dilemma(), Learner(exploration=EpsilonGreedy(0.001))
    words = np.array([1, 2], dtype=np.uint64)
    whole, pieces = (begin(game, learner, words) for _ in range(2))

    kernel.advance(game.sizes, game.payoffs, rules_of(learner), whole, 1000)
    for limit in (1, 2, 500, 999, 1000):
        kernel.advance(game.sizes, game.payoffs, rules_of(learner), pieces, limit)

    for one, other in zip(whole, pieces, strict=True):
        assert np.array_equal(one, other)


def test_results_do_not_depend_on_threads_or_company():
    game, learner = dilemma(), Learner(exploration=EpsilonGreedy(0.01), stable=1000)

    alone = train(game, learner, [7], threads=1)
    together = train(game, learner, range(20), threads=2)

    assert np.array_equal(alone.strategy[0], together.strategy[7])
    assert alone.periods[0] == together.periods[7]


def test_without_memory_or_patience_everybody_learns_to_defect():
    """Defection is dominant: 5 against 3 and 1 against 0."""
    learner = Learner(memory=0, discount=0, exploration=EpsilonGreedy(0.01), stable=1000)
    sessions = train(dilemma(), learner, range(5))

    assert sessions.converged.all()
    assert (sessions.strategy == 1).all()
    assert (sessions.profit == 1).all()


def test_a_session_ends_when_no_strategy_has_changed_for_long_enough_or_at_the_cap():
    quick = Learner(memory=0, discount=0, exploration=EpsilonGreedy(0.1), stable=1000)
    sessions = train(dilemma(), quick, range(3))
    capped = train(dilemma(), Learner(exploration=EpsilonGreedy(0), most_periods=50), [1])

    assert (sessions.periods >= 1000).all()
    assert (capped.periods == 50).all()
    assert not capped.converged.any()


def test_three_firms_of_different_sizes_play_too():
    payoffs = np.arange(2 * 3 * 4 * 3, dtype=float).reshape(2, 3, 4, 3)
    learner = Learner(exploration=EpsilonGreedy(0.01), memory=1, stable=2000)
    sessions = train(from_payoffs(payoffs, (2, 3, 4)), learner, range(3))

    # What the others do, every one earns most with the last action.
    assert sessions.strategy.shape == (3, 3, 24)
    assert sessions.converged.all()
    assert_allclose(sessions.profit, np.tile(payoffs[-1, -1, -1], (3, 1)))


TIT_FOR_TAT = np.array([[0, 1, 0, 1], [0, 0, 1, 1]], dtype=np.int16)


def test_two_tit_for_tats_alternate_for_ever_after_one_defection():
    """States count the last joint action: CC, CD, DC, DD. From CD: DC, CD, DC, ..."""
    cycle = limit_cycle(dilemma(), TIT_FOR_TAT, 1, 1)

    assert cycle.joints.tolist() == [2, 1]
    assert cycle.profits.tolist() == [[5, 0], [0, 5]]
    assert follow(dilemma(), TIT_FOR_TAT, 1, 0, 3).joints.tolist() == [0, 0, 0]
    assert limit_cycle(dilemma(), TIT_FOR_TAT, 1, 3).joints.tolist() == [3]


def test_against_tit_for_tat_cooperation_is_the_best_reply_of_the_patient():
    """After CC: 3/(1 - 0.9) = 30 against 5 + 0.9 x 0 + 0.81 x 30 = 29.3 for one defection."""
    share = best_reply_share(dilemma(), TIT_FOR_TAT, 1, discount=0.9)
    # After its own defection (DC) the rival punishes: coming back at once is best, and tit for tat
    # (which copies C) does; after CD it should forgive, and does not.
    assert_allclose(share, [0.5, 0.5])


def test_the_impatient_should_always_defect():
    share = best_reply_share(dilemma(), np.ones((2, 4), dtype=np.int16), 1, discount=0.0)

    assert share.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("payoffs", "sizes", "words"),
    [
        (np.array([[1, 1], [1, np.nan], [1, 1], [1, 1]]), (2, 2), "agent 1 is paid nan at"),
        (np.zeros((2, 2)), (1, 2), "nothing to learn"),
        (np.zeros((3, 2)), (2, 2), "need \\(4, 2\\)"),
        (np.zeros((1, 2)), (400, 400), "160000 joint actions"),
    ],
)
def test_a_table_that_is_no_game_is_refused(payoffs, sizes, words):
    with pytest.raises(AgentError, match=words):
        from_payoffs(payoffs, sizes)


def test_a_state_space_that_does_not_fit_is_refused_before_it_is_filled():
    game = from_briefing(briefing(), levels=5)

    with pytest.raises(AgentError, match=r"states\n.*Choose fewer levels or a shorter memory"):
        train(game, Learner(memory=3), [0])
    with pytest.raises(AgentError, match="Train in several calls"):
        train(game, Learner(), range(2_000_000))
    with pytest.raises(AgentError, match="no seeds"):
        train(game, Learner(), [])


def test_chance_is_even():
    """Every action of seven about as often as another, where epsilon stays at one."""
    game = from_payoffs(np.zeros((49, 2)), (7, 7))
    learner = Learner(exploration=EpsilonGreedy(0), memory=0)
    session = begin(game, learner, np.array([1, 2], dtype=np.uint64))
    counts = np.zeros((7, 7))
    for period in itertools.count(1):
        kernel.advance(game.sizes, game.payoffs, rules_of(learner), session, period)
        counts[tuple(session.chosen)] += 1
        if period == 20_000:
            break

    expected = 20_000 / 49
    assert (((counts - expected) ** 2) / expected).sum() < 84  # chi-square, 48 degrees, 0.1 %
