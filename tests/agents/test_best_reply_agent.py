import numpy as np
import pytest
from lin_market import briefing, play
from numpy.testing import assert_allclose

from agents.catalogue import make
from agents.contract import AgentError


def test_it_starts_at_nash_and_stays_there_against_itself():
    path = play([make("best_reply", briefing(seat)) for seat in (0, 1)], rounds=5)

    assert_allclose(path, [[[140 / 3, 80 / 3], [80 / 3, 140 / 3]]] * 5)


def test_it_answers_a_divided_market_with_sixty_and_twenty():
    """Its own good is 60 against none of the rival's; the rival's is 50 - 60/2 = 20."""
    rival = make("divider_stubborn", briefing(1))
    path = play([make("best_reply", briefing(0)), rival], rounds=2)

    assert path[1, 0].tolist() == [60, 20]


def test_two_of_them_come_back_to_nash_from_the_monopoly():
    path = play(
        [make("best_reply", briefing(seat), start="joint_monopoly") for seat in (0, 1)], rounds=40
    )

    assert path[0].tolist() == [[60, 0], [0, 60]]
    assert_allclose(path[-1], [[140 / 3, 80 / 3], [80 / 3, 140 / 3]], atol=1e-6)


def test_inertia_keeps_its_share_of_the_last_action():
    """A quarter of 60/0 and three quarters of the reply 60/20: 60/15."""
    agent = make("best_reply", briefing(), start="joint_monopoly", weight=0.25)
    agent.act({})

    action = agent.act({"quantities": np.array([[60.0, 0.0], [0.0, 60.0]])})

    assert action.tolist() == [60, 15]


def test_an_inertia_above_one_is_refused():
    with pytest.raises(AgentError, match=r"weight=1.5 is out of range\n.*\[0, 1\]"):
        make("best_reply", briefing(), weight=1.5)
