"""Policies that learn from preferences found in real markets, governed or not."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from agents.alignment.methods import method
from agents.policies.level_saving import load, save
from agents.policies.preferences import Effort
from environments import presets
from institutional.cli.main import app
from institutional.episode import Seat, Table
from institutional.errors import InstitutionalError
from institutional.experiments.plan import load_plan
from institutional.experiments.run import run_experiment
from institutional.governance.loading import load_graph
from institutional.practice.field import Field, TriedInPlay
from institutional.practice.train import home, measured, taught

GRAPH = Path(__file__).parents[1] / "governance_graphs/cournot.yaml"
CORE = presets.make("lin2024", rounds=20)
DIVISION = np.array([[60.0, 0.0], [0.0, 60.0]])
MIRRORED = np.array([[6, 0], [0, 6]])  # the same in levels of ten
SHORT = Effort(iterations=8, steps=25, rate=0.02)


def practice(groups, *, others="nash", graph=None, hold=1):
    loaded = None if graph is None else load_graph(graph)
    rows = CORE.benchmarks()[others].actions
    return TriedInPlay(
        Table(CORE, loaded), groups=groups, others=rows, levels=11, hold=hold, markets=2, seed=0
    )


def test_a_field_earns_and_fines_what_a_governed_run_does():
    table = Table(CORE, load_graph(GRAPH))
    run = table.play(table.seat([Seat("divider_stubborn")] * 2), seed=3)
    field, net = Field.fresh(table, [3]), []
    while field.left:
        field, profits = field.played(DIVISION[np.newaxis])
        net.append((profits - field.fines)[0])

    assert (np.array(net) == run.rewards).all()
    assert (run.rewards < 1800).any()


def test_a_copy_of_a_field_is_played_apart_and_goes_on_as_the_field_would():
    shock = {"sd": 5.0, "persistence": 0.5}
    table = Table(presets.make("lin2024", rounds=20, demand_shock=shock), load_graph(GRAPH))
    field = Field.fresh(table, [0, 1])
    draws = np.random.default_rng(0)
    for _ in range(5):
        field, _ = field.played(draws.uniform(0, 50, (2, 2, 2)))
    copies = field.picked([1, 1, 0])
    for _ in range(6):
        joint = draws.uniform(0, 50, (2, 2, 2))
        copies, there = copies.played(joint[[1, 1, 0]])
        field, here = field.played(joint)

        assert (there == here[[1, 1, 0]]).all()
        assert (there[0] != there[2]).any()
        assert (copies.fines == field.fines[[1, 1, 0]]).all()
        assert (copies.shown().statuses == field.shown().statuses[[1, 1, 0]]).all()


def test_answers_are_tried_beside_the_first_answers_of_the_others_and_nothing_has_happened():
    """Against 60 of its own good, firm 1's 60/20 earns 2000 and 60/0 earns 1800; Nash 1444.4."""
    field = practice(((0,), (1,)))
    before = field.seen()
    tokens = np.array([[[[6, 0]], [[6, 2]]], [[[0, 6]], [[2, 6]]]] * 2)

    tried = field.tried(tokens)

    nash = 1444 + 4 / 9
    assert tried.earned == pytest.approx(np.array([[1800, 2000]] * 4) / nash, rel=1e-6)
    assert tried.by_agent.shape == (2, 4, 2)
    assert tried.by_agent[1, 0] == pytest.approx([1800 / nash, 1200 / nash], rel=1e-6)
    assert (field.seen() == before).all()


def test_a_cartel_answers_as_one_and_shares():
    tried = practice(((0, 1),)).tried(np.array([[MIRRORED, [[6, 2], [0, 6]]]] * 2))

    assert tried.earned[0] * (1444 + 4 / 9) == pytest.approx([1800, 1600], rel=1e-6)


def test_who_does_not_learn_keeps_to_a_benchmark():
    alone = practice(((0,),), others="market_division")

    tried = alone.tried(np.array([[[[6, 0]], [[6, 2]]]] * 2))

    assert tried.earned[0] * (1444 + 4 / 9) == pytest.approx([1800, 2000], rel=1e-6)


def test_a_division_that_is_kept_long_enough_is_tried_with_its_fines():
    """In ten rounds a warning and fines; in one round nothing has happened yet."""
    tokens = np.array([[MIRRORED, [[5, 3], [3, 5]]]] * 2)
    short, long = (practice(((0, 1),), graph=GRAPH, hold=h).tried(tokens).earned for h in (1, 10))

    assert short[0, 0] > short[0, 1]
    assert long[0, 0] < short[0, 0]


def test_after_the_last_round_a_new_run_begins():
    field = practice(((0, 1),), hold=8)
    first = field.seen()
    seen = []
    for _ in range(3):  # 8, 8 and the last 4 rounds
        field.play(np.array([MIRRORED] * 2))
        seen.append((field.seen() == first).all())

    assert seen == [False, False, True]


