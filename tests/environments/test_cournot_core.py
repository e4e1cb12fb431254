"""The quantity market: settlement, restrictions, refusals, shocks and parameters."""

import json
import re

import numpy as np
import pytest

from environments.contract import UnplayableError
from environments.cournot.core import Cournot
from environments.cournot.rules import consumer_surplus
from environments.presets import make
from environments.shocks import Shock

NO_SHOCK = np.zeros((1, 0))


def settled(core, *actions):
    return core.settle(np.array([actions], dtype=float), NO_SHOCK)


def one_good(**changes):
    """Price 12 - Q, two firms with cost 3, ten units of capacity."""
    return Cournot(
        **{"intercept": [12], "slope": [[1]], "costs": [[3], [3]], "capacity": 10} | changes
    )


def test_two_firms_that_sell_three_each_earn_nine_each():
    """Price 12 - 6 = 6, margin 3, three units."""
    record = settled(one_good(), [3], [3])

    assert record["prices"].tolist() == [[6]]
    assert record["profits"].tolist() == [[9, 9]]
    assert record["quantities"].tolist() == [[[3], [3]]]


def test_a_price_never_falls_below_zero_and_costs_are_still_paid():
    record = settled(one_good(), [8], [6])

    assert record["prices"].tolist() == [[0]]
    assert record["profits"].tolist() == [[-24, -18]]


def test_a_substitute_lowers_the_other_price():
    """Prices 10 - Q1 - Q2/2 and 10 - Q2 - Q1/2: with Q = (2, 4) that is 6 and 5."""
    core = Cournot([10, 10], [[1, 0.5], [0.5, 1]], [[1, 1]], 10)

    record = settled(core, [2, 4])

    assert record["prices"].tolist() == [[6, 5]]
    assert record["profits"].tolist() == [[2 * 5 + 4 * 4]]


def test_the_record_keeps_its_quantities_when_the_callers_array_changes():
    core = one_good()
    actions = np.array([[[3.0], [3.0]]])
    record = core.settle(actions, NO_SHOCK)

    actions[:] = 0

    assert record["quantities"].tolist() == [[[3], [3]]]


def test_independent_goods_settle_to_the_same_bits_with_and_without_the_shortcut():
    core = make("lin2024")
    from_columns = make("lin2024")
    object.__setattr__(from_columns.terms, "independent", None)
    actions = np.random.default_rng(0).random((50, 2, 2)) * 50
    quick, slow = (c.settle(actions, np.zeros((50, 0))) for c in (core, from_columns))

    assert all(quick[name].tobytes() == slow[name].tobytes() for name in core.fields)


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ([[3], [-1]], "firm_2 offers -1.0 of good 1: a quantity is a number of at least 0"),
        ([[float("nan")], [1]], "firm_1 offers nan of good 1"),
        ([[3], [float("inf")]], r"firm_2 offers \[inf\], in all inf: .* at most 10.0"),
        ([[3], [10.1]], r"firm_2 offers \[10.1\], in all 10.1: .* at most 10.0"),
        ([[3, 1], [2, 2]], r"actions have shape \(2, 2\): give 2 firms' quantities of 1 goods"),
    ],
)
def test_a_bad_action_is_refused_with_firm_value_and_rule(actions, said):
    refusal = one_good().refuse(np.array([actions], dtype=float))

    assert re.search(said, refusal)


def test_rounding_a_hair_above_capacity_is_no_offence():
    assert one_good().refuse(np.array([[[10 + 1e-9], [0]]])) is None
    assert one_good().refuse(np.array([[[10 + 1e-7], [0]]])) is not None


def test_in_a_batch_the_refusal_names_the_market():
    actions = np.ones((3, 2, 1))
    actions[2, 1, 0] = 11

    assert "in market 2" in one_good().refuse(actions)


def test_without_restrictions_the_very_same_array_comes_back():
    core, actions = one_good(), np.ones((1, 2, 1))

    assert core.restrict(actions, np.zeros((1, 2), bool), np.ones((1, 2))) is actions


def test_a_suspended_firm_offers_nothing_and_a_capped_one_keeps_its_proportions():
    """Capacity 100, cap 0.3: an offer of 40 + 20 becomes 20 + 10; one of 10 + 5 stays."""
    core = make("lin2024")
    actions = np.array([[[40.0, 20.0], [50.0, 50.0]], [[10.0, 5.0], [50.0, 50.0]]])
    suspended = np.array([[False, True], [False, False]])

    allowed = core.restrict(actions, suspended, np.array([[0.3, 1.0], [0.3, 1.0]]))

    assert allowed.tolist() == [[[20, 10], [0, 0]], [[10, 5], [50, 50]]]
    assert actions[0, 1].tolist() == [50, 50]


def test_a_cap_of_zero_stops_a_firm_without_dividing_by_zero():
    core = make("lin2024")
    actions = np.array([[[0.0, 0.0], [50.0, 50.0]]])

    allowed = core.restrict(actions, np.zeros((1, 2), bool), np.zeros((1, 2)))

    assert allowed.tolist() == [[[0, 0], [0, 0]]]


def test_without_shocks_the_path_has_no_columns():
    assert make("lin2024", rounds=7).shocks(3).shape == (7, 0)


