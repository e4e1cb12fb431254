"""The third layer of `graph check`: what the model checker finds, as findings with rules."""

from collections.abc import Mapping
from typing import Literal

from institutional.governance.check.findings import Finding, Rule, finding
from institutional.governance.explore.findings import Exploration, Violation
from institutional.governance.explore.trace import Trace
from institutional.governance.loading import LoadedGraph

_SEVERITY: Mapping[str, Literal["error", "warning", "info"]] = {
    "error": "error",
    "warning": "warning",
    "note": "info",
}

RULES = (
    Rule(
        "M00",
        "info",
        "the exploration is bounded",
        "- {id: late, from: a, to: b, when: [{rounds_in_state: 900000}]}",
        "More standings than are followed: what lies beyond was not checked.",
    ),
    Rule(
        "M01",
        "error",
        "no way back to good standing",
        "- {id: suspend, from: fined, to: out, when: [{case: N1}]}  # and no edge leaves out",
        "From every standing that can be reached some conduct must lead back to a clear status.",
    ),
    Rule(
        "M02",
        "error",
        "a sanction without a case in its round",
        "- {id: fine, from: a, to: b, when: [{streak: {of: N1, rounds: 3}}], sanction: ...}",
        "A fine, a new suspension or a tighter cap answers a case of the same round.",
    ),
    Rule(
        "M03",
        "error",
        "two sanctions for one case",
        "- {id: again, from: fined, to: out, when: [{rounds_in_state: 1}]}",
        "What a case has brought already may not be brought by it a second time.",
    ),
    Rule(
        "M04",
        "warning",
        "sanctions that weaken as offences repeat",
        "sanction: {fine: {rates: [1.0, 0.5], of: profit}}",
        "The next fine of an unforgotten record has no lower rate and no lower floor.",
    ),
    Rule(
        "M05",
        "error",
        "a suspension that need not end",
        "- {id: return, from: out, to: active, when: [{clean_rounds: 3}]}  # out is ignored",
        "No evidence may keep an agent suspended for ever; time alone must end it.",
    ),
    Rule(
        "M06",
        "info",
        "fines that can add up to more than what was earned",
        "sanction: {fine: {rates: [2.0], of: profit}}",
        "Over ten rounds the rates of all fines together exceed ten.",
    ),
    Rule(
        "M07",
        "error",
        "a property of the author's own does not hold",
        "properties: [{id: soon, meaning: warnings end, leads_to: {from: ..., to: ...}}]",
        "Declared under `properties:` in the graph and refuted by the counterexample.",
    ),
)
_BY_ID = {rule.id: rule for rule in RULES}


def findings_of(loaded: LoadedGraph, exploration: Exploration) -> list[Finding]:
    """The violations of `exploration` as findings, each with its shortest counterexample."""
    return [_finding(loaded, violation) for violation in exploration.violations]


def first_trace(exploration: Exploration) -> Trace | None:
    """The first counterexample, if there is one."""
    return next((v.trace for v in exploration.violations if v.trace is not None), None)


def _finding(loaded: LoadedGraph, violation: Violation) -> Finding:
    rule = _BY_ID[violation.rule]
    as_found = Rule(rule.id, _SEVERITY[violation.severity], rule.title, rule.example, rule.why)
    shown = "" if violation.trace is None else f"\n  counterexample:\n{_indented(violation.trace)}"
    return finding(
        as_found,
        loaded.document,
        violation.place,
        violation.message,
        f"{violation.remedy}{shown}",
    )


def _indented(trace: Trace) -> str:
    return "\n".join(f"    {line}" for line in str(trace).splitlines())
