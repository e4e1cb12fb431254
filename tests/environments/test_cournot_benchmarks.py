"""Reference points of the quantity market against algebra and against play."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.cournot.core import Cournot
from environments.presets import make


def near(expected):
    return pytest.approx(np.array(expected, dtype=float), abs=1e-8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nash", "140/3 80/3 190/3 13000/9 24200/9 50200/9"),
        ("joint_monopoly", "60 0 70 1800 1800 5400"),
        ("market_division", "60 0 70 1800 1800 5400"),
        ("competitive", "100 0 50 1000 5000 7000"),
        ("fixed_price", "420/11 240/11 70 17400/11 1800 54600/11"),
    ],
)
def test_reference_points_of_the_headline_market(name, expected):
    """Exact algebra for price 100 - Q/2 and costs 40 and 50.

    Own good, other good, price, profit per firm, consumer surplus, welfare.
    """
    own, other, price, profit, surplus, welfare = (float(Fraction(x)) for x in expected.split())
    point = make("lin2024").benchmarks()[name]

    assert point.actions == near([[own, other], [other, own]])
    assert point.record["prices"] == near([[price, price]])
    assert point.record["profits"] == near([[profit, profit]])
    assert point.consumer_surplus == near(surplus)
    assert point.welfare == near(welfare)


def test_random_play_uses_two_thirds_of_capacity_and_loses_welfare():
    random = make("lin2024").benchmarks()["random"]

    assert random.actions == near(np.full((2, 2), 100 / 3))
    assert random.record["quantities"] == pytest.approx(random.actions[np.newaxis], abs=0.3)
    assert random.record["prices"] == pytest.approx(200 / 3, abs=0.2)
    assert 4500 < random.welfare < 4600


@pytest.mark.parametrize("firms", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("goods", [1, 3])
def test_equal_firms_sell_the_closed_form_quantities(firms, goods):
    """Price 100 - Q, cost 10: 90/(n+1) each at Nash, 45 in all at monopoly, 90 at price = cost."""
    points = make("symmetric", firms=firms, goods=goods).benchmarks()

    assert points["nash"].actions == near(np.full((firms, goods), 90 / (firms + 1)))
    assert points["joint_monopoly"].actions == near(np.full((firms, goods), 45 / firms))
    assert points["competitive"].actions == near(np.full((firms, goods), 90 / firms))
    assert points["fixed_price"].actions == near(np.full((firms, goods), 45 / firms))


def test_equal_costs_are_divided_good_by_good():
    """Four goods and two equal firms: two goods each, 45 units of each."""
    division = make("symmetric", firms=2, goods=4).benchmarks()["market_division"].actions

    assert sorted((division > 0).sum(axis=1)) == [2, 2]
    assert division.sum(axis=0) == near([45] * 4)


def test_goods_with_one_cheapest_firm_are_dealt_before_the_ties():
    """Good 1 is a tie, good 2 firm 1's: firm 2 gets good 1."""
    core = Cournot([100, 100], np.eye(2), [[10, 10], [10, 20]], 100)

    assert core.benchmarks()["market_division"].actions == near([[0, 45], [45, 0]])


def test_one_good_or_one_firm_cannot_be_divided():
    assert "market_division" not in make("waltman_kaymak2008").benchmarks()
    assert "market_division" not in make("symmetric", firms=1, goods=2).benchmarks()


def test_a_binding_capacity_is_shared_where_the_margins_are_equal():
    """Capacity 50: own and other good differ by the cost gap of 10, so q_own - q_other = 20.

    Marginal profit is 100 - c - Q/2 - q/2; Q is 50 for both goods, so 60 - q_own/2 and
    50 - q_other/2 are equal at 35 and 15.
    """
    core = make("lin2024", capacity=50.0)

    assert core.benchmarks()["nash"].actions == near([[35, 15], [15, 35]])


def test_a_capacity_too_small_for_the_monopoly_binds_everywhere():
    """With 10 units each firm sells them in its cheaper good at every point but random."""
    points = make("lin2024", capacity=10.0).benchmarks()

    for name in ("nash", "joint_monopoly", "competitive", "market_division"):
        assert points[name].actions == near([[10, 0], [0, 10]])


def test_the_best_reply_to_full_division_is_sixty_and_twenty_for_two_thousand():
    """And so the one-round temptation is 200."""
    core = make("lin2024")
    joint = np.array([[60.0, 0.0], [0.0, 60.0]])

    reply = core.best_reply(0, joint)
    joint[0] = reply

    assert reply == near([60, 20])
    assert core.settle(joint[np.newaxis], np.zeros((1, 0)))["profits"][0, 0] == near(2000)


