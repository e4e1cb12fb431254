"""Lint of states: whether they can be reached and left, and mean what they do."""

from collections.abc import Iterator

import networkx as nx

from institutional.governance.check.findings import Rule
from institutional.governance.check.subject import Hit, Lint, Subject, cases, fined


def unreachable(subject: Subject) -> Iterator[Hit]:
    """States to which no path of edges leads."""
    for state in subject.graph.states:
        if state not in subject.reachable:
            yield Hit(
                ("states", state),
                f'nobody can ever be in "{state}": no edges lead there from '
                f'"{subject.graph.initial}"',
                "add an edge to it, or remove the state and the edges that leave it",
            )


def dead_ends(subject: Subject) -> Iterator[Hit]:
    """States that nothing leaves."""
    for state in subject.reachable:
        if not subject.leaving(state):
            yield Hit(
                ("states", state),
                f'no edge leaves "{state}": whoever gets there stays for the rest of the run',
                "add a way back; if it is meant to be final, silence this with the reason",
            )


def no_way_back(subject: Subject) -> Iterator[Hit]:
    """Punished states that edges leave without ever leading back to good standing."""
    graph = subject.graph
    clear = {name for name, state in graph.states.items() if state.status == "clear"}
    paid = {edge.target for edge in graph.edges if fined(edge)}
    for state in subject.reachable:
        punished = subject.restricts(state) or state in paid
        ways = {state, *nx.descendants(subject.ways, state)}
        if punished and subject.leaving(state) and not ways & clear:
            yield Hit(
                ("states", state),
                f'from "{state}" no path leads back to a state of status clear',
                "add an edge that restores, on clean rounds, credits or time",
            )


def restricted_but_clear(subject: Subject) -> Iterator[Hit]:
    """States called clear in which something is forbidden."""
    for name, state in subject.graph.states.items():
        if state.status == "clear" and subject.restricts(name):
            what = "suspended" if state.restriction.suspended else "capped"
            yield Hit(
                ("states", name, "status"),
                f'"{name}" has the status clear, but an agent in it is {what}; '
                "notices would say CLEAR",
                "give it the status penalised or rehabilitated, or lift the restriction",
            )


def havens(subject: Subject) -> Iterator[Hit]:
    """States in which a case changes nothing."""
    graph = subject.graph
    answered = set[str]().union(*map(cases, graph.edges))
    for name in subject.reachable:
        if graph.states[name].restriction.suspended or not subject.leaving(name):
            continue
        here = set[str]().union(*(cases(edge) for edge in graph.edges if edge.source == name))
        missing = [norm for norm in graph.norms if norm in answered - here]
        if missing:
            yield Hit(
                ("states", name),
                f'in "{name}" a case under {", ".join(missing)} changes nothing: no edge from '
                "it answers one",
                f'add an edge from "{name}" on the case; if there is a reason for none, say it',
            )


LINTS = (
    Lint(
        Rule(
            "L01",
            "error",
            "state that cannot be reached",
            "states:\n  expelled: {status: penalised, meaning: out for good}  # no edge leads here",
            "What nobody can enter punishes nobody; usually an edge is missing or misdirected.",
        ),
        unreachable,
    ),
    Lint(
        Rule(
            "L02",
            "warning",
            "dead end",
            "states:\n  expelled: {status: penalised, meaning: out for good}  # no edge leaves it",
            "Restoration is part of an institution. A graph cannot declare a state final, so one "
            "that is meant to be is silenced with the reason.",
        ),
        dead_ends,
    ),
    Lint(
        Rule(
            "L03",
            "warning",
            "sanction without a way back",
            "edges:\n  - {id: parole, from: suspended, to: watched, when: [{rounds_in_state: 5}]}\n"
            "  - {id: recall, from: watched, to: suspended, when: [{case: P2}]}",
            "An agent that pays and then behaves should be able to stand where it stood before.",
        ),
        no_way_back,
    ),
    Lint(
        Rule(
            "L04",
            "warning",
            "status at odds with the restriction",
            "states:\n  out: {status: clear, meaning: suspended, restriction: {suspended: true}}",
            "The status heads every notice; an agent that is told CLEAR and may not act is misled.",
        ),
        restricted_but_clear,
    ),
    Lint(
        Rule(
            "L05",
            "warning",
            "haven",
            "edges:\n  - {id: fine, from: free, to: fined, when: [{case: V1}]}\n"
            "  - {id: forgiven, from: fined, to: free, when: [{clean_rounds: 1}]}",
            "In a state that answers no case an agent may go on as long as it likes.",
        ),
        havens,
    ),
)
