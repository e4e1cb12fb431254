"""One experiment, its model run by vLLM in this process and behind a vLLM server."""

import json
from pathlib import Path

import polars as pl

from institutional.experiments.run import run_experiment

GRAPH = Path(__file__).parents[3] / "governance_graphs/cournot.yaml"

SPECIFICATION = """\
format: institutional.experiment/1
name: tiny
environment: {{preset: lin2024, rounds: 2}}
regimes:
  ungoverned: {{}}
  institutional: {{graph: {graph}}}
models:
  reader: {model}
agents:
  language: {{model: reader, most_fallbacks: 1, reasks: 1}}
pairings:
  readers: [language, language]
seeds: 2
"""


def play(folder, model):
    """Run the experiment; returns what was played in each run, and the table of results."""
    folder.mkdir()
    specification = folder / "tiny.yaml"
    specification.write_text(SPECIFICATION.format(graph=GRAPH, model=json.dumps(model)))
    run_experiment(specification, folder / "out", jobs=1)
    return pl.read_parquet(folder / "out" / "results.parquet")


def test_an_experiment_comes_out_the_same_served_and_in_this_process(server, tiny, tmp_path):
    """The model knows nothing; whether its answers can be played is the schema's doing."""
    common = {"max_tokens": 4000, "in_flight": 12}
    in_process = play(
        tmp_path / "in_process",
        common
        | {"backend": "vllm", "model": str(tiny), "options": {"engine": {"dtype": "float32"}}},
    )
    served = play(
        tmp_path / "served", common | {"backend": "openai", "model": "tiny", "base_url": server}
    )

    assert in_process["valid"].all()
    assert in_process.height == 4
    assert in_process.equals(served)