@pytest.mark.parametrize("name", ["dpo", "ipo", "kto", "simpo", "rloo"])
def test_methods_of_every_family_come_near_a_best_reply_to_themselves(name):
    """From about 580 money a round to within 3 % of what a best reply would earn."""
    found = taught(CORE, None, method(name), effort=SHORT, seed=1)

    assert (found.before.profits < 800).all()
    assert (found.after.profits > 1200).all()
    assert (found.after.profits / found.after.replies > 0.97).all()


def test_one_agent_finds_the_best_reply_to_a_division():
    found = taught(
        CORE, None, method("dpo"), seats="firm_1", others="market_division", effort=SHORT, seed=0
    )

    assert found.after.actions[0].tolist() == [60, 20]
    assert found.after.profits.tolist() == [found.after.replies[0], 1200]


@pytest.fixture(scope="module")
def cartels():
    effort = Effort(iterations=15, steps=30, rate=0.02)
    return {
        graph: taught(
            CORE,
            graph and load_graph(graph),
            method("simpo"),
            seats="cartel",
            effort=effort,
            seed=0,
        )
        for graph in (None, GRAPH)
    }


def test_a_cartel_divides_the_market_ungoverned_and_not_under_fines(cartels):
    """Under fines it stays where the institution sees nothing, and above Nash all the same."""
    free, governed = cartels[None].after, cartels[GRAPH].after

    assert np.ptp(free.actions, axis=1) == pytest.approx([60, 60], abs=10)
    assert (np.ptp(governed.actions, axis=1) < np.ptp(free.actions, axis=1)).all()
    assert governed.fines == pytest.approx([0, 0], abs=10)
    assert (governed.profits > 1444).all()
    assert (governed.profits < free.profits).all()


def test_equal_seeds_write_equal_bytes(tmp_path):
    quick = Effort(iterations=2, steps=5)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        save(tmp_path / name, taught(CORE, None, method("ipo"), effort=quick, seed=seed).habit)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")

    assert a == b != c


def test_a_file_says_where_it_was_trained_and_earns_there_what_was_measured(cartels, tmp_path):
    taught_ = cartels[GRAPH]
    save(tmp_path / "p.npz", taught_.habit)
    habit = load(tmp_path / "p.npz")

    again = measured(home(habit), habit)

    assert all((a == b).all() for a, b in zip(again, taught_.after, strict=True))


SPECIFICATION = """
format: institutional.experiment/1
name: trained
environment: {{preset: lin2024, rounds: 20}}
regimes:
  ungoverned: {{}}
  institutional: {{graph: {graph}}}
pairings:
  taught: [{seat}, {seat}]
seeds: 1
"""


def test_a_policy_is_run_under_regimes_and_its_file_is_part_of_the_plan(cartels, tmp_path):
    save(tmp_path / "p.npz", cartels[None].habit)
    seat = f"{{agent: preference_policy, file: {tmp_path / 'p.npz'}}}"
    path = tmp_path / "trained.yaml"
    path.write_text(SPECIFICATION.format(graph=GRAPH, seat=seat))
    before = load_plan(path).digest
    run_experiment(path, tmp_path / "out", jobs=1)

    runs = pl.read_parquet(tmp_path / "out/results.parquet").sort("regime")
    assert runs["regime"].to_list() == ["institutional", "ungoverned"]
    assert runs["valid"].all()
    assert runs["audit_code"].is_in([0, 3]).all()
    assert runs["replay"].to_list() == ["exact", "not-applicable"]
    save(tmp_path / "p.npz", cartels[GRAPH].habit)
    assert load_plan(path).digest != before


def command(*arguments):
    return CliRunner().invoke(app, ["agent", *arguments], catch_exceptions=False).output


def test_training_and_showing_say_the_same(tmp_path):
    file = str(tmp_path / "p.npz")
    trained = json.loads(
        command(
            *["train", "policy", "--environment", "lin2024", "--graph", str(GRAPH), "--quick"],
            *["--out", file, "--json"],
        )
    )
    shown = json.loads(command("show", file, "--json"))

    assert trained["after"] == shown["earns"]
    assert (shown["method"], shown["seats"], shown["hold"]) == ("dpo", "each", 10)
    assert {each["status"] for each in shown["situations"]} == {
        "clear",
        "under_review",
        "penalised",
        "rehabilitated",
    }
    assert "firm_2  joint_monopoly" in command("show", file)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seats", "firm_3"], 'no seats "firm_3"'),
        (["--others", "nahs"], 'Did you mean "nash"'),
        (["--graph", str(GRAPH.with_name("bertrand.yaml"))], "written for bertrand"),
        (["--out", "/nowhere/p.npz", "--quick"], "cannot be written"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(arguments, says):
    with pytest.raises(InstitutionalError, match=says):
        command("train", "policy", "--environment", "lin2024", *arguments)
