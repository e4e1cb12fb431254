import numpy as np
import pytest

from agents.contract import AgentError
from agents.q_learning.game import from_payoffs
from agents.q_learning.schedule import EpsilonGreedy, Learner
from agents.q_learning.sessions import train
from agents.q_learning.shocked import train_shocked

DILEMMA = np.array([[3.0, 3.0], [0.0, 5.0], [5.0, 0.0], [1.0, 1.0]])
LEARNER = Learner(exploration=EpsilonGreedy(1e-3), stable=1000, most_periods=50_000)


def shifted(by):
    return from_payoffs(DILEMMA + by, (2, 2))


def test_tables_that_do_not_differ_give_the_sessions_without_shocks():
    plain = train(shifted(0), LEARNER, [1, 2, 3])
    shocked = train_shocked([shifted(0)] * 2, LEARNER, [1, 2, 3], lasting=7)

    assert (plain.strategy == shocked.strategy).all()
    assert plain.periods.tolist() == shocked.periods.tolist()


def favoured(*, periods, lasting):
    """The action each of 400 learners values most; one table pays action 0 and the other action 1.

    At rate 1 and without a future a value is what was paid last, and 1/2 lies between 0 and 1:
    after one period the most valued action is the one that the table pays, whichever was played.
    """
    games = [from_payoffs(np.array([[1.0], [0.0]])[::way], (2,)) for way in (1, -1)]
    learner = Learner(alpha=1, discount=0, memory=0, initial=0.5, most_periods=periods)
    return train_shocked(games, learner, range(400), lasting=lasting).strategy[:, 0, 0]


def test_every_table_is_drawn_equally_often():
    assert abs(favoured(periods=1, lasting=1).mean() - 0.5) < 0.1


def test_a_table_pays_for_as_long_as_it_lasts():
    """Then half of them change; the change makes values equal, and of equal ones 0 comes first."""
    first = favoured(periods=1, lasting=50)

    assert (favoured(periods=50, lasting=50) == first).all()
    assert 0.2 < (favoured(periods=51, lasting=50) != first).mean() < 0.3


def test_what_is_learnt_under_shocks_is_judged_by_the_mean_table():
    found = train_shocked([shifted(-1), shifted(3)], LEARNER, [1])

    assert found.game.payoffs.tolist() == (DILEMMA + 1).tolist()


def test_games_of_unequal_actions_are_refused():
    other = from_payoffs(np.zeros((6, 2)), (3, 2))

    with pytest.raises(AgentError, match="equal actions"):
        train_shocked([shifted(0), other], LEARNER, [1])
