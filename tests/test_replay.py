"""A stranger derives every decision again, and notices whatever was changed."""

import subprocess
import sys
from pathlib import Path

import pytest
from signed_run import CARTEL, Entry, play, stubborn

from environments import presets
from institutional.episode import Seat, Table, lottery, measured
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph
from institutional.replay.rulings import replay
from institutional.scoring import net_rewards

ROOT = Path(__file__).parents[1]
GRAPHS = ROOT / "governance_graphs"


@pytest.fixture(scope="module")
def run():
    """Two stubborn dividers: warned in round 2, fined from 3 on, suspended from round 9."""
    return stubborn()


def replayed(played, graph=None):
    return replay(played.entries, played.graph if graph is None else graph)


def first(played, kind, key):
    """The first entry of `kind` that has something under `key`."""
    return next(entry for entry in played.bodies(kind) if entry.body[key])


def test_an_untouched_record_replays_exactly(run):
    found = replayed(run)
    moves = sum(len(e.body["moves"]) for e in run.bodies("ruling"))
    refused = sum(len(e.body["refused"]) for e in run.bodies("ruling"))

    assert (found.word, found.rounds) == ("exact", 14)
    assert found.coverage.decisions == found.coverage.derived == moves + refused
    assert (found.coverage.redacted, found.coverage.missing, found.coverage.unreached) == (0, 0, 0)
    assert found.coverage.standings == 2 * 14


def test_a_wrong_fine_is_named_with_what_follows_from_the_evidence(run):
    entry = next(e for e in run.bodies("ruling") if any("fine" in move for move in e.body["moves"]))
    true = entry.body["moves"][0]["fine"]
    found = replayed(run.altered(entry.seq, "moves", 0, "fine", value=1.0)).difference

    assert (found.seq, found.round) == (entry.seq, entry.body["round"])
    assert (found.path, found.recorded, found.derived) == ("moves[0].fine", 1.0, true)
    assert (
        str(found) == f"entry {entry.seq}, round {entry.body['round']}: moves[0].fine\n"
        f"  recorded: 1.0\n  derived:  {true}"
    )


def test_what_comes_after_the_first_difference_is_counted_as_not_reached(run):
    entry = first(run, "ruling", "moves")
    found = replayed(run.altered(entry.seq, "counted", value=False)).coverage

    assert found.derived == 0
    assert found.unreached == found.decisions > 0


def test_a_decision_left_out_is_noticed(run):
    entry = first(run, "ruling", "moves")
    found = replayed(run.altered(entry.seq, "moves", value=[]))

    assert (found.word, found.difference.seq) == ("mismatch", entry.seq)


def test_a_notice_rewritten_is_shown_from_where_it_parts(run):
    entry = first(run, "ruling", "notices")
    told = entry.body["notices"]["firm_1"]
    changed = told.replace("Decide your quantities", "Please decide your quantities")
    found = replayed(run.altered(entry.seq, "notices", "firm_1", value=changed)).difference

    assert found.path == "notices.firm_1"
    assert "Please decide" in str(found)
    assert len(str(found)) < 320


def test_a_suspension_that_was_not_enforced_is_noticed(run):
    """The played quantities must be the submitted ones under the restrictions in force."""
    entry = next(
        e for e in run.bodies("round") if e.body["record"]["quantities"] == [[0, 0], [0, 0]]
    )
    changed = run.altered(entry.seq, "record", "quantities", 0, 0, value=60.0)
    found = replayed(changed).difference

    assert (found.seq, found.path, found.rule) == (
        entry.seq,
        "record.quantities[0][0]",
        "actions",
    )
    assert (found.recorded, found.derived) == (60.0, 0.0)


def test_a_cap_is_derived_again_like_a_suspension(tmp_path):
    raw = CARTEL.read_bytes()
    old = b"restriction: {suspended: true}"
    assert old in raw
    graph = tmp_path / "graph.yaml"
    graph.write_bytes(raw.replace(old, b"restriction: {cap: 0.25}"))
    capped = stubborn(graph=graph)
    rounds = [e for e in capped.bodies("round") if e.body["submitted"]["firm_1"][0] > 30]
    assert any(sum(e.body["record"]["quantities"][0]) == pytest.approx(25) for e in rounds)
    seq = next(e.seq for e in rounds if sum(e.body["record"]["quantities"][0]) < 30)
    more = capped.altered(seq, "submitted", "firm_1", value=[10.0, 0.0])

    assert replayed(capped).word == "exact"
    assert replayed(more).difference.rule == "actions"


def test_an_action_that_cannot_be_played_cannot_have_been_submitted(run):
    found = replayed(run.altered(1, "submitted", "firm_1", value=[90.0, 90.0])).difference

    assert (found.rule, found.path) == ("actions", "submitted")
    assert "add up to at most 100" in found.derived


@pytest.mark.parametrize("field", ["quantities", "profits"])
def test_every_logged_input_of_a_decision_matters(run, field):
    """Perturbing what a ruling rests on changes something that is recorded."""
    value = [[31.0, 2.0], [5.0, 40.0]] if field == "quantities" else [1.0, 2.0]

    assert replayed(run.altered(7, "record", field, value=value)).word == "mismatch"


