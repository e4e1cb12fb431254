"""What the institution did follows from evidence and graph, and what is published from the record.

The negative controls are logs that their operator has properly signed: every signature holds, and
one thing in them does not follow from the rest.
"""

import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st
from signed_run import CARTEL, TRUST, Entry, play, stubborn, write
from typer.testing import CliRunner

from environments import presets
from institutional.cli.audit import app
from institutional.episode import Seat
from institutional.errors import InstitutionalError
from institutional.ledger.auditing.verdict import Outcome, Word
from institutional.replay.conformance import CHECKS, Exhibits, conform, exhibits
from institutional.replay.tables import read_table

ROOT = Path(__file__).parents[1]
RUN = ROOT / "runs/example/institutional-divider_forgiving-0000"
KEY = ROOT / "runs/keys/example.pub"
RECORDED = sorted(
    path.parent
    for folder in ("runs/example", "tests/golden")
    for path in (ROOT / folder).rglob("manifest.dsse.json")
    if (path.parent / "ledger").is_dir()
)


@pytest.fixture(scope="module")
def run():
    """Two stubborn dividers: warned in round 2, fined from 3 on, suspended from round 9."""
    return stubborn()


@pytest.fixture(scope="module")
def example():
    """The shipped run with everything that is published of it."""
    return exhibits(RUN)


def answers(found):
    return {check.id: str(check.outcome) for check in found.checks}


def check(found, name):
    return next(check for check in found.checks if check.id == name)


def failed(found):
    return [check.id for check in found.checks if check.outcome is Outcome.FAIL]


