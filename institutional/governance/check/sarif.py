"""Findings as a SARIF 2.1.0 document, for code hosts and editors.

OASIS, Static Analysis Results Interchange Format 2.1.0. Same findings, same bytes: nothing of the
time or the machine enters. What an author silenced is a result with a suppression.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from institutional.governance.check.findings import Finding, Ignored, Rule

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def as_sarif(
    findings: Iterable[Finding],
    ignored: Iterable[Ignored],
    *,
    path: Path,
    rules: Mapping[str, Rule],
) -> dict[str, Any]:
    """The SARIF log of one check of the graph at `path`; `rules` holds every finding's rule."""
    index = {rule: number for number, rule in enumerate(rules)}
    results = [_result(found, index, path) for found in findings]
    for found, reason in ignored:
        silenced = [{"kind": "inSource", "justification": reason}]
        results.append(_result(found, index, path) | {"suppressions": silenced})
    driver = {
        "name": "institutional graph check",
        "semanticVersion": version("institutional"),
        "rules": [_rule(rule) for rule in rules.values()],
    }
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    why = rule.why or f"{rule.title}."
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": why},
        "help": {
            "text": f"{why}\n\nFound in:\n{rule.example}",
            "markdown": f"{why}\n\nFound in:\n\n```yaml\n{rule.example}\n```",
        },
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(found: Finding, index: Mapping[str, int], path: Path) -> dict[str, Any]:
    # The standard allows a level other than "none" only where the kind is "fail".
    told = found.severity == "info"
    place = {
        "artifactLocation": {"uri": _uri(path)},
        "region": {"startLine": found.line, "startColumn": found.column},
    }
    logical = {"fullyQualifiedName": "/".join(map(str, found.place))}
    location = {"physicalLocation": place} | (
        {"logicalLocations": [logical]} if found.place else {}
    )
    return {
        "ruleId": found.rule,
        "ruleIndex": index[found.rule],
        "kind": "informational" if told else "fail",
        "level": "none" if told else _LEVELS[found.severity],
        "message": {"text": f"{found.message}. {found.remedy}"},
        "locations": [location],
    }


def _uri(path: PurePath) -> str:
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