@pytest.mark.parametrize("key", ["environment", "agents", "rounds", "graph", "thresholds"])
def test_a_missing_input_is_no_verdict_but_an_error(run, key):
    opening = {k: v for k, v in run.entries[0].body.items() if k != key}
    with pytest.raises(InstitutionalError, match="first entry"):
        replay([Entry(0, "open", opening), *run.entries[1:]], run.graph)


@pytest.mark.parametrize(
    ("key", "value", "path"),
    [
        ("agents", ["firm_1", "firm_3"], "agents[1]"),
        ("rounds", 15, "rounds"),
        ("graph", "0" * 64, "graph"),
        ("lottery", 7, "lottery"),
    ],
)
def test_what_the_first_entry_promises_follows_from_its_environment_and_graph(
    run, key, value, path
):
    found = replayed(run.altered(0, key, value=value)).difference

    assert (found.seq, found.path, found.rule) == (0, path, "opening")


def test_thresholds_that_do_not_follow_from_graph_and_benchmarks_are_a_mismatch(run):
    """A lenient operator raises two thresholds, applies them, and records just that."""
    honest = run.entries[0].body["thresholds"]
    raised = CARTEL.read_bytes().replace(b"value: 0.48", b"value: 0.98")
    lenient = [list(row) for row in honest]
    lenient[3] = [0.98, 0.98]
    found = replayed(stubborn(enforced=raised, thresholds=lenient)).difference

    assert (found.path, found.recorded, found.derived) == ("thresholds[3][0]", 0.98, 0.48)


def test_a_threshold_relative_to_a_benchmark_may_differ_in_its_last_bits_only(run):
    at_nash = run.entries[0].body["thresholds"][2][0]

    near = run.altered(0, "thresholds", 2, 0, value=at_nash * (1 + 1e-12))
    off = run.altered(0, "thresholds", 2, 0, value=at_nash * (1 + 1e-6))

    assert replayed(near).word == "exact"
    assert replayed(off).difference.path == "thresholds[2][0]"


def test_a_ruling_too_few_or_too_many_is_noticed(run):
    *most, last, close = run.entries
    copied = Entry(last.seq + 1, last.kind, last.body)

    for entries in ([*most, close], most, [*most, last, copied, close]):
        found = replay(entries, run.graph)
        assert found.word == "mismatch"
        assert found.difference.rule == "order"


def test_a_ruling_without_its_round_counts_as_without_evidence(run):
    seq = first(run, "ruling", "moves").seq
    entries = [entry for entry in run.entries if entry.seq != seq - 1]

    assert replay(entries, run.graph).coverage.missing == len(run.entries[seq].body["moves"])


def test_fewer_rounds_than_promised_cannot_end_as_complete(run):
    """Two entries per round: the log is closed after seven of fourteen rounds."""
    short = [*run.entries[:15], run.entries[-1]]
    found = replay(short, run.graph).difference

    assert (found.path, found.recorded, found.derived) == ("status", "complete", "invalid")


def test_a_run_that_was_killed_replays_as_far_as_it_came(run):
    found = replay(run.entries[:15], run.graph)

    assert (found.word, found.rounds) == ("exact", 7)


def test_another_graph_is_not_the_one_that_the_first_entry_names(run):
    milder = CARTEL.read_bytes().replace(b"fine_first: {value: 0.35", b"fine_first: {value: 0.30")

    assert replayed(run, milder).difference.path == "graph"


def test_entries_of_other_kinds_decide_nothing(run):
    entries = [*run.entries[:5], Entry(5, "rotate", {"epoch": 1}), *run.entries[5:]]

    assert replay(entries, run.graph).word == "exact"


def test_an_ungoverned_run_must_still_have_been_played_as_submitted():
    free = play(presets.make("lin2024", rounds=4), [Seat("nash")] * 2, graph=None)
    changed = free.altered(2, "record", "quantities", 0, 0, value=1.0)

    assert replayed(free).word == "not-applicable"
    assert replayed(changed).word == "mismatch"


def test_the_record_alone_gives_the_rewards_that_the_agents_were_given():
    table = Table(presets.make("lin2024", rounds=12), load_graph(CARTEL))
    seats = [Seat("divider_stubborn"), Seat("divider_forgiving")]
    outcome = table.play(table.seat(seats), seed=5)
    net = net_rewards(table.core, outcome.records, outcome.rulings)

    assert (net == outcome.rewards).all()
    assert measured(table, outcome)["profit_net"] == outcome.rewards.mean()


def test_the_lot_of_a_run_is_that_of_its_seed():
    drawn = play(
        presets.make("lin2024", rounds=8),
        [Seat("divider_stubborn")] * 2,
        graph=GRAPHS / "audits.yaml",
        seed=4,
    )

    assert drawn.entries[0].body["lottery"] == lottery(4)
    assert replayed(drawn).word == "exact"
    assert replayed(drawn.altered(0, "lottery", value=lottery(5))).difference.path == "lottery"


def test_importing_a_replay_imports_neither_the_run_nor_an_agent():
    program = (
        "import sys, institutional.replay.rulings, institutional.replay.records\n"
        "print([m for m in sys.modules if m.startswith(('agents', 'institutional.episode',"
        " 'institutional.experiments', 'institutional.ledger', 'institutional.governance.gov'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
