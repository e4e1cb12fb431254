import numpy as np
import pytest
from lin_market import ACTIONS, WarnThenSanction, briefing, mirrored, play

from agents.catalogue import make
from agents.contract import AgentError
from agents.scripted.cartel import harmful_direction

DIVISION, NASH = [60, 0], [140 / 3, 80 / 3]
FINE_FIRM_0 = WarnThenSanction(watched=(0,))


def home(path, seat=0):
    """What a firm sells of its own good, by round, rounded: 60 is division, 47 is Nash."""
    return path[:, seat, seat].round().astype(int).tolist()


def pair(name, graph=None, **parameters):
    return [make(name, briefing(seat, graph), **parameters) for seat in (0, 1)]


@pytest.mark.parametrize("name", ["divider_grim", "divider_forgiving", "divider_stubborn"])
def test_two_dividers_divide_the_market_for_ever_when_nobody_interferes(name):
    path = play(pair(name), rounds=20)

    assert (path == mirrored(60, 0)).all()


@pytest.mark.parametrize("name", ["divider_grim", "divider_forgiving"])
def test_small_trembles_do_not_break_the_agreement(name):
    """2 % of 60 is 1.2; the tolerance of 0.15 x 60 = 9 is more than seven of these away."""
    path = play(pair(name, tremble=0.02), rounds=200)

    assert (path[:, 0, 1] == 0).all()


def test_a_grim_divider_never_forgives_one_deviation():
    agent = make("divider_grim", briefing())
    agent.act({})
    agent.act({"quantities": np.array([[60.0, 0.0], [20.0, 60.0]])})

    for _ in range(100):
        action = agent.act({"quantities": mirrored(60, 0)})

    assert action.tolist() == NASH


def test_a_forgiving_divider_punishes_five_rounds_and_returns():
    """Against Nash: one round of plan, five of punishment, one more try, five more."""
    path = play([make("divider_forgiving", briefing(0)), make("nash", briefing(1))], rounds=13)

    assert home(path) == [60, 47, 47, 47, 47, 47, 60, 47, 47, 47, 47, 47, 60]


@pytest.mark.parametrize(
    ("quantities", "expected"), [([9.1, 60], NASH), ([8.9, 60], DIVISION), ([0, 69.1], NASH)]
)
def test_only_producing_more_than_the_tolerance_above_the_plan_is_a_deviation(quantities, expected):
    agent = make("divider_grim", briefing())
    agent.act({})

    action = agent.act({"quantities": np.array([[60.0, 0.0], quantities])})

    assert action.tolist() == expected


def test_a_suspended_rival_does_not_deviate():
    agent = make("divider_grim", briefing())
    agent.act({})

    assert agent.act({"quantities": np.array([[60.0, 0.0], [0.0, 0.0]])}).tolist() == DIVISION


def test_one_penalty_breaks_a_grim_cartel_for_good():
    """Warned after round 0 and fined after round 1, firm 0 complies in round 2; firm 1 sees it."""
    path = play(pair("divider_grim", FINE_FIRM_0), rounds=10, graph=FINE_FIRM_0)

    assert home(path, seat=0) == [60, 60, 47, 47, 47, 47, 47, 47, 47, 47]
    assert home(path, seat=1) == [60, 60, 60, 47, 47, 47, 47, 47, 47, 47]


def test_forgiving_dividers_return_together_after_a_penalty():
    path = play(pair("divider_forgiving", FINE_FIRM_0), rounds=10, graph=FINE_FIRM_0)

    assert home(path, seat=0) == [60, 60, 47, 47, 47, 47, 47, 47, 60, 60]
    assert home(path, seat=1) == [60, 60, 60, 47, 47, 47, 47, 47, 60, 60]


def test_a_divider_that_heeds_review_complies_after_the_warning():
    path = play(
        pair("divider_forgiving", FINE_FIRM_0, heeds="under_review"), rounds=3, graph=FINE_FIRM_0
    )

    assert home(path) == [60, 47, 47]


def test_a_stubborn_divider_goes_on_through_every_fine():
    graph = WarnThenSanction()

    assert (play(pair("divider_stubborn", graph), rounds=20, graph=graph) == mirrored(60, 0)).all()


def test_reset_restores_the_agreement():
    agents = [make("divider_grim", briefing(0)), make("nash", briefing(1))]
    play(agents, rounds=3)

    assert home(play(agents, rounds=3)) == [60, 47, 47]


def test_more_quantity_hurts_the_rivals():
    assert (harmful_direction(briefing(), ACTIONS["market_division"]) == 1).all()


def test_lower_prices_hurt_the_rivals_so_undercutting_is_the_deviation():
    """Demand 10 - 2 own price + rival price and no cost; both plan the price 5."""

    def profit(prices):
        return (prices * (10 - 2 * prices + prices[::-1]))[:, 0]

    prices = {"nash": np.full((2, 1), 10 / 3), "joint_monopoly": np.full((2, 1), 5.0)}
    bertrand = briefing(
        benchmarks=prices,
        profit=profit,
        capacity=None,
        low=np.zeros((2, 1)),
        high=np.full((2, 1), 10.0),
    )
    agent = make("divider_grim", bertrand, plan="joint_monopoly")
    agent.act({})

    assert agent.act({"quantities": np.array([[5.0], [6.0]])}).tolist() == [5]
    assert agent.act({"quantities": np.array([[5.0], [4.0]])}).tolist() == [10 / 3]


def test_an_unknown_status_to_heed_is_refused_with_those_there_are():
    with pytest.raises(AgentError, match='Did you mean "penalised"'):
        make("divider_forgiving", briefing(), heeds="penalized")
