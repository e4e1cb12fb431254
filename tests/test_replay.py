"""A stranger derives every decision again, and notices whatever was changed."""

import copy
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from environments import presets
from institutional.episode import Seat, Table
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph
from institutional.replay import replay

ROOT = Path(__file__).parents[1]
GRAPH = ROOT / "governance_graphs/cournot.yaml"


class Entry(NamedTuple):
    seq: int
    kind: str
    body: dict


@pytest.fixture(scope="module")
def entries():
    """A governed run of two stubborn dividers, as its ledger would hold it."""
    loaded = load_graph(GRAPH)
    core = presets.make(
        "lin2024", rounds=14, demand_shock={"sd": 2.0, "persistence": 0.5, "scope": "common"}
    )
    table = Table(core, loaded)
    opening = {
        "graph": loaded.canonical_digest,
        "environment": core.config(),
        "agents": list(core.agents),
        "thresholds": table.program.thresholds(),
    }
    kept = [Entry(0, "open", opening)]

    def journal(kind, body):
        read = json.loads(json.dumps(body))
        kept.append(Entry(len(kept), kind, read))
        return read

    table.play(
        table.seat([Seat("divider_stubborn", {"tremble": 0.01})] * 2), seed=3, journal=journal
    )
    return kept


def altered(entries, seq, *path, value):
    """The entries with one logged value replaced."""
    changed = copy.deepcopy(entries)
    place = changed[seq].body
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def test_an_untouched_record_replays_exactly(entries):
    found = replay(entries, GRAPH.read_bytes())

    assert found.word == "exact"
    assert found.rounds == 14
    assert found.decisions > 10


def test_a_wrong_fine_is_named_with_what_follows_from_the_evidence(entries):
    seq, index = next(
        (entry.seq, i)
        for entry in entries
        if entry.kind == "ruling"
        for i, move in enumerate(entry.body["moves"])
        if "fine" in move
    )
    found = replay(altered(entries, seq, "moves", index, "fine", value=1.0), GRAPH.read_bytes())

    assert found.word == "mismatch"
    assert found.difference.seq == seq
    assert found.difference.path == f"moves[{index}].fine"
    assert found.difference.recorded == 1.0


def test_a_decision_left_out_is_noticed(entries):
    seq = next(e.seq for e in entries if e.kind == "ruling" and e.body["moves"])

    found = replay(altered(entries, seq, "moves", value=[]), GRAPH.read_bytes())

    assert (found.word, found.difference.seq) == ("mismatch", seq)


def test_a_notice_rewritten_is_noticed(entries):
    seq = next(e.seq for e in entries if e.kind == "ruling" and e.body["notices"])

    found = replay(
        altered(entries, seq, "notices", "firm_1", value="All is well."), GRAPH.read_bytes()
    )

    assert found.difference.path == "notices.firm_1"


def test_a_suspension_that_was_not_enforced_is_noticed(entries):
    """The played quantities must be the submitted ones under the restrictions in force."""
    seq = next(
        e.seq
        for e in entries
        if e.kind == "round" and e.body["record"]["quantities"] == [[0, 0], [0, 0]]
    )
    found = replay(
        altered(entries, seq, "record", "quantities", 0, 0, value=60.0), GRAPH.read_bytes()
    )

    assert (found.difference.seq, found.difference.path) == (seq, "quantities")


@pytest.mark.parametrize("field", ["quantities", "profits"])
def test_every_logged_input_of_a_decision_matters(entries, field):
    """Perturbing what a ruling rests on changes something that is recorded."""
    value = [[31.0, 2.0], [5.0, 40.0]] if field == "quantities" else [1.0, 2.0]
    changed = altered(entries, 7, "record", field, value=value)

    assert replay(changed, GRAPH.read_bytes()).word == "mismatch"


@pytest.mark.parametrize("key", ["environment", "agents", "thresholds"])
def test_a_missing_input_is_no_verdict_but_an_error(entries, key):
    opening = {k: v for k, v in entries[0].body.items() if k != key}
    with pytest.raises(InstitutionalError, match="first entry"):
        replay([Entry(0, "open", opening), *entries[1:]], GRAPH.read_bytes())


def test_a_ruling_too_few_or_too_many_is_noticed(entries):
    assert replay(entries[:-1], GRAPH.read_bytes()).word == "mismatch"
    assert replay([*entries, entries[-1]], GRAPH.read_bytes()).word == "mismatch"


def test_another_graph_leads_to_other_decisions(entries):
    milder = GRAPH.read_bytes().replace(b"fine_first: {value: 0.35", b"fine_first: {value: 0.30")

    assert replay(entries, milder).word == "mismatch"
