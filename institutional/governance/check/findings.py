"""What a check says about a graph: rules, findings with their place, and how one is silenced.

Every layer of `graph check` (lint, model checker) brings `Rule`s and returns `Finding`s.
Silencing is part of the document: `# institutional: ignore RULE reason`, at the end of the line
that the finding points at or on a line of its own above it. What is silenced is still listed, with
its reason; a silencing without a reason, or that silences nothing, is a finding itself.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.tokens import ScalarToken

from institutional.errors import suggestion
from institutional.governance.document import Document, Place

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

_RULE_ID = re.compile(r"[A-Z]\d\d")
_MARKER = re.compile(r"(?<!\S)#\s*institutional:\s*(?P<text>.*)$")
_IGNORE = re.compile(r"ignore\s+(?P<rule>\S+)\s*(?P<reason>.*)")


@dataclass(frozen=True)
class Rule:
    """One thing a check looks for; `example` is YAML in which it is found."""

    id: str
    severity: Severity
    title: str
    example: str
    why: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing found: `place` are the keys that lead to it, `line` and `column` count from 1."""

    rule: str
    severity: Severity
    place: Place
    line: int
    column: int
    message: str
    remedy: str


class Ignored(NamedTuple):
    """A finding that its author has answered."""

    finding: Finding
    reason: str


class Silencing(NamedTuple):
    """A comment that asks for silence; `speaks_for` is the line whose findings it answers."""

    line: int
    column: int
    speaks_for: int
    rule: str
    reason: str


RULES = (
    Rule(
        "F01",
        "warning",
        "silencing that is not complete",
        "- id: warn # institutional: ignore L16",
        "Silence needs a reason that the next reader can judge; without one it has no effect.",
    ),
    Rule(
        "F02",
        "warning",
        "silencing that silences nothing",
        "- id: warn # institutional: ignore L20 no fine is here, so nothing is found",
        "A stale silencing would hide the next mistake on its line.",
    ),
)


def registry(*families: Iterable[Rule]) -> dict[str, Rule]:
    """Every rule by its id, in the order of the ids; an id is one letter and two digits."""
    rules: dict[str, Rule] = {}
    for rule in (rule for family in families for rule in family):
        assert _RULE_ID.fullmatch(rule.id), f"{rule.id} is not a letter and two digits"  # noqa: S101 - ours
        assert rule.id not in rules, f"two rules are called {rule.id}"  # noqa: S101 - ours
        rules[rule.id] = rule
    return dict(sorted(rules.items()))


def finding(rule: Rule, document: Document, place: Place, message: str, remedy: str) -> Finding:
    """Build a finding at `place`, or at the nearest place above it that was written."""
    written = next(
        place[:length] for length in range(len(place), -1, -1) if place[:length] in document.marks
    )
    return Finding(rule.id, rule.severity, place, *document.marks[written], message, remedy)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of the document, then of the rules."""
    return sorted(findings, key=lambda f: (f.line, f.column, f.rule, f.message))


def as_text(found: Finding, path: str) -> str:
    """`path:line:column: severity RULE message`, and the remedy on the next line."""
    place = f"{path}:{found.line}:{found.column}"
    return f"{place}: {found.severity} {found.rule} {found.message}\n  {found.remedy}"


def as_json(found: Finding) -> dict[str, Any]:
    """The finding as JSON-serialisable data."""
    return {
        "rule": found.rule,
        "severity": found.severity,
        "place": list(found.place),
        "line": found.line,
        "column": found.column,
        "message": found.message,
        "remedy": found.remedy,
    }


def silence(
    findings: Iterable[Finding],
    document: Document,
    *,
    rules: Mapping[str, Rule],
    unchecked: Collection[str] = (),
) -> tuple[list[Finding], list[Ignored]]:
    """Split findings into those that stand and those silenced in `document`; both are ordered.

    Incomplete and idle silencings join those that stand. `unchecked` names rules that were not
    looked for this time: silencing one of them is not called idle.
    """
    comments = silencings(document)
    complete = [c for c in comments if c.rule and c.reason]
    stands = [_incomplete(c) for c in comments if not (c.rule and c.reason)]
    ignored, used = [], set()
    for found in ordered(findings):
        answer = next(
            (c for c in complete if (c.speaks_for, c.rule) == (found.line, found.rule)), None
        )
        if answer is None:
            stands.append(found)
        else:
            ignored.append(Ignored(found, answer.reason))
            used.add(answer)
    stands += [_idle(c, rules) for c in complete if c not in used and c.rule not in unchecked]
    return ordered(stands), ignored


def silencings(document: Document) -> list[Silencing]:
    """Every comment of `document` that speaks to this program, in order."""
    text = document.raw.decode("utf-8")
    lines = text.split("\n")
    texts = [
        (token.start_mark, token.end_mark)
        for token in YAML(typ="safe", pure=True).scan(text)
        if isinstance(token, ScalarToken)
    ]
    found = []
    for index, line in enumerate(lines):
        comment = _MARKER.search(line.rstrip("\r"))
        if comment is None:
            continue
        at = (index, comment.start())
        if any((s.line, s.column) <= at < (e.line, e.column) for s, e in texts):
            continue  # a text that quotes a comment
        own_line = not line[: comment.start()].strip()
        below = (n for n in range(index + 1, len(lines)) if lines[n].split("#")[0].strip())
        speaks_for = next(below, index) if own_line else index
        said = _IGNORE.fullmatch(comment["text"].strip())
        rule, reason = (said["rule"], said["reason"]) if said else ("", "")
        found.append(Silencing(index + 1, at[1] + 1, speaks_for + 1, rule, reason))
    return found


def _incomplete(comment: Silencing) -> Finding:
    message = (
        f"{comment.rule} is silenced without a reason, so it is not silenced"
        if comment.rule
        else "this comment is no silencing"
    )
    remedy = f"write: # institutional: ignore {comment.rule or 'RULE'} why it is meant to be so"
    return _of_comment(RULES[0], comment, message, remedy)


def _idle(comment: Silencing, rules: Mapping[str, Rule]) -> Finding:
    if comment.rule not in rules:
        message = f'there is no rule "{comment.rule}".{suggestion(comment.rule, rules)}'
        remedy = "`institutional graph rules` lists them"
    else:
        message = f"{comment.rule} is silenced here, but it finds nothing on this line"
        remedy = "remove the comment, or move it to the line that the finding names"
    return _of_comment(RULES[1], comment, message, remedy)


def _of_comment(rule: Rule, comment: Silencing, message: str, remedy: str) -> Finding:
    return Finding(rule.id, rule.severity, (), comment.line, comment.column, message, remedy)


def as_markdown(rules: Iterable[Rule]) -> str:
    """Every rule with its reason and an example in which it is found, as one Markdown document."""
    parts = ["# What `institutional graph check` looks for\n"]
    for rule in rules:
        why = f"{rule.why}\n\n" if rule.why else ""
        parts.append(
            f"## {rule.id} {rule.title} ({rule.severity})\n\n{why}```yaml\n{rule.example}\n```\n"
        )
    return "\n".join(parts)
