"""The same public records under another graph: what it would have decided.

Two labels. `exact`: the graph is the run's own, and every ruling comes out as recorded. `frozen`:
the agents' behaviour is held fixed. Up to and including the round in which the consequences first
differ, that is what would have happened to agents who know of the graph only what befalls them;
after it, and from the start for agents who read the graph before they play, it is inference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from environments import presets
from environments.contract import Core, UnplayableError
from institutional.errors import InstitutionalError
from institutional.governance.explain import derive
from institutional.governance.institution import account
from institutional.governance.journal import as_arrays, as_read_back
from institutional.governance.loading import LoadedGraph, parse_graph
from institutional.governance.oracle import Mask
from institutional.governance.program import Program, compile_graph
from institutional.replay.rulings import Entry, replay

BEFORE_THE_FIRST = -1
"""Where two graphs part that put agents under different restrictions from the start."""


@dataclass(frozen=True)
class Tally:
    """What befell one agent in a run."""

    agent: str
    moves: int
    refused: int
    fines: int
    fine_total: float
    suspended_rounds: int  # rounds played under suspension


@dataclass(frozen=True)
class MoveDifference:
    """One agent's moves in one round where the two graphs decide differently; None: no move."""

    round: int
    agent: str
    recorded: dict[str, Any] | None
    other: dict[str, Any] | None


@dataclass(frozen=True)
class WhatIf:
    """A run's record under another graph, beside what was recorded."""

    label: str  # "exact" or "frozen"
    rounds: int
    differs_from: int | None  # round whose consequences differ first; None: they never do
    recorded: tuple[Tally, ...]
    other: tuple[Tally, ...]
    differences: tuple[MoveDifference, ...]
    lot_assumed: bool = False  # the graph leaves something to chance, and the run recorded no lot

    def as_json(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)

    def standing(self) -> str:
        """Say how far the answer can be relied upon."""
        lot = (
            "\n  what is left to chance is one draw of many: the run recorded no lot, so 0 is taken"
        )
        return self._standing() + (lot if self.lot_assumed else "")

    def _standing(self) -> str:
        if self.label == "exact":
            return f"exact: the run's own graph; all {self.rounds} rulings come out as recorded"
        fixed = "frozen: the agents' behaviour is held fixed"
        if self.differs_from is None:
            return (
                f"{fixed}; consequences are the same in all {self.rounds} rounds\n"
                "  agents who read the graph before they play might have acted otherwise"
            )
        if self.differs_from == BEFORE_THE_FIRST:
            return f"{fixed}; the graphs differ before the first round: everything is inference"
        return (
            f"{fixed}; consequences differ first in round {self.differs_from}, what follows it is "
            "inference\n  agents who read the graph before they play might have acted otherwise "
            "sooner"
        )


@dataclass(frozen=True)
class Recording:
    """A run's ledger, read: its market, graph and rounds."""

    core: Core
    agents: tuple[str, ...]
    loaded: LoadedGraph | None  # None: nothing governed the run
    program: Program | None  # under the recorded thresholds
    records: tuple[Mapping[str, Any], ...]  # as arrays, one market
    rulings: tuple[Mapping[str, Any], ...]
    lottery: int | None  # the word that decides what is left to chance, where one is recorded

    def suspended(self) -> list[Mask]:
        """Who was suspended when each record was made, [1, N] per round, as recorded."""
        if self.program is None:
            return [np.zeros((1, len(self.agents)), dtype=np.bool_) for _ in self.records]
        return [
            np.array([[self._is_out(state) for state in states]])
            for states in _states_before(self.program, self.rulings)
        ][: len(self.records)]

    def _is_out(self, state: str) -> bool:
        assert self.program is not None  # noqa: S101 - only asked where something governs
        return bool(self.program.suspended[self.program.states.index(state)])

    def is_own(self, other: LoadedGraph) -> bool:
        """Whether `other` has the content of the run's own graph."""
        return self.loaded is not None and self.loaded.canonical_digest == other.canonical_digest


def read_recording(entries: Sequence[Entry], own: bytes | None) -> Recording:
    """Make a `Recording` of ledger `entries` and the bytes of the run's graph.yaml, if it has one.

    Raises InstitutionalError where something needed is missing. Signatures are not checked here.
    """
    opening = entries[0].body
    rulings = tuple(entry.body for entry in entries if entry.kind == "ruling")
    records = tuple(as_arrays(entry.body["record"]) for entry in entries if entry.kind == "round")
    if opening.get("graph") is not None:
        if own is None:
            raise InstitutionalError("the run was governed, but its graph.yaml is not here")
        if len(rulings) != len(records):
            raise InstitutionalError(
                f"the log has {len(records)} rounds and {len(rulings)} rulings: audit the run first"
            )
    try:
        core = presets.from_config(opening["environment"])
        agents = tuple(opening["agents"])
        loaded = program = None
        if opening.get("graph") is not None and own is not None:
            loaded = parse_graph(own, "graph.yaml")
            program = compile_graph(
                loaded, agents=agents, signals=core.signals, thresholds=opening["thresholds"]
            )
    except (KeyError, UnplayableError) as error:
        raise InstitutionalError(f"the first entry does not describe a run: {error}") from error
    if program is not None:
        named = {standing["state"] for ruling in rulings for standing in ruling["standings"]}
        if not named <= set(program.states):
            raise InstitutionalError("graph.yaml is not the graph of this run: audit the run first")
    return Recording(core, agents, loaded, program, records, rulings, opening.get("lottery"))


