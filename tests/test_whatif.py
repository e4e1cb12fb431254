"""What another graph would have decided: exact for the run's own, frozen and labelled otherwise."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from environments import presets
from institutional.cli import graph_diff, graph_explain, graph_replay
from institutional.episode import Seat, Table, lottery
from institutional.errors import InstitutionalError
from institutional.governance.explain import derive
from institutional.governance.loading import load_graph, parse_graph
from institutional.ledger.log import read_entries
from institutional.whatif import BEFORE_THE_FIRST, read_recording, what_if

ROOT = Path(__file__).parents[1]
GRAPH = ROOT / "governance_graphs/cournot.yaml"
OWN = GRAPH.read_bytes()
RUN = ROOT / "runs/example/institutional-divider_forgiving-0000"
UNGOVERNED = ROOT / "runs/example/ungoverned-divider_forgiving-0000"


class Entry(NamedTuple):
    seq: int
    kind: str
    body: dict


def played(raw, agent="divider_stubborn", rounds=14, seed=3):
    """The entries of a run of two such agents under the graph `raw`, None for none."""
    loaded = None if raw is None else parse_graph(raw, "graph.yaml")
    core = presets.make("lin2024", rounds=rounds)
    table = Table(core, loaded)
    opening = {
        "graph": None,
        "environment": core.config(),
        "agents": list(core.agents),
        "rounds": rounds,
        "seed": seed,
    }
    if loaded is not None:
        thresholds = table.program.thresholds()
        opening |= {"graph": loaded.canonical_digest, "thresholds": thresholds}
        opening["lottery"] = lottery(seed)
    kept = [Entry(0, "open", opening)]

    def journal(kind, body):
        read = json.loads(json.dumps(body))
        kept.append(Entry(len(kept), kind, read))
        return read

    seats = [Seat(agent, {"tremble": 0.01})] * 2
    table.play(table.seat(seats), seed=seed, journal=journal)
    return kept


@pytest.fixture(scope="module")
def stubborn():
    """Two stubborn dividers: warned in round 2, fined in 3, 4 and 6, suspended from 8 to 12."""
    return played(OWN)


def changed(*replacements):
    raw = OWN
    for old, new in replacements:
        assert old in raw
        raw = raw.replace(old, new)
    return parse_graph(raw, "other.yaml")


HALF = (b"fine_first: {value: 0.35", b"fine_first: {value: 0.70")
NO_SUSPENSION = (b"restriction: {suspended: true}", b"restriction: {cap: 0.5}")


def test_the_runs_own_graph_is_exact_and_equals_the_record(stubborn):
    found = what_if(stubborn, OWN, changed())

    assert (found.label, found.differs_from, found.differences) == ("exact", None, ())
    assert found.recorded == found.other
    assert found.recorded[0].suspended_rounds > 0
    assert found.rounds == 14


def test_comments_in_the_other_graph_leave_it_exact(stubborn):
    found = what_if(stubborn, OWN, changed((b"initial: active", b"initial: active # of course")))

    assert found.label == "exact"


def test_twice_the_first_rate_is_twice_the_first_fine_from_the_round_it_falls(stubborn):
    found = what_if(stubborn, OWN, changed(HALF))
    first = found.differences[0]

    assert found.label == "frozen"
    assert found.differs_from == first.round == 3
    assert first.other["fine"] == pytest.approx(2 * first.recorded["fine"])
    assert found.other[0].fine_total - found.recorded[0].fine_total == pytest.approx(
        first.recorded["fine"]
    )
    assert "differ first in round 3, what follows it is inference" in found.standing()


def test_a_graph_that_never_finds_anything_takes_nothing(stubborn):
    limit = b"specialisation_limit: {value: "
    found = what_if(stubborn, OWN, changed((limit + b"0.48", limit + b"9")))

    assert [(t.moves, t.fine_total, t.suspended_rounds) for t in found.other] == [(0, 0.0, 0)] * 2
    assert found.differs_from == 2
    assert all(difference.other is None for difference in found.differences)


def test_a_shorter_suspension_is_told_by_round_and_by_rounds_suspended(stubborn):
    """Suspended in round 7, and told there for how long: until round 12, or until 10."""
    shorter = (b"suspension_rounds: {value: 5", b"suspension_rounds: {value: 3")
    found = what_if(stubborn, OWN, changed(shorter))

    assert found.differs_from == 7
    assert [tally.suspended_rounds for tally in found.recorded] == [5, 5]
    assert [tally.suspended_rounds for tally in found.other] == [3, 3]
    assert [
        (d.round, d.recorded and d.recorded["edge"], d.other and d.other["edge"])
        for d in found.differences
        if d.agent == "firm_1"
    ] == [(10, None, "suspension_ends"), (12, "suspension_ends", None)]


def test_a_milder_restriction_is_a_consequence_though_the_moves_are_the_same(stubborn):
    found = what_if(stubborn, OWN, changed(NO_SUSPENSION))

    assert (found.differences, found.differs_from) == ((), 7)
    assert found.other[0].suspended_rounds == 0


def test_rounds_recorded_under_a_suspension_do_not_count_under_another_graph_either(stubborn):
    """Nobody is suspended by the other graph, but the record of those rounds is of a suspension."""
    recording = read_recording(stubborn, OWN)
    program = replace(recording.program, suspended=recording.program.suspended & False)
    sessions = derive(program, recording.records, recording.suspended())

    counted = [bool(session.ruling.finding.counted[0]) for session in sessions]
    assert [round_ for round_, each in enumerate(counted) if not each] == [8, 9, 10, 11, 12]


def test_suspended_rounds_are_those_played_under_suspension(stubborn):
    (tally, _) = what_if(stubborn, OWN, changed()).recorded
    rounds = [entry.body for entry in stubborn if entry.kind == "round"]
    silent = sum(body["record"]["quantities"][0] == [0, 0] for body in rounds)

    assert tally.suspended_rounds == silent > 0


def test_an_ungoverned_run_can_be_judged_afterwards():
    """The same dividers without an institution: warned in round 2 and fined in round 3."""
    found = what_if(played(None, rounds=6), None, load_graph(GRAPH))

    assert (found.label, found.differs_from) == ("frozen", 2)
    assert [tally.moves for tally in found.recorded] == [0, 0]
    assert [(d.round, d.other["edge"]) for d in found.differences[:3]] == [
        (2, "warn"),
        (2, "warn"),
        (3, "fine"),
    ]


def test_relative_thresholds_are_those_of_the_runs_own_market(stubborn):
    """Nash concentration in this market is 0.5372; half as much again is the recorded limit."""
    raised = changed((b"hhi_excess: {value: 0.50", b"hhi_excess: {value: 0.8616"))
    found = what_if(stubborn, OWN, raised)

    assert stubborn[0].body["thresholds"][2][0] == pytest.approx(1.5 * 0.53719, rel=1e-4)
    assert [tally.moves for tally in found.other] == [0, 0]  # 1.8616 x 0.5372 is just above one


def test_graphs_that_begin_under_other_restrictions_part_before_the_first_round(stubborn):
    found = what_if(stubborn, OWN, changed((b"initial: active", b"initial: suspended")))

    assert found.differs_from == BEFORE_THE_FIRST
    assert "everything is inference" in found.standing()


def test_a_graph_for_another_market_is_refused(stubborn):
    other = load_graph(ROOT / "governance_graphs/bertrand.yaml")
    with pytest.raises(InstitutionalError, match="written for bertrand markets"):
        what_if(stubborn, OWN, other)


def test_a_record_that_does_not_follow_from_its_own_graph_is_no_basis(stubborn):
    body = {**stubborn[-1].body, "moves": [{"agent": "firm_1", "edge": "warn"}]}
    with pytest.raises(InstitutionalError, match="do not follow from the run's own graph"):
        what_if([*stubborn[:-1], stubborn[-1]._replace(body=body)], OWN, changed())


def test_a_governed_run_without_its_graph_is_no_basis(stubborn):
    with pytest.raises(InstitutionalError, match=r"graph\.yaml is not here"):
        what_if(stubborn, None, changed())


def test_the_graph_of_another_run_in_the_folder_is_noticed(stubborn):
    with pytest.raises(InstitutionalError, match="not the graph of this run"):
        read_recording(
            stubborn,
            OWN.replace(b"suspended:\n", b"out:\n")
            .replace(b"to: suspended", b"to: out")
            .replace(b"from: suspended", b"from: out"),
        )


def test_the_example_run_is_exact_under_its_own_graph():
    """As the log says: two fines of firm_1, 638.48 and 1395.42."""
    own = (RUN / "graph.yaml").read_bytes()
    found = what_if(read_entries(RUN / "ledger"), own, parse_graph(own, "graph.yaml"))

    assert found.label == "exact"
    assert found.other[0].fine_total == pytest.approx(638.48 + 1395.42, abs=0.01)


def test_a_run_with_audits_by_lot_is_exact_under_its_own_lot():
    """Who is looked at follows from the recorded word."""
    raw = (ROOT / "governance_graphs/audits.yaml").read_bytes()
    entries = played(raw, rounds=10)
    found = what_if(entries, raw, parse_graph(raw, "audits.yaml"))
    kept = Entry(0, "open", {**entries[0].body, "lottery": 1})

    assert (found.label, found.recorded, found.differences) == ("exact", found.other, ())
    with pytest.raises(InstitutionalError, match="do not follow"):
        what_if([kept, *entries[1:]], raw, parse_graph(raw, "audits.yaml"))


def test_audits_of_a_run_that_recorded_no_lot_are_said_to_be_one_draw_of_many():
    found = what_if(
        played(None, rounds=6), None, load_graph(ROOT / "governance_graphs/audits.yaml")
    )

    assert found.lot_assumed
    assert "one draw of many" in found.standing()


# The three commands


APP = typer.Typer()
for module in (graph_diff, graph_explain, graph_replay):
    module.register(APP)


def command(line):
    """What one of the three commands prints, and its exit code."""
    return CliRunner().invoke(APP, shlex.split(line), env={"COLUMNS": "160"})


def test_the_replay_command_prints_label_table_and_moves():
    done = command(f"replay {RUN} --graph {ROOT}/governance_graphs/minimal.yaml")

    assert done.exit_code == 0, done.output
    assert "frozen: the agents' behaviour is held fixed" in done.output
    assert "2033.90" in done.output
    assert "fine 638.48" in done.output


def test_the_replay_command_has_json():
    found = json.loads(command(f"replay {RUN} --graph {RUN}/graph.yaml --json").stdout)

    assert (found["label"], found["differences"]) == ("exact", [])


def test_the_explain_command_tells_the_fine_of_the_example_run():
    done = command(f"explain {RUN}/graph.yaml --run {RUN} --agent firm_1 --round 3")

    assert done.exit_code == 0, done.output
    assert "0.35 x 1824.219261 = 638.4767415, floor 200: 638.4767415" in done.output
    assert "past it in 4 rounds (0, 1, 2, 3) of 0, 1, 2, 3; needs 3" in done.output


def test_the_explain_command_takes_evidence_by_hand():
    """0.35 x 1800 = 630 is more than the floor of 200."""
    done = command(
        f"explain {GRAPH} --given high_hhi --given specialisation --state warning "
        "--signal profit=1800 --why-not warning_expires"
    )

    assert done.exit_code == 0, done.output
    assert "0.35 x 1800 = 630, floor 200: 630" in done.output
    assert "5+ rounds in state: 1 of 5" in done.output


def test_the_explain_command_has_json():
    line = f"explain {RUN}/graph.yaml --run {RUN} --agent firm_1 --round 4 --why-not suspend --json"
    found = json.loads(command(line).stdout)

    assert found["applied"] is None
    assert found["why_not"]["kind"] == "unmet"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"explain {GRAPH}", "say what to explain"),
        (f"explain {GRAPH} --run {RUN} --agent firm_1", "say which round"),
        (f"explain {GRAPH} --run {UNGOVERNED} --agent firm_1 --round 1", "was not governed"),
        (
            f"explain {ROOT}/governance_graphs/minimal.yaml --run {RUN} --agent firm_1 --round 1",
            "ran under another graph",
        ),
        (f"explain {GRAPH} --given high_hhi --signal profit", "NAME=VALUE"),
    ],
)
def test_a_mistake_in_explaining_is_told(line, says):
    done = command(line)

    assert isinstance(done.exception, InstitutionalError)
    assert says in str(done.exception)


def test_the_diff_command_exits_0_for_the_same_content_and_1_for_another(tmp_path):
    other = tmp_path / "milder.yaml"
    other.write_bytes(OWN.replace(b"fine_first: {value: 0.35", b"fine_first: {value: 0.25"))

    same, differs = command(f"diff {GRAPH} {GRAPH}"), command(f"diff {GRAPH} {other}")

    assert (same.exit_code, differs.exit_code) == (0, 1)
    assert "same content" in same.stdout
    assert "milder    edges.fine.sanction.fine.rates[0]: 0.35 -> 0.25" in differs.stdout
    assert "milder    $fine_first 0.35 -> 0.25: edges.fine.sanction" in differs.stdout
    assert json.loads(command(f"diff {GRAPH} {other} --json").stdout)["same_content"] is False
