import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lin_market import briefing, play
from numpy.testing import assert_allclose

from agents.catalogue import make
from agents.contract import AgentError
from agents.scripted.static import Static, uniform_below


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("nash", [140 / 3, 80 / 3], [80 / 3, 140 / 3]),
        ("planner", [100, 0], [0, 100]),
        ("price_fixer", [38.18, 21.82], [21.82, 38.18]),
    ],
)
def test_a_static_agent_plays_its_own_row_of_the_benchmark_in_every_round(name, first, second):
    path = play([make(name, briefing(0)), make(name, briefing(1))], rounds=3)

    assert_allclose(path, [[first, second]] * 3)


def test_the_price_fixer_plays_the_joint_monopoly_where_no_fixed_price_is_published():
    actions = {"joint_monopoly": np.array([[9.0], [9.0]])}
    one_good = briefing(benchmarks=actions, low=np.zeros((2, 1)), high=np.full((2, 1), 40.0))

    assert make("price_fixer", one_good).act({}).tolist() == [9]


def test_changing_a_returned_action_does_not_change_the_next_one():
    agent = Static(briefing(), benchmark="competitive")

    agent.act({})[0] = 7

    assert agent.act({}).tolist() == [100, 0]


def test_a_missing_benchmark_is_named_with_those_there_are():
    with pytest.raises(AgentError, match='no benchmark "nahs"') as error:
        Static(briefing(), benchmark="nahs")

    assert "competitive, fixed_price, joint_monopoly, market_division, nash" in str(error.value)
    assert 'Did you mean "nash"?' in str(error.value)


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=30)
def test_random_play_stays_within_bounds_and_capacity_and_repeats_with_its_seed(seed):
    path = play([make("random", briefing(0)), make("random", briefing(1))], rounds=10, seed=seed)
    again = play([make("random", briefing(0)), make("random", briefing(1))], rounds=10, seed=seed)

    assert (path >= 0).all()
    assert (path.sum(axis=2) <= 100).all()
    assert (path == again).all()
    assert (path[:, 0] != path[:, 1]).all()


def test_random_play_is_uniform_under_capacity():
    """Each quantity is a third of 100 on average; the triangle of sum 50 has a quarter of the area.

    Both follow from the triangle q >= 0, q1 + q2 <= 100.
    """
    path = play([make("random", briefing(0)), make("random", briefing(1))], rounds=20_000)

    assert_allclose(path.mean(axis=(0, 1)), 100 / 3, rtol=0.01)
    assert_allclose((path.sum(axis=2) <= 50).mean(), 1 / 4, atol=0.005)


def test_random_play_is_uniform_in_the_box_without_a_capacity():
    free = briefing(capacity=None, low=np.full((2, 2), 40.0))
    path = play([make("random", free), make("random", free)], rounds=5_000)

    assert path.min() >= 40
    assert_allclose(path.mean(), 70, rtol=0.01)


@pytest.mark.parametrize("width", [[10.0, 100.0], [10.0, 10.0]])
def test_a_uniform_draw_respects_narrow_bounds_as_well(width):
    """The first number is below 5 in 97.5 / 190 of the box 10 x 100 under 100: about half."""
    rng = np.random.default_rng(0)
    draws = np.stack([uniform_below(rng, width=np.array(width), room=100) for _ in range(5_000)])

    assert (draws <= width).all()
    assert (draws.sum(axis=1) <= 100).all()
    assert_allclose((draws[:, 0] < 5).mean(), 0.5, atol=0.03)
