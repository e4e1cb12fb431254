"""Whole runs against a server that fails in every way at a tenth: nothing of it shows in them."""

from pathlib import Path

import polars as pl
from fault_server import EVERY_TENTH, FaultServer, move, running

from institutional.cassette.reading import read_cassette
from institutional.experiments.run import run_experiment

MARKETS = 500
ROUNDS = 2
RETRIES = 30

SPECIFICATION = f"""
format: institutional.experiment/1
name: faulty
environment: {{preset: lin2024, rounds: {ROUNDS}}}
regimes: {{ungoverned: {{}}}}
pairings:
  pair: [language, language]
agents:
  language: {{model: served, reasks: 20, most_fallbacks: 0}}
models:
  served: {{backend: openai, model: m, base_url: "URL", timeout_s: 0.3, in_flight: 128}}
retries: {{most: {RETRIES}, first_s: 0.001, longest_s: 0.02}}
seeds: {MARKETS}
"""


def played(folder: Path, server: FaultServer):
    """The experiment's folder after its runs against `server`."""
    folder.mkdir()
    specification = folder / "faulty.yaml"
    with running(server):
        specification.write_text(SPECIFICATION.replace("URL", server.url))
        run_experiment(specification, folder / "out")
    return folder / "out"


def test_five_hundred_markets_end_as_without_faults_and_nothing_is_lost_or_asked_twice(tmp_path):
    """Two firms, two rounds: 2,000 moves."""
    sound = FaultServer(answers=move)
    faulty = FaultServer(EVERY_TENTH, answers=move, retry_after="0.01")
    smooth, rough = played(tmp_path / "sound", sound), played(tmp_path / "faulty", faulty)

    results = pl.read_parquet(rough / "results.parquet")
    assert results.height == MARKETS
    assert results["valid"].all()
    runs = sorted(path.name for path in rough.iterdir() if path.is_dir())
    for run in runs:
        rounds = (rough / run / "rounds.parquet").read_bytes()
        assert rounds == (smooth / run / "rounds.parquet").read_bytes(), run

    # Every request is its own by its seed. A busy machine may let an answer come too late.
    exchanges = sum(len(read_cassette(rough / run).exchanges) for run in runs)
    assert len(sound.asked) == MARKETS * ROUNDS * 2
    assert exchanges == len(faulty.asked) == len(faulty.answered) > len(sound.asked)
    assert all(faulty.failed[kind] for kind in EVERY_TENTH)
    assert max((faulty.asked - faulty.refused).values()) <= 1 + RETRIES
