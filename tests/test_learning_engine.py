"""The compiled engine and the ordinary path: the same sessions, decisions and rewards."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_explore_random import made_up

from agents.q_learning.game import from_briefing
from agents.q_learning.schedule import EpsilonGreedy, Learner
from environments import presets
from institutional.episode import Seat, Table
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph, parse_graph
from institutional.learning.sessions import trace
from institutional.learning.tables import tabulate

GRAPHS = sorted((Path(__file__).parents[1] / "governance_graphs").glob("*.yaml"))
ROUNDS = 120


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
    market = "calvano2020" if loaded.graph.environment == "bertrand" else "lin2024"
    core = presets.make(market, rounds=ROUNDS)
    levels = 3 if market == "lin2024" else 5
    assert_same(*both(core, loaded, seed=memory, levels=levels, memory=memory))