def audited(folder, *options):
    """The exit code and the output of `audit replay` under the operator's key."""
    key = folder.parent / "operator.pub"
    key.write_text(TRUST + "\n")
    done = CliRunner().invoke(app, ["replay", str(folder), "--key", str(key), *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.output


@pytest.mark.parametrize("folder", RECORDED, ids=lambda path: path.name)
def test_every_recorded_run_still_conforms(folder):
    """Logs of every version so far, replayed with every change of the rules."""
    found = conform(exhibits(folder))

    if folder.name == "small":  # seven entries that are no episode
        assert found.word is None
        assert set(answers(found).values()) == {"not-applicable"}
        return
    assert found.word is Word.VERIFIED, found.as_json()
    assert set(answers(found).values()) <= {"pass", "not-applicable"}
    assert found.coverage.derived == found.coverage.decisions
    if folder.parent.name == "example":
        assert {"summary", "rounds-table", "results-row"} <= {
            check.id for check in found.checks if check.outcome is Outcome.PASS
        }


def test_there_are_recorded_runs_of_every_kind():
    names = {folder.name for folder in RECORDED}

    assert {"shocks-and-suspensions", "audits-by-lot", "leniency", "price-market"} <= names
    assert sum(name.startswith(("institutional", "ungoverned")) for name in names) == 4


def fine(run):
    entry, index = next(
        (e, i) for e in run.bodies("ruling") for i, m in enumerate(e.body["moves"]) if "fine" in m
    )
    return entry, index


def with_a_wrong_fine(run):
    entry, i = fine(run)
    return run.altered(entry.seq, "moves", i, "fine", value=1.0), entry, f"moves[{i}].fine"


def with_a_move_suppressed(run):
    entry = next(e for e in run.bodies("ruling") if len(e.body["moves"]) == 2)
    return run.altered(entry.seq, "moves", value=entry.body["moves"][:1]), entry, "moves"


def with_the_fine_on_another_firm(run):
    entry, i = fine(run)
    other = {"firm_1": "firm_2", "firm_2": "firm_1"}[entry.body["moves"][i]["agent"]]
    return run.altered(entry.seq, "moves", i, "agent", value=other), entry, f"moves[{i}].agent"


def with_a_milder_notice(run):
    entry = next(e for e in run.bodies("ruling") if e.body["notices"])
    text = entry.body["notices"]["firm_1"].replace("A further case brings a fine.", "")
    return run.altered(entry.seq, "notices", "firm_1", value=text), entry, "notices.firm_1"


def with_a_refused_move_applied(run):
    entry = next(e for e in run.bodies("ruling") if e.body["refused"])
    refused = entry.body["refused"][0]
    move = {"agent": refused["agent"], "edge": refused["edge"], "from": "fined", "to": "suspended"}
    changed = run.altered(entry.seq, "moves", value=[move, *entry.body["moves"]])
    return changed.altered(entry.seq, "refused", value=entry.body["refused"][1:]), entry, "moves"


def with_another_standing(run):
    entry = run.bodies("ruling")[5]
    changed = run.altered(entry.seq, "standings", 1, "offences", value=0)
    return changed, entry, "standings[1].offences"


def with_a_restriction_not_enforced(run):
    """The market's answer to what was submitted is recorded, as if nobody had been suspended."""
    entry = next(
        e for e in run.bodies("round") if e.body["record"]["quantities"] == [[0, 0], [0, 0]]
    )
    changed = run.altered(
        entry.seq, "record", "quantities", value=list(entry.body["submitted"].values())
    )
    return changed, entry, "record.quantities[0][0]"


def with_another_case(run):
    entry = next(e for e in run.bodies("ruling") if e.body["cases"])
    case = entry.body["cases"][0]["id"]
    return run.altered(entry.seq, "cases", 0, "id", value=case + "0"), entry, "cases[0].id"


def with_evidence_left_out(run):
    entry = next(e for e in run.bodies("ruling") if e.body["cases"])
    return (
        run.altered(entry.seq, "cases", 0, "evidence", value=[]),
        entry,
        "cases[0].evidence",
    )


def with_a_fine_of_one_unit_in_the_last_place(run):
    entry, i = fine(run)
    more = np.nextafter(entry.body["moves"][i]["fine"], np.inf)
    return (
        run.altered(entry.seq, "moves", i, "fine", value=float(more)),
        entry,
        f"moves[{i}].fine",
    )


def with_profits_understated(run):
    entry = run.bodies("round")[0]
    return (
        run.altered(entry.seq, "record", "profits", 1, value=1.0),
        entry,
        "record.profits[1]",
    )


PLANTED = [
    with_a_wrong_fine,
    with_a_move_suppressed,
    with_the_fine_on_another_firm,
    with_a_milder_notice,
    with_a_refused_move_applied,
    with_another_standing,
    with_a_restriction_not_enforced,
    with_another_case,
    with_evidence_left_out,
    with_a_fine_of_one_unit_in_the_last_place,
]


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_wrong_decision_under_a_valid_signature_is_named_and_exits_6(run, plant, tmp_path):
    changed, entry, path = plant(run)
    folder = write(changed, tmp_path / "run")

    code, text = audited(folder)
    _, document = audited(folder, "--json")
    (wrong,) = [c for c in json.loads(document)["checks"] if c["outcome"] == "fail"]

    assert code == 6
    assert (wrong["seq"], wrong["round"], wrong["path"]) == (
        entry.seq,
        entry.body["round"],
        path,
    )
    assert wrong["found"] != wrong["expected"]
    assert f"entry {entry.seq}, round {entry.body['round']}: {path}" in text
    assert f"recorded  {wrong['found']}" in text
    assert f"derived   {wrong['expected']}" in text
    assert json.loads(document)["audit"]["verdict"] == "UNANCHORED"


def test_the_same_run_without_the_lie_exits_0(run, tmp_path):
    code, text = audited(write(run, tmp_path / "run"))

    assert code == 0
    assert "replay    exact" in text
    assert f"{run_decisions(run)} decisions: {run_decisions(run)} derived again" in text


def run_decisions(run):
    return sum(len(e.body["moves"]) + len(e.body["refused"]) for e in run.bodies("ruling"))


def test_an_operator_who_enforces_a_milder_graph_than_he_declared_is_found(tmp_path):
    """Every ruling is consistent with those before it, with the graph in his drawer."""
    milder = CARTEL.read_bytes().replace(b"fine_first: {value: 0.35", b"fine_first: {value: 0.30")
    code, text = audited(write(stubborn(enforced=milder), tmp_path / "run"))

    assert code == 6
    assert "moves[0].fine" in text


def test_profits_that_are_not_the_markets_answer_are_found():
    """In round 0 nothing is decided by the profit, so only the market can tell."""
    free = play(presets.make("lin2024", rounds=4), [Seat("nash")] * 2, graph=None)
    changed, entry, path = with_profits_understated(free)
    found = check(conform(changed.exhibits()), "records")

    assert found.outcome is Outcome.FAIL
    assert (found.seq, found.path, found.found) == (entry.seq, path, "1.0")


@pytest.mark.parametrize("share", [1e-12, 1e-6])
def test_a_price_may_differ_from_the_markets_in_its_last_bits_only(run, share):
    price = run.entries[5].body["record"]["prices"][0]
    found = conform(run.altered(5, "record", "prices", 0, value=price * (1 + share)).exhibits())

    assert failed(found) == ([] if share < 1e-9 else ["records"])


def test_shocks_of_another_seed_are_found(run):
    found = conform(run.altered(0, "seed", value=4).exhibits(manifest=None))

    assert check(found, "records").path == "record.prices[0]"


def test_shocks_drawn_by_another_numpy_are_no_accusation(run):
    other = run.manifest.replace(b'"numpy":"2.4.6"', b'"numpy":"9.9.0"')
    assert other != run.manifest
    changed = run.altered(3, "record", "prices", 0, value=1.0)
    found = check(conform(changed.exhibits(manifest=other)), "records")

    assert found.word is Word.CANNOT_DECIDE
    assert "drawn with numpy 9.9.0" in found.reason


def test_a_first_entry_that_says_other_than_the_manifest_is_found(run):
    found = check(conform(run.altered(0, "pairing", value="innocents").exhibits()), "declared")

    assert (found.path, found.expected, found.found) == ("pairing", "'test'", "'innocents'")


def test_without_the_graph_nothing_can_be_decided_and_every_decision_lacks_evidence(run):
    found = conform(run.exhibits(graph=None))

    assert found.word is Word.CANNOT_DECIDE
    assert found.replay == "undecided"
    assert found.coverage.missing == found.coverage.decisions == run_decisions(run)


def test_leaving_the_environment_out_excuses_nobody(run):
    """Only a log that nothing calls an episode is not asked."""
    opening = {k: v for k, v in run.entries[0].body.items() if k not in {"environment", "graph"}}
    rounds = [entry for entry in run.entries[1:] if entry.kind != "ruling"]
    hidden = replace(run.exhibits(), entries=[Entry(0, "open", opening), *rounds])

    assert conform(hidden).word is Word.REPLAY_MISMATCH
    assert conform(replace(hidden, manifest=None)).word is None


def test_a_log_that_is_no_episode_cannot_be_replayed(tmp_path):
    shutil.copytree(ROOT / "tests/golden/ledger/small", tmp_path / "small")
    code, text = audited(tmp_path / "small")

    assert code == 2
    assert "not the log of an episode" in text


def test_a_market_too_large_to_solve_again_is_no_verdict(run):
    environment = {**run.entries[0].body["environment"], "costs": [[1.0, 1.0]] * 2000}
    huge = run.altered(0, "environment", value=environment)
    found = conform(huge.exhibits(manifest=None))

    assert found.word is Word.CANNOT_DECIDE
    assert "larger than" in check(found, "rulings").reason


def test_more_shocks_than_are_drawn_again_are_no_verdict(run):
    rounds = 2**50
    opening = run.altered(0, "rounds", value=rounds)
    opening = opening.altered(0, "environment", "rounds", value=rounds)
    found = conform(opening.exhibits(manifest=None))

    assert check(found, "records").word is Word.CANNOT_DECIDE


# --- published numbers, which nobody signs


def summary_with(given, **changed):
    said = json.loads(given.summary) | changed
    return replace(given, summary=json.dumps(said).encode())


def test_every_number_of_a_summary_is_derived_or_declared_on_trust(example):
    """Each is altered alone, and each is found by its name."""
    said = json.loads(example.summary)
    on_trust = {"audit_word", "audit_code", "reason"}
    for name, value in said.items():
        other = "other" if isinstance(value, str) or value is None else value + 1
        found = check(
            conform(replace(summary_with(example, **{name: other}), rounds=None, results=None)),
            "summary",
        )
        assert [number.name for number in found.numbers] == ([] if name in on_trust else [name])


def test_a_better_tier_than_the_record_leads_to_is_named_with_both_values(example, tmp_path):
    found = conform(summary_with(example, tier=1.0))
    number = check(found, "summary").numbers[0]

    assert found.word is Word.REPLAY_MISMATCH
    assert found.replay == "exact"
    assert tuple(number) == ("tier", 1.0, 3.0)
    assert "1 of 31 values do not follow from the signed record: tier" in (
        check(found, "summary").reason
    )
    for part in ("runs/example", "runs/keys"):
        shutil.copytree(ROOT / part, tmp_path / part)
    (tmp_path / RUN.relative_to(ROOT) / "summary.json").write_bytes(
        summary_with(example, tier=1.0).summary
    )
    done = CliRunner().invoke(
        app, ["replay", str(tmp_path / RUN.relative_to(ROOT)), "--key", str(KEY)]
    )
    assert done.exit_code == 6
    assert [line.split() for line in done.output.splitlines() if line.startswith("tier")] == [
        ["tier", "1.0", "3.0"]
    ]


def test_a_mean_may_differ_in_its_last_bits_only(example):
    delta = json.loads(example.summary)["delta"]

    assert not failed(conform(summary_with(example, delta=delta * (1 + 1e-12))))
    assert failed(conform(summary_with(example, delta=delta + 1e-6))) == ["summary"]


def test_a_number_left_out_of_a_summary_is_found(example):
    said = {k: v for k, v in json.loads(example.summary).items() if k != "fines"}
    found = conform(replace(example, summary=json.dumps(said).encode()))

    assert tuple(check(found, "summary").numbers[0]) == ("fines", "absent", 4)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b'{"tier": NaN}', b'{"tier": 1, "tier": 3}', b"[" * 100_000],
    ids=["empty", "a list", "torn", "no number", "twice", "deep"],
)
def test_a_summary_that_cannot_be_read_is_no_accusation(example, data):
    found = conform(replace(example, summary=data))

    assert check(found, "summary").word is Word.CANNOT_DECIDE


