"""Policy tests: what they check, what they refuse to check, and what they leave out."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import typer
from small_graph import YAML, small
from typer.testing import CliRunner

from institutional.cli import graph_test
from institutional.errors import InstitutionalError
from institutional.governance.document import parse_document
from institutional.governance.loading import load_graph, parse_graph
from institutional.governance.policy_tests.coverage import KINDS, coverage_of_run
from institutional.governance.policy_tests.loading import check_tests, load_tests
from institutional.governance.policy_tests.report import as_json, as_junit, as_text
from institutional.governance.policy_tests.run import run_tests
from institutional.ledger.reading import read_entries

ROOT = Path(__file__).parents[2]
GRAPHS = ROOT / "governance_graphs"
SHIPPED = sorted((GRAPHS / "tests").glob("*.yaml"))
EXAMPLE = ROOT / "runs/example"

HEAD = "format: institutional.policy_tests/1\ngraph: small.yaml\ntests:\n"
STORY = """
  - name: who stays high is warned, then fined half its level
    agents: [ann, bob]
    rounds:
      - given: {ann: [high]}
        expect: {ann: {state: warned, cases: [N1], notice: [Come down.]}, bob: {notice: []}}
      - given: {ann: [high]}
        signals: {level: {ann: 8}}
        expect: {ann: {state: fined, move: fine, fine: 4, offences: 1}}
