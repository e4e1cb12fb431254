"""Lint of what is looked for: signals, evidence, norms and parameters."""

from collections.abc import Iterable, Iterator
from typing import Any

from institutional.governance.check.conditions import avoidable, possible
from institutional.governance.check.findings import Rule
from institutional.governance.check.subject import Hit, Lint, Subject, cases
from institutional.governance.document import Place
from institutional.governance.loading import comparisons, leaves


def unused_evidence(subject: Subject) -> Iterator[Hit]:
    """Evidence that no norm, edge or other evidence asks for."""
    graph = subject.graph
    conditions = [
        *(entry.when for entry in graph.evidence.values()),
        *(norm.breached_by for norm in graph.norms.values()),
    ]
    used = {
        leaf
        for condition in conditions
        for _, leaf in leaves(condition, ())
        if isinstance(leaf, str)
    }
    used |= {g.evidence for e in graph.edges for g in (*e.when, *e.require) if g.evidence}
    for name in graph.evidence:
        if name not in used:
            yield Hit(
                ("evidence", name),
                f'nothing asks for the evidence "{name}": no norm, edge or other evidence',
                "name it in a norm or in the guard of an edge, or remove it",
            )


def constant_conditions(subject: Subject) -> Iterator[Hit]:
    """Evidence and norms that never hold, or always."""
    graph = subject.graph
    told: set[str] = set()
    found: list[tuple[Place, str, Any]] = [
        (("evidence", name, "when"), name, entry.when) for name, entry in graph.evidence.items()
    ]
    found += [
        (("norms", name, "breached_by"), name, norm.breached_by)
        for name, norm in graph.norms.items()
    ]
    for place, name, condition in found:
        if told & {leaf for _, leaf in leaves(condition, ()) if isinstance(leaf, str)}:
            continue  # the cause has been told
        never = not possible(graph, [condition])
        if never or not avoidable(graph, [condition]):
            told.add(name)
            yield Hit(
                place,
                f'"{name}" {"can never hold" if never else "holds in every round"}: '
                f"its parts {'exclude' if never else 'complete'} each other",
                "look at all, any and not, and at the direction of each comparison",
            )


def out_of_range(subject: Subject) -> Iterator[Hit]:
    """Thresholds that the signal never crosses in this market, or always has."""
    if subject.signals is None:
        return
    for index, (place, comparison) in enumerate(comparisons(subject.graph)):
        if subject.thresholds is not None:
            thresholds = [float(value) for value in subject.thresholds[index]]
        elif comparison.relative_to is None:
            thresholds = [comparison.threshold]
        else:
            continue
        signal = subject.signals[comparison.signal]
        spread = [_outcomes(comparison.operator, t, signal.low, signal.high) for t in thresholds]
        if all(len(outcomes) == 1 for outcomes in spread) and len(set(spread)) == 1:
            word = "always" if True in spread[0] else "never"
            operator = comparison.operator.replace("_", " ")
            beyond = f" (here {thresholds[0]:g})" if comparison.relative_to else ""
            yield Hit(
                (*place, comparison.operator),
                f'"{comparison.signal}" is {word} {operator} {comparison.threshold:g}{beyond}: '
                f"in this market it runs from {signal.low:g} to {signal.high:g}",
                "choose a threshold within the range, or another market with --environment",
            )


def _outcomes(operator: str, threshold: float, low: float, high: float) -> frozenset[bool]:
    """What comparing can give for a signal between `low` and `high`."""
    match operator:
        case "above":
            return frozenset({low > threshold, high > threshold})
        case "at_least":
            return frozenset({low >= threshold, high >= threshold})
        case "below":
            return frozenset({low < threshold, high < threshold})
    return frozenset({low <= threshold, high <= threshold})


def false_or_else(subject: Subject) -> Iterator[Hit]:
    """Edges that a norm threatens with and that answer no case under it."""
    graph = subject.graph
    answers = {edge.id: cases(edge) for edge in graph.edges}
    for name, norm in graph.norms.items():
        for index, edge in enumerate(norm.or_else):
            if name not in answers[edge]:
                yield Hit(
                    ("norms", name, "or_else", index),
                    f'{name} says "or else {edge}", but "{edge}" does not answer a case under it',
                    f"add {{case: {name}}} to its when, or take it out of or_else",
                )


def unused_parameters(subject: Subject) -> Iterator[Hit]:
    """Parameters that no number refers to."""
    values = subject.loaded.document.values
    used = set(_references({k: v for k, v in values.items() if k != "parameters"}))
    for name in subject.graph.parameters:
        if name not in used:
            yield Hit(
                ("parameters", name),
                f'the parameter "{name}" is used nowhere: changing it changes nothing',
                f"write ${name} where it is meant, or remove it",
            )


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("$"):
            yield value[1:]
        return
    parts = value.values() if isinstance(value, dict) else value
    for part in parts if isinstance(parts, Iterable) else ():
        yield from _references(part)


LINTS = (
    Lint(
        Rule(
            "L30",
            "warning",
            "evidence that nobody uses",
            "evidence:\n  loud: {meaning: it was loud, when: {signal: level, above: 7}}  "
            "# named nowhere else",
            "It is computed every round and decides nothing.",
        ),
        unused_evidence,
    ),
    Lint(
        Rule(
            "L31",
            "error",
            "condition that never or always holds",
            "when: {all: [{signal: level, above: 5}, {signal: level, below: 3}]}",
            "A norm that cannot be breached binds nobody; one that always is, is no norm.",
        ),
        constant_conditions,
    ),
    Lint(
        Rule(
            "L32",
            "error",
            "threshold outside the signal's range",
            "when: {signal: hhi, above: 1.5}  # a sum of squared shares is at most 1",
            "The range is that of the market that is checked against.",
        ),
        out_of_range,
    ),
    Lint(
        Rule(
            "L33",
            "error",
            "or_else that does not answer the norm",
            "norms:\n  P2: {or_else: [warn, lapse]}  # lapse runs on time",
            "The norm is what agents and auditors read: it must threaten with what happens.",
        ),
        false_or_else,
    ),
    Lint(
        Rule(
            "L34",
            "warning",
            "parameter that is used nowhere",
            "parameters:\n  grace: {value: 3, unit: rounds, source: chosen, note: before a fine}",
            "A sweep over it would report that it has no effect.",
        ),
        unused_parameters,
    ),
)