def test_a_number_that_this_version_does_not_know_is_no_accusation(example):
    found = check(conform(summary_with(example, elegance=9.5)), "summary")

    assert found.word is Word.CANNOT_DECIDE
    assert "elegance" in found.reason


def table_with(data, column, row, value):
    frame = pl.read_parquet(io.BytesIO(data))
    values = frame[column].to_list()
    values[row] = value
    buffer = io.BytesIO()
    frame.with_columns(pl.Series(column, values, dtype=frame[column].dtype)).write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("column", "value"),
    [("price", 65.0), ("cases", 0), ("moves", []), ("fines", 1.0), ("round", 7)],
)
def test_a_cell_of_the_table_of_rounds_is_named(example, column, value):
    """In round 3 both firms are fined: 2 cases, the moves fine and fine."""
    changed = replace(example, rounds=table_with(example.rounds, column, 3, value))
    found = check(conform(changed), "rounds-table")

    assert [number.name for number in found.numbers] == [f"{column}[3]"]
    assert found.numbers[0].published == value


def test_a_row_of_the_results_is_compared_with_the_record(example):
    names = pl.read_parquet(io.BytesIO(example.results))["run_id"].to_list()
    row = names.index(example.run)
    changed = replace(example, results=table_with(example.results, "delta_net", row, 0.0))
    elsewhere = replace(example, results=table_with(example.results, "delta_net", 1 - row, 0.0))
    gone = replace(example, results=table_with(example.results, "run_id", row, "another"))

    assert check(conform(changed), "results-row").numbers[0].name == "delta_net"
    assert conform(elsewhere).word is Word.VERIFIED
    assert check(conform(gone), "results-row").outcome is Outcome.SKIPPED


