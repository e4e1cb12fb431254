"""Institutions against learners: the plan, the controls, what is measured, and resuming."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from agents.q_learning.sessions import train
from environments import presets
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph
from institutional.learning.cells import Task, burden, play
from institutional.learning.conduct import CONDUCT, conduct
from institutional.learning.control import Burden, controlled
from institutional.learning.phase import thresholds
from institutional.learning.plan import Cell, load_plan
from institutional.learning.sessions import trace, train_governed, words_of
from institutional.learning.study import run_study
from institutional.learning.summary import verdict

ROOT = Path(__file__).parents[1]
SMALL = """\
format: institutional.learning/1
name: small
sessions: 6
learner: {beta: 1.0e-3, stable: 500, most_periods: 8000}
markets:
  logit: {preset: calvano2020, levels: 4}
  cournot: {preset: symmetric, parameters: {firms: 2}, levels: 3}
institutions:
  none: {}
  strict: {graph: bertrand.yaml}
controls: [lottery, tax, wrong_firm]
phase:
  market: logit
  graph: phase.graph.yaml
  sizes: [0.5, 16]
  chances: [0.1, 1.0]
  sessions: 5
  learner: {beta: 1.0e-3, stable: 500, most_periods: 8000}
"""


@pytest.fixture
def study(tmp_path):
    """The small study, to be changed and loaded."""
    shutil.copy(ROOT / "governance_graphs/bertrand.yaml", tmp_path)
    shutil.copy(ROOT / "governance_graphs/minimal.yaml", tmp_path)
    shutil.copy(ROOT / "runs/phase.graph.yaml", tmp_path)
    path = tmp_path / "small.yaml"

    def written(old="", new=""):
        assert old in SMALL
        path.write_text(SMALL.replace(old, new, 1) if old else SMALL)
        return path

    return written


def task_of(plan, institution):
    cell = Cell("logit", institution)
    return Task(cell.id, plan.markets["logit"], plan.governed(cell), plan.specification.learner, {})


def test_a_small_study_from_end_to_end(study, tmp_path):
    seen = []
    out = tmp_path / "out"
    found = run_study(load_plan(study()), out, progress=lambda done, of: seen.append((done, of)))

    cells = found.summary.select("market", "institution", "arm").rows()
    assert cells == [
        ("logit", "none", "institution"),
        ("logit", "strict", "institution"),
        ("logit", "strict", "lottery"),
        ("logit", "strict", "tax"),
        ("logit", "strict", "wrong_firm"),
        ("cournot", "none", "institution"),
    ]
    assert seen[-1] == (6 * 6 + 5 * 5, 6 * 6 + 5 * 5)
    assert found.skipped == [
        {
            "market": "cournot",
            "institution": "strict",
            "reason": "written for bertrand markets, this is a cournot market",
        }
    ]
    results = pl.read_parquet(out / "results.parquet")
    assert results.height == 36
    governed = results.filter(pl.col("arm") == "institution")
    assert set(governed["conduct"]) <= set(CONDUCT)
    assert found.summary["change"][0] == 0
    tier = dict(zip(found.summary["market"], found.summary["tier"], strict=True))
    assert tier["logit"] is None  # tiers are about quantities
    assert tier["cournot"] is not None
    assert (out / "phase.svg").read_text().count("rent of joint monopoly") == 1
    assert (out / "phase.png").read_bytes()[1:4] == b"PNG"
    assert pl.read_parquet(out / "phase.parquet")["expected"].to_list() == [0.05, 1.6, 0.5, 16]


def test_a_study_killed_in_the_middle_ends_like_one_that_was_not(study, tmp_path):
    path, whole, torn = study("sessions: 6", "sessions: 45"), tmp_path / "whole", tmp_path / "torn"
    command = [sys.executable, "-m", "institutional.cli.main", "learn", str(path), "--out"]
    killed = subprocess.Popen(
        [*command, str(torn)], cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(torn.glob("cells/*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    before = {file: file.stat().st_mtime_ns for file in torn.glob("cells/*.npz")}
    assert before
    assert not (torn / "results.parquet").exists()

    resumed, fresh = (run_study(load_plan(path), folder) for folder in (torn, whole))

    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert_frame_equal(resumed.results, fresh.results)
    assert_frame_equal(resumed.phase.table, fresh.phase.table)


def test_a_chunk_that_was_cut_short_is_named(study, tmp_path):
    task = task_of(load_plan(study()), "none")
    play(task, 2, tmp_path, threads=1)
    (chunk,) = tmp_path.glob("*.npz")
    chunk.write_bytes(chunk.read_bytes()[:100])

    with pytest.raises(InstitutionalError, match=r"npz: cannot be read .*\n  delete it"):
        play(task, 2, tmp_path, threads=1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sessions: 6", "session: 6", 'small.yaml:3:1: unknown key "session"'),
        ("beta: 1.0e-3", "beta: -1", "small.yaml:4:1: beta=-1"),
        ("graph: bertrand.yaml", "graph: nowhere.yaml", "nowhere.yaml: cannot be read"),
        ("preset: calvano2020", "preset: calvano", 'small.yaml:6:3: .*calvano"'),
        ("firms: 2", "firm: 2", "small.yaml:7:3: .*firm"),
        ("  none: {}\n", "", "small.yaml:8:1: 0 institutions have no graph"),
        ("levels: 4", "levels: 1", 'small.yaml:6:32: "levels" is 1'),
        ("levels: 4", "levels: 900", "small.yaml:6:3: .*joint actions"),
        ("market: logit", "market: logti", 'small.yaml:13:3: there is no market "logti"'),
        ("graph: phase.graph", "graph: bertrand", "small.yaml:14:3: .*no parameter fine"),
        ("market: logit", "market: cournot", "small.yaml:14:3: written for bertrand markets"),
        ("sizes: [0.5, 16]", "sizes: [16, 0.5]", "small.yaml:15:3: sizes ascend"),
        (
            "institutional.learning/1",
            "institutional.learning/2",
            "small.yaml:1:1: a learning study",
        ),
    ],
)
def test_a_mistake_is_one_message_with_its_line(study, old, new, message):
    with pytest.raises(InstitutionalError, match=message):
        load_plan(study(old, new))


def test_nobody_governs_like_no_institution_at_all(study):
    """The ungoverned cell goes through the governed engine: same actions, same learning."""
    plan = load_plan(study())
    task, learner = task_of(plan, "none"), plan.specification.learner.build()
    words = words_of(task.governed.program.agents, range(3))

    governed = train_governed(task.governed, learner, range(3))
    free = train(task.setting.game, learner, words)

    assert np.array_equal(governed.strategy, free.strategy)
    assert governed.fines_learning.sum() == 0


def test_the_lottery_fines_as_often_and_as_much_whatever_is_done(study):
    plan = load_plan(study())
    task, learner = task_of(plan, "strict"), plan.specification.learner.build()
    lottery = controlled("lottery", task.setting, task.governed, Burden(chance=0.25, fine=3.0))
    tax = controlled("tax", task.setting, task.governed, Burden(chance=0.25, fine=3.0))

    fines = trace(lottery, learner, 0, 4000).fines

    assert set(np.unique(fines)) == {0.0, 3.0}
    assert (fines > 0).mean() == pytest.approx(0.25, abs=0.02)  # 8000 draws: SD 0.005
    assert set(np.unique(trace(tax, learner, 0, 50).fines)) == {0.75}


def test_under_the_wrong_firm_each_pays_for_the_other(study):
    """Of two strategies that never change, the dear one is fined; misdirected, the cheap one is."""
    task = task_of(load_plan(study()), "strict")
    law = task.governed.law
    moved = controlled("wrong_firm", task.setting, task.governed, Burden(1, 1)).law

    assert np.array_equal(moved.alone, law.alone[:, ::-1])
    assert np.array_equal(moved.bases, law.bases[:, :, ::-1])
    assert (law.alone[:, 0] != law.alone[:, 1]).any()


def test_a_cells_burden_is_its_fines_per_firm_and_round(study, tmp_path):
    task = task_of(load_plan(study()), "strict")
    played = play(task, 3, tmp_path, threads=1)

    found = burden(task, played)

    rounds = played.periods.sum() * 2
    assert found.chance * found.fine * rounds == pytest.approx(played.fines_learning.sum())
    assert burden(task, played._replace(fines_learning=played.fines_learning * 0)) is None


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"suspended": 0.1}, "suspended"),
        ({"delta": 0.2, "fines": 1.0}, "competes"),
        ({"fines": 1.0, "evident": 1.0, "evident_one": 1.0}, "pays"),
        ({"evident": 1.0, "evident_one": 0.5}, "turns"),
        ({"evident": 1.0, "evident_one": 1.0}, "ignores"),
        ({"evident": 0.5, "evident_one": 0.5}, "pulses"),
        ({"cases": 0.01}, "pulses"),
        ({}, "parks"),
        ({"evident_ungoverned": 0.0}, "unseen"),
    ],
)
def test_conduct_has_a_name_that_follows_from_numbers(changed, name):
    row = {"suspended": 0, "delta": 0.8, "fines": 0, "evident": 0, "evident_one": 0, "cases": 0}

    assert conduct({**row, "evident_ungoverned": 1.0, **changed}) == name


@pytest.mark.parametrize(
    ("low", "high", "beyond", "fines", "word"),
    [
        (0.1, 0.2, None, 0, "raises"),
        (-0.3, -0.2, -0.1, 1, "deters"),
        (-0.3, -0.2, None, 0, "deters"),
        (-0.3, -0.2, 0.1, 1, "disturbs"),
        (-0.1, 0.1, 0.1, 1, "merely taxes"),
        (-0.1, 0.1, 0.1, 0, "no effect"),
        (None, None, None, 1, "too few sessions"),
    ],
)
def test_a_fine_deters_only_if_it_lowers_delta_more_than_the_same_by_lot(
    low, high, beyond, fines, word
):
    row = {"change_low": low, "change_high": high, "beyond_lottery_high": beyond, "fines": fines}

    assert verdict(row) == word


def test_the_threshold_lies_where_delta_has_half_fallen():
    """From 0.8 to 0 half is 0.4: between sizes 1 and 4 on a logarithmic scale that is 2."""
    table = pl.DataFrame(
        {
            "chance": [0.5, 0.5, 0.5, 0.1, 0.1, 0.1],
            "size": [1.0, 4.0, 16.0] * 2,
            "delta": [0.8, 0.0, 0.0, 0.8, 0.8, 0.7],
        }
    )

    assert thresholds(table, 0.8) == {0.5: pytest.approx(1.0)}


def test_the_shipped_study_plays_every_graph_that_fits():
    plan = load_plan(ROOT / "runs/learners.yaml")

    markets = {market.core.name for market in plan.markets.values()}
    graphs = [
        path.stem
        for path in (ROOT / "governance_graphs").glob("*.yaml")
        if load_graph(path).graph.environment in markets
    ]
    listed = {path.stem for path in map(Path, _graphs(plan))}
    assert listed == set(graphs)
    played = {(cell.market, cell.institution) for cell in plan.cells()}
    assert {name for market, name in played if market == "logit"} == {"none", "bertrand"}
    assert len({name for market, name in played if market == "lin2024"}) == len(graphs)
    assert plan.markets["logit"].core.config() == presets.make("calvano2020").config()


def _graphs(plan):
    return [one.graph for one in plan.specification.institutions.values() if one.graph]