def test_nobody_sells_where_cost_exceeds_what_buyers_pay():
    points = Cournot([10], [[1]], [[12], [15]], 5).benchmarks()

    assert all(not points[name].actions.any() for name in ("nash", "joint_monopoly", "competitive"))
    assert points["nash"].welfare == 0


def test_an_expensive_firm_stays_out_of_the_monopoly_but_not_of_nash():
    """Price 100 - Q, costs 10 and 40: Nash 40 and 10; the monopoly is all firm 1's 45."""
    points = Cournot([100], [[1]], [[10], [40]], 100).benchmarks()

    assert points["nash"].actions == near([[40], [10]])
    assert points["joint_monopoly"].actions == near([[45], [0]])
    assert points["competitive"].actions == near([[90], [0]])


def test_a_fixed_price_that_breaks_a_capacity_is_left_out():
    """Ten units each: the cartel sells more of good 1 than Nash, and its big seller has no room."""
    core = Cournot([20, 20], [[0.5, 0.2], [0.2, 0.9]], [[0, 1], [1, 5]], 10)

    assert "fixed_price" not in core.benchmarks()
    assert "fixed_price" in make("lin2024").benchmarks()


def test_points_are_computed_once():
    core = make("lin2024")

    assert core.benchmarks() is core.benchmarks()


@st.composite
def markets(draw):
    """Substitutes or independent goods, any costs (often tied), capacity tight or loose."""
    firms, goods = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    number = st.floats(0.1, 1.0)
    cross = draw(st.sampled_from([0.0, 0.3, 0.7]))
    own = np.array([draw(number) for _ in range(goods)])
    slope = cross * np.sqrt(np.outer(own, own))
    np.fill_diagonal(slope, own)
    cost = st.sampled_from([0.0, 20.0, 40.0, 47.5, 60.0, 130.0])
    costs = [[draw(cost) for _ in range(goods)] for _ in range(firms)]
    intercept = [draw(st.sampled_from([60.0, 100.0, 120.0])) for _ in range(goods)]
    return Cournot(intercept, slope, costs, draw(st.sampled_from([5.0, 40.0, 100.0, 1e4])))


@settings(max_examples=60, deadline=None)
@given(core=markets())
def test_at_nash_every_firm_plays_its_best_reply(core):
    nash = core.benchmarks()["nash"].actions

    for firm in range(len(nash)):
        assert core.best_reply(firm, nash) == pytest.approx(nash[firm], rel=1e-7, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(core=markets())
def test_best_replies_in_turn_lead_to_nash_from_anywhere(core):
    joint = core.low + core.capacity / (2 * len(core.intercept))
    for _ in range(4000):
        before = joint.copy()
        for firm in range(len(joint)):
            joint[firm] = core.best_reply(firm, joint)
        if np.abs(joint - before).max() < 1e-11 * core.capacity:
            break

    assert joint == pytest.approx(core.benchmarks()["nash"].actions, rel=1e-5, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(core=markets(), seed=st.integers(0, 2**32))
def test_no_other_play_beats_the_planner_the_cartel_or_the_best_reply(core, seed):
    points = core.benchmarks()
    rng = np.random.default_rng(seed)
    firms, goods = core.shape
    draws = rng.standard_exponential((200, firms, goods + 1))
    plays = core.capacity * draws[..., :goods] / draws.sum(axis=2, keepdims=True)
    plays *= rng.random((200, 1, 1))
    points_played = np.stack([point.actions for point in points.values()])
    plays = np.concatenate([plays, points_played])
    none = np.zeros((len(plays), 0))
    profits = core.settle(plays, none)["profits"]
    deviating = np.broadcast_to(points["nash"].actions, plays.shape).copy()
    deviating[:, 0] = plays[:, 0]
    deviation = core.settle(deviating, none)["profits"][:, 0]
    slack = 1e-6 * max(core.intercept) * core.capacity

    assert profits.sum(axis=1).max() <= points["joint_monopoly"].record["profits"].sum() + slack
    assert deviation.max() <= points["nash"].record["profits"][0, 0] + slack
    assert max(p.welfare for p in points.values()) <= points["competitive"].welfare + slack


@settings(max_examples=40, deadline=None)
@given(core=markets())
def test_firms_with_equal_costs_sell_equal_amounts(core):
    points = core.benchmarks()
    for name in ("nash", "joint_monopoly", "competitive"):
        actions = points[name].actions
        for one, cost in zip(actions, core.costs, strict=True):
            for other, as_cost in zip(actions, core.costs, strict=True):
                if cost == as_cost:
                    assert one == pytest.approx(other, rel=1e-6, abs=1e-6)
