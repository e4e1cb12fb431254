"""Experiments run, resume and extend; a killed one ends like one that never stopped."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agents.catalogue import AGENTS, Entry
from agents.policies.saving import Policy, Sight, save
from institutional.errors import InstitutionalError
from institutional.experiments.compare import compare
from institutional.experiments.plan import load_plan
from institutional.experiments.report.page import write_report
from institutional.experiments.run import Progress, execute, run_experiment
from institutional.experiments.sealing import declare
from institutional.governance.loading import load_graph
from institutional.ledger import keys, reading
from institutional.ledger.auditing.audit import audit
from institutional.ledger.manifest import read_manifest
from institutional.replay.rulings import replay

ROOT = Path(__file__).parents[2]

SPECIFICATION = f"""
format: institutional.experiment/1
name: small
environment:
  preset: lin2024
  rounds: 12
  demand_shock: {{sd: 2.0, persistence: 0.5, scope: common}}
regimes:
  ungoverned: {{}}
  constitutional: {{constitution: Decide alone.}}
  institutional: {{graph: {ROOT}/governance_graphs/cournot.yaml}}
pairings:
  stubborn: [divider_stubborn, {{agent: divider_forgiving, tremble: 0.05}}]
  nash: [nash, nash]
seeds: 2
commit_every: 3
"""


@pytest.fixture
def specification(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SPECIFICATION)
    return path


def contents(folder):
    """Every file's digest, by its path in the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "quarantine" not in path.parts
    }


def test_the_grid_is_every_regime_pairing_and_seed_that_can_exist(specification):
    plan = load_plan(specification)

    assert len(plan.runs()) == 2 * 2 * 2
    assert plan.skipped() == [
        {
            "regime": "constitutional",
            "pairing": pairing,
            "reason": "no agent of this pairing reads text",
        }
        for pairing in ("stubborn", "nash")
    ]


def test_the_plan_is_the_same_whatever_the_jobs_and_seeds_and_another_otherwise(specification):
    before = load_plan(specification).digest
    digests = []
    for old, new in (("seeds: 2", "seeds: 5\njobs: 1"), ("rounds: 12", "rounds: 13")):
        specification.write_text(SPECIFICATION.replace(old, new))
        digests.append(load_plan(specification).digest)

    assert digests[0] == before
    assert digests[1] != before


def test_one_process_and_two_write_the_same_bytes(specification, tmp_path):
    run_experiment(specification, tmp_path / "one", jobs=1)
    run_experiment(specification, tmp_path / "two", jobs=2)

    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_same_command_again_runs_nothing_and_changes_nothing(specification, tmp_path):
    run_experiment(specification, tmp_path / "out", jobs=1)
    before, seen = contents(tmp_path / "out"), []

    run_experiment(specification, tmp_path / "out", jobs=1, report_progress=seen.append)

    assert seen == [Progress(before=8, done=0, total=8)]
    assert contents(tmp_path / "out") == before


def test_more_seeds_extend_an_experiment(specification, tmp_path):
    run_experiment(specification, tmp_path / "out", jobs=1)
    specification.write_text(SPECIFICATION.replace("seeds: 2", "seeds: 3"))

    run_experiment(specification, tmp_path / "out", jobs=1)

    assert len(pl.read_parquet(tmp_path / "out/results.parquet")) == 12


def test_every_run_is_audited_and_every_governed_one_replayed(specification, tmp_path):
    run_experiment(specification, tmp_path / "out", jobs=1)
    results = pl.read_parquet(tmp_path / "out/results.parquet")

    assert results["valid"].all()
    assert set(results["audit_word"]) == {"UNANCHORED"}
    assert results.group_by("regime").agg(pl.col("replay").unique()).sort("regime").rows() == [
        ("institutional", ["exact"]),
        ("ungoverned", ["not-applicable"]),
    ]


