"""`Governed` is an ordinary PettingZoo wrapper, over our environments and over others'."""

from pathlib import Path

import numpy as np
import pytest
from pettingzoo import make
from pettingzoo.test import parallel_api_test, parallel_seed_test

from environments import presets
from environments.contract import Signal, UnplayableError
from environments.market import Market, Markets
from environments.published import Published
from institutional.errors import InstitutionalError
from institutional.governance.governed import Governed, compile_for
from institutional.governance.institution import Institution, account
from institutional.governance.loading import load_graph, parse_graph

ROOT = Path(__file__).parents[2]
GRAPHS = {path.stem: load_graph(path) for path in (ROOT / "governance_graphs").glob("*.yaml")}
FITTING = [
    (preset, name)
    for preset in presets.PRESETS
    for name, loaded in GRAPHS.items()
    if presets.make(preset).name == loaded.graph.environment
]


def governed(preset="lin2024", graph="cournot", **overrides):
    return Governed(Market(presets.make(preset, **overrides)), GRAPHS[graph])


def play(env, actions, rounds, seed=0):
    """The results of `rounds` rounds in which everybody repeats its action."""
    env.reset(seed=seed)
    return [env.step(dict(zip(env.possible_agents, actions, strict=True))) for _ in range(rounds)]


def test_every_preset_has_a_graph():
    assert {preset for preset, _ in FITTING} == set(presets.PRESETS)


@pytest.mark.parametrize(("preset", "graph"), FITTING)
def test_every_preset_under_every_graph_passes_pettingzoos_own_checks(preset, graph):
    parallel_api_test(governed(preset, graph), num_cycles=60)
    parallel_seed_test(lambda: governed(preset, graph), num_cycles=60)


def test_dividing_the_market_is_warned_in_the_third_round_and_fined_in_the_fourth():
    """Full division earns 1800; the first fine takes 35 % of it."""
    results = play(governed(), ([60.0, 0.0], [0.0, 60.0]), 4)
    rewards = [result[1]["firm_1"] for result in results]

    assert rewards == [1800, 1800, 1800, pytest.approx(1800 * 0.65)]
    assert "UNDER REVIEW" in results[2][4]["firm_1"]["notice"]
    assert "You are fined 630.00" in results[3][4]["firm_1"]["notice"]


def test_a_suspended_firm_sells_nothing_and_its_submitted_action_is_recorded():
    kept = []

    def journal(kind, body):
        kept.append((kind, body))
        return body

    env = Governed(Market(presets.make("lin2024")), GRAPHS["cournot"], journal)
    play(env, ([60.0, 0.0], [0.0, 60.0]), 14)
    rounds = [body for kind, body in kept if kind == "round"]
    idle = [r["round"] for r in rounds if r["record"]["quantities"] == [[0, 0], [0, 0]]]

    assert idle == [8, 9, 10, 11, 12]
    assert rounds[8]["record"]["quantities"] == [[0, 0], [0, 0]]
    assert rounds[8]["submitted"]["firm_1"] == [60, 0]


def test_observations_tell_everybody_their_standing_and_the_coming_restriction():
    results = play(governed(), ([60.0, 0.0], [0.0, 60.0]), 8)
    states = GRAPHS["cournot"].graph.states
    seen = results[-1][0]["firm_2"]

    assert list(states)[seen["standing"]] == "suspended"
    assert seen["suspended"] == 1
    assert seen["quantities"].tolist() == [[60, 0], [0, 60]]


def test_an_action_that_is_no_number_stops_before_anything_happens():
    env = governed()
    env.reset(seed=0)

    with pytest.raises(UnplayableError, match="firm_1"):
        env.step({"firm_1": [np.nan, 0.0], "firm_2": [1.0, 1.0]})

    assert env.institution.round == 0


