"""The compiled engine and the ordinary path: the same sessions, decisions and rewards."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from test_explore_random import made_up

from agents.q_learning.game import from_briefing
from agents.q_learning.schedule import EpsilonGreedy, Learner
from environments import presets
from institutional.episode import Seat, Table
from institutional.governance.loading import load_graph, parse_graph
from institutional.learning.sessions import trace
from institutional.learning.tables import tabulate

GRAPHS = sorted((Path(__file__).parents[1] / "governance_graphs").glob("*.yaml"))
ROUNDS = 120
MARKETS = {
    "cournot": ("lin2024", 3, {}),
    "bertrand": ("calvano2020", 5, {}),
    "tampering": ("tampering", 3, {"policies": 2, "audited": None}),
}
"""Of each environment a market without shocks, and how finely its actions are gridded."""


def both(core, loaded, *, seed, levels=4, memory=1, beta=0.02):
    """A session by the compiled engine, and the same run through PettingZoo and `Governed`."""
    table = Table(core, loaded)
    learner = Learner(memory=memory, exploration=EpsilonGreedy(beta))
    governed = tabulate(table.program, core, from_briefing(table.briefing(0), levels=levels))
    fast = trace(governed, learner, seed, core.rounds)
    seat = Seat("q_learner", {"levels": levels, "memory": memory, "beta": beta})
    agents = table.seat([seat] * len(core.agents))
    return governed, fast, agents, table.play(agents, seed=seed)


def assert_same(governed, fast, agents, outcome):
    """Every round: what was submitted, played, decided and earned; at the end, what was learnt."""
    program = governed.program
    assert outcome.invalid is None
    edges = [move.id for move in program.moves]
    for index, ruling in enumerate(outcome.rulings):
        played = {
            name: values[fast.play[index]].tolist() for name, values in governed.records.items()
        }
        assert outcome.records[index]["record"] == played, index
        made = {m["agent"]: m["edge"] for m in ruling["moves"]}
        fined = {m["agent"]: m["fine"] for m in ruling["moves"] if "fine" in m}
        for seat, agent in enumerate(program.agents):
            move = fast.moves[index, seat]
            assert made.get(agent) == (None if move < 0 else edges[move]), (index, agent)
            assert fined.get(agent, 0.0) == fast.fines[index, seat]
            standing = ruling["standings"][seat]
            assert standing["state"] == program.states[fast.states[index, seat]]
    assert np.array_equal(outcome.rewards, fast.rewards)
    for seat, agent in enumerate(agents.values()):
        assert np.array_equal(agent.values, fast.session.values[seat])


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
@pytest.mark.parametrize("memory", [0, 1, 2])
def test_every_shipped_graph_decides_alike_in_both_engines(path, memory):
    loaded = load_graph(path)
    market, levels, changes = MARKETS[loaded.graph.environment]
    core = presets.make(market, rounds=ROUNDS, **changes)
    assert_same(*both(core, loaded, seed=memory, levels=levels, memory=memory))


def test_the_shipped_graphs_are_not_idle_in_these_runs():
    """Otherwise the comparison above would prove little: moves, fines and suspensions happen."""
    _, fast, _, outcome = both(
        presets.make("lin2024", rounds=400),
        load_graph(GRAPHS[2].with_name("suspension.yaml")),
        seed=3,
        levels=2,
    )
    assert (fast.moves >= 0).sum() > 10
    assert (fast.play >= 16).any()  # not among the grid's own 4 x 4: somebody was suspended
    assert sum(len(ruling["moves"]) for ruling in outcome.rulings) == (fast.moves >= 0).sum()


def random_core(rng):
    match rng.choice(["lin2024", "symmetric", "waltman_kaymak2008", "calvano2020"]):
        case "lin2024":
            return presets.make("lin2024", rounds=ROUNDS), 2
        case "symmetric":
            firms, goods = rng.choice([(2, 1), (3, 1), (2, 2)])
            return presets.make("symmetric", firms=firms, goods=goods, rounds=ROUNDS), 4 - goods
        case "waltman_kaymak2008":
            return presets.make("waltman_kaymak2008", rounds=ROUNDS), rng.choice([2, 4])
        case _:
            firms = rng.choice([2, 3])
            return presets.make("calvano2020", firms=firms, rounds=ROUNDS), 5 - firms


def random_graph(rng, core):
    """A made-up graph of the model checker's tests, its evidence over this market's signals."""
    graph = json.loads(made_up(rng.randrange(10**6)).document.raw)
    graph["environment"] = core.name
    span = core.high * np.array([[[rng.uniform(0, 0.6)] for _ in core.agents] for _ in range(40)])
    span /= 1 if core.capacity is None else core.low.shape[1]
    records = core.settle(span, np.zeros((40, 0)))
    later = {name: values[::-1] for name, values in records.items()}
    for entry in graph["evidence"].values():
        name = rng.choice(sorted(core.signals))
        values = core.signals[name].function(records, later)
        when = {"signal": name}
        when[rng.choice(["above", "at_least", "below", "at_most"])] = float(
            rng.choice(values.ravel())
        )
        if rng.random() < 0.6:
            of = rng.choice([2, 3, 5, 30, 64])
            when["for"] = {"at_least": rng.randint(1, min(of, 6)), "of": of}
        entry["when"] = when
    for edge in graph["edges"]:
        if not graph["restoration"].get("credits"):
            edge["sanction"].pop("credits", 0)  # without a cap balances are not looked up
        if "fine" in edge["sanction"]:
            edge["sanction"]["fine"]["of"] = rng.choice(["profit", "price", "synchrony"])
            edge["sanction"]["fine"]["floor"] = rng.choice([0, 0.5])
    for state in graph["states"].values():
        if rng.random() < 0.3:
            state["restriction"] = rng.choice([{"suspended": True}, {"cap": rng.uniform(0.1, 0.9)}])
    if rng.random() < 0.4:
        graph["detection"]["audit_share"] = rng.uniform(0.1, 0.9)
    return parse_graph(json.dumps(graph).encode(), "random.yaml")


@pytest.mark.parametrize("number", range(60))
def test_random_graphs_over_random_markets_decide_alike_in_both_engines(number):
    rng = random.Random(number)  # noqa: S311 - graphs are made up, not secrets
    core, levels = random_core(rng)
    loaded = random_graph(rng, core)
    assert_same(*both(core, loaded, seed=number, levels=levels, memory=number % 3))
