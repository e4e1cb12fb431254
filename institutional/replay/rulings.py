"""The decisions of a run derived again from its record, on any machine, by the pure rules alone.

Nothing of the run's own machinery is used: no environment steps, no agent acts, no register is
read. The opening entry, the recorded rounds and the graph's bytes go in, and out must come, to the
byte, what the opening entry promises, the actions that were allowed and every ruling: cases, moves,
fines, refusals, standings and notices. Only thresholds that are relative to a benchmark are
compared within `tolerance.RELATIVE`: an optimum was computed for them.

Whether the market answers the actions with the recorded prices is asked in `records`; what an
agent submits is its own choice, and nothing here derives that.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from environments import presets
from environments.contract import Core, UnplayableError
from institutional.errors import InstitutionalError
from institutional.governance.institution import Institution, account
from institutional.governance.journal import as_arrays, as_read_back
from institutional.governance.loading import LoadedGraph, comparisons, parse_graph
from institutional.governance.program import Program, compile_graph
from institutional.replay.accounts import Reader, misshapen, readers
from institutional.replay.parting import (
    ABSENT,
    Place,
    are_numbers,
    differences,
    plain,
    side_by_side,
)
from institutional.replay.tolerance import near
from institutional.seeds import environment_seed, lottery_of

MAX_CELLS = 256
"""Largest market whose reference points are solved again: agents x (numbers in an action + 1)."""

_IMPOSSIBLE = (UnplayableError, TypeError, ValueError, ArithmeticError)
"""What building a market from numbers that are none of a market's may raise."""


class Entry(Protocol):
    """What is needed of a ledger entry."""

    @property
    def seq(self) -> int:
        """Position in the ledger."""

    @property
    def kind(self) -> str:
        """`open`, `round`, `ruling` or `close`; entries of other kinds decide nothing."""

    @property
    def body(self) -> dict[str, Any]:
        """Its content."""


@dataclass(frozen=True)
class Difference:
    """The first place where the record and the derivation part.

    rule: `opening`, `order`, `actions`, `rulings` or `answers`, the question that was asked.
    """

    seq: int
    round: int
    path: str
    recorded: Any
    derived: Any
    rule: str = "rulings"

    def __str__(self) -> str:
        """Say where, what was recorded and what follows from the evidence."""
        recorded, derived = side_by_side(self.recorded, self.derived)
        where = f"entry {self.seq}" + (f", round {self.round}" if self.round >= 0 else "")
        place = plain(self.path) or self.rule
        return f"{where}: {place}\n  recorded: {recorded}\n  derived:  {derived}"


class Coverage(NamedTuple):
    """How many decisions there are, and what became of each.

    A decision is a move, applied or refused. Redacted: its evidence was erased; all that decisions
    rest on today is public, so none is. Missing: its evidence is not there.
    """

    decisions: int = 0
    derived: int = 0
    redacted: int = 0
    missing: int = 0
    fines: int = 0  # derived, like the two that follow
    notices: int = 0
    standings: int = 0

    @property
    def unreached(self) -> int:
        """Decisions after the first difference."""
        return self.decisions - self.derived - self.redacted - self.missing

    def __str__(self) -> str:
        """Say the counts, never a share without them."""
        unreached = f", {self.unreached} not derived or not reached" if self.unreached else ""
        return (
            f"{self.decisions} decisions: {self.derived} derived again, {self.redacted} redacted, "
            f"{self.missing} without evidence{unreached}; with {self.fines} fines, "
            f"{self.notices} notices, {self.standings} standings"
        )


@dataclass(frozen=True)
class Replay:
    """What a replay found."""

    rounds: int  # derived again
    coverage: Coverage
    difference: Difference | None
    governed: bool = True

    @property
    def word(self) -> str:
        """`exact`, `mismatch`, or `not-applicable` where nothing governed the run."""
        if self.difference is not None:
            return "mismatch"
        return "exact" if self.governed else "not-applicable"


def replay(entries: Sequence[Entry], graph: bytes | None) -> Replay:
    """Derive every decision of a run again from its ledger `entries` and its `graph`'s bytes.

    The caller has verified the ledger. Raises InstitutionalError if something needed is missing:
    that is not a mismatch but the lack of a basis to decide.
    """
    if not entries:
        raise InstitutionalError("the log holds no entry to replay")
    return replay_under(entries, read_graph(entries[0].body, graph))