def test_a_game_in_which_nothing_is_sold_runs_replays_and_is_reported(tmp_path):
    """Four policies under the institution against tampering: no price anywhere, and no fault."""
    path = tmp_path / "tampering.yaml"
    path.write_text(f"""
format: institutional.experiment/1
name: tampering
environment: {{preset: tampering, rounds: 15}}
regimes:
  ungoverned: {{}}
  institutional: {{graph: {ROOT}/governance_graphs/tampering.yaml}}
pairings:
  one: [price_fixer, planner, planner, planner]
seeds: 2
comparison: {{measures: [spread, delta, welfare]}}
""")
    run_experiment(path, tmp_path / "out", jobs=1)
    results = pl.read_parquet(tmp_path / "out/results.parquet")
    governed = results.filter(regime="institutional")
    table = pl.read_parquet(tmp_path / "out/institutional-one-0000/rounds.parquet")

    assert results["valid"].all()
    assert set(governed["replay"]) == {"exact"}
    assert governed["spread"].max() < results.filter(regime="ungoverned")["spread"].min()
    assert "price" not in table.columns
    assert ">spread<" in write_report(tmp_path / "out").read_text()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.999])
def test_a_ledger_cut_at_any_byte_is_continued_to_the_same_bytes(specification, tmp_path, share):
    plan = load_plan(specification)
    run = next(run for run in plan.runs() if run.regime == "institutional")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        play(specification, folder, run)
    ledger = cut / run.id / "ledger"
    data = (ledger / "log.wal").read_bytes()
    (ledger / "log.wal").write_bytes(data[: int(len(data) * share)])
    (ledger / "checkpoint").unlink()
    (cut / run.id / "summary.json").unlink()

    play(specification, cut, run)

    assert contents(cut) == contents(whole)