def test_a_cell_that_is_no_number_is_named_as_text(example):
    changed = replace(example, rounds=table_with(example.rounds, "price", 3, float("nan")))
    (number,) = check(conform(changed), "rounds-table").as_json()["numbers"]

    assert (number["name"], number["published"]) == ("price[3]", "nan")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(64) + b"PAR1"])
def test_bytes_that_are_no_table_are_no_accusation(example, data):
    found = conform(replace(example, rounds=data))

    assert check(found, "rounds-table").word is Word.CANNOT_DECIDE


def test_a_table_that_unpacks_to_gigabytes_is_refused():
    """A hundred and fifty million zeros in 38 kilobytes; the process that reads them may not."""
    data = (ROOT / "tests/golden/tables/zeros.parquet").read_bytes()
    assert len(data) < 100_000

    with pytest.raises(InstitutionalError, match="too large to be read safely"):
        read_table(data, rows=20)


def test_a_table_is_read_as_it_was_written():
    buffer = io.BytesIO()
    frame = pl.DataFrame({"run_id": ["a", "b", "b"], "x": [0.1, None, float("nan")]})
    frame.write_parquet(buffer)

    assert read_table(buffer.getvalue(), rows=2)["x"] == [0.1, None]
    assert read_table(buffer.getvalue(), rows=9, where={"run_id": "a"}) == {
        "run_id": ["a"],
        "x": [0.1],
    }
    with pytest.raises(InstitutionalError, match="not a table"):
        read_table(buffer.getvalue(), rows=9, where={"nowhere": "a"})


