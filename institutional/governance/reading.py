"""The graph as an agent may read it: public words, consequences, and a rehearsal on paper.

Implements `agents.contract.PublicGraph` without importing it: the two packages share a protocol.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from agents.contract import Rehearsal
from institutional.governance.institution import Institution
from institutional.governance.notices import is_answer, restricts
from institutional.governance.oracle import Mask
from institutional.governance.program import Array, Program, Record

Play = Callable[[Array, Mask, Array], Record]
"""(actions [1, N, A], suspended [1, N], cap [1, N]) -> the public record without shocks."""


def as_published(program: Program) -> Program:
    """`program` as far as agents may know it: secret evidence never holds in it.

    Lots are not known in advance either: a rehearsal is what happens to who is looked at and upon
    whom no lot falls, once the institution acts at all.
    """
    graph = program.loaded.graph
    if not program.probes:
        return program
    certain: dict[str, float] = {"audit_share": 1.0, "from_round": 0}
    if graph.detection.by_lot is not None:
        certain["by_lot"] = 0.0
    never = ("all", (("probe", 0), ("not", ("probe", 0))))
    secret = [entry.secret for entry in graph.evidence.values()]
    evidence = zip(program.evidence, secret, strict=True)
    seen = graph.model_copy(update={"detection": graph.detection.model_copy(update=certain)})
    return replace(
        program,
        loaded=replace(program.loaded, graph=seen),
        evidence=tuple(never if hidden else shown for shown, hidden in evidence),
    )


class PublicReading:
    """What every agent may know of the institution; rehearsals are remembered."""

    def __init__(self, program: Program, play: Play) -> None:
        self._program, self._play = as_published(program), play
        self._rehearsed: dict[tuple[bytes, int], Rehearsal] = {}

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the legal states."""
        return self._program.states

    def status(self, standing: int) -> str:
        """The public status word of a state."""
        return self._program.loaded.graph.states[self._program.states[standing]].status

    def next_case_costs(self, standing: int) -> bool:
        """Whether a case against an agent of this standing can bring a fine or a restriction."""
        return any(
            edge.source == standing
            and is_answer(edge)
            and (edge.fine is not None or restricts(self._program, edge))
            for edge in self._program.moves
        )

    def rehearse(self, actions: Array, rounds: int) -> Rehearsal:
        """Play `actions` [N, A] for `rounds` rounds on paper, from good standing."""
        key = (actions.tobytes(), rounds)
        if key not in self._rehearsed:
            self._rehearsed[key] = self._run(actions, rounds)
        return self._rehearsed[key]

    def _run(self, actions: Array, rounds: int) -> Rehearsal:
        institution = Institution(self._program)
        fines, suspended, standings = [], [], []
        for _ in range(rounds):
            suspended.append(institution.suspended()[0])
            record = self._play(actions[None], institution.suspended(), institution.cap())
            ruling = institution.judge(record)
            fines.append(ruling.decisions.fines[0])
            standings.append(ruling.register.state[0])
        return Rehearsal(np.array(fines), np.array(suspended), np.array(standings))
