"""A verdict for machines: JUnit for CI, SARIF for code hosts, a signed summary for other auditors.

Every check is a case, a result, a line; skipped is never pass. No clock: the same verdict gives
the same bytes.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from institutional import junit, sarif
from institutional.ledger import canonical
from institutional.ledger.auditing.rules import Rule
from institutional.ledger.auditing.verdict import Check, Outcome, Verdict, Word
from institutional.ledger.manifest import STATEMENT_TYPE

_LOG = "ledger/log.wal"
_PLACES = {"graph": "graph.yaml"}
SUMMARY_TYPE = "https://slsa.dev/verification_summary/v1"
_NOT_DECIDED = {Word.CANNOT_DECIDE}
_KINDS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "fail",
    Outcome.SKIPPED: "open",
    Outcome.NOT_APPLICABLE: "notApplicable",
}


def as_junit(verdict: Verdict) -> str:
    """JUnit XML: one case per check, its question as its class."""
    cases = [junit.Case(f"audit.{c.question}", c.id, _trouble(c)) for c in verdict.checks]
    properties = {
        "verdict": str(verdict.word),
        "exit_code": str(verdict.exit_code),
        "origin": verdict.origin,
        "key": verdict.key,
        "root": verdict.root,
        "anchor": verdict.anchor,
    }
    return junit.as_xml("institutional audit", verdict.run, cases, properties=properties)


def as_sarif(verdict: Verdict, rules: Sequence[Rule]) -> dict[str, Any]:
    """SARIF 2.1.0: one result per check; a place in the log as a byte offset."""
    index = {rule.id: number for number, rule in enumerate(rules)}
    return sarif.document(
        "institutional audit",
        rules=[
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.otherwise},
                "help": {"text": rule.otherwise},
                "properties": {"question": str(rule.question)},
            }
            for rule in rules
        ],
        results=[_result(check, index[check.id]) for check in verdict.checks],
    )


def summary(verdict: Verdict, *, verifier: str, policy: str) -> bytes:
    """The payload of a SLSA verification summary, an in-toto statement about the log's head.

    `verifier` names the auditor, `policy` is the text of the key or policy that was applied. To be
    put into a DSSE envelope under the auditor's own key. slsa.dev/spec/v1.0/verification_summary.
    """
    head = hashlib.sha256(verdict.head.encode()).hexdigest()
    digest = hashlib.sha256(policy.encode()).hexdigest()
    passed = verdict.word == Word.VERIFIED
    return canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": SUMMARY_TYPE,
            "subject": [{"name": verdict.origin, "digest": {"sha256": head}}],
            "predicate": {
                "verifier": {"id": verifier},
                "resourceUri": verdict.origin,
                "policy": {"uri": verdict.key_source, "digest": {"sha256": digest}},
                "verificationResult": "PASSED" if passed else "FAILED",
                "verifiedLevels": [f"INSTITUTIONAL_{verdict.word.name}"],
            },
        }
    )


def _trouble(check: Check) -> junit.Trouble | None:
    where = "" if check.expected is None else f"expected {check.expected}\nfound    {check.found}"
    if check.word is not None:
        how = "error" if check.word in _NOT_DECIDED else "failure"
        return junit.Trouble(how, check.reason, str(check.word), where)  # type: ignore[arg-type]
    if check.outcome == Outcome.PASS:
        return None
    return junit.Trouble("skipped", f"{check.outcome}: {check.reason}")


def _result(check: Check, index: int) -> dict[str, Any]:
    # The standard allows a level other than "none" only where the kind is "fail".
    failed = check.word is not None
    result: dict[str, Any] = {
        "ruleId": check.id,
        "ruleIndex": index,
        "kind": "fail" if failed else _KINDS[check.outcome],
        "level": "error" if failed else "none",
        "message": {"text": f"{check.word}: {check.reason}" if failed else check.reason},
    }
    if check.offset is not None:
        artifact: dict[str, Any] = {"artifactLocation": {"uri": _PLACES.get(check.id, _LOG)}}
        artifact["region"] = {"byteOffset": check.offset, "byteLength": 0}
        result["locations"] = [{"physicalLocation": artifact}]
    return result
