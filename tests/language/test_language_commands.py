"""`run` and `fork` with models on the command line: exit codes, messages, and no secret in any."""

import json
import os
import subprocess
import sys

import pytest
from talking import GRAPH, ROOT

SPECIFICATION = """
format: institutional.experiment/1
name: talk
environment: {preset: lin2024, rounds: 5}
regimes: {ungoverned: {}}
models:
  one: {backend: scripted, model: climber}
pairings: {pair: [{agent: language, model: one}, {agent: language, model: one}]}
seeds: 2
"""


@pytest.fixture
def talk(tmp_path):
    path = tmp_path / "talk.yaml"
    path.write_text(SPECIFICATION)
    return path


def institutional(*arguments, home, **variables):
    return subprocess.run(
        [sys.executable, "-m", "institutional.cli.main", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "INSTITUTIONAL_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_experiment_is_run_forked_and_played_again(talk, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "talk"

    ran = institutional("run", talk, home=home)
    again = institutional("run", talk, "--cassettes", folder, "--out", tmp_path / "two", home=home)
    forked = institutional(
        *("fork", folder / "ungoverned-pair-0000", "--round", 2, "--graph", GRAPH),
        *("--out", tmp_path / "fork", "--json"),
        home=home,
    )

    assert (ran.returncode, again.returncode, forked.returncode) == (0, 0, 0), forked.stderr
    assert json.loads(forked.stdout)["findings"] == 0
    for name in ("ledger/log.wal", "rounds.parquet", "summary.json"):
        run = f"ungoverned-pair-0001/{name}"
        assert (tmp_path / "two" / run).read_bytes() == (folder / run).read_bytes()


def test_a_spent_budget_is_one_line_and_exit_1(talk, tmp_path):
    talk.write_text(f"{SPECIFICATION}budget: {{tokens: 9000}}\n")

    done = institutional("run", talk, home=tmp_path / "home")

    assert done.returncode == 1
    assert done.stderr.startswith("stopped: the budget is spent: ")
    assert "goes on where it stopped" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("{backend: scripted, model: clmber}", 'Did you mean "climber"'),
        ("{backend: openai, model: m, base_url: http://127.0.0.1:9/v1, key: THE_KEY}", "THE_KEY"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_message_and_exit_2(talk, tmp_path, model, says):
    talk.write_text(SPECIFICATION.replace("{backend: scripted, model: climber}", model))

    done = institutional("run", talk, home=tmp_path / "home")

    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("regime", [[], ["--ungoverned", "--graph", "g.yaml"]])
def test_a_fork_is_under_one_regime(tmp_path, regime):
    done = institutional("fork", "run", "--round", 2, "--out", "x", *regime, home=tmp_path)

    assert done.returncode == 2
    assert "give one of --graph, --constitution and --ungoverned" in done.stderr


def test_a_missing_key_is_said_before_anything_is_written(talk, tmp_path):
    served = '{backend: openai, model: m, base_url: "http://127.0.0.1:9/v1", key: NO_SUCH_KEY}'
    talk.write_text(SPECIFICATION.replace("{backend: scripted, model: climber}", served))
    done = institutional("run", talk, "--out", tmp_path / "out", home=tmp_path / "home")

    assert done.returncode == 2
    assert "NO_SUCH_KEY" in done.stderr
    assert not (tmp_path / "out").exists()
