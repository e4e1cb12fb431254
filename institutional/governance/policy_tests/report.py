"""How policy tests went, for people (text), for programs (JSON) and for CI (JUnit XML)."""

import json
from collections.abc import Mapping
from typing import Any

from institutional import junit
from institutional.governance.policy_tests.coverage import KINDS, Coverage
from institutional.governance.policy_tests.loading import LoadedTests
from institutional.governance.policy_tests.run import Outcome, TestReport


def as_text(loaded: LoadedTests, report: TestReport, runs: Coverage | None = None) -> str:
    """Failures with their differences, then the coverage by tests and, if given, by `runs`."""
    lines = [line for outcome in report.failed for line in (_failure(outcome), "")]
    failed, count = len(report.failed), len(report.outcomes)
    path = loaded.graph.document.path
    lines += [f"{path}: {count - failed} of {count} policy tests pass", ""]
    return "\n".join([*lines, coverage_text(report.coverage, runs)])


def coverage_text(tests: Coverage, runs: Coverage | None = None) -> str:
    """Exercised by kind, and by name what never was."""
    lines = ["exercised   by tests" + ("           in the runs" if runs else "")]
    for label, kind in (*((kind, kind) for kind in KINDS), ("overall", None)):
        cells = [_cell(coverage, kind) for coverage in (tests, runs) if coverage is not None]
        lines.append(f"{label:<10}  " + "   ".join(f"{cell:<16}" for cell in cells).rstrip())
    for kind in KINDS:
        for item in tests.missing(kind):
            happened = runs is not None and (kind, item) in runs.exercised
            note = "  (it occurred in the runs)" if happened else ""
            lines.append(f"never tested: {kind}: {item}{note}")
    if runs is not None:
        lines += [f"not seen in the runs: {k}: {item}" for k in KINDS for item in runs.missing(k)]
    return "\n".join(lines)


def _cell(coverage: Coverage, kind: str | None) -> str:
    exercised, possible = coverage.counts(kind)
    if not possible:
        return "none to exercise"
    # Rounded down: 100 % means all of it.
    return f"{exercised:>2} of {possible:<3} {int(100 * coverage.share(kind)):>3} %"


def _failure(outcome: Outcome) -> str:
    lines = [f"FAILED: {outcome.name}", *(f"{mismatch}" for mismatch in outcome.mismatches)]
    if outcome.account is not None:
        account = outcome.account
        lines.append(f"round {account['round']} as it went:")
        lines += [
            f"  {part}: {json.dumps(account[part])}"
            for part in ("counted", "cases", "moves", "refused", "standings")
        ]
    return "\n".join(lines)


def as_json(
    loaded: LoadedTests, report: TestReport, runs: Coverage | None = None
) -> dict[str, Any]:
    """Everything that is known about the tests, as JSON-serialisable data."""
    return {
        "graph": loaded.graph.document.path,
        "canonical_digest": loaded.graph.canonical_digest,
        "file": loaded.document.path,
        "passed": len(report.outcomes) - len(report.failed),
        "failed": len(report.failed),
        "tests": [_outcome(outcome) for outcome in report.outcomes],
        "coverage": {
            "tests": coverage_json(report.coverage),
            "runs": None if runs is None else coverage_json(runs),
        },
    }


def coverage_json(coverage: Coverage) -> dict[str, Any]:
    """Shares and what is missing, overall and by kind."""
    kinds: Mapping[str, Any] = {
        kind: {
            "exercised": coverage.counts(kind)[0],
            "possible": coverage.counts(kind)[1],
            "share": coverage.share(kind),
            "missing": list(coverage.missing(kind)),
        }
        for kind in KINDS
    }
    return {"share": coverage.share(), **kinds}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "where": outcome.where,
        "passed": outcome.passed,
        "rounds": outcome.rounds,
        "mismatches": [vars(mismatch) for mismatch in outcome.mismatches],
        "account": outcome.account,
    }


def as_junit(loaded: LoadedTests, report: TestReport) -> str:
    """JUnit XML: one testcase per test; a failure's text has the differences and the whole round.

    No times are written, so that the same tests give the same bytes.
    """
    cases = [
        junit.Case(
            loaded.graph.graph.name,
            outcome.name,
            None if outcome.passed else _trouble(outcome),
            {"file": loaded.document.path, "line": outcome.where.rsplit(":", 2)[1]},
        )
        for outcome in report.outcomes
    ]
    properties = {
        "graph": loaded.graph.canonical_digest,
        "coverage": f"{report.coverage.share():.4f}",
    }
    return junit.as_xml(
        "institutional graph test", loaded.document.path, cases, properties=properties
    )


def _trouble(outcome: Outcome) -> junit.Trouble:
    first = outcome.mismatches[0]
    whole = json.dumps(outcome.account, indent=2)
    differences = "\n".join(map(str, outcome.mismatches))
    message = f"{first.where}: {first.agent}: {first.key}"
    return junit.Trouble("failure", message, "mismatch", f"{differences}\n{whole}")
