"""The decisions of a run derived again from its record, on any machine, by the pure rules alone.

Nothing of the run's own machinery is used: no environment steps, no agent acts, no register is
read. The recorded rounds and thresholds, the graph's bytes and the signals' definitions go in;
every restriction, ruling and notice must come out as recorded, to the byte.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from environments import presets
from environments.contract import Core, UnplayableError
from institutional.errors import InstitutionalError
from institutional.governance.institution import Institution, account
from institutional.governance.journal import as_arrays, as_read_back
from institutional.governance.loading import parse_graph
from institutional.governance.program import Program, compile_graph


class Entry(Protocol):
    """What is needed of a ledger entry."""

    @property
    def seq(self) -> int:
        """Position in the ledger."""

    @property
    def kind(self) -> str:
        """`open`, `round`, `ruling` or `close`."""

    @property
    def body(self) -> dict[str, Any]:
        """Its content."""


@dataclass(frozen=True)
class Difference:
    """The first place where the record and the derivation part."""

    seq: int
    round: int
    path: str
    recorded: Any
    derived: Any

    def __str__(self) -> str:
        """Say where, what was recorded and what follows from the evidence."""
        return (
            f"entry {self.seq}, round {self.round}: {self.path or 'ruling'}\n"
            f"  recorded: {self.recorded}\n  derived:  {self.derived}"
        )


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    rounds: int
    decisions: int  # applied and refused moves derived again
    difference: Difference | None
    governed: bool = True

    @property
    def word(self) -> str:
        """`exact`, `mismatch` or `not-applicable` (nothing governed this run)."""
        if not self.governed:
            return "not-applicable"
        return "exact" if self.difference is None else "mismatch"


def replay(entries: Sequence[Entry], graph: bytes | None) -> Replay:
    """Derive every decision of a run again from its ledger `entries` and its `graph`'s bytes.

    The caller has verified the ledger. Raises InstitutionalError if something needed is missing:
    that is not a mismatch but the lack of a basis to decide.
    """
    opening = entries[0].body
    rounds = [entry for entry in entries if entry.kind == "round"]
    rulings = [entry for entry in entries if entry.kind == "ruling"]
    if opening.get("graph") is None:
        return Replay(len(rounds), 0, _extra(rulings), governed=False)
    if graph is None:
        raise InstitutionalError("the run was governed, but its graph.yaml is not here")
    core, program = _rebuilt(opening, graph)
    institution = Institution(program, lotteries=[opening.get("lottery", 0)])
    decisions = 0
    for index, entry in enumerate(rounds):
        if index == len(rulings):
            missing = Difference(entry.seq, index, "ruling", None, "one ruling per round")
            return Replay(index, decisions, missing)
        recorded = rulings[index]
        restricted = _restriction(core, institution, entry)
        if restricted is not None:
            return Replay(index, decisions, restricted)
        ruling = institution.judge(as_arrays(entry.body["record"]))
        derived = as_read_back("ruling", account(program, ruling))
        for path, was, should in _differences(recorded.body, derived, ""):
            difference = Difference(recorded.seq, index, path, was, should)
            return Replay(index, decisions, difference)
        decisions += len(derived["moves"]) + len(derived["refused"])
    return Replay(len(rounds), decisions, _extra(rulings[len(rounds) :]))


def _rebuilt(opening: Mapping[str, Any], graph: bytes) -> tuple[Core, Program]:
    try:
        core = presets.from_config(opening["environment"])
        program = compile_graph(
            parse_graph(graph, "graph.yaml"),
            agents=opening["agents"],
            signals=core.signals,
            thresholds=opening["thresholds"],
        )
    except (KeyError, UnplayableError) as error:
        raise InstitutionalError(f"the first entry does not describe a run: {error}") from error
    return core, program


def _restriction(core: Core, institution: Institution, entry: Entry) -> Difference | None:
    """Check that the actions played are those submitted, under the restrictions in force."""
    body, agents = entry.body, institution.program.agents
    submitted = np.array([body["submitted"][agent] for agent in agents], dtype=np.float64)[None]
    allowed = core.restrict(submitted, institution.suspended(), institution.cap())[0].tolist()
    played = body["record"][core.action_field]
    if allowed == played:
        return None
    return Difference(entry.seq, body["round"], core.action_field, played, allowed)


def _extra(rulings: Sequence[Entry]) -> Difference | None:
    if not rulings:
        return None
    return Difference(rulings[0].seq, rulings[0].body.get("round", -1), "ruling", "one", None)


def _differences(recorded: Any, derived: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """The places where two parsed JSON values differ, depth first."""
    if isinstance(recorded, dict) and isinstance(derived, dict):
        for key in sorted(recorded.keys() | derived.keys()):
            below = f"{path}.{key}" if path else key
            if key not in recorded or key not in derived:
                yield below, recorded.get(key, "absent"), derived.get(key, "absent")
            else:
                yield from _differences(recorded[key], derived[key], below)
    elif isinstance(recorded, list) and isinstance(derived, list) and len(recorded) == len(derived):
        for index, (was, should) in enumerate(zip(recorded, derived, strict=True)):
            yield from _differences(was, should, f"{path}[{index}]")
    elif recorded != derived or isinstance(recorded, bool) != isinstance(derived, bool):
        yield path, recorded, derived
