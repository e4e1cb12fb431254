"""Lint of sanctions and credits: whether what should cost something does."""

from collections.abc import Iterator

import networkx as nx

from institutional.governance.check.findings import Rule
from institutional.governance.check.subject import (
    Hit,
    Lint,
    Subject,
    cases,
    digraph,
    fined,
    number,
    rounds,
    runs_on,
)
from institutional.governance.schema import Edge


def free_warnings(subject: Subject) -> Iterator[Hit]:
    """Warnings without cost that time alone wipes out: they can be had again and again."""
    for index, edge, back in _cycles(subject, {"rounds_in_state"}):
        spell = rounds(max(1, *map(number, back.when)))
        yield Hit(
            ("edges", index, "id"),
            f'"{edge.id}" costs nothing and "{back.id}" wipes it out after {spell} on time '
            f"alone: offend, behave for {spell} and offend again, for ever and for free",
            "fine or restrict on the first case, or let the warning end in a probation where a "
            "case is fined",
        )


def wiped_warnings(subject: Subject) -> Iterator[Hit]:
    """Warnings without cost that good conduct wipes out."""
    for index, edge, back in _cycles(subject, {"rounds_in_state", "clean_rounds"}):
        if any(guard.kind == "clean_rounds" for guard in back.when):
            count = max(map(number, back.when))
            spell = f"{count} clean {'round' if count == 1 else 'rounds'}"
            yield Hit(
                ("edges", index, "id"),
                f'"{edge.id}" costs nothing and {spell} wipe it out ("{back.id}"): '
                "one offence per such spell is free",
                "nothing to do if a first offence may be free again after good conduct",
            )


def _cycles(subject: Subject, kinds: set[str]) -> Iterator[tuple[int, Edge, Edge]]:
    """Free answers to a case whose state is left by an edge on `kinds` to where all can recur."""
    graph = subject.graph
    free = [edge for edge in graph.edges if _costs_nothing(subject, edge)]
    ways = digraph(graph, free)
    for index, edge in enumerate(graph.edges):
        if edge not in free or not cases(edge) or edge.source == edge.target:
            continue
        for back in free:
            ends = back.source == edge.target and graph.states[back.target].status == "clear"
            recurs = edge.source in {back.target, *nx.descendants(ways, back.target)}
            if ends and recurs and runs_on(back, kinds):
                yield index, edge, back
                break


def _costs_nothing(subject: Subject, edge: Edge) -> bool:
    spends = edge.sanction.credits < 0
    return not (fined(edge) or spends or subject.restricts(edge.target))


def falling_rates(subject: Subject) -> Iterator[Hit]:
    """Fines that get milder with repetition."""
    for index, edge in enumerate(subject.graph.edges):
        rates = edge.sanction.fine.rates if edge.sanction.fine else []
        fall = next((n for n in range(1, len(rates)) if rates[n] < rates[n - 1]), None)
        if fall is not None:
            yield Hit(
                ("edges", index, "sanction", "fine", "rates", fall),
                f'the fine of "{edge.id}" falls with repetition: {rates[fall]:g} after '
                f"{rates[fall - 1]:g}",
                "write the rates in rising order; the last one holds for all further offences",
            )


def empty_fines(subject: Subject) -> Iterator[Hit]:
    """Fines that are always zero."""
    for index, edge in enumerate(subject.graph.edges):
        if edge.sanction.fine is not None and not fined(edge):
            yield Hit(
                ("edges", index, "sanction", "fine"),
                f'the fine of "{edge.id}" is always 0: every rate and the floor are',
                "give it a rate or a floor; a warning without money is a notice",
            )


def unasked_spending(subject: Subject) -> Iterator[Hit]:
    """Credits that are spent without a look at the balance."""
    for index, edge in enumerate(subject.graph.edges):
        guards = [g for g in (*edge.when, *edge.require) if g.kind == "credits"]
        asked = max(map(number, guards), default=0)
        if -edge.sanction.credits > asked:
            yield Hit(
                ("edges", index, "sanction", "credits"),
                f'"{edge.id}" spends {-edge.sanction.credits} credits and asks for {asked}: '
                "whoever has fewer pays what there is",
                f"add {{credits: {-edge.sanction.credits}}} to when or require",
            )


def idle_credits(subject: Subject) -> Iterator[Hit]:
    """Credits that are earned and buy nothing."""
    graph = subject.graph
    guards = (g for e in graph.edges for g in (*e.when, *e.require))
    if graph.restoration.credits is not None and not any(g.kind == "credits" for g in guards):
        yield Hit(
            ("restoration", "credits"),
            "credits are earned, but no edge asks for any: they buy nothing",
            "let an edge of restoration ask for credits, or remove them",
        )


LINTS = (
    Lint(
        Rule(
            "L16",
            "warning",
            "free warning that can be cycled",
            "edges:\n  - {id: warn, from: active, to: warned, when: [{case: P2}]}\n"
            "  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 5}]}",
            "Warn, behave, expire, offend: as no warning is remembered, the first offence of every "
            "cycle is free, and the threat behind the warning is never reached.",
        ),
        free_warnings,
    ),
    Lint(
        Rule(
            "L17",
            "info",
            "free warning that good conduct wipes out",
            "edges:\n  - {id: warn, from: active, to: warned, when: [{case: P2}]}\n"
            "  - {id: calm, from: warned, to: active, when: [{clean_rounds: 5}]}",
            "The same cycle as L16, but every turn of it costs the agent clean rounds.",
        ),
        wiped_warnings,
    ),
    Lint(
        Rule(
            "L20",
            "warning",
            "fine that falls with repetition",
            "fine: {rates: [1.0, 0.5], of: profit}",
            "Whoever has paid once then finds offending cheaper than before.",
        ),
        falling_rates,
    ),
    Lint(
        Rule(
            "L21",
            "warning",
            "fine of nothing",
            "fine: {rates: [0], of: profit}",
            "It counts as an offence and is announced as a fine of 0.00.",
        ),
        empty_fines,
    ),
    Lint(
        Rule(
            "L22",
            "warning",
            "credits spent without asking for them",
            "- {id: redeem, from: fined, to: active, when: [{clean_rounds: 1}], "
            "sanction: {credits: -1}}",
            "A balance never falls below 0, so the way back is free for whoever has none.",
        ),
        unasked_spending,
    ),
    Lint(
        Rule(
            "L23",
            "warning",
            "credits that buy nothing",
            "restoration:\n  credits: {earn_after: 2, cap: 3, decay: 10, earned_in: [fined]}  "
            "# and no edge with {credits: 1}",
            "Agents are told of a balance every round; a promise without a use.",
        ),
        idle_credits,
    ),
)