def test_an_experiment_killed_in_the_middle_ends_like_one_that_was_not(tmp_path):
    specification = tmp_path / "small.yaml"
    specification.write_text(SPECIFICATION.replace("seeds: 2", "seeds: 8"))
    run_experiment(specification, tmp_path / "whole", jobs=1)
    killed = tmp_path / "killed"
    program = (
        "from pathlib import Path\nfrom institutional.experiments.run import run_experiment\n"
        f"run_experiment(Path({str(specification)!r}), Path({str(killed)!r}), jobs=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ))
    deadline = time.monotonic() + 60
    while not list(killed.glob("*/summary.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list(killed.glob("*/summary.json"))) < 32

    run_experiment(specification, killed, jobs=1)

    assert contents(killed) == contents(tmp_path / "whole")


def test_a_folder_that_was_claimed_by_half_is_taken_up_and_no_file_of_others_is(
    specification, tmp_path
):
    """A kill before experiment.json is written must not make the folder useless."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "skipped.json.part").write_text("[")
    for name, text in (("notes.txt", "mine"), ("experiment.yaml", "another: one")):
        (out / name).write_text(text)
        with pytest.raises(InstitutionalError, match="not empty, and no experiment's folder"):
            run_experiment(specification, out, jobs=1)
        assert (out / name).read_text() == text
        (out / name).unlink()
    (out / "experiment.yaml").write_text(SPECIFICATION)

    run_experiment(specification, out, jobs=1)

    assert (out / "results.parquet").is_file()
    assert not (out / "skipped.json.part").exists()


def test_a_summary_of_another_run_cannot_hide_a_missing_one(specification, tmp_path):
    """An experiment's folder is this plan's or it is refused."""
    run_experiment(specification, tmp_path / "out", jobs=1)
    specification.write_text(SPECIFICATION.replace("commit_every: 3", "commit_every: 4"))

    with pytest.raises(InstitutionalError, match="belongs to another experiment"):
        run_experiment(specification, tmp_path / "out", jobs=1)


def play(specification, folder, run):
    """What a process of the pool is told to do, here."""
    seal = declare(load_plan(specification), run, folder / run.id, keys.operator_key())
    execute(specification, folder, run, seal)


def test_an_edited_ledger_is_not_continued(specification, tmp_path):
    plan = load_plan(specification)
    run = plan.runs()[0]
    play(specification, tmp_path, run)
    path = tmp_path / run.id / "ledger/log.wal"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    (tmp_path / run.id / "summary.json").unlink()

    with pytest.raises(InstitutionalError):
        play(specification, tmp_path, run)

    assert path.read_bytes() == bytes(data)


def test_the_table_of_rounds_holds_what_the_ledger_says(specification, tmp_path):
    plan = load_plan(specification)
    run = plan.runs()[0]
    play(specification, tmp_path, run)
    entries = reading.read_entries(tmp_path / run.id / "ledger")
    prices = [np.mean(e.body["record"]["prices"]) for e in entries if e.kind == "round"]

    assert pl.read_parquet(tmp_path / run.id / "rounds.parquet")["price"].to_list() == (
        pytest.approx(prices)
    )


class Faulty:
    """An agent that offers no number in the third round."""

    def __init__(self, briefing):
        self._offer = briefing.benchmarks["nash"][briefing.seat]

    def reset(self, seed):  # noqa: ARG002 - it always fails in the same round
        self._round = 0

    def act(self, observation):  # noqa: ARG002
        self._round += 1
        return self._offer * np.nan if self._round == 3 else self._offer


def test_a_run_with_an_invalid_action_is_listed_and_kept_out_of_comparisons(
    specification, tmp_path, monkeypatch
):
    entry = Entry(name="faulty", factory=Faulty, description="Fails in round 2.")
    monkeypatch.setitem(AGENTS, "faulty", entry)
    specification.write_text(SPECIFICATION.replace("nash: [nash, nash]", "bad: [nash, faulty]"))

    run_experiment(specification, tmp_path / "out", jobs=1)
    results = pl.read_parquet(tmp_path / "out/results.parquet")
    invalid = results.filter(~pl.col("valid"))
    comparison = compare(results, measures=["tier"], seed=0)

    assert set(invalid["pairing"]) == {"bad"}
    assert all(reason.startswith("round 2: firm_2 offers nan") for reason in invalid["reason"])
    assert invalid["tier"].null_count() == 4
    assert {left.run_id for left in comparison.invalid} == set(invalid["run_id"])
    assert {effect.pairing for effect in comparison.effects if effect.n} == {"stubborn"}


@pytest.mark.parametrize("run", sorted((ROOT / "runs/example").glob("*/summary.json")), ids=str)
def test_the_shipped_example_verifies_and_replays(run):
    folder, key = run.parent, (ROOT / "runs/keys/example.pub").read_text()
    graph = folder / "graph.yaml"

    verdict = audit(folder, key)
    derived = replay(
        reading.read_entries(folder / "ledger"), graph.read_bytes() if graph.is_file() else None
    )

    assert verdict.word.name == "UNANCHORED"
    assert derived.word == ("exact" if graph.is_file() else "not-applicable")


def test_results_that_cannot_be_gathered_are_one_message(specification, tmp_path):
    run_experiment(specification, tmp_path / "out", jobs=1)
    table = tmp_path / "out" / "results.parquet"
    table.unlink()
    table.with_name("results.parquet.part").mkdir()

    with pytest.raises(InstitutionalError, match="cannot be gathered"):
        run_experiment(specification, tmp_path / "out", jobs=1)


def test_the_weights_that_a_network_plays_are_part_of_the_plan_and_of_the_manifest(tmp_path):
    """One weight more: another plan, and a folder that belongs to the first one is refused."""
    graph = ROOT / "governance_graphs/cournot.yaml"
    states = len(load_graph(graph).graph.states)
    sight = Sight(agents=2, actions=2, states=states, memory=8, hidden=4)
    weights = sight.untrained(0)
    save(tmp_path / "net.npz", Policy(sight, weights))
    path = tmp_path / "networks.yaml"
    path.write_text(f"""
format: institutional.experiment/1
name: networks
environment: {{preset: lin2024, rounds: 3}}
regimes: {{governed: {{graph: {graph}}}}}
pairings:
  network: [{{agent: network, file: {tmp_path}/net.npz}}, nash]
seeds: 1
""")
    plan = run_experiment(path, tmp_path / "out", jobs=1)
    digest = hashlib.sha256((tmp_path / "net.npz").read_bytes()).hexdigest()
    _, declared = read_manifest(tmp_path / "out/governed-network-0000/manifest.dsse.json")
    assert declared.subjects["seat-0-file"] == digest
    assert declared.plan == plan.digest

    weights["actor_2_bias"] = weights["actor_2_bias"] + 0.125
    save(tmp_path / "net.npz", Policy(sight, weights))
    with pytest.raises(InstitutionalError, match="belongs to another experiment"):
        run_experiment(path, tmp_path / "out", jobs=1)
