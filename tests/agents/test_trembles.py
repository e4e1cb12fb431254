import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lin_market import briefing, play
from numpy.testing import assert_allclose

from agents.catalogue import AGENTS, make
from agents.contract import AgentError
from agents.tremble import bounded, trembled

quantities = st.lists(st.floats(0, 100), min_size=1, max_size=4).map(np.array)


@given(action=quantities, sd=st.floats(0, 5), seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=150)
def test_a_tremble_stays_within_bounds_and_capacity(action, sd, seed, data):
    low = data.draw(st.floats(0, 20)) * np.ones_like(action)
    high = low + data.draw(st.floats(0, 100))
    capacity = data.draw(st.floats(low.sum() + 1, 300))

    noisy = trembled(
        action, np.random.default_rng(seed), sd=sd, low=low, high=high, capacity=capacity
    )

    assert (noisy >= low).all()
    assert (noisy <= high).all()
    assert noisy.sum() <= capacity


def test_what_exceeds_capacity_is_scaled_back_in_proportion():
    """80 and 40 make 120: five sixths of each fit into 100."""
    action = bounded(
        np.array([80.0, 40.0]), low=np.zeros(2), high=np.full(2, 100.0), capacity=100.0
    )

    assert_allclose(action, [200 / 3, 100 / 3])
    assert action.sum() <= 100


def test_no_bound_is_broken_when_scaling_back():
    """30 of the 60 above the lower bounds fit: half of 0 and half of 60."""
    action = bounded(
        np.array([20.0, 60.0]), low=np.array([20.0, 0.0]), high=np.full(2, 60.0), capacity=50.0
    )

    assert_allclose(action, [20, 30])


def test_trembles_have_the_size_asked_for_and_leave_nothing_at_nothing():
    path = play(
        [make("threshold_parker", briefing(seat), tremble=0.05) for seat in (0, 1)], rounds=2000
    )

    assert_allclose(path[:, 0, 0].std() / 60, 0.05, rtol=0.1)
    assert_allclose(path[:, 0, 0].mean(), 60, rtol=0.01)
    assert (path[:, 0, 1] == 0).all()


TREMBLES = [name for name, entry in AGENTS.items() if not entry.reads_text]


@pytest.mark.parametrize("name", TREMBLES)
def test_every_agent_trembles_by_its_seed_and_by_nothing_else(name):
    def run(seed):
        agents = [make(name, briefing(seat), tremble=0.1) for seat in (0, 1)]
        return play(agents, rounds=5, seed=seed)

    assert (run(3) == run(3)).all()
    assert (run(3) != run(9)).any()


@pytest.mark.parametrize("name", TREMBLES)
def test_reset_makes_an_agent_as_good_as_new(name):
    agents = [make(name, briefing(seat), tremble=0.1) for seat in (0, 1)]

    assert (play(agents, rounds=5, seed=4) == play(agents, rounds=5, seed=4)).all()


def test_a_trembling_learner_still_learns():
    agents = [make("q_learner", briefing(seat), levels=2, tremble=0.01) for seat in (0, 1)]
    play(agents, rounds=5)

    assert (agents[0].agent.values != agents[0].agent.values[0]).any()


def test_an_agent_that_reads_does_not_tremble_because_its_answer_is_what_it_plays():
    with pytest.raises(AgentError, match="leave `tremble` out"):
        make("language", briefing(), tremble=0.1)


@pytest.mark.parametrize("tremble", [-0.1, float("nan")])
def test_a_noise_that_is_none_is_refused(tremble):
    with pytest.raises(AgentError, match="tremble="):
        make("nash", briefing(), tremble=tremble)
