"""One market as a PettingZoo environment, thousands as arrays, and that they are the same."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pettingzoo.test import parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.utils import parallel_to_aec

from environments.contract import UnplayableError
from environments.market import Market, Markets
from environments.presets import PRESETS, make, market
from environments.spaces import CapacityBox

SHOCKS = {"demand_shock": {"sd": 5, "persistence": 0.5}, "cost_shock": {"sd": 1}}
DIVISION = {"firm_1": [60.0, 0.0], "firm_2": [0.0, 60.0]}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_passes_pettingzoos_own_checks(preset, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(market(preset), num_cycles=120)
        parallel_seed_test(lambda: market(preset))
        seed_test(lambda: parallel_to_aec(market(preset)), num_cycles=60)
    assert "Passed" in capsys.readouterr().out


def test_a_market_with_shocks_passes_them_too():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(market("lin2024", **SHOCKS), num_cycles=60)
        parallel_seed_test(lambda: market("lin2024", **SHOCKS))


def test_full_division_pays_eighteen_hundred_each():
    env = market("lin2024")
    env.reset(seed=0)

    observations, rewards, terminations, truncations, infos = env.step(DIVISION)

    assert rewards == {"firm_1": 1800, "firm_2": 1800}
    assert observations["firm_1"]["prices"].tolist() == [70, 70]
    assert not any(terminations.values())
    assert not any(truncations.values())
    assert infos == {"firm_1": {}, "firm_2": {}}


def test_every_agent_sees_the_public_record_and_zeros_before_the_first_round():
    env = market("lin2024")
    before, _ = env.reset(seed=0)
    blank = env.public_record()
    after, *_ = env.step(DIVISION)

    assert all(not values.any() for values in before["firm_1"].values())
    assert blank == {"quantities": [[0, 0], [0, 0]], "prices": [0, 0], "profits": [0, 0]}
    assert env.observation_space("firm_1").contains(after["firm_1"])
    for seen in after.values():
        assert {name: values.tolist() for name, values in seen.items()} == env.public_record()
    assert json.loads(json.dumps(env.public_record())) == {
        "quantities": [[60, 0], [0, 60]],
        "prices": [70, 70],
        "profits": [1800, 1800],
    }


def test_no_agent_can_change_what_the_others_see():
    env = market("lin2024")
    env.reset(seed=0)
    observations, *_ = env.step(DIVISION)

    with pytest.raises(ValueError, match="read-only"):
        observations["firm_1"]["prices"][0] = 0
    observations["firm_1"].clear()
    assert observations["firm_2"]["prices"].tolist() == [70, 70]
    assert env.public_record()["prices"] == [70, 70]


def test_the_run_is_truncated_after_its_rounds_and_then_over():
    env = market("lin2024", rounds=2)
    env.reset(seed=0)
    env.step(DIVISION)
    *_, truncations, _ = env.step(DIVISION)

    assert truncations == {"firm_1": True, "firm_2": True}
    assert env.agents == []
    with pytest.raises(UnplayableError, match="call reset"):
        env.step(DIVISION)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"firm_1": [float("nan"), 0]}, "firm_1 offers nan of good 1"),
        ({"firm_2": [-1, 0]}, "firm_2 offers -1.0 of good 1"),
        ({"firm_2": [80, 90]}, r"firm_2 offers \[80.0, 90.0\], in all 170.0: .* at most 100.0"),
        ({"firm_1": [60]}, r"firm_1 plays \[60\]: give every agent a list or array of 2"),
        ({"firm_1": 60}, "firm_1 plays 60"),
        ({"firm_1": "all"}, "firm_1 plays 'all'"),
        ({"firm_1": None}, "firm_1 plays None"),
        ({"firm_1": [[60, 0]]}, "firm_1 plays"),
        ({"firm_3": [60, 0]}, "firm_3 is not in this market: act for firm_1, firm_2"),
    ],
)
def test_an_invalid_action_is_refused_and_no_round_passes(changes, said):
    env = market("lin2024", rounds=1)
    env.reset(seed=0)

    with pytest.raises(UnplayableError, match=said):
        env.step(DIVISION | changes)
    assert env.step(DIVISION)[1] == {"firm_1": 1800, "firm_2": 1800}


def test_a_missing_action_is_refused():
    env = market("lin2024")
    env.reset(seed=0)

    with pytest.raises(UnplayableError, match="firm_2 has no action"):
        env.step({"firm_1": [60, 0]})


def test_restrictions_apply_to_named_actions_and_hide_no_invalid_one():
    env = market("lin2024")
    env.reset(seed=0)
    suspended, cap = np.array([True, False]), np.array([1.0, 0.3])

    allowed = env.restrict(DIVISION, suspended, cap)

    assert {agent: action.tolist() for agent, action in allowed.items()} == {
        "firm_1": [0, 0],
        "firm_2": [0, 30],
    }
    with pytest.raises(UnplayableError, match="firm_1 offers -1"):
        env.restrict(DIVISION | {"firm_1": [-1, 0]}, suspended, cap)


def test_reset_with_a_seed_repeats_a_run_and_without_one_goes_on():
    env = market("lin2024", **SHOCKS)
    prices = []
    for seed in (3, None, 3, None):
        env.reset(seed=seed)
        prices.append(env.step(DIVISION)[0]["firm_1"]["prices"].tolist())

    assert prices[0] == prices[2] != prices[1] == prices[3]


def test_samples_respect_the_capacity_and_so_does_membership():
    space = market("lin2024").action_space("firm_1")
    space.seed(0)
    samples = np.array([space.sample() for _ in range(2000)])

    assert samples.sum(axis=1).max() <= 100
    assert samples.mean(axis=0) == pytest.approx(100 / 3, abs=2)
    assert space.contains(np.array([60.0, 40.0]))
    assert not space.contains(np.array([80.0, 90.0]))
    assert not space.contains(np.array([-1.0, 0.0]))
    assert space == CapacityBox(100.0, 2)
    assert space != CapacityBox(90.0, 2)
    assert repr(space) == "CapacityBox(100.0, 2)"
    with pytest.raises(ValueError, match="no mask"):
        space.sample(mask=1)


def test_a_batch_refuses_the_wrong_number_of_markets_seeds_and_rounds():
    core = make("lin2024", rounds=1)
    markets = Markets(core, [1, 2])
    with pytest.raises(UnplayableError, match="there are no seeds"):
        Markets(core, [])
    with pytest.raises(UnplayableError, match="for 3 markets: give them for 2"):
        markets.step(np.zeros((3, 2, 2)))
    with pytest.raises(UnplayableError, match="in market 1"):
        markets.step(np.array([[[1, 1], [1, 1]], [[1, 1], [1, -1]]]))
    markets.step(np.zeros((2, 2, 2)))
    with pytest.raises(UnplayableError, match="all 1 rounds have been played"):
        markets.step(np.zeros((2, 2, 2)))
    markets.reset()
    assert markets.step(np.ones((2, 2, 2), dtype=int))["prices"].tolist() == [[99, 99]] * 2


@settings(max_examples=40, deadline=None)
@given(
    firms=st.integers(1, 10),
    goods=st.integers(1, 4),
    scopes=st.tuples(*[st.sampled_from([None, "common", "private"])] * 2),
    seeds=st.lists(st.integers(0, 2**63), min_size=1, max_size=6),
)
def test_one_market_and_a_batch_of_markets_agree_to_the_bit(firms, goods, scopes, seeds):
    demand, cost = scopes
    quantity_market = make(
        "symmetric",
        firms=firms,
        goods=goods,
        rounds=4,
        demand_shock=demand and {"sd": 9, "persistence": 0.4, "scope": demand},
        cost_shock=cost and {"sd": 3, "persistence": 0.4, "scope": cost},
    )
    for core in (quantity_market, make("calvano2020", firms=firms, rounds=4)):
        assert_views_agree(core, seeds)


def assert_views_agree(core, seeds):
    rng = np.random.default_rng(seeds[0])
    share = 1 / core.high.shape[1]
    plays = rng.random((4, len(seeds), *core.high.shape)) * core.high * share
    markets = Markets(core, seeds)
    together = [markets.step(play) for play in plays]

    for m, seed in enumerate(seeds):
        env = Market(core)
        env.reset(seed=seed)
        for play, batch in zip(plays, together, strict=True):
            seen, rewards, *_ = env.step(dict(zip(core.agents, play[m], strict=True)))
            for name, values in seen[core.agents[0]].items():
                assert values.tobytes() == batch[name][m].tobytes(), name
            assert list(rewards.values()) == core.profits(batch)[m].tolist()
