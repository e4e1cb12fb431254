"""Batches of governed sessions, and one of them as an ordinary, replayable run."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from agents.q_learning.game import from_briefing
from agents.q_learning.schedule import EpsilonGreedy, Learner
from agents.q_learning.sessions import train
from environments import presets
from institutional.episode import Seat, Table
from institutional.errors import InstitutionalError
from institutional.experiments.run import run_experiment
from institutional.governance.loading import load_graph
from institutional.learning.expand import expand, seat_of
from institutional.learning.sessions import WATCHED, trace, train_governed, words_of
from institutional.learning.tables import tabulate
from institutional.ledger.reading import read_entries

ROOT = Path(__file__).parents[1]
QUICK = Learner(exploration=EpsilonGreedy(0.01), stable=500)


def governed(graph="cournot", levels=2, **overrides):
    core = presets.make("lin2024", **overrides)
    table = Table(core, load_graph(ROOT / f"governance_graphs/{graph}.yaml"))
    return tabulate(table.program, core, from_briefing(table.briefing(0), levels=levels))


def test_a_batch_says_what_each_session_came_to():
    """Profits follow from the plays that were visited; a trace of the session ends in the same."""
    market = governed()
    batch = train_governed(market, QUICK, range(6), threads=2)

    assert batch.converged.all()
    assert (batch.visits.sum(axis=1) == WATCHED).all()
    for index, seed in enumerate(batch.seeds):
        told = trace(market, QUICK, seed, 10**6)
        assert len(told.play) == batch.periods[index]
        assert np.array_equal(told.session.greedy, batch.strategy[index])
        assert told.fines.sum(axis=0) == pytest.approx(batch.fines_learning[index])
        counts = [(told.moves == m).sum(axis=0) for m in range(len(market.program.moves))]
        assert np.array_equal(np.array(counts).T, batch.moves_learning[index])
    again = train_governed(market, QUICK, range(6), threads=1)
    for field in dataclasses.fields(batch):
        if isinstance(getattr(batch, field.name), np.ndarray):
            assert np.array_equal(getattr(batch, field.name), getattr(again, field.name))


def test_an_ungoverned_batch_plays_the_runs_of_its_seeds_too():
    """200 rounds of an ordinary run and of the batch session with the run's seeds."""
    table = Table(presets.make("lin2024", rounds=200), None)
    agents = table.seat([Seat("q_learner", {"levels": 2, "beta": 0.01})] * 2)
    table.play(agents, seed=5)
    game = from_briefing(table.briefing(0), levels=2)
    learner = Learner(exploration=EpsilonGreedy(0.01), most_periods=200)

    batch = train(game, learner, words_of(table.core.agents, [5]), keep_values=True)

    for seat, agent in enumerate(agents.values()):
        assert np.array_equal(agent.values, batch.values[0, seat])


def test_a_market_with_shocks_is_refused():
    with pytest.raises(InstitutionalError, match="no finite table"):
        governed(demand_shock={"sd": 1.0})


def test_a_grid_too_fine_for_the_tables_is_refused():
    with pytest.raises(InstitutionalError, match="Choose fewer levels"):
        governed("notices_only", levels=9)


def test_a_session_expands_into_a_run_that_is_recorded_audited_and_replayed(tmp_path):
    market, rounds, seed = governed(), 60, 4
    told = trace(market, QUICK, seed, rounds)
    specification = expand(
        seat_of(QUICK, levels=2),
        name="expanded",
        environment={"preset": "lin2024"},
        graph=str(ROOT / "governance_graphs/cournot.yaml"),
        agents=2,
        seeds=[seed],
        rounds=rounds,
    )
    path = tmp_path / "expanded.yaml"
    path.write_text(json.dumps(specification))

    run_experiment(path, tmp_path / "out", jobs=1)

    (run,) = (tmp_path / "out").glob("institutional-*")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["audit_word"] == "UNANCHORED"
    assert summary["replay"] == "exact"
    bodies = [entry.body for entry in read_entries(run / "ledger") if entry.kind == "round"]
    recorded = np.array([body["record"]["quantities"] for body in bodies])
    assert np.array_equal(recorded, market.records["quantities"][told.play])