"""


def loaded(text, graph=None):
    return check_tests(parse_document((HEAD + text).encode(), "small.tests.yaml"), graph or small())


def report_of(text, graph=None):
    return run_tests(loaded(text, graph))


def one(rounds, agents="[ann, bob]"):
    """A file with one test of these rounds, one a line."""
    lines = "".join(f"      - {round_}\n" for round_ in rounds)
    return f"  - name: a story\n    agents: {agents}\n    rounds:\n{lines}"


def test_a_story_that_is_as_expected_passes():
    (outcome,) = report_of(STORY).outcomes

    assert outcome.passed
    assert outcome.rounds == 2
    assert outcome.account is None


@pytest.mark.parametrize(
    ("key", "wrong", "found"),
    [
        ("state", "warned", "fined"),
        ("suspended", "true", False),
        ("cap", "0.5", 1.0),
        ("move", "null", "fine"),
        ("fine", "4.00001", 4.0),
        ("fine", "null", 4.0),
        ("refused", "[suspend]", {}),
        ("cases", "[]", ["N1"]),
        ("credits", "1", 0),
        ("offences", "2", 1),
        ("clean", "1", 0),
    ],
)
def test_each_expectation_can_fail_and_says_what_was_found(key, wrong, found):
    rounds = ["{given: {ann: [high]}}", "{given: {ann: [high]}, signals: {level: {ann: 8}},"]
    rounds[1] += f" expect: {{ann: {{{key}: {wrong}}}}}}}"
    (outcome,) = report_of(one(rounds)).failed
    (mismatch,) = outcome.mismatches

    assert (mismatch.key, mismatch.found, mismatch.round) == (key, found, 1)
    assert outcome.account["moves"][0]["fine"] == 4.0


@pytest.mark.parametrize("wrong", ["[]", "[Come up.]", "[Come down., Come up.]"])
def test_a_notice_must_contain_every_text_and_be_absent_where_none_is_expected(wrong):
    text = one([f"{{given: {{ann: [high]}}, expect: {{ann: {{notice: {wrong}}}}}}}"])

    assert len(report_of(text).failed) == 1


def test_a_failure_points_at_the_line_and_column_of_the_expectation():
    (outcome,) = report_of(STORY.replace("fine: 4", "fine: 5")).failed

    # Three lines of head, and the story's ninth with the blank one before it.
    line = STORY.splitlines()[8]
    assert outcome.mismatches[0].where == f"small.tests.yaml:12:{line.index('fine: 4') + 1}"
    assert str(outcome.mismatches[0]).splitlines()[1:] == ["  expected: 5.0", "  found:    4.0"]


def test_a_round_that_is_repeated_is_checked_after_the_last_time():
    """Warned in the first of four rounds; the way back opens three rounds later."""
    lapse = ["{given: {ann: [high]}}", "{repeat: 3, expect: {ann: {move: lapse, state: active}}}"]

    assert report_of(one(lapse)).outcomes[0].passed
    assert report_of(one([lapse[0], lapse[1].replace("3", "2")])).failed


def test_a_test_ends_at_the_first_wrong_round():
    text = one(["{expect: {ann: {state: out}}}", "{expect: {ann: {state: fined}}}"])
    (outcome,) = report_of(text).failed

    assert outcome.rounds == 1
    assert len(outcome.mismatches) == 1


def test_a_refusal_may_be_expected_with_its_reason():
    rounds = ["{repeat: 2, given: {ann: [high]}}", "{given: {ann: [high]}, expect: {ann: %s}}"]
    right = "{refused: {suspend: needs cases under N1 in 4 rounds in a row}}"
    wrong = "{refused: {suspend: needs offences}}"

    assert report_of(one([rounds[0], rounds[1] % right])).outcomes[0].passed
    assert report_of(one([rounds[0], rounds[1] % wrong])).failed


MISTAKES = [
    ("expect:", "expct:", 'unknown key "expct". Did you mean "expect"?'),
    ("state: warned", "state: wanred", 'Did you mean "warned"'),
    ("given: {ann: [high]}", "given: {ann: [hihg]}", 'Did you mean "high"'),
    ("given: {ann: [high]}", "given: {anne: [high]}", 'no agent in this test "anne"'),
    ("expect: {ann", "expect: {eve", 'no agent in this test "eve"'),
    ("signals: {level", "signals: {levle", 'Did you mean "level"'),
    ("level: {ann: 8}", "level: {amn: 8}", 'Did you mean "ann"'),
    ("move: fine,", "move: fin,", 'Did you mean "fine"'),
    ("cases: [N1]", "cases: [N2]", 'no norm "N2"'),
    ("cases: [N1]", "refused: [suspnd]", 'Did you mean "suspend"'),
    ("cases: [N1]", "refused: {suspnd: offences}", 'Did you mean "suspend"'),
    ("fine: 4", "fine: much", "\"fine\" is 'much'"),
    ("fine: 4", "credits: 1.5", '"credits" is 1.5'),
    ("state: warned", "state: null", '"state" is None'),
    ("bob: {notice: []}", "bob: {}", "expects nothing: write any of state, suspended"),
    ("given: {ann: [high]}", "repeat: 0", '"repeat" is 0'),
    ("[ann, bob]", "[ann, ann, bob]", "two agents have the same name"),
]


@pytest.mark.parametrize(("old", "new", "says"), MISTAKES)
def test_a_mistake_is_told_with_its_place(old, new, says):
    assert old in STORY

    with pytest.raises(InstitutionalError) as told:
        loaded(STORY.replace(old, new, 1))

    assert says in str(told.value)
    assert str(told.value).startswith("small.tests.yaml:")


def test_a_test_without_any_expectation_is_a_mistake():
    with pytest.raises(InstitutionalError, match=r":4:5: no round expects anything"):
        loaded(one(["{given: {ann: [high]}}"]))


def test_two_tests_of_one_name_are_a_mistake():
    story = one(["{expect: {ann: {state: active}}}"])

    with pytest.raises(InstitutionalError, match="another test has this name"):
        loaded(story + story)


def test_tests_of_a_graph_that_is_not_there_say_where_they_looked(tmp_path):
    (tmp_path / "tests.yaml").write_text(HEAD + STORY)

    with pytest.raises(InstitutionalError, match=r"small\.yaml is not there"):
        load_tests(tmp_path / "tests.yaml")


def test_coverage_counts_what_was_reached_and_names_the_rest():
    """The story stands in three of five states and takes two of eight edges."""
    coverage = report_of(STORY).coverage

    assert {kind: coverage.counts(kind) for kind in KINDS} == {
        "states": (3, 5),
        "edges": (2, 8),
        "refusals": (0, 4),
        "evidence": (3, 4),  # bob is not high; nobody is calm
        "norms": (1, 1),
    }
    assert coverage.counts() == (9, 22)
    assert coverage.share() == 9 / 22
    assert coverage.missing("states") == ("out", "probation")
    assert coverage.missing("refusals") == (
        "suspend: needs cases under N1 in 4 rounds in a row",
        "suspend: needs offences of at least 2",
        "fine_again: used less than 2 rounds ago",
        "redeem: needs evidence calm",
    )
    assert coverage.missing("evidence") == ("calm true",)


def test_coverage_of_two_files_is_what_either_reached():
    calm = report_of(one(["{given: {ann: [calm]}, expect: {ann: {state: active}}}"])).coverage
    joined = calm | report_of(STORY).coverage

    assert calm.counts() == (4, 22)  # active; calm and not calm; not high
    assert joined.counts() == (10, 22)


def test_coverage_of_different_graphs_is_not_joined():
    other = small(YAML.replace(b"id: lapse", b"id: elapse"))

    with pytest.raises(ValueError, match="two different graphs"):
        _ = report_of(STORY).coverage | report_of(STORY, other).coverage


def test_evidence_withheld_in_an_ignored_round_is_not_evidence_found_false():
    """While ann is out nothing is evidence: `high` was never seen false."""
    text = one(
        [
            "{repeat: 4, given: {ann: [high]}}",
            "{given: {ann: [high]}, expect: {ann: {state: out}}}",
            "{expect: {ann: {state: out}}}",
        ],
        agents="[ann]",
    )
    assert "high false" in report_of(text).coverage.missing("evidence")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_institution_passes_its_policy_tests_and_they_reach_all_of_it(path):
    report = run_tests(load_tests(path))

    assert as_text(load_tests(path), report).count("FAILED") == 0
    assert report.coverage.share() == 1.0


def test_every_shipped_institution_has_policy_tests():
    assert {path.name for path in SHIPPED} == {path.name for path in GRAPHS.glob("*.yaml")}


# Thresholds and windows belong to the oracle, which policy tests do without.
MEASURED = {
    "cournot": {
        "synchrony_change",
        "synchrony_firms",
        "dispersion_limit",
        "dispersion_rounds",
        "hhi_excess",
        "specialisation_limit",
        "window_hits",
        "window_rounds",
        "recovery_hhi",
    },
    "bertrand": {"price_excess", "hits", "window"},
}
DECIDED = [
    (path.stem, name)
    for path in SHIPPED
    if path.stem in MEASURED
    for name in load_graph(GRAPHS / path.name).graph.parameters
    if name not in MEASURED[path.stem]
]


@pytest.mark.parametrize(("graph", "name"), DECIDED)
def test_the_shipped_tests_notice_any_change_of_a_number_that_decides(graph, name):
    """Twice: a little more and a little less of every parameter that the controller reads."""
    text = (GRAPHS / f"{graph}.yaml").read_text()
    line = next(part for part in text.splitlines() if part.strip().startswith(f"{name}: "))
    value = line.split("value: ")[1].split(",")[0]
    step = 0.01 if "share" in line else 1
    for changed in (float(value) + step, float(value) - step):
        shown = f"{changed:.2f}" if step < 1 else str(int(changed))
        other = text.replace(line, line.replace(f"value: {value}", f"value: {shown}", 1))
        revised = parse_graph(other.encode(), f"{graph}.yaml")
        report = run_tests(load_tests(GRAPHS / "tests" / f"{graph}.yaml", revised))
        assert report.failed, f"{name} = {shown} goes unnoticed"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("      - streak: {of: P2, rounds: $suspension_streak}\n", ""),
        ("      - offences: $suspension_offences\n", ""),
        ("    cooldown: $fine_cooldown\n", ""),
        ("from: credited\n    to: fined", "from: credited\n    to: warning"),
        ("earned_in: [warning, fined, credited]", "earned_in: [warning, fined]"),
        ("earned_in: [warning, fined, credited]", "earned_in: [fined, credited]"),
        ("earned_in: [warning, fined, credited]", "earned_in: [warning, credited]"),
        ("earned_in: [warning, fined, credited]", "earned_in: [active, warning, fined, credited]"),
        ("rounds_with_a_suspension: ignore", "rounds_with_a_suspension: count"),
        ("notice_when_clear: false", "notice_when_clear: true"),
        ("all: [high_hhi, specialisation]", "all: [high_hhi]"),
        ("all: [high_hhi, specialisation]", "all: [specialisation]"),
        ("all: [synchronous_move, variance_collapse]", "all: [synchronous_move]"),
        ("all: [synchronous_move, variance_collapse]", "all: [variance_collapse]"),
    ],
)
def test_the_shipped_tests_notice_any_change_of_the_cournot_rules(old, new):
    text = (GRAPHS / "cournot.yaml").read_text()
    assert old in text
    revised = parse_graph(text.replace(old, new, 1).encode(), "cournot.yaml")

    assert run_tests(load_tests(GRAPHS / "tests/cournot.yaml", revised)).failed


def test_a_recorded_run_has_coverage_too():
    """The divider is warned, fined and finds its way back; it is never suspended."""
    folder = EXAMPLE / "institutional-divider_forgiving-0000"
    rulings = [e.body for e in read_entries(folder / "ledger") if e.kind == "ruling"]
    coverage = coverage_of_run(load_graph(folder / "graph.yaml"), rulings)

    assert coverage.missing("states") == ("suspended",)
    assert "warn" not in coverage.missing("edges")
    assert "suspend" in coverage.missing("edges")
    # A case names its evidence; the way back out of a fine had to be recovered.
    assert not {"high_hhi true", "specialisation true", "recovered true"} & set(
        coverage.missing("evidence")
    )
    # In these cases nobody moved in step; that high_hhi was ever false is nowhere recorded.
    assert "synchronous_move false" not in coverage.missing("evidence")
    assert "high_hhi false" in coverage.missing("evidence")


def test_junit_has_one_testcase_per_test_and_the_round_of_a_failure():
    tests = loaded(STORY + one(["{expect: {ann: {state: out}}}"]))
    report = run_tests(tests)
    suite = ET.fromstring(as_junit(tests, report))[0]  # noqa: S314 - our own output
    cases = suite.findall("testcase")

    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.find("failure") is not None for case in cases] == [False, True]
    failure = cases[1].find("failure")
    assert failure.get("message").endswith("ann: state")
    assert "expected: out" in failure.text
    assert '"standings"' in failure.text


def test_junit_survives_a_name_that_xml_cannot_hold():
    story = one(["{expect: {ann: {state: active}}}"]).replace("a story", '"bell \\a & <tag>"')
    tests = loaded(story)

    ET.fromstring(as_junit(tests, run_tests(tests)))  # noqa: S314 - our own output


def test_the_same_tests_give_the_same_bytes():
    tests = load_tests(GRAPHS / "tests/cournot.yaml")
    first, second = (as_json(tests, run_tests(tests)) for _ in range(2))

    assert json.dumps(first) == json.dumps(second)
    assert as_junit(tests, run_tests(tests)) == as_junit(tests, run_tests(tests))


# The command.


@pytest.fixture
def command(tmp_path):
    """`graph test` on a copy of the small graph with one story, in a folder of its own."""
    (tmp_path / "small.yaml").write_bytes(YAML)
    (tmp_path / "tests").mkdir()
    write(tmp_path, STORY)
    app = typer.Typer()
    app.callback()(lambda: None)  # a group, as `graph` is
    graph_test.register(app)

    def run(*arguments, graph=tmp_path / "small.yaml"):
        return CliRunner().invoke(app, ["test", str(graph), *map(str, arguments)])

    return run


def write(folder, story, name="small.yaml"):
    head = HEAD.replace("graph: small.yaml", "graph: ../small.yaml")
    (folder / "tests" / name).write_text(head + story)


def test_the_command_exits_0_when_all_pass(command):
    done = command()

    assert done.exit_code == 0
    assert "1 of 1 policy tests pass" in done.stdout
    assert "never tested: edges: suspend" in done.stdout


def test_the_command_exits_1_when_one_fails_and_shows_the_difference(command, tmp_path):
    write(tmp_path, STORY.replace("fine: 4", "fine: 5"))
    done = command("--junit", tmp_path / "junit.xml")

    assert done.exit_code == 1
    assert "FAILED: who stays high" in done.stdout
    assert "  expected: 5.0\n  found:    4.0\n" in done.stdout
    assert 'failures="1"' in (tmp_path / "junit.xml").read_text()


def test_the_command_exits_1_below_the_coverage_asked_for(command):
    assert command("--min-coverage", "0.40").exit_code == 0
    below = command("--min-coverage", "0.41")  # 9 of 22 is 0.409

    assert below.exit_code == 1
    assert "below 41.0%" in below.stdout


def test_the_command_prints_json(command):
    found = json.loads(command("--json").stdout)

    assert (found["passed"], found["failed"]) == (1, 0)
    assert found["coverage"]["tests"]["edges"]["exercised"] == 2
    assert found["coverage"]["runs"] is None


def test_the_command_shows_runs_beside_the_tests(command):
    done = command("--run", EXAMPLE, "--min-coverage", "1", graph=GRAPHS / "cournot.yaml")

    assert done.exit_code == 0
    assert "not seen in the runs: states: suspended" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tests", "nowhere.yaml"], "nowhere.yaml: no policy tests here"),
        (["--run", EXAMPLE], "no run under this graph"),
        (["--junit", "/nowhere/junit.xml"], "cannot be written"),
    ],
)
def test_the_command_refuses_what_it_cannot_read_or_write(command, arguments, says):
    done = command(*arguments)

    assert isinstance(done.exception, InstitutionalError)  # the program exits 2 on it
    assert says in str(done.exception)


def test_tests_of_another_graph_run_only_when_they_are_named(command, tmp_path):
    (tmp_path / "revised.yaml").write_bytes(YAML.replace(b"floor: 3", b"floor: 5"))
    write(tmp_path, STORY, "revised.yaml")
    unnamed = command(graph=tmp_path / "revised.yaml")
    named = command("--tests", tmp_path / "tests/revised.yaml", graph=tmp_path / "revised.yaml")

    assert "these tests are for" in str(unnamed.exception)
    assert named.exit_code == 1  # half of 8 is now below the floor
