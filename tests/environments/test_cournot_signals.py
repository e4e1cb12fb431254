"""Signals of the quantity market, by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.cournot.signals import SIGNALS
from environments.presets import make


def record(*quantities, prices=None, profits=None):
    """One market: a list of each firm's quantities per good."""
    q = np.array([quantities], dtype=float)
    return {
        "quantities": q,
        "prices": np.zeros((1, q.shape[2])) if prices is None else np.array([prices], dtype=float),
        "profits": np.zeros(q.shape[:2]) if profits is None else np.array([profits], dtype=float),
    }


def signal(name, now, before=None, **parameters):
    return SIGNALS[name].function(now, now if before is None else before, **parameters)[0].tolist()


def test_two_firms_that_raise_a_good_together_count_each_other():
    """Good 1 rises by 10 % and 20 %; firm 3 falls alone; firm 4 moves by too little."""
    before = record([100, 5], [50, 5], [100, 5], [100, 5])
    now = record([110, 5], [60, 5], [80, 5], [105, 5])

    assert signal("synchrony", now, before) == [2, 2, 1, 0]
    assert signal("synchrony", now, before, min_change=0.05) == [3, 3, 1, 3]
    assert signal("synchrony", now, before, min_change=0.15) == [0, 1, 1, 0]


def test_opposite_moves_are_not_synchronous():
    assert signal("synchrony", record([60, 40], [40, 60]), record([50, 50], [50, 50])) == [1, 1]


def test_any_move_from_zero_counts_and_standing_at_zero_does_not():
    assert signal("synchrony", record([1], [0], [1]), record([0], [0], [0])) == [2, 0, 2]


def test_in_the_first_round_nobody_has_moved():
    assert signal("synchrony", record([60, 0], [0, 60])) == [0, 0]


def test_dispersion_is_the_least_over_goods():
    """Good 1: 40 and 20, deviation 10 of mean 30. Good 2: 60 and 0, as dispersed as can be."""
    assert signal("dispersion", record([40, 60], [20, 0])) == pytest.approx([1 / 3] * 2)


def test_goods_that_nobody_sells_are_as_dispersed_as_can_be():
    assert signal("dispersion", record([0, 0], [0, 0], [0, 0])) == [math.sqrt(2)] * 3
    assert signal("dispersion", record([0, 30], [0, 30])) == [0, 0]


def test_hhi_is_the_most_over_goods_and_zero_without_sales():
    assert signal("hhi", record([30, 60], [30, 0])) == [1, 1]
    assert signal("hhi", record([30, 0], [10, 0])) == [0.625, 0.625]
    assert signal("hhi", record([0, 0], [0, 0])) == [0, 0]


def test_specialisation_is_each_firms_own_variation():
    """80 and 40: deviation 20 of mean 60. Nothing at all: 0."""
    assert signal("specialisation", record([80, 40], [60, 0], [0, 0])) == pytest.approx(
        [1 / 3, 1, 0]
    )


def test_money_output_and_price_are_read_off_the_record():
    now = record([1, 2], [3, 4], prices=[10, 30], profits=[5, -6])
    before = record([1, 2], [3, 4], prices=[10, 6])

    assert signal("profit", now) == [5, -6]
    assert signal("output", now) == [3, 7]
    assert signal("price", now) == [20, 20]
    assert signal("price_gain", now, before) == [1.5, 1.5]
    assert signal("price_gain", before, record([1, 2], [3, 4])) == [0, 0]


def test_the_nash_values_of_the_headline_market():
    """Within-firm variation 3/11 and concentration (7^2 + 4^2) / 11^2."""
    nash = make("lin2024").benchmarks()["nash"].record

    assert signal("specialisation", nash) == pytest.approx([3 / 11] * 2)
    assert signal("hhi", nash) == pytest.approx([65 / 121] * 2)


@settings(max_examples=50, deadline=None)
@given(
    firms=st.integers(1, 6),
    goods=st.integers(1, 4),
    shock=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_signal_stays_within_its_bounds_and_does_not_depend_on_the_batch(
    firms, goods, shock, seed
):
    shocks = {"demand_shock": {"sd": 5}} if shock else {}
    core = make("symmetric", firms=firms, goods=goods, **shocks)
    rng = np.random.default_rng(seed)
    sparse = rng.integers(0, 2, (2, 9, firms, goods))
    actions = rng.random((2, 9, firms, goods)) * sparse * core.capacity / goods
    shocks = np.stack([core.shocks(s)[:2] for s in range(9)], axis=1)
    before, now = (core.settle(actions[r], shocks[r]) for r in (0, 1))
    for name, known in core.signals.items():
        values = known.function(now, before, **known.parameters)
        assert values.shape == (9, firms), name
        assert (values >= known.low - 1e-9).all(), name
        assert (values <= known.high + 1e-9).all(), name
        for m in range(9):
            alone = [{k: v[m : m + 1] for k, v in r.items()} for r in (now, before)]
            single = known.function(*alone, **known.parameters)
            assert single.tobytes() == values[m : m + 1].tobytes(), name


def test_every_signal_says_what_it_is():
    for name, known in SIGNALS.items():
        assert known.meaning, name
        assert known.unit, name
        assert known.low < known.high, name
