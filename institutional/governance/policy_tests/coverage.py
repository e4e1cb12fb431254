"""What of an institution was exercised: by its policy tests, or by recorded runs.

Five kinds: states stood in, edges applied, refusals by each reason an edge has (its cool-down, and
every gate of `require`), evidence both true and false, and cases under norms. Coverage says what
was reached, not that it was right: only a test's expectations say that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from institutional.governance.controller import COOLING, refusal_reason
from institutional.governance.hypothetical import compile_on_paper
from institutional.governance.loading import LoadedGraph
from institutional.governance.program import Move, Program

KINDS = ("states", "edges", "refusals", "evidence", "norms")

Item = tuple[str, str]
"""A kind and what was exercised of it."""


@dataclass(frozen=True)
class Coverage:
    """What can be exercised of an institution, in the graph's order, and what was."""

    possible: Mapping[str, tuple[str, ...]]  # per kind
    exercised: frozenset[Item]

    def __or__(self, other: "Coverage") -> "Coverage":
        """Return what either exercised; both must be of the same graph."""
        if self.possible != other.possible:
            raise ValueError("coverage of two different graphs cannot be joined")
        return Coverage(self.possible, self.exercised | other.exercised)

    def having(self, items: Iterable[Item]) -> Self:
        """Return this coverage and `items`; what the graph does not have is left out."""
        known = {(kind, item) for kind, found in self.possible.items() for item in found}
        return type(self)(self.possible, self.exercised | (known & set(items)))

    def missing(self, kind: str) -> tuple[str, ...]:
        """What of `kind` was never exercised, in the graph's order."""
        return tuple(i for i in self.possible[kind] if (kind, i) not in self.exercised)

    def counts(self, kind: str | None = None) -> tuple[int, int]:
        """How many items were exercised, of how many, of one kind or overall."""
        kinds = self.possible if kind is None else (kind,)
        possible = sum(len(self.possible[k]) for k in kinds)
        return possible - sum(len(self.missing(k)) for k in kinds), possible

    def share(self, kind: str | None = None) -> float:
        """The share exercised, of one kind or overall; 1 where there is nothing to exercise."""
        exercised, possible = self.counts(kind)
        return exercised / possible if possible else 1.0


def nothing_of(program: Program) -> Coverage:
    """Return the coverage of an institution in which nothing has happened yet."""
    return Coverage(
        {
            "states": program.states,
            "edges": tuple(move.id for move in program.moves),
            "refusals": tuple(
                refusal(move.id, reason) for move in program.moves for reason in _reasons(move)
            ),
            "evidence": tuple(
                evidence(name, holds=holds)
                for name in program.evidence_names
                for holds in (True, False)
            ),
            "norms": program.norm_names,
        },
        frozenset(),
    )


def coverage_of_run(loaded: LoadedGraph, rulings: Iterable[Mapping[str, Any]]) -> Coverage:
    """Return what the recorded `rulings` of a run under `loaded` exercised.

    The ledger names evidence only where there was a case, and where a guard or a gate turned on
    it; elsewhere it is not known whether the evidence held, and it counts as not exercised.
    """
    program = compile_on_paper(loaded, ["a"])
    coverage, items = nothing_of(program), set[Item]()
    for ruling in rulings:
        items.update(decided(ruling))
        items.update(_recorded_evidence(program, ruling))
    return coverage.having(items)


def decided(account: Mapping[str, Any]) -> Iterator[Item]:
    """The states, edges, refusals and norms in one round's account or recorded ruling."""
    for standing in account["standings"]:
        yield "states", standing["state"]
    for move in account["moves"]:
        yield "edges", move["edge"]
        # A state may be left in the round in which it is first seen.
        yield "states", move["from"]
    for refused in account["refused"]:
        yield "refusals", refusal(refused["edge"], refused["reason"])
    for case in account["cases"]:
        yield "norms", case["norm"]


def refusal(edge: str, reason: str) -> str:
    """Name a refusal as the coverage does."""
    return f"{edge}: {reason}"


def evidence(name: str, *, holds: bool) -> str:
    """Name an evidence's truth as the coverage does."""
    return f"{name} {'true' if holds else 'false'}"


def _reasons(edge: Move) -> list[str]:
    cooling = [refusal_reason(edge, COOLING)] if edge.cooldown else []
    gates = [refusal_reason(edge, COOLING + k) for k in range(1, len(edge.require) + 1)]
    return list(dict.fromkeys(cooling + gates))


def _recorded_evidence(program: Program, ruling: Mapping[str, Any]) -> Iterator[Item]:
    """What a ruling says, directly or by what was decided, about evidence."""
    for case in ruling["cases"]:
        for name in program.evidence_names:
            yield "evidence", evidence(name, holds=name in case["evidence"])
    edges = {move.id: move for move in program.moves}
    for move in ruling["moves"]:
        edge = edges.get(move["edge"])
        for check in (*edge.when, *edge.require) if edge else ():
            if check.kind == "evidence":
                yield "evidence", evidence(program.evidence_names[check.subject], holds=True)
    if not ruling["counted"]:
        return  # in an ignored round evidence is withheld, not false
    for refused in ruling["refused"]:
        edge = edges.get(refused["edge"])
        for number, check in enumerate(edge.require if edge else (), start=1):
            reason = refusal_reason(edge, COOLING + number) if edge else None
            if check.kind == "evidence" and refused["reason"] == reason:
                yield "evidence", evidence(program.evidence_names[check.subject], holds=False)