@pytest.mark.parametrize(("preset", "graph"), [("lin2024", "cournot"), ("calvano2020", "bertrand")])
def test_the_wrapper_and_the_array_engine_decide_and_reward_alike(preset, graph):
    """Twenty markets at once and twenty PettingZoo environments, to the last bit."""
    core = presets.make(preset, rounds=30)
    program = compile_for(GRAPHS[graph], Market(core))
    markets, rng = 20, np.random.default_rng(0)
    points = core.benchmarks()
    low, high = points["nash"].actions, points["joint_monopoly"].actions
    share = np.clip(rng.normal(0.9, 0.3, size=(30, markets, 1, 1)), 0, 1)
    actions = low + share * (high - low)
    batch, institution = Markets(core, range(markets)), Institution(program, markets)
    together = []
    for joint in actions:
        allowed = core.restrict(joint, institution.suspended(), institution.cap())
        record = batch.step(allowed)
        ruling = institution.judge(record)
        net = core.profits(record) - ruling.decisions.fines
        together.append((net, [account(program, ruling, m) for m in range(markets)]))

    sanctions = 0
    for market in range(markets):
        kept = []
        env = Governed(
            Market(core), program, lambda kind, body, kept=kept: kept.append((kind, body)) or body
        )
        env.reset(seed=market)
        for (net, accounts), joint in zip(together, actions, strict=True):
            _, rewards, *_ = env.step(dict(zip(core.agents, joint[market], strict=True)))
            assert list(rewards.values()) == net[market].tolist()
            assert kept[-1] == ("ruling", accounts[market])
            sanctions += len(accounts[market]["moves"])
    assert sanctions > markets


def test_a_graph_of_another_environment_is_refused_with_the_signals_there_are():
    with pytest.raises(InstitutionalError, match="no signal"):
        governed("calvano2020", "cournot")


def test_an_environment_that_publishes_nothing_is_refused_with_the_way_out():
    with pytest.raises(InstitutionalError, match="Published"):
        Governed(make("parallel", "classic/rps_v2"), GRAPHS["cournot"])


REPETITION = (ROOT / "tests/golden/graphs/variety.yaml").read_bytes()


def repeated(now, before):
    same = (now["moves"] == before["moves"]).astype(float)
    return np.zeros_like(same) if now is before else same


def rock_paper_scissors(**kwargs):
    env = Published(
        make("parallel", "classic/rps_v2", max_cycles=20),
        record=lambda env, actions, rewards: {  # noqa: ARG005
            "moves": [int(actions[agent]) for agent in env.possible_agents]
        },
        signals={"repeated": Signal(repeated, "1", 0.0, 1.0, "the last move again")},
        **kwargs,
    )
    return Governed(env, parse_graph(REPETITION, "variety.yaml"))


def test_rock_paper_scissors_is_governed_from_the_outside():
    """Player 0 always plays rock; the third rock is fined 5."""
    env = rock_paper_scissors()
    env.reset(seed=1)
    fines = []
    for move in (1, 2, 0, 1):
        _, rewards, *_, infos = env.step({"player_0": 0, "player_1": move})
        fines.append((rewards["player_0"], "notice" in infos["player_0"]))

    assert fines == [(-1, False), (1, False), (0 - 5, True), (-1, True)]


def test_governed_rock_paper_scissors_passes_pettingzoos_own_checks():
    parallel_api_test(rock_paper_scissors(), num_cycles=30)
    parallel_seed_test(rock_paper_scissors, num_cycles=30)


def test_a_graph_that_suspends_needs_to_be_told_how():
    suspending = REPETITION.replace(
        b"meaning: fined for repeating", b"meaning: out, restriction: {suspended: true}"
    )
    env = Governed(rock_paper_scissors().env, parse_graph(suspending, "variety.yaml"))
    env.reset(seed=1)
    for move in (1, 2, 0):
        env.step({"player_0": 0, "player_1": move})

    with pytest.raises(UnplayableError, match="restrict="):
        env.step({"player_0": 0, "player_1": 1})