@pytest.mark.parametrize(
    ("demand", "cost", "width"),
    [
        ("common", None, 1),
        ("private", None, 2),
        (None, "common", 1),
        (None, "private", 4),
        ("private", "private", 6),
    ],
)
def test_a_shock_has_a_path_for_each_that_it_strikes(demand, cost, width):
    core = make(
        "lin2024",
        demand_shock=demand and {"sd": 2, "scope": demand},
        cost_shock=cost and {"sd": 1, "scope": cost},
    )

    assert core.shocks(0).shape == (50, width)


def test_a_demand_shock_moves_prices_and_a_private_cost_shock_one_firms_profit():
    """Price 12 - 6 + 2 = 8; firm 2 then pays 3 + 1: profits 3 * 5 and 3 * 4."""
    core = one_good(demand_shock={"sd": 1}, cost_shock=Shock(1, scope="private"))

    record = core.settle(np.full((1, 2, 1), 3.0), np.array([[2.0, 0.0, 1.0]]))

    assert record["prices"].tolist() == [[8]]
    assert record["profits"].tolist() == [[15, 12]]


def test_shocks_keep_their_spread_and_their_memory():
    core = make(
        "symmetric", rounds=20_000, demand_shock={"sd": 3, "persistence": 0.8, "scope": "common"}
    )
    path = core.shocks(1)[:, 0]

    assert path.std() == pytest.approx(3, rel=0.1)
    assert np.corrcoef(path[1:], path[:-1])[0, 1] == pytest.approx(0.8, abs=0.03)
    assert (core.shocks(1)[:, 0] == path).all()
    assert (core.shocks(2)[:, 0] != path).any()


def test_consumers_gain_the_triangle_under_the_demand_curve():
    """Price 12 - Q at Q = 6: half of 6 times 6."""
    core = one_good()

    assert consumer_surplus(settled(core, [3], [3]), core.terms).tolist() == [18]


def test_at_a_price_of_zero_consumers_take_what_they_want_and_no_more():
    """Q = 14, of which 12 are wanted for nothing: half of 12 times 12."""
    core = one_good()

    assert consumer_surplus(settled(core, [8], [6]), core.terms).tolist() == [72]


def test_consumer_surplus_with_a_demand_shock_is_read_from_the_record():
    """Intercept 12 + 4 and Q = 6: the triangle is the same, half of 6 times 6."""
    core = one_good(demand_shock={"sd": 1})
    record = core.settle(np.full((1, 2, 1), 3.0), np.array([[4.0]]))

    assert consumer_surplus(record, core.terms).tolist() == [18]


def test_a_market_is_rebuilt_from_its_configuration_through_json():
    core = make("lin2024", rounds=9, demand_shock={"sd": 2, "scope": "private"})

    again = Cournot.from_config(json.loads(json.dumps(core.config())))

    assert again == core
    assert hash(again) == hash(core)
    assert again.config()["demand_shock"] == {"sd": 2, "persistence": 0, "scope": "private"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"intercept": [float("nan")]}, "every number must be finite"),
        ({"intercept": [-1]}, "intercept contains -1.0: give prices above 0"),
        ({"intercept": []}, "intercept has shape 0: give any numbers"),
        ({"intercept": 12}, "intercept has shape a single number"),
        ({"slope": [[0]]}, "positive definite"),
        ({"slope": [["steep"]]}, "slope is .*: give 1 x 1 numbers"),
        ({"intercept": [9, 9], "slope": [[1, 2], [2, 1]], "costs": [[1, 1]]}, "positive definite"),
        ({"intercept": [9, 9], "slope": [[1, 0], [0.5, 1]], "costs": [[1, 1]]}, "symmetric"),
        ({"intercept": [9, 9], "slope": [[1, -0.5], [-0.5, 1]], "costs": [[1, 1]]}, "complements"),
        ({"costs": [[-1], [3]]}, "costs contain -1.0"),
        ({"costs": [[1, 2], [3, 4]]}, "costs has shape 2 x 2: give any x 1"),
        ({"capacity": 0}, "capacity is 0.0: give one number greater than 0"),
        ({"capacity": float("inf")}, "capacity is inf"),
        ({"capacity": "much"}, "capacity is 'much'"),
        ({"rounds": 0}, "rounds is 0: give a whole number of at least 1"),
        ({"rounds": 2.5}, "rounds is 2.5"),
        ({"demand_shock": {"sd": -1}}, "sd is -1.0: give one number of at least 0"),
        ({"demand_shock": {"sd": 1, "persistence": 1}}, "persistence is 1.0"),
        ({"demand_shock": {"persistence": 0.5}}, "demand_shock has no sd"),
        ({"demand_shock": 3}, "demand_shock is 3: give names and values"),
        ({"cost_shock": {"sd": 1, "scope": "comon"}}, 'Did you mean "common"'),
        ({"cost_shock": {"sd": 1, "spread": 1}}, '"spread" is no field of cost_shock'),
    ],
)
def test_an_impossible_market_is_refused_with_the_reason(changes, said):
    with pytest.raises(UnplayableError, match=said):
        one_good(**changes)


def test_an_unknown_or_missing_parameter_in_a_configuration_is_named():
    with pytest.raises(
        UnplayableError, match=r'"capasity" is no parameter.*Did you mean "capacity"'
    ):
        Cournot.from_config({"capasity": 3})
    with pytest.raises(UnplayableError, match="needs intercept, slope, costs"):
        Cournot.from_config({"name": "cournot", "capacity": 3})
