"""A verdict for machines: every check is there, skipped is never pass, same input same bytes."""

import hashlib
import json
from xml.etree import ElementTree as ET

import pytest
from small_run import OPERATOR, TRUST, declare, write

from institutional.errors import InstitutionalError
from institutional.ledger.auditing import reports
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.divergence import first_divergence
from institutional.ledger.auditing.holdings import hold
from institutional.ledger.auditing.rules import RULES, Question
from institutional.ledger.errors import LedgerError
from institutional.ledger.index import End, Start, read_index, register
from institutional.ledger.manifest import (
    check_envelope,
    parse_envelope,
    read_manifest,
    sign_envelope,
)


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run", write(tmp_path / "run")


@pytest.fixture
def altered(run):
    """The same run with the price of round 0 raised: entry 1, in the commit that begins at it."""
    path = run[0] / "ledger/log.wal"
    path.write_bytes(path.read_bytes().replace(b'"price":6.5,"round":0', b'"price":9.5,"round":0'))
    return audit(run[0], TRUST)


def test_the_three_questions_have_answers_of_their_own(altered):
    assert altered.answer(Question.INTEGRITY) == "INVALID"
    assert altered.answer(Question.COMPLETENESS) == "UNANCHORED"
    assert altered.answer(Question.CONFORMANCE) == "NOT ASKED"
    assert [rule.id for rule in RULES] == [check.id for check in altered.checks]


def test_junit_has_a_case_per_check_and_counts_what_did_not_pass(run):
    verdict = audit(run[0], TRUST)
    suite = ET.fromstring(reports.as_junit(verdict)).find("testsuite")  # noqa: S314 - our own text

    assert int(suite.get("tests")) == len(verdict.checks) == len(suite.findall("testcase"))
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    passed = [case for case in suite.findall("testcase") if not len(case)]
    assert {case.get("name") for case in passed} == {
        check.id for check in verdict.checks if check.outcome == "pass"
    }
    assert reports.as_junit(verdict) == reports.as_junit(audit(run[0], TRUST))


def test_sarif_places_the_first_bad_commit_in_the_log(altered, run):
    document = reports.as_sarif(altered, RULES)
    results = {result["ruleId"]: result for result in document["runs"][0]["results"]}

    assert json.loads(json.dumps(document)) == document
    place = results["heads"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "ledger/log.wal"
    log = (run[0] / "ledger/log.wal").read_bytes()
    assert log[place["region"]["byteOffset"] :].startswith(b'{"body":{"price":9.5,"round":0')
    for result in results.values():
        assert (result["kind"] == "fail") == (result["level"] != "none")
    rules = document["runs"][0]["tool"]["driver"]["rules"]
    assert [rules[r["ruleIndex"]]["id"] for r in results.values()] == list(results)


def test_a_summary_is_signed_by_the_auditor_and_names_head_policy_and_result(run, altered):
    folder, heads = run
    sound = write(folder.parent / "sound")
    for verdict, result in (
        (audit(folder.parent / "sound", TRUST, sound[-1].decode()), "PASSED"),
        (altered, "FAILED"),
    ):
        payload = reports.summary(verdict, verifier="me", policy=TRUST)
        envelope = parse_envelope(sign_envelope(payload, OPERATOR))
        check_envelope(envelope, OPERATOR.verify_key)
        statement = json.loads(envelope.payload)
        assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
        assert statement["predicate"]["verificationResult"] == result
        policy = statement["predicate"]["policy"]["digest"]["sha256"]
        assert policy == hashlib.sha256(TRUST.encode()).hexdigest()
    subject = statement["subject"][0]["digest"]["sha256"]
    assert subject == hashlib.sha256(altered.head.encode()).hexdigest()
    assert heads


def test_two_copies_part_at_the_first_entry_that_differs_or_is_missing(run, tmp_path):
    folder, _ = run
    write(tmp_path / "same")
    assert first_divergence(folder, tmp_path / "same") == (7, None)

    write(tmp_path / "other", rounds=3)
    shared, parting = first_divergence(folder, tmp_path / "other")
    assert (shared, parting.seq) == (4, 4)
    assert b'"round":3' in parting.first
    assert b'"kind":"close"' in parting.second

    (tmp_path / "empty" / "ledger").mkdir(parents=True)
    (tmp_path / "empty/ledger/log.wal").write_bytes(b"")
    shared, parting = first_divergence(folder, tmp_path / "empty")
    assert (shared, parting.second) == (0, None)
    with pytest.raises(LedgerError, match="cannot be read"):
        first_divergence(folder, tmp_path / "nowhere")


def test_runs_that_are_hidden_replaced_or_never_ended_are_told_apart(tmp_path):
    shown = tmp_path / "shown"
    digest = declare(shown / "small")
    plan = read_manifest(shown / "small/manifest.dsse.json")[1].plan
    names = ("small", "hidden", "open", "replaced")
    starts = [Start(name, f"o/{name}", digest, "e", plan) for name in names]
    heads = write(shown / "small")
    (shown / "open").mkdir()
    replaced = write(shown / "replaced", rounds=3)
    ends = [End("small", "o/small", heads[-1].decode()), End("hidden", "o/hidden", "head")]
    ends += [End("replaced", "o/replaced", heads[-1].decode())]
    register(tmp_path / "index", OPERATOR, [*starts, *ends])

    lines = {line.run: line for line in hold(read_index(tmp_path / "index"), shown)}

    assert {name: line.shown for name, line in lines.items()} == {
        "small": "as it ended",
        "hidden": "MISSING",
        "open": "not closed",
        "replaced": "OTHERWISE",
    }
    assert [name for name, line in lines.items() if line.amiss] == ["hidden", "open", "replaced"]
    assert replaced
    with pytest.raises(InstitutionalError, match="none of the runs here"):
        hold(read_index(tmp_path / "index"), tmp_path / "index")
