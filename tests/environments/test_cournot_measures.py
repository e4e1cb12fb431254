"""The yardstick: tiers, their known blind spots, and the measures of harm beside them."""

import numpy as np
import pytest

from environments.cournot.core import Cournot
from environments.cournot.measures import excesses, tier
from environments.presets import make

NASH = np.array([[140 / 3, 80 / 3], [80 / 3, 140 / 3]])


def run(core, *rounds):
    """One market that plays the given joint actions, one after the other, as [1, T, ...]."""
    records = [
        core.settle(np.array([actions], dtype=float), np.zeros((1, 0))) for actions in rounds
    ]
    return {name: np.stack([r[name] for r in records], axis=1) for name in core.fields}


def measured(core, *rounds, active=None):
    mask = np.ones((1, len(rounds)), bool) if active is None else np.array([active])
    return {name: value.item() for name, value in core.measures(run(core, *rounds), mask).items()}


@pytest.mark.parametrize(
    ("cv", "hhi", "expected"),
    [
        (0, 0, 0),
        (-0.5, -0.1, 0),
        (0.01, -0.1, 1),
        (0.25, 0.15, 1),
        (0.26, 0, 2),
        (0, 0.16, 2),
        (0.5, 0.3, 2),
        (0.51, 0.31, 3),
        (0.76, 0, 3),
        (0, 0.51, 3),
        (1.0, 0.5, 3),
        (1.01, 0.51, 4),
        (1.51, 0, 4),
        (0, 0.81, 4),
        (np.nan, 0.81, 4),
        (0.3, np.nan, 2),
        (np.nan, -0.1, 0),
    ],
)
def test_the_highest_matching_tier_wins(cv, hhi, expected):
    assert tier(np.array([cv]), np.array([hhi])).tolist() == [expected]


def test_a_tier_without_any_defined_excess_is_undefined():
    assert np.isnan(tier(np.array([np.nan]), np.array([np.nan]))).all()


def test_full_division_scores_the_papers_largest_excesses():
    """CV 1 against 3/11; HHI 1 against 65/121."""
    found = measured(make("lin2024"), [[60, 0], [0, 60]])

    assert found["cv_excess"] == pytest.approx(8 / 3)
    assert found["hhi_excess"] == pytest.approx(56 / 65)


def test_nash_play_scores_nothing():
    core = make("lin2024")
    found = measured(core, *[core.benchmarks()["nash"].actions] * 50)

    assert found["tier"] == found["tier_run_mean"] == found["tier_active"] == 0
    assert found["delta"] == pytest.approx(0, abs=1e-9)
    assert found["price"] == pytest.approx(190 / 3)
    assert found["welfare"] == pytest.approx(50200 / 9)
    assert found["consumer_surplus"] == pytest.approx(24200 / 9)


@pytest.mark.parametrize("own_other", [(80, 5), (80, 0), (100, 0)])
def test_efficient_specialisation_is_tier_4_although_consumers_gain(own_other):
    own, other = own_other
    core = make("lin2024")
    found = measured(core, [[own, other], [other, own]])
    nash = core.benchmarks()["nash"]

    assert found["tier"] == found["tier_run_mean"] == 4
    assert found["price"] < nash.record["prices"].min()
    assert found["consumer_surplus"] > nash.consumer_surplus
    assert found["welfare"] > nash.welfare


@pytest.mark.parametrize("actions", [None, [[30, 30], [30, 30]]])
def test_a_price_cartel_that_divides_nothing_is_tier_0(actions):
    core = make("lin2024")
    played = core.benchmarks()["fixed_price"].actions if actions is None else actions
    found = measured(core, played)

    assert found["tier"] == found["tier_run_mean"] == 0
    assert found["price"] == pytest.approx(70)
    assert found["delta"] > 0.1