def what_if(entries: Sequence[Entry], own: bytes | None, other: LoadedGraph) -> WhatIf:
    """Decide the run of `entries`, made under the graph `own`, again under `other`.

    `own` is None for a run that nothing governed. Thresholds relative to a benchmark are resolved
    from the benchmarks of the run's market. Raises InstitutionalError where the graph and the
    market do not fit, or where the run's own graph does not lead to the recorded rulings.
    """
    recording = read_recording(entries, own)
    exact = recording.is_own(other)
    if exact:
        found = replay(entries, own)
        if found.difference is not None:
            raise InstitutionalError(
                f"the recorded rulings do not follow from the run's own graph\n{found.difference}\n"
                "  audit replay says more; there is nothing to compare with"
            )
    program = recording.program if exact else _compiled(recording.core, other, recording.agents)
    assert program is not None  # noqa: S101 - an exact recording is governed
    sessions = derive(
        program, recording.records, recording.suspended(), lottery=recording.lottery or 0
    )
    derived = [as_read_back("ruling", account(program, session.ruling)) for session in sessions]
    return WhatIf(
        label="exact" if exact else "frozen",
        rounds=len(derived),
        differs_from=_first_difference(recording, program, derived),
        recorded=_tallies(recording.agents, recording.program, recording.rulings),
        other=_tallies(recording.agents, program, derived),
        differences=tuple(_differences(recording, derived)),
        lot_assumed=recording.lottery is None and program.loaded.graph.detection.draws,
    )


def _compiled(core: Core, other: LoadedGraph, agents: Sequence[str]) -> Program:
    """Compile `other` for the run's market; only benchmarks that it names are asked for."""
    if other.graph.environment != core.name:
        raise InstitutionalError(
            f"{other.document.path}: written for {other.graph.environment} markets; "
            f"the run is one of {core.name}"
        )
    points = {name: point.record for name, point in core.benchmarks().items()}
    return compile_graph(other, agents=agents, signals=core.signals, references=points)


def _states_before(program: Program, rulings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Everybody's state in each round before anything was decided in it."""
    first = [program.states[program.initial]] * len(program.agents)
    after = [[standing["state"] for standing in ruling["standings"]] for ruling in rulings]
    return [first, *after][: len(rulings)]


def _restriction(program: Program | None, state: str) -> tuple[bool, float]:
    if program is None:
        return False, 1.0
    index = program.states.index(state)
    return bool(program.suspended[index]), float(program.cap[index])


def _consequences(program: Program | None, ruling: Mapping[str, Any] | None) -> Any:
    """What agents feel of a ruling: fines, standings, credits, restrictions and notices."""
    if ruling is None:
        return None
    return (
        {move["agent"]: move["fine"] for move in ruling["moves"] if move.get("fine")},
        [
            (standing["state"], standing["credits"], _restriction(program, standing["state"]))
            for standing in ruling["standings"]
        ],
        ruling["notices"],
    )


def _first_difference(
    recording: Recording, program: Program, derived: Sequence[Mapping[str, Any]]
) -> int | None:
    first = program.states[program.initial]
    if recording.program is None:
        # Without an institution, agents are told nothing and nothing is taken from them.
        if _restriction(program, first) != (False, 1.0):
            return BEFORE_THE_FIRST
        acted = (r for r in derived if r["moves"] or r["notices"])
        return next((int(ruling["round"]) for ruling in acted), None)
    own = recording.program
    if (own.states[own.initial], _restriction(own, own.states[own.initial])) != (
        first,
        _restriction(program, first),
    ):
        return BEFORE_THE_FIRST
    for was, would in zip(recording.rulings, derived, strict=True):
        if _consequences(own, was) != _consequences(program, would):
            return int(would["round"])
    return None


def _tallies(
    agents: Sequence[str], program: Program | None, rulings: Sequence[Mapping[str, Any]]
) -> tuple[Tally, ...]:
    if program is None:
        return tuple(Tally(agent, 0, 0, 0, 0.0, 0) for agent in agents)
    before = _states_before(program, rulings)
    result = []
    for seat, agent in enumerate(agents):
        moves = [m for ruling in rulings for m in ruling["moves"] if m["agent"] == agent]
        refused = [r for ruling in rulings for r in ruling["refused"] if r["agent"] == agent]
        fines = [float(move["fine"]) for move in moves if "fine" in move]
        out = sum(_restriction(program, states[seat])[0] for states in before)
        result.append(Tally(agent, len(moves), len(refused), len(fines), sum(fines), out))
    return tuple(result)


def _differences(
    recording: Recording, derived: Sequence[Mapping[str, Any]]
) -> list[MoveDifference]:
    result = []
    for index, ruling in enumerate(derived):
        was = recording.rulings[index] if recording.program is not None else {"moves": []}
        for agent in recording.agents:
            pair = [_move_of(agent, each) for each in (was, ruling)]
            if pair[0] != pair[1]:
                result.append(MoveDifference(index, agent, *pair))
    return result


def _move_of(agent: str, ruling: Mapping[str, Any]) -> dict[str, Any] | None:
    """The agent's move without the ids of its cases: norms may have other names."""
    for move in ruling["moves"]:
        if move["agent"] == agent:
            return {k: v for k, v in move.items() if k not in {"agent", "cases"}}
    return None
