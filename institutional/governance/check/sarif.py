"""Findings about a graph as a SARIF document, for code hosts and editors.

What an author silenced is a result with a suppression.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from institutional import sarif
from institutional.governance.check.findings import Finding, Ignored, Rule

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
    return sarif.document(
        "institutional graph check", rules=[_rule(rule) for rule in rules.values()], results=results
    )


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
        "artifactLocation": {"uri": sarif.uri(path)},
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
