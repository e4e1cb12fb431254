"""The moments of a run, from its folder: ledger, graph and, where there is one, cassette.

Nothing is asked of a model and nothing is decided here. What the institution saw is derived again
from the public record, and set beside what the ledger says it did; an answer stands only under the
address that the ledger has for it. Signatures are not checked: `audit verify` does that.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from institutional.errors import InstitutionalError, suggestion
from institutional.governance.explain import Session, derive, taken_apart
from institutional.governance.institution import account
from institutional.governance.journal import as_read_back
from institutional.governance.schema import LONGEST_WINDOW
from institutional.ledger.reading import StoredEntries
from institutional.replay.parting import differences, side_by_side
from institutional.transcript.answers import answers, tape
from institutional.transcript.moment import Answered, Moment, Ruled, Told
from institutional.whatif import Recording, read_recording


def transcript(
    run: Path, agent: str | None = None, round_: int | None = None
) -> tuple[Moment, ...]:
    """Return every moment of the run in the folder `run`, round by round and seat by seat.

    Only those of `agent` and of `round_` where they are given. Raises InstitutionalError for a
    folder that holds no run, and for an agent or a round that the run does not have.
    """
    sources = _read(run)
    agents, rounds = sources.recording.agents, sources.rounds
    if agent is not None and agent not in agents:
        raise InstitutionalError(
            f'{run}: there is no agent "{agent}"\n'
            f"  agents here: {', '.join(agents)}.{suggestion(agent, agents)}"
        )
    if round_ is not None and not 0 <= round_ < rounds:
        here = f"rounds 0 to {rounds - 1}" if rounds else "no round"
        raise InstitutionalError(f"{run}: there is no round {round_}: the log has {here}")
    return tuple(
        _moment(sources, seat, at)
        for at in (range(rounds) if round_ is None else (round_,))
        for seat, name in enumerate(agents)
        if agent in (None, name)
    )


@dataclass(frozen=True)
class _Sources:
    """What there is of a run, read once."""

    recording: Recording
    bodies: Sequence[Mapping[str, Any]]  # of the `round` entries
    sessions: Sequence[Session]  # empty where nothing governs
    counted: Sequence[int]  # the rounds of them that count
    unlike: Sequence[str]  # per ruling
    answers: Mapping[tuple[str, int], Answered]
    labels: tuple[str, ...]

    @property
    def rounds(self) -> int:
        """Rounds of which there is something to tell; nothing was played in one that failed."""
        return max([len(self.bodies), *(round_ + 1 for _, round_ in self.answers)])

    def until(self, at: int) -> Sequence[Session]:
        """The rounds up to `at` as far back as any window of a graph can see."""
        counted = bisect_right(self.counted, at)
        start = self.counted[counted - LONGEST_WINDOW] if counted > LONGEST_WINDOW else 0
        return self.sessions[start : at + 1]


def _read(run: Path) -> _Sources:
    if (run / "experiment.json").is_file():
        runs = sorted(path.parent.name for path in run.glob("*/summary.json"))
        raise InstitutionalError(
            f"{run}: the folder of an experiment, not of a run\n  its runs: {', '.join(runs)}"
        )
    if not (run / "ledger").is_dir():
        raise InstitutionalError(f"{run}: not the folder of a run: it holds no ledger")
    entries = list(StoredEntries(run / "ledger"))
    graph = run / "graph.yaml"
    if not entries:
        raise InstitutionalError(f"{run}: the log holds no entry")
    recording = read_recording(entries, graph.read_bytes() if graph.is_file() else None)
    loaded = recording.loaded
    if loaded is not None and loaded.canonical_digest != entries[0].body["graph"]:
        raise InstitutionalError(f"{graph}: not the graph that the log names: audit the run first")
    sessions: Sequence[Session] = ()
    unlike: Sequence[str] = ()
    if recording.program is not None:
        sessions = derive(
            recording.program,
            recording.records,
            recording.suspended(),
            lottery=recording.lottery or 0,
        )
        derived = [
            as_read_back("ruling", account(recording.program, session.ruling))
            for session in sessions
        ]
        unlike = [_unlike(*pair) for pair in zip(recording.rulings, derived, strict=True)]
    bodies = [entry.body for entry in entries if entry.kind == "round"]
    found = answers(entries, recording.core, tape(run))
    return _Sources(
        recording=recording,
        bodies=bodies,
        sessions=sessions,
        counted=[s.ruling.round for s in sessions if s.ruling.finding.counted[0]],
        unlike=unlike,
        answers=found,
        labels=recording.core.words(0).labels,
    )


def _unlike(recorded: Mapping[str, Any], derived: Mapping[str, Any]) -> str:
    for path, was, should in differences(recorded, derived):
        found, expected = side_by_side(was, should)
        return f"{path} is recorded as {found}, but from the record follows {expected}"
    return ""


def _moment(sources: _Sources, seat: int, at: int) -> Moment:
    recording = sources.recording
    name, core = recording.agents[seat], recording.core
    moment = Moment(
        agent=name,
        round=at,
        told=_told(recording, seat, at),
        answered=sources.answers.get((name, at)),
        labels=sources.labels,
    )
    if at >= len(sources.bodies):
        return moment
    body, record = sources.bodies[at], recording.records[at]
    return replace(
        moment,
        submitted=tuple(map(float, body["submitted"][name])),
        done=tuple(map(float, body["record"][core.action_field][seat])),
        profit=float(core.profits(record)[0, seat]),
        own=core.words(seat).told({key: values[0] for key, values in record.items()}),
        ruled=None if recording.program is None else _ruled(sources, seat, at),
    )


def _told(recording: Recording, seat: int, at: int) -> Told:
    program = recording.program
    if program is None:
        return Told(None, None, suspended=False, cap=1.0)
    last = recording.rulings[at - 1] if at else None
    first = program.states[program.initial]
    state = first if last is None else last["standings"][seat]["state"]
    place = program.states.index(state)
    return Told(
        notice=None if last is None else last["notices"].get(recording.agents[seat]),
        standing=state if program.loaded.graph.send_notices else None,
        suspended=bool(program.suspended[place]),
        cap=float(program.cap[place]),
    )


def _ruled(sources: _Sources, seat: int, at: int) -> Ruled:
    recording = sources.recording
    program, ruling = recording.program, recording.rulings[at]
    assert program is not None  # noqa: S101 - only asked where something governs
    name = recording.agents[seat]
    moves, cases, refused = (
        tuple(found for found in ruling[kind] if found["agent"] == name)
        for kind in ("moves", "cases", "refused")
    )
    return Ruled(
        cases=cases,
        move=next(iter(moves), None),
        refused=refused,
        standing=ruling["standings"][seat],
        notice=ruling["notices"].get(name),
        why=taken_apart(program, sources.until(at), seat),
        unlike=sources.unlike[at],
    )