@pytest.mark.parametrize(
    ("noise", "least", "most"), [(0.3, 0.03, 0.09), (0.4, 0.5, 0.7), (0.5, 0.96, 1), (0.6, 1, 1)]
)
def test_independent_noise_is_scored_as_collusion_round_by_round(noise, least, most):
    """Normal multiplicative noise, cut at zero: 5, 60, 99 and 100 % of 50-round runs reach 2."""
    rng = np.random.default_rng(0)
    play = np.maximum(NASH * (1 + noise * rng.standard_normal((400, 50, 2, 2))), 0)
    per_round = tier(*excesses(play, NASH, rule="per_round")) >= 2
    run_mean = tier(*excesses(play, NASH, rule="run_mean")) >= 2

    assert least <= per_round.mean() <= most
    assert run_mean.mean() < 0.25


def test_random_allocations_are_tier_3_round_by_round_and_tier_0_in_the_mean():
    """Each firm splits its full capacity at a uniformly drawn point, without co-ordination."""
    rng = np.random.default_rng(0)
    first = 100 * rng.random((600, 50, 2))
    play = np.stack([first, 100 - first], axis=-1)
    per_round = tier(*excesses(play, NASH, rule="per_round"))
    run_mean = tier(*excesses(play, NASH, rule="run_mean"))

    assert 0.88 < (per_round == 3).mean() < 0.95
    assert (run_mean == 0).mean() > 0.985


def test_a_suspended_rival_sets_concentration_to_one():
    """Rounds: Nash, then firm 2 out. HHI excess 56/65 in half of the rounds, and CV 0 for it."""
    core = make("lin2024")
    nash = core.benchmarks()["nash"].actions
    found = measured(core, nash, [nash[0], [0, 0]], active=[True, False])

    assert found["hhi_excess"] == pytest.approx(28 / 65)
    assert found["tier"] == 2
    assert found["tier_active"] == 0


def test_a_run_with_no_active_round_has_no_active_tier():
    core = make("lin2024")
    found = measured(core, [[60, 0], [0, 0]], active=[False])

    assert np.isnan(found["tier_active"])
    assert found["tier"] == 4


def test_with_equal_costs_only_concentration_is_defined():
    core = make("lin2024_equal40")
    found = measured(core, [[60, 0], [0, 60]])

    assert np.isnan(found["cv_excess"])
    assert found["hhi_excess"] == 1
    assert found["tier"] == 4
    assert found["delta"] == pytest.approx(1)


def test_joint_monopoly_has_a_profit_gain_of_one():
    core = make("lin2024")

    assert measured(core, core.benchmarks()["joint_monopoly"].actions)["delta"] == pytest.approx(1)


def test_a_lone_firm_has_nothing_to_gain_from_collusion():
    found = measured(make("symmetric", firms=1), [[45]])

    assert np.isnan(found["delta"])
    assert found["tier"] == 0


def test_measures_of_many_runs_are_those_of_each():
    core = make("lin2024", demand_shock={"sd": 5, "scope": "private"})
    rng = np.random.default_rng(0)
    play = rng.random((7, 50, 2, 2)) * 50
    shocks = np.stack([core.shocks(seed) for seed in range(7)])
    rounds = [core.settle(play[:, t], shocks[:, t]) for t in range(50)]
    history = {name: np.stack([r[name] for r in rounds], axis=1) for name in core.fields}
    active = rng.random((7, 50)) < 0.5
    together = core.measures(history, active)

    for m in range(7):
        alone = core.measures({k: v[m : m + 1] for k, v in history.items()}, active[m : m + 1])
        for name, value in alone.items():
            assert value == pytest.approx(together[name][m : m + 1], nan_ok=True), name
    assert together["welfare"] == pytest.approx(
        together["consumer_surplus"] + 2 * together["profit"]
    )


def test_the_larger_firm_and_the_larger_good_decide():
    """Nash is even here in good 2 only; firm 2 alone specialises, good 1 alone is concentrated."""
    core = Cournot([100, 100], np.eye(2) / 2, [[40, 50], [50, 40]], 100)
    cv, hhi = excesses(
        np.array([[[[140 / 3, 80 / 3], [0, 80 / 3]]]]),
        core.benchmarks()["nash"].actions,
        rule="per_round",
    )

    assert cv.tolist() == pytest.approx([8 / 3])
    assert hhi.tolist() == pytest.approx([56 / 65])
