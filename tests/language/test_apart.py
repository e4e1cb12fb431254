"""Conversations split over processes: the same bytes, one story of what was spent, one error."""

from pathlib import Path

import pytest

from institutional.errors import InstitutionalError
from institutional.experiments.apart import RUNS_EACH, parts
from institutional.experiments.conversing import Answering
from institutional.experiments.plan import load_plan
from institutional.experiments.run import run_experiment

SPECIFICATION = """
format: institutional.experiment/1
name: split
environment: {preset: lin2024, rounds: 1}
regimes: {ungoverned: {}}
pairings: {pair: [language, language]}
agents: {language: {model: clever}}
models: {clever: MODEL}
seeds: SEEDS
"""
RULE = "{backend: scripted, model: climber}"


def written(folder: Path, *, seeds: int, model: str = RULE, more: str = "") -> Path:
    text = SPECIFICATION.replace("MODEL", model).replace("SEEDS", str(seeds))
    path = folder / "split.yaml"
    path.write_text(text + more)
    return path


def told(path: Path, jobs: int) -> int:
    answering = Answering(plan := load_plan(path), path.parent / "out", None)
    return parts(answering, plan.runs(), jobs)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_who_plays_a_run_changes_no_byte_of_it(tmp_path):
    """Two firms, one round: two calls a run."""
    path = written(tmp_path, seeds=2 * RUNS_EACH)
    seen = []
    for jobs in (1, 2):
        run_experiment(path, tmp_path / str(jobs), jobs=jobs, report_progress=seen.append)

    assert told(path, jobs=2) == 2
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    assert (seen[-1].done, seen[-1].spent.calls) == (2 * RUNS_EACH, 4 * RUNS_EACH)


def test_what_stops_one_process_stops_the_command_in_one_message(tmp_path):
    nobody = '{backend: openai, model: m, base_url: "http://127.0.0.1:9", timeout_s: 1}'
    quick = "retries: {most: 1, first_s: 0.001, longest_s: 0.001}\n"
    path = written(tmp_path, seeds=2 * RUNS_EACH, model=nobody, more=quick)

    with pytest.raises(InstitutionalError, match="the same command goes on where it stopped"):
        run_experiment(path, tmp_path / "out", jobs=2)
    assert not (tmp_path / "out" / "results.parquet").exists()


def test_few_runs_and_a_budget_are_kept_by_one_process(tmp_path):
    assert told(written(tmp_path, seeds=2 * RUNS_EACH - 1), jobs=8) == 1
    assert told(written(tmp_path, seeds=4 * RUNS_EACH), jobs=8) == 4
    rich = written(tmp_path, seeds=4 * RUNS_EACH, more="budget: {tokens: 1000000}\n")
    assert told(rich, jobs=8) == 1
