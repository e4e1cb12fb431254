from pathlib import Path

import numpy as np
import pytest
from lin_market import ACTIONS, WarnThenSanction, briefing, observations, play

import agents
from agents.catalogue import AGENTS, make
from agents.contract import AgentError, Reader
from agents.tremble import Trembling

README = (Path(agents.__file__).parent / "README.md").read_text()


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("graph", [None, WarnThenSanction()])
def test_every_agent_plays_a_feasible_run_with_its_defaults(name, graph):
    path = play([make(name, briefing(seat, graph)) for seat in (0, 1)], rounds=10, graph=graph)

    assert path.dtype == np.float64
    assert (path >= 0).all()
    assert (path.sum(axis=2) <= 100).all()


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_accepts_all_its_defaults_spelt_out(name):
    make(name, briefing(), **AGENTS[name].parameters)


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_has_a_name_a_sentence_and_a_line_in_the_readme(name):
    assert AGENTS[name].name == name
    assert AGENTS[name].description.endswith(".")
    assert f"`{name}`" in README


def test_the_innocents_are_those_that_never_collude():
    assert {name for name, entry in AGENTS.items() if entry.innocent} == {
        "nash",
        "best_reply",
        "random",
        "planner",
    }


def test_who_reads_text_hears_notices_and_nobody_else_does():
    made = {name: make(name, briefing()) for name in AGENTS}

    assert {name for name, agent in made.items() if isinstance(agent, Reader)} == {
        name for name, entry in AGENTS.items() if entry.reads_text
    }


LEARNS = {"q_learner", "ppo_learner", "reinforce_learner"}  # differently under a graph


@pytest.mark.parametrize("name", [name for name in AGENTS if name not in LEARNS])
def test_an_agent_that_does_not_read_the_graph_plays_alike_with_and_without_one(name):
    graph = WarnThenSanction()

    def run(published):
        agents = [make(name, briefing(seat, published)) for seat in (0, 1)]
        return play(agents, rounds=10, graph=published)

    assert (run(graph) != run(None)).any() == AGENTS[name].reads_graph


def test_a_parameter_reaches_the_agent():
    assert make("warn_cycler", briefing(), plan="competitive").act({}).tolist() == [100, 0]


def test_only_an_agent_asked_to_tremble_is_wrapped():
    assert not isinstance(make("nash", briefing(), tremble=0), Trembling)
    assert isinstance(make("nash", briefing(), tremble=0.1), Trembling)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("divider_grimm", {}, 'no agent "divider_grimm"\n.*Did you mean "divider_grim"'),
        ("nash", {"trembel": 0.1}, 'no parameter "trembel"\n.*Did you mean "tremble"'),
        ("nash", {"benchmark": "competitive"}, 'no parameter "benchmark"'),
        ("divider_grim", {"punishment_rounds": 3}, 'no parameter "punishment_rounds"'),
        ("nash", {"tremble": "0.1"}, "tremble='0.1' is not a number"),
        ("deterrable", {"horizon": 2.5}, "horizon=2.5 is not a whole number"),
        ("deterrable", {"plan": 3}, "plan=3 is not a text"),
        ("q_learner", {"memory": True}, "memory=True is not a whole number"),
    ],
)
def test_a_wrong_name_or_parameter_is_refused_with_what_would_be_right(name, parameters, message):
    with pytest.raises(AgentError, match=message):
        make(name, briefing(), **parameters)


def test_a_divider_in_a_market_with_one_good_is_told_what_is_missing_and_what_next():
    there = {name: ACTIONS[name] for name in ("nash", "joint_monopoly", "competitive")}

    with pytest.raises(AgentError) as error:
        make("divider_grim", briefing(benchmarks=there))

    assert str(error.value) == (
        'no benchmark "market_division" in this market\n'
        "  benchmarks here: competitive, joint_monopoly, nash. "
        'Name one of them, or play a market that has "market_division".'
    )


def test_standings_may_be_scalars_as_well_as_arrays_of_one():
    graph = WarnThenSanction()
    agent = make("warn_cycler", briefing(graph=graph))
    seen = observations(ACTIONS["nash"], np.array([1, 0]))[0]

    assert agent.act(seen).tolist() == agent.act(seen | {"standing": np.int64(1)}).tolist()
