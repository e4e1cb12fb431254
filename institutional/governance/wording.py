"""The graph as those it governs may read it: plain text, short enough for a prompt.

Norms, what makes a case, what each standing means and where it leads, fines and ways back. Never a
piece of secret evidence, not even its name. Deterministic: a prompt's digest hangs on it.
`draw.as_text` says more, to authors.
"""

from collections.abc import Iterator
from typing import Any

from institutional.governance.draw import (
    condition_words,
    detection_words,
    fine_words,
    number,
    restriction_words,
)
from institutional.governance.loading import LoadedGraph, leaves
from institutional.governance.schema import Comparison, Edge, Graph, Guard

UNPUBLISHED = "evidence that is not published"
_SYMBOLS = {"above": ">", "at_least": ">=", "below": "<", "at_most": "<="}


def public_words(loaded: LoadedGraph) -> str:
    """The institution of `loaded` in plain text, a few lines per norm, evidence and standing."""
    graph = loaded.graph
    secret = set(_secret(graph))
    return "\n".join(
        [
            *_norms(graph, secret),
            *detection_words(graph),
            *_evidence(graph, secret),
            f"Everyone starts {graph.initial}.",
            *_standings(graph, secret),
            *_ways(graph),
        ]
    )


def _secret(graph: Graph) -> Iterator[str]:
    """Secret evidence, and what rests on it: to publish that would tell of the secret."""
    found: set[str] = set()
    for name, entry in graph.evidence.items():
        rests_on = {leaf for _, leaf in leaves(entry.when, ()) if isinstance(leaf, str)}
        if entry.secret or rests_on & found:
            found.add(name)
            yield name


def _norms(graph: Graph, secret: set[str]) -> Iterator[str]:
    for name, norm in graph.norms.items():
        deontic = norm.deontic.replace("_", " ")
        yield f"{name}: {norm.who} {deontic} {norm.aim} {norm.object}, {norm.condition}."
        if graph.detection.by_lot is None:
            yield f"A case under {name}: {_condition(norm.breached_by, secret)}."


def _condition(condition: Any, secret: set[str]) -> str:
    """A condition over evidence with its unpublished branches as one."""
    branches = getattr(condition, "any_", [condition])
    told = [part for part in branches if not _hides(part, secret)]
    words = [condition_words(part) for part in told]
    if len(branches) > 1:
        words = [f"({text})" if " " in text else text for text in words]
    return " or ".join(words + [UNPUBLISHED] * (len(told) < len(branches)))


def _hides(condition: Any, secret: set[str]) -> bool:
    return any(leaf in secret for _, leaf in leaves(condition, ()) if isinstance(leaf, str))


def _evidence(graph: Graph, secret: set[str]) -> Iterator[str]:
    """What a norm or a guard asks for, with its numbers."""
    asked = {guard.evidence for edge in graph.edges for guard in (*edge.when, *edge.require)}
    if graph.detection.by_lot is None:
        norms = graph.norms.values()
        asked |= {leaf for norm in norms for _, leaf in leaves(norm.breached_by, ())}
    for name, entry in graph.evidence.items():
        if name in asked and name not in secret:
            yield f"{name}: {entry.meaning} ({_when(entry.when)})."


def _when(condition: Any) -> str:
    """A condition of evidence, in symbols: `hhi > 1.5 x nash in 3 of 5 rounds`."""
    if not isinstance(condition, Comparison):
        return condition_words(condition)
    threshold = number(condition.threshold)
    if condition.relative_to is not None:
        threshold = f"{number(1 + condition.threshold)} x {condition.relative_to}"
    window = condition.window
    often = f" in {window.at_least} of {window.of} rounds" if window.at_least > 1 else ""
    given = ", ".join(f"{name} {number(value)}" for name, value in condition.with_.items())
    signal = f"{condition.signal}({given})" if given else condition.signal
    return f"{signal} {_SYMBOLS[condition.operator]} {threshold}{often}"


def _standings(graph: Graph, secret: set[str]) -> Iterator[str]:
    for name, state in graph.states.items():
        limit = restriction_words(state.restriction)
        moves = "; ".join(_edge(edge, secret) for edge in graph.edges if edge.source == name)
        said = f"{name}: {state.meaning}{f', {limit}' if limit else ''}."
        yield f"{said} {moves}." if moves else said


def _edge(edge: Edge, secret: set[str]) -> str:
    requested = " and ".join(_guard(guard, secret) for guard in edge.when)
    said = [] if edge.source == edge.target else [edge.target]
    if edge.sanction.fine:
        said.append("a fine")
    if edge.sanction.credits:
        verb = "costs" if edge.sanction.credits < 0 else "brings"
        said.append(f"{verb} {_count(abs(edge.sanction.credits), 'credit')}")
    if edge.require:
        required = " and ".join(_guard(guard, secret) for guard in edge.require)
        said.append(f"if {required}")
    if edge.cooldown:
        said.append(f"at most every {_count(edge.cooldown, 'round')}")
    return f"{requested} -> {', '.join(said or ['no change'])}"


def _guard(guard: Guard, secret: set[str]) -> str:
    value: Any = getattr(guard, guard.kind)
    match guard.kind:
        case "case":
            return f"case {value}"
        case "evidence":
            return UNPUBLISHED if value in secret else str(value)
        case "rounds_in_state":
            return f"after {_count(value, 'round')}"
        case "clean_rounds":
            return _count(value, "clean round")
        case "streak":
            return f"case {value.of} in {_count(value.rounds, 'round')} running"
        case "offences":
            return _count(value, "earlier fine")
    return _count(value, "credit")


def _count(value: int, what: str) -> str:
    return f"{value} {what}{'' if value == 1 else 's'}"


def _ways(graph: Graph) -> Iterator[str]:
    fines = [edge.sanction.fine for edge in graph.edges if edge.sanction.fine]
    for words in dict.fromkeys(fine_words(fine).removeprefix("fine ") for fine in fines):
        yield f"A fine: {words}" + (", rising with each." if "/" in words else ".")
    rules = graph.restoration
    if rules.credits:
        said = rules.credits
        earned = f"{_count(said.earn_after, 'clean round')} while {' or '.join(said.earned_in)}"
        yield f"A credit: {earned}; {said.cap} at most; lapses after {_count(said.decay, 'round')}."
    if rules.forget_offences_after:
        yield f"{_count(rules.forget_offences_after, 'clean round')}: fines start anew."
    if graph.norms:
        yield "A clean round is one without a case."
    ignored = graph.detection.rounds_with_a_suspension == "ignore"
    if ignored and any(state.restriction.suspended for state in graph.states.values()):
        yield "A round in which anyone is suspended counts for nobody."