def read_graph(opening: Mapping[str, Any], graph: bytes | None) -> LoadedGraph | None:
    """Parse the bytes of the graph that the opening entry names; None where nothing governs."""
    if opening.get("graph") is None:
        return None
    if graph is None:
        raise InstitutionalError("the run was governed, but its graph.yaml is not here")
    return _parsed(graph)


@lru_cache(maxsize=4)
def _parsed(graph: bytes) -> LoadedGraph:
    # Whoever alters a run in many ways has it replayed under one graph again and again.
    return parse_graph(graph, "graph.yaml")


def replay_under(entries: Sequence[Entry], loaded: LoadedGraph | None) -> Replay:
    """Derive every decision again under the graph that `read_graph` returned."""
    opening, total = entries[0], surveyed(entries)
    with np.errstate(all="ignore"):  # a hostile record may overflow; what comes of it is compared
        difference = check_opening(opening, loaded)
        if difference is not None:
            return Replay(0, total, difference, loaded is not None)
        session = Session(opening.body, loaded)
        difference = next(
            (
                found
                for entry in islice(entries, 1, None)
                if (found := session.take(entry)) is not None
            ),
            None,
        )
    derived = session.coverage._replace(decisions=total.decisions, missing=total.missing)
    return Replay(session.rounds, derived, difference or session.end(), loaded is not None)


def surveyed(entries: Sequence[Entry]) -> Coverage:
    """Count the decisions in `entries` and those that have no round before them."""
    decisions = missing = 0
    before = ""
    for entry in entries:
        if entry.kind == "ruling":
            made = sum(
                len(found)
                for name in ("moves", "refused")
                if isinstance(found := entry.body.get(name), list)
            )
            decisions += made
            missing += made if before != "round" else 0
        if entry.kind in {"round", "ruling"}:
            before = entry.kind
    return Coverage(decisions=decisions, missing=missing)


def check_opening(entry: Entry, loaded: LoadedGraph | None) -> Difference | None:
    """Return the first thing in the opening entry that does not follow from the rest of it.

    Agents, rounds and every parameter follow from the environment, the graph's digest from the
    graph, the lottery from the seed, thresholds from graph and benchmarks. Seed, environment and
    graph are the inputs: they are what the manifest declares.
    """
    opening = entry.body
    core = core_of(opening)
    derived: dict[str, Any] = {
        "environment": as_read_back("open", core.config()),
        "agents": list(core.agents),
        "rounds": core.rounds,
        "graph": None if loaded is None else loaded.canonical_digest,
    }
    if "lottery" in opening or (loaded is not None and loaded.graph.detection.draws):
        derived["lottery"] = lottery_of(environment_seed(seed_of(opening)))
    recorded = {name: _required(opening, name) for name in derived}
    places = list(differences(recorded, derived))
    if not places and loaded is not None:
        places = list(_unlike_thresholds(core, loaded, _required(opening, "thresholds")))
    for path, was, should in places:
        return Difference(entry.seq, -1, path, was, should, "opening")
    return None


def _unlike_thresholds(core: Core, loaded: LoadedGraph, recorded: Any) -> Iterator[Place]:
    """Where thresholds are not the graph's; those relative to a benchmark, not nearly so."""
    try:
        references = {name: point.record for name, point in core.benchmarks().items()}
    except _IMPOSSIBLE as error:
        raise InstitutionalError(f"the market has no reference points: {error}") from error
    own = compile_graph(
        loaded, agents=core.agents, signals=core.signals, references=references
    ).thresholds()
    if not are_numbers(recorded, (len(own), len(core.agents))):
        yield "thresholds", recorded, own
        return
    for index, (_, comparison) in enumerate(comparisons(loaded.graph)):
        exact = comparison.relative_to is None
        for seat, (was, should) in enumerate(zip(recorded[index], own[index], strict=True)):
            if not (was == should if exact else near(was, should)):
                yield f"thresholds[{index}][{seat}]", was, should


