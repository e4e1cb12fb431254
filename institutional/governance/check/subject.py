"""What a lint rule is given, what it yields, and the few questions that several rules ask."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import networkx as nx

from institutional.governance.check.conditions import Together
from institutional.governance.check.findings import Rule
from institutional.governance.document import Place
from institutional.governance.loading import LoadedGraph
from institutional.governance.schema import Edge, Graph, Guard


class Bounded(Protocol):
    """What is needed of an environment's signal."""

    @property
    def low(self) -> float:
        """Smallest value it can have; may be -inf."""

    @property
    def high(self) -> float:
        """Largest value it can have; may be inf."""


class Hit(NamedTuple):
    """Where a rule is broken, how, and what to do about it."""

    place: Place
    message: str
    remedy: str


@dataclass(frozen=True)
class Subject:
    """A graph, and what is known of the market it is for (nothing, where both are None)."""

    loaded: LoadedGraph
    signals: Mapping[str, Bounded] | None = None
    thresholds: Sequence[Sequence[float]] | None = None

    @property
    def graph(self) -> Graph:
        """The graph itself."""
        return self.loaded.graph

    @cached_property
    def ways(self) -> "nx.DiGraph[str]":
        """States and the moves between them."""
        return digraph(self.graph, self.graph.edges)

    @cached_property
    def reachable(self) -> list[str]:
        """The states that can be reached, in the order of the file."""
        found = {self.graph.initial, *nx.descendants(self.ways, self.graph.initial)}
        return [state for state in self.graph.states if state in found]

    @cached_property
    def most_credits(self) -> float:
        """The largest balance anybody can have."""
        given = any(edge.sanction.credits > 0 for edge in self.graph.edges)
        rule = self.graph.restoration.credits
        if rule is None:
            return float("inf") if given else 0
        if given:
            return rule.cap
        if all(self.unseen(state) for state in rule.earned_in):
            return 0
        # A credit that lapses before the next is earned never meets it.
        return min(rule.cap, 1) if rule.decay <= rule.earn_after else rule.cap

    @cached_property
    def together(self) -> Together:
        """Which conditions can hold in one round."""
        return Together(self.graph)

    def leaving(self, state: str) -> list[Edge]:
        """The edges from `state` to another state."""
        return [e for e in self.graph.edges if e.source == state != e.target]

    def restricts(self, state: str) -> bool:
        """Whether something is forbidden or capped in `state`."""
        restriction = self.graph.states[state].restriction
        return restriction.suspended or restriction.cap < 1

    def unseen(self, state: str) -> bool:
        """Whether the oracle ignores every round that is played in `state`."""
        ignored = self.graph.detection.rounds_with_a_suspension == "ignore"
        return ignored and self.graph.states[state].restriction.suspended


class Lint(NamedTuple):
    """A rule and the function that looks for it."""

    rule: Rule
    hits: Callable[[Subject], Iterator[Hit]]


def digraph(graph: Graph, edges: Sequence[Edge]) -> "nx.DiGraph[str]":
    """All states of `graph` and, of its moves, `edges`."""
    ways: nx.DiGraph[str] = nx.DiGraph()
    ways.add_nodes_from(graph.states)
    ways.add_edges_from((edge.source, edge.target) for edge in edges)
    return ways


def number(guard: Guard) -> int:
    """What a guard asks for at least; 1 for a case and for evidence."""
    if guard.streak is not None:
        return guard.streak.rounds
    value = getattr(guard, guard.kind)
    return value if isinstance(value, int) else 1


def rounds(count: int) -> str:
    """`1 round`, `2 rounds`."""
    return f"{count} round{'' if count == 1 else 's'}"


def about(guard: Guard) -> tuple[str, str | None]:
    """What a guard is about: its kind, and the norm or evidence it names."""
    return guard.kind, guard.case or guard.evidence or (guard.streak.of if guard.streak else None)


def cases(edge: Edge) -> set[str]:
    """The norms whose cases `edge` answers."""
    found = (guard.case or (guard.streak and guard.streak.of) for guard in edge.when)
    return {norm for norm in found if norm}


def ungated(edge: Edge) -> bool:
    """Whether a request for `edge` is never refused."""
    return not edge.require and not edge.cooldown


def runs_on(edge: Edge, kinds: set[str]) -> bool:
    """Whether `edge` asks for nothing but guards of `kinds`, and nothing can refuse it."""
    return ungated(edge) and all(guard.kind in kinds for guard in edge.when)


def fined(edge: Edge) -> bool:
    """Whether the edge takes money."""
    fine = edge.sanction.fine
    return fine is not None and (fine.floor > 0 or max(fine.rates) > 0)
