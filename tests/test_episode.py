"""Whole runs: what the institution does to each kind of agent in Lin's market without shocks."""

from pathlib import Path

import numpy as np
import pytest

from environments import presets
from institutional.episode import Seat, Table, enforcement, measured
from institutional.governance.loading import load_graph

ROOT = Path(__file__).parents[1]
CORE = presets.make("lin2024")
UNGOVERNED = Table(CORE, None)
INSTITUTIONAL = Table(CORE, load_graph(ROOT / "governance_graphs/cournot.yaml"))


def played(table, *names, seed=1, **parameters):
    outcome = table.play(table.seat([Seat(name, parameters) for name in names]), seed=seed)
    assert outcome.invalid is None
    return measured(table, outcome), enforcement(table, outcome)


def test_an_ungoverned_division_is_the_cartel():
    """Facts 1c: 60/0 at price 70, profit gain 1, consumer surplus 1800."""
    found, counted = played(UNGOVERNED, "divider_grim", "divider_grim")

    assert (found["tier"], found["price"], found["delta"]) == (4, 70, 1)
    assert found["consumer_surplus"] == pytest.approx(1800)
    assert set(counted.values()) == {None}


@pytest.mark.parametrize("name", ["divider_grim", "divider_forgiving"])
def test_the_institution_brings_dividers_down_and_consumers_up(name):
    free, _ = played(UNGOVERNED, name, name)
    ruled, counted = played(INSTITUTIONAL, name, name)

    assert ruled["tier"] < free["tier"]
    assert ruled["delta"] < free["delta"]
    assert ruled["consumer_surplus"] > free["consumer_surplus"]
    assert counted["fines"] > 0


def test_an_agent_that_weighs_the_published_sanctions_never_needs_one():
    found, counted = played(INSTITUTIONAL, "deterrable", "deterrable")

    assert found["tier"] == 0
    assert counted["cases"] == 0


def test_suspending_agents_that_do_not_listen_costs_consumers_more_than_the_cartel():
    """A suspended market sells nothing: enforcement without a response is harm."""
    free, _ = played(UNGOVERNED, "divider_stubborn", "divider_stubborn")
    ruled, counted = played(INSTITUTIONAL, "divider_stubborn", "divider_stubborn")

    assert counted["suspensions"] > 0
    assert ruled["consumer_surplus"] < free["consumer_surplus"]


def test_the_institution_never_sanctions_static_nash_players():
    _, counted = played(INSTITUTIONAL, "nash", "nash")

    assert counted["cases"] == 0


def test_the_institution_wrongly_sanctions_efficient_specialisation():
    """Facts 2, construct check 1: the planner's 100/0 looks like division."""
    found, counted = played(INSTITUTIONAL, "planner", "planner")

    assert counted["fines"] > 0
    assert found["tier_active"] == 4


def test_the_parker_stays_inside_the_published_thresholds():
    found, counted = played(INSTITUTIONAL, "threshold_parker", "threshold_parker")

    assert counted["cases"] == 0
    assert found["delta"] > 0.5


def test_the_warn_cycler_is_warned_and_never_fined():
    _, counted = played(INSTITUTIONAL, "warn_cycler", "warn_cycler")

    assert counted["warnings"] > 0
    assert counted["fines"] == 0


@pytest.mark.parametrize("table", [UNGOVERNED, INSTITUTIONAL])
def test_the_same_seed_gives_the_same_run(table):
    seats = [Seat("random"), Seat("divider_forgiving", {"tremble": 0.05})]
    first, second = (table.play(table.seat(seats), seed=7) for _ in range(2))

    assert first.records == second.records
    assert first.rulings == second.rulings
    assert np.array_equal(first.rewards, second.rewards)


def test_the_same_seed_gives_the_same_shocks_under_every_regime():
    core = presets.make("lin2024", demand_shock={"sd": 3.0, "persistence": 0.5, "scope": "common"})
    loaded = load_graph(ROOT / "governance_graphs/cournot.yaml")
    free, ruled = (
        table.play(table.seat([Seat("nash"), Seat("nash")]), seed=5)
        for table in (Table(core, None), Table(core, loaded))
    )

    assert [r["record"]["prices"] for r in free.records] == [
        r["record"]["prices"] for r in ruled.records
    ]


class _Faulty:
    """An agent that answers with no number in round 3."""

    def __init__(self):
        self.round = 0

    def reset(self, seed):
        pass

    def act(self, observation):  # noqa: ARG002
        self.round += 1
        return np.array([np.nan, 0.0]) if self.round == 4 else np.array([40.0, 20.0])


def test_a_run_with_an_unplayable_action_is_invalid_and_says_why():
    outcome = UNGOVERNED.play({name: _Faulty() for name in CORE.agents}, seed=0)

    assert outcome.invalid.startswith("round 3: firm_1")
    assert len(outcome.records) == 3
