"""The institution on paper: evidence is given instead of found, no market is played.

What an author's tests, explanations and model checks share: the real controller over a `Finding`
built from the names of evidence that hold. Signals are only needed where a fine is a share of one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from institutional.errors import InstitutionalError, suggestion
from institutional.governance import controller
from institutional.governance.controller import Register, Ruling
from institutional.governance.institution import account
from institutional.governance.loading import LoadedGraph, comparisons
from institutional.governance.oracle import Finding, Mask, attributed, counts, truth
from institutional.governance.program import Program, compile_graph
from institutional.governance.schema import Graph


class _Unmeasured:
    """A signal of which only the name is known."""

    parameters: Mapping[str, float] = {}

    @staticmethod
    def function(*_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is measured on paper")


def compile_on_paper(loaded: LoadedGraph, agents: Sequence[str]) -> Program:
    """Compile `loaded` without an environment: its signals exist in name, thresholds are zero."""
    given: dict[str, dict[str, float]] = {}
    for _, comparison in comparisons(loaded.graph):
        given.setdefault(comparison.signal, {}).update(comparison.with_)
    for edge in loaded.graph.edges:
        if edge.sanction.fine is not None:
            given.setdefault(edge.sanction.fine.of, {})
    signals = {name: _signal(parameters) for name, parameters in given.items()}
    count = sum(1 for _ in comparisons(loaded.graph))
    zeros = [[0.0] * len(agents)] * count
    return compile_graph(loaded, agents=agents, signals=signals, thresholds=zeros)


def _signal(parameters: Mapping[str, float]) -> _Unmeasured:
    signal = _Unmeasured()
    signal.parameters = dict(parameters)
    return signal


class PaperSession:
    """An institution in session over one market, told each round what the evidence is."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.round = 0
        self.register: Register = controller.blank_register(program, 1)

    def hold(
        self,
        evidence: Mapping[str, Iterable[str]],
        signals: Mapping[str, Mapping[str, float]] | None = None,
    ) -> dict[str, Any]:
        """Hold one round and return its account (see `institution.account`).

        `evidence` maps agents to the names of the evidence that holds against them; `signals` maps
        signal names to values by agent, 0 where none is given. Breaches follow from the norms.
        Raises InstitutionalError for an agent, evidence or signal that is not there.
        """
        return account(self.program, self.rule(self.found(evidence, signals or {})))

    def found(
        self,
        evidence: Mapping[str, Iterable[str]],
        signals: Mapping[str, Mapping[str, float]],
    ) -> Finding:
        """Return the finding of the coming round in which what is given holds (`finding_of`)."""
        return finding_of(self.program, evidence, signals, self.suspended(), round_=self.round)

    def rule(self, finding: Finding) -> Ruling:
        """Decide on `finding` and go on to the next round."""
        register, decisions = controller.decide(self.program, self.register, finding, self.round)
        ruling = Ruling(self.round, finding, decisions, register)
        self.register = register
        self.round += 1
        return ruling

    def suspended(self) -> Mask:
        """Who may not act in the coming round, [1, N]."""
        return self.program.suspended[self.register.state]


def finding_of(
    program: Program,
    evidence: Mapping[str, Iterable[str]],
    signals: Mapping[str, Mapping[str, float]],
    suspended: Mask,
    *,
    round_: int,
) -> Finding:
    """Build the finding [1, N] in which exactly the named evidence holds.

    There is no lottery on paper. Who is given evidence has been looked at; where cases fall by
    lot, it falls on who is given the name of a norm.
    """
    agents = program.agents
    names = givable(program.loaded.graph)
    held = [np.zeros((1, len(agents)), dtype=np.bool_) for _ in names]
    for agent, found in evidence.items():
        seat = _index(agent, agents, "agent")
        for name in found:
            held[_index(name, names, "evidence")][0, seat] = True
    readings = [reading.name.split("[")[0] for reading in program.readings]
    values = [np.zeros((1, len(agents))) for _ in readings]
    for name, by_agent in signals.items():
        _index(name, readings, "signal in this graph")
        for agent, value in by_agent.items():
            seat = _index(agent, agents, "agent")
            for reading, array in zip(readings, values, strict=True):
                if reading == name:
                    array[0, seat] = value
    counted = counts(program, suspended, round_)
    held = [true & counted[:, None] for true in held]
    held, lots = held[: len(program.evidence)], held[len(program.evidence) :]
    breaches = tuple(lots or (truth(norm, [], held) & counted[:, None] for norm in program.norms))
    held, breaches = attributed(program, held, breaches)
    return Finding(tuple(values), tuple(held), breaches, counted)


def givable(graph: Graph) -> tuple[str, ...]:
    """What may be given against an agent: evidence, then the norms if cases fall by lot."""
    lots = graph.norms if graph.detection.by_lot is not None else ()
    return (*graph.evidence, *lots)


def _index(name: str, known: Sequence[str], kind: str) -> int:
    if name not in known:
        raise InstitutionalError(
            f'there is no {kind} "{name}"\n  known here: {", ".join(known) or "none"}.'
            f"{suggestion(name, known)}"
        )
    return list(known).index(name)