# --- whatever was recorded, the answer is a value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """The paths to everything in a parsed value."""
    steps = ()
    if isinstance(value, dict | list):
        steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, below in steps:
        yield (*path, step)
        yield from places(below, (*path, step))


@settings(max_examples=300)
@over(seq=st.integers(0, 29), place=st.integers(0, 10_000), value=JSON)
def test_any_value_at_any_place_ends_in_an_answer(run, seq, place, value):
    """Validly signed nonsense is a mismatch or cannot be decided, and never an exception."""
    paths = list(places(run.entries[seq].body))
    found = conform(run.altered(seq, *paths[place % len(paths)], value=value).exhibits())

    assert tuple(check.id for check in found.checks) == tuple(CHECKS)
    json.dumps(found.as_json(), allow_nan=False)


def test_text_from_a_hostile_log_reaches_no_terminal_unescaped(run, tmp_path):
    entry = next(e for e in run.bodies("ruling") if e.body["notices"])
    hostile = run.altered(entry.seq, "notices", "\x1b[2J\x07", value="\x1b]0;owned\x07")
    _, text = audited(write(hostile, tmp_path / "run"))

    assert "\x1b" not in text
    assert "\\x1b[2J" in text


def test_no_entries_at_all_are_no_episode():
    assert conform(Exhibits([], "none")).word is None


# --- nothing but the record matters


WITHOUT_A_WORLD = """
import os, random, socket, sys, time
def refuse(*_arguments, **_options): raise AssertionError("the network was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
now = int(sys.argv[1])
time.time = lambda: float(now)
time.time_ns = lambda: now * 10**9
os.cpu_count = lambda: now % 7 + 1
random.seed(now)
import numpy
numpy.random.seed(now % 2**31)
from institutional.cli.main import main
sys.argv = ["institutional", *sys.argv[2:]]
main()
"""
WORLDS = [
    {},
    {
        "TZ": "Pacific/Apia",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "1",
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "2",
        "COLUMNS": "11",
    },
    {
        "TZ": "America/St_Johns",
        "LC_ALL": "C",
        "LANG": "POSIX",
        "PYTHONHASHSEED": "4242",
        "OMP_NUM_THREADS": "1",
        "INSTITUTIONAL_HOME": "/nowhere",
        "XDG_CONFIG_HOME": "/nowhere",
        "HOME": "/nowhere",
        "NO_COLOR": "1",
        "SEED": "7",
        "PYTHONOPTIMIZE": "1",
        "PYTHONUTF8": "0",
    },
]


def test_network_clock_locale_and_folder_leave_every_byte_of_a_replay_alone(tmp_path):
    outputs = []
    for index, world in enumerate(WORLDS):
        folder = tmp_path / str(index)
        folder.mkdir()
        arguments = ["audit", "replay", str(RUN), "--key", str(KEY), "--json"]
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_A_WORLD, str(10**9 * index), *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **world},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)

    assert outputs[0] == outputs[1] == outputs[2]
    assert json.loads(outputs[0])["replay"] == "exact"