def core_of(opening: Mapping[str, Any]) -> Core:
    """The market of a run, built from its opening entry; raises where that describes none."""
    try:
        core = _core(json.dumps(_required(opening, "environment")))
    except _IMPOSSIBLE as error:
        raise InstitutionalError(f"the first entry does not describe a run: {error}") from error
    agents, numbers = core.low.shape
    if agents * (numbers + 1) > MAX_CELLS:
        raise InstitutionalError(
            f"{agents} agents with {numbers} numbers in an action each: larger than the markets "
            f"that are derived again here, {MAX_CELLS} numbers in all"
        )
    return core


@lru_cache(maxsize=4)
def _core(environment: str) -> Core:
    # One market is asked for several times, and its reference points are solved only once.
    return presets.from_config(json.loads(environment))


def seed_of(opening: Mapping[str, Any]) -> int:
    """The seed of a run, as its opening entry has it."""
    seed = _required(opening, "seed")
    if type(seed) is not int:
        raise InstitutionalError(f"the first entry does not describe a run: seed {seed!a:.80}")
    return seed


def _required(opening: Mapping[str, Any], name: str) -> Any:
    if name not in opening:
        raise InstitutionalError(f'the first entry does not describe a run: "{name}" is missing')
    return opening[name]


class Session:
    """A replay under way: what was derived so far, and what may come next."""

    def __init__(self, opening: Mapping[str, Any], loaded: LoadedGraph | None) -> None:
        """Start from an opening entry that `check_opening` has passed."""
        self.core = core_of(opening)
        self.rounds = 0
        self.coverage = Coverage()
        self._awaiting: Entry | None = None  # a round that has not been ruled on
        self.readers: Mapping[str, Reader] = readers(opening, self.core.agents)
        self._answered = False  # whether the coming round has its answers
        self._fallbacks = dict.fromkeys(self.readers, 0)
        self._institution: Institution | None = None
        if loaded is not None:
            program = compile_graph(
                loaded,
                agents=self.core.agents,
                signals=self.core.signals,
                thresholds=opening["thresholds"],
            )
            self._institution = Institution(program, lotteries=[opening.get("lottery", 0)])

    @property
    def program(self) -> Program | None:
        """The graph under the recorded thresholds; None where nothing governs."""
        return None if self._institution is None else self._institution.program

    def restricted(self) -> list[str]:
        """Who is suspended or capped in the coming round."""
        if self._institution is None:
            return []
        held = self._institution.suspended()[0] | (self._institution.cap()[0] < 1)
        return [agent for agent, is_held in zip(self.core.agents, held, strict=True) if is_held]

    def copy(self) -> "Session":
        """Return a session that goes on from here by itself."""
        # Arrays are replaced and never written to, so that two sessions may share them.
        other = copy.copy(self)
        other._fallbacks = dict(self._fallbacks)  # noqa: SLF001 - its own
        other._institution = copy.copy(self._institution)  # noqa: SLF001 - its own
        return other

    def take(self, entry: Entry) -> Difference | None:
        """Derive what can be of `entry`, and return where it parts from that."""
        if entry.kind == "answers" and self.readers:
            more = self.rounds < self.core.rounds
            fits = self._awaiting is None and not self._answered and more
            return self._out_of_order(entry, fits) or self._answers(entry)
        if entry.kind == "round":
            fits = self._awaiting is None and self._answered == bool(self.readers)
            return self._out_of_order(entry, fits) or self._round(entry)
        if entry.kind == "ruling":
            return self._out_of_order(entry, self._awaiting is not None) or self._ruling(entry)
        if entry.kind == "close":
            return self._out_of_order(entry, self._awaiting is None) or self._close(entry)
        return self._out_of_order(entry, entry.kind != "open")

    def end(self) -> Difference | None:
        """Return what is missing after the last entry; a run may be cut short between rounds."""
        if self._awaiting is None:
            return None
        return Difference(self._awaiting.seq, self.rounds, "ruling", None, "a ruling", "order")

    def _out_of_order(self, entry: Entry, fits: bool) -> Difference | None:  # noqa: FBT001
        if fits:
            return None
        expected = "a round or the end" if self._awaiting is None else "a ruling"
        if self._awaiting is None and self.readers and not self._answered:
            expected = "the answers of a round, or the end"
        return Difference(entry.seq, self.rounds, "kind", entry.kind, expected, "order")

    def _close(self, entry: Entry) -> Difference | None:
        answered = all(
            count <= self.readers[agent].most_fallbacks * self.core.rounds
            for agent, count in self._fallbacks.items()
        )
        whole = self.rounds == self.core.rounds
        status = "complete" if whole and answered else "invalid"
        recorded = entry.body.get("status", ABSENT)
        if recorded == status:
            return None
        return Difference(entry.seq, -1, "status", recorded, status, "order")

    def _answers(self, entry: Entry) -> Difference | None:
        """Check the account of a round's answers; what was said is asked in `answers`."""
        for path, was, should in misshapen(entry.body, self.readers, self.rounds):
            return Difference(entry.seq, self.rounds, path, was, should, "answers")
        for agent, told in entry.body["answers"].items():
            self._fallbacks[agent] += told["fallback"]
        self._answered = True
        return None

    def _round(self, entry: Entry) -> Difference | None:
        """Check that what was played is what was submitted, under the restrictions in force."""
        core, body = self.core, entry.body
        self._answered = False
        number = body.get("round", ABSENT)
        if type(number) is not int or number != self.rounds:
            return Difference(entry.seq, self.rounds, "round", number, self.rounds, "order")
        if number >= core.rounds:
            promised = f"no more than {core.rounds} rounds"
            return Difference(entry.seq, self.rounds, "round", number, promised, "order")
        for path, was, should in self._misshapen(body):
            return Difference(entry.seq, self.rounds, path, was, should, "actions")
        submitted = np.array([[body["submitted"][a] for a in core.agents]], dtype=np.float64)
        refusal = core.refuse(submitted)
        if refusal is not None:
            said = body["submitted"]
            return Difference(entry.seq, self.rounds, "submitted", said, refusal, "actions")
        allowed = submitted
        if self._institution is not None:
            suspended, cap = self._institution.suspended(), self._institution.cap()
            allowed = core.restrict(submitted, suspended, cap)
        played = body["record"][core.action_field]
        path = f"record.{core.action_field}"
        for place, was, should in differences(played, allowed[0].tolist(), path):
            return Difference(entry.seq, self.rounds, place, was, should, "actions")
        if self._institution is None:
            self.rounds += 1
        else:
            self._awaiting = entry
        return None

    def _misshapen(self, body: Mapping[str, Any]) -> Iterator[Place]:
        """Where a round lacks numbers that this market has, or says whose they are wrongly."""
        core = self.core
        submitted, record = body.get("submitted"), body.get("record")
        if not isinstance(submitted, dict) or submitted.keys() != set(core.agents):
            yield "submitted", submitted, f"one action of each of {', '.join(core.agents)}"
            return
        numbers = core.low.shape[1:]
        for agent in core.agents:
            if not are_numbers(submitted[agent], numbers):
                yield f"submitted.{agent}", submitted[agent], _shape_words(numbers)
        if not isinstance(record, dict) or record.keys() != set(core.fields):
            yield "record", record, f"the fields {', '.join(core.fields)}"
            return
        for name, shape in core.fields.items():
            if not are_numbers(record[name], shape):
                yield f"record.{name}", record[name], _shape_words(shape)

    def _ruling(self, entry: Entry) -> Difference | None:
        """Judge the round again and compare everything that was decided."""
        institution, before = self._institution, self._awaiting
        assert institution is not None  # noqa: S101 - only what governs awaits a ruling
        assert before is not None  # noqa: S101 - asked in `take`
        try:
            ruling = institution.judge(as_arrays(before.body["record"]))
            derived = as_read_back("ruling", account(institution.program, ruling))
        except InstitutionalError as error:  # a number that is not finite: a run stops there
            return Difference(entry.seq, self.rounds, "", "a ruling", f"none: {error}")
        for path, was, should in differences(entry.body, derived):
            return Difference(entry.seq, self.rounds, path, was, should)
        self._awaiting = None
        self.rounds += 1
        old = self.coverage
        self.coverage = old._replace(
            derived=old.derived + len(derived["moves"]) + len(derived["refused"]),
            fines=old.fines + sum("fine" in move for move in derived["moves"]),
            notices=old.notices + len(derived["notices"]),
            standings=old.standings + len(derived["standings"]),
        )
        return None


def _shape_words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) + " numbers"
