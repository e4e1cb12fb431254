"""A counterexample as it really happens: the evidence of each round, replayed by the controller."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from institutional.errors import InstitutionalError
from institutional.governance import institution
from institutional.governance.explore.society import Given
from institutional.governance.hypothetical import PaperSession, compile_on_paper
from institutional.governance.loading import LoadedGraph
from institutional.governance.oracle import found_of

TEST_FORMAT = "institutional.policy_tests/1"
PROFIT = 1000
"""What every fined signal is worth in a replayed round, so that fines are round numbers."""


@dataclass(frozen=True)
class TracedRound:
    """One round: what is found of each agent and what the controller makes of it."""

    given: Mapping[str, Given]  # by the agent it is found of
    cases: tuple[str, ...]  # ids
    counted: bool
    states: Mapping[str, str]  # after the round
    moves: Mapping[str, str]  # edge by agent, where there was one
    fines: Mapping[str, float]  # by agent, where there was one
    standings: tuple[Mapping[str, Any], ...]  # as in the account, by seat


@dataclass(frozen=True)
class Trace:
    """Rounds from the first acting one, `begins`, on.

    From the `repeats_from`-th of them on they can go on in a circle for ever.
    """

    agents: tuple[str, ...]
    rounds: tuple[TracedRound, ...]
    repeats_from: int | None = None
    begins: int = 0

    def __str__(self) -> str:
        """One line per round."""
        lines = []
        for number, round_ in enumerate(self.rounds):
            found = "; ".join(
                f"{agent}: {', '.join(found.evidence)}{'' if found.looked_at else ' (unseen)'}"
                for agent, found in round_.given.items()
                if found.evidence
            )
            after = ", ".join(
                f"{agent} {round_.moves.get(agent, '-')} -> {round_.states[agent]}"
                for agent in self.agents
            )
            spoilt = "" if round_.counted else " (does not count)"
            mark = " <- from here again and again" if number == self.repeats_from else ""
            lines.append(
                f"round {self.begins + number}{spoilt}: [{found or 'nothing'}] {after}{mark}"
            )
        return "\n".join(lines)


def replay(
    loaded: LoadedGraph,
    given: Sequence[Mapping[str, Given]],
    repeats_from: int | None = None,
) -> Trace:
    """Hold a session on paper with the evidence `given` in each round."""
    agents = tuple(given[0])
    session = PaperSession(compile_on_paper(loaded, agents))
    session.round = begins = loaded.graph.detection.from_round
    source = {agent: agents[found_of(session.program, seat)] for seat, agent in enumerate(agents)}
    fined = {edge.sanction.fine.of for edge in loaded.graph.edges if edge.sanction.fine}
    signals = {name: dict.fromkeys(agents, float(PROFIT)) for name in fined}
    rounds = []
    for found in given:
        evidence = {source[agent]: one.evidence for agent, one in found.items()}
        finding = session.found(evidence, signals)
        seen = np.array([[found[agent].looked_at for agent in agents]])
        finding = finding._replace(breaches=tuple(breach & seen for breach in finding.breaches))
        account = institution.account(session.program, session.rule(finding))
        standings = account["standings"]
        rounds.append(
            TracedRound(
                given={source[agent]: one for agent, one in found.items()},
                cases=tuple(case["id"] for case in account["cases"]),
                counted=account["counted"],
                states={a: s["state"] for a, s in zip(agents, standings, strict=True)},
                moves={move["agent"]: move["edge"] for move in account["moves"]},
                fines={m["agent"]: m["fine"] for m in account["moves"] if "fine" in m},
                standings=tuple(standings),
            )
        )
    return Trace(agents, tuple(rounds), repeats_from, begins)


def trace_as_policy_test(loaded: LoadedGraph, trace: Trace, *, name: str, graph: str) -> str:
    """The trace as a policy test in YAML: the text pins what the controller does today.

    `graph` is the path of the graph as the test file should write it. Raises InstitutionalError
    where the trace hangs on an audit that looked elsewhere, which no policy test can say.
    """
    fined = sorted({edge.sanction.fine.of for edge in loaded.graph.edges if edge.sanction.fine})
    rounds: list[dict[str, Any]] = [{"repeat": trace.begins}] if trace.begins else []
    for traced in trace.rounds:
        if not all(found.looked_at for found in traced.given.values()):
            raise InstitutionalError(
                f"{loaded.document.path}: this trace needs an agent that no audit looks at\n"
                "  a policy test cannot say so: its given evidence is always seen"
            )
        given = {a: list(found.evidence) for a, found in traced.given.items() if found.evidence}
        round_: dict[str, Any] = {"given": given}
        if traced.moves and fined:
            round_["signals"] = {s: dict.fromkeys(trace.agents, PROFIT) for s in fined}
        round_["expect"] = {
            agent: {"state": traced.states[agent]}
            | ({"move": traced.moves[agent]} if agent in traced.moves else {})
            for agent in trace.agents
        }
        rounds.append(round_)
    test = {"name": name, "agents": list(trace.agents), "rounds": rounds}
    yaml = YAML(pure=True)
    yaml.default_flow_style = None  # mappings of plain values on one line
    yaml.representer.ignore_aliases = lambda _: True
    yaml.width = 100
    text = io.StringIO()
    yaml.dump({"format": TEST_FORMAT, "graph": graph, "tests": [test]}, text)
    return text.getvalue()
