"""The price market of Calvano et al. 2020: demand, reference points, signals and measures."""

import json

import numpy as np
import pytest

from environments.bertrand.core import Bertrand
from environments.bertrand.rules import consumer_surplus
from environments.contract import UnplayableError
from environments.presets import make


def settled(core, *prices):
    return core.settle(np.array([[[p] for p in prices]], dtype=float), np.zeros((1, 0)))


@pytest.mark.parametrize(
    ("name", "price", "profit"),
    [("nash", 1.4729, 0.2229), ("joint_monopoly", 1.9250, 0.3375), ("competitive", 1, 0)],
)
def test_the_papers_anchors(name, price, profit):
    point = make("calvano2020").benchmarks()[name]

    assert point.actions == pytest.approx(np.full((2, 1), price), abs=5e-5)
    assert point.record["profits"] == pytest.approx(np.full((1, 2), profit), abs=5e-5)


def test_at_price_equal_to_quality_every_choice_is_as_likely():
    """Three choices of utility 0: a third of the buyers each, surplus mu log 3."""
    core = make("calvano2020")
    record = settled(core, 2, 2)

    assert record["quantities"] == pytest.approx(1 / 3)
    assert record["profits"] == pytest.approx(1 / 3)
    assert consumer_surplus(record, core.terms) == pytest.approx(0.25 * np.log(3))


def test_welfare_is_greatest_at_cost_and_least_in_the_cartel():
    points = make("calvano2020").benchmarks()

    assert points["competitive"].welfare > points["nash"].welfare > points["joint_monopoly"].welfare


def test_no_price_is_better_than_the_best_reply():
    core = Bertrand(quality=[2, 2.5, 1.8], costs=[1, 1.2, 0.5], mu=0.3)
    joint = np.array([[1.5], [1.7], [1.2]])
    grid = np.linspace(0, core.high[1, 0], 20_001)
    plays = np.broadcast_to(joint, (len(grid), 3, 1)).copy()
    plays[:, 1, 0] = grid

    best = grid[core.settle(plays, np.zeros((len(grid), 0)))["profits"][:, 1].argmax()]

    assert core.best_reply(1, joint) == pytest.approx([best], abs=1e-3)


def test_unequal_firms_reply_to_each_other_at_nash():
    core = Bertrand(quality=[2, 2.5, 1.8], costs=[1, 1.2, 0.5], mu=0.3)
    nash = core.benchmarks()["nash"].actions

    for firm in range(3):
        assert core.best_reply(firm, nash) == pytest.approx(nash[firm], abs=1e-9)


def test_a_suspended_firm_has_no_buyers_and_a_cap_limits_the_price():
    """The ceiling is 2 + 28 * 0.25 = 9, so a cap of 0.2 allows 1.8."""
    core = make("calvano2020")
    actions = np.array([[[1.5], [1.9]]])
    allowed = core.restrict(actions, np.array([[True, False]]), np.array([[1.0, 0.2]]))

    assert allowed.ravel().tolist() == [9, 1.8]
    assert core.settle(allowed, np.zeros((1, 0)))["quantities"][0, 0] < 1e-12
    assert core.restrict(actions, np.zeros((1, 2), bool), np.ones((1, 2))) is actions


def test_extreme_prices_do_not_overflow():
    core = Bertrand(quality=[2, 2], costs=[1, 1], mu=0.001)

    record = settled(core, 0, 2)

    assert record["quantities"] == pytest.approx(np.array([[1.0, 0.0]]))
    assert consumer_surplus(record, core.terms) == pytest.approx([2.0])


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ([-1, 1], "firm_1 asks -1.0: a price is a number between 0 and 9.0"),
        ([1, 9.5], "firm_2 asks 9.5"),
        ([1, float("nan")], "firm_2 asks nan"),
        ([1, 2, 3], "give 2 firms' prices"),
    ],
)
def test_a_bad_price_is_refused_with_firm_value_and_rule(prices, said):
    refusal = make("calvano2020").refuse(np.array([[[p] for p in prices]], dtype=float))

    assert said in refusal


def test_the_refusal_in_a_batch_names_the_market():
    actions = np.ones((2, 2, 1))
    actions[1, 0, 0] = -1

    assert "in market 1" in make("calvano2020").refuse(actions)
    assert make("calvano2020").refuse(np.ones((2, 2, 1))) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mu": 0}, "mu is 0.0: give one number greater than 0"),
        ({"costs": [1]}, "costs has shape 1: give 2 numbers"),
        ({"costs": [-1, 1]}, "costs contain -1.0"),
        ({"costs": [30, 1]}, "exceed what any buyer would pay"),
        ({"outside": float("nan")}, "outside is nan"),
    ],
)
def test_an_impossible_market_is_refused_with_the_reason(changes, said):
    with pytest.raises(UnplayableError, match=said):
        Bertrand(**{"quality": [2, 2], "costs": [1, 1]} | changes)


def test_a_market_is_rebuilt_from_its_configuration_through_json():
    core = make("calvano2020", firms=3, rounds=9)

    assert Bertrand.from_config(json.loads(json.dumps(core.config()))) == core
    with pytest.raises(UnplayableError, match="needs quality, costs"):
        Bertrand.from_config({"mu": 1})


def test_signals_of_two_rounds_by_hand():
    """Both cut their price by 10 %; firm 2 then asks three times what firm 1 does."""
    core = make("calvano2020")
    before, now = settled(core, 1.0, 3.0), settled(core, 0.9, 2.7)
    found = {
        name: signal.function(now, before, **signal.parameters)[0]
        for name, signal in core.signals.items()
    }

    assert found["synchrony"].tolist() == [2, 2]
    assert found["dispersion"] == pytest.approx([0.5, 0.5])
    assert found["price"].tolist() == [0.9, 2.7]
    assert found["markup"] == pytest.approx([-0.1, 1.7])
    assert found["profit"] == pytest.approx(now["profits"][0])
    assert 0.9 < found["hhi"][0] <= 1
    for name, signal in core.signals.items():
        assert (found[name] >= signal.low).all()
        assert (found[name] <= signal.high).all()


def test_measures_at_the_anchors():
    core = make("calvano2020")
    active = np.ones((1, 2), bool)
    for name, delta in (("nash", 0), ("joint_monopoly", 1)):
        point = core.benchmarks()[name]
        history = {k: np.stack([v, v], axis=1) for k, v in point.record.items()}
        found = core.measures(history, active)

        assert found["delta"] == pytest.approx([delta], abs=1e-9)
        assert found["price"] == pytest.approx(point.actions[0])
        assert found["consumer_surplus"] == pytest.approx([point.consumer_surplus])
        assert found["welfare"] == pytest.approx([point.welfare])
