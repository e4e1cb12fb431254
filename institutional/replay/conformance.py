"""Whether what an institution did follows from evidence and graph, and what is published from that.

    found = conform(exhibits(Path("runs/cartel/07")))

One value with a check per question, shaped like the checks of a ledger's verdict, whose third part
it is: the ledger says whether the bytes are the operator's and all there, this says whether they
follow from each other. Whose bytes they are is not asked here. Two layers are never mixed: what
`opening`, `order`, `actions` and `rulings` ask is derived to the byte; `records` and the published
numbers are computed again to `tolerance.RELATIVE`. Published numbers are not signed: the check of
each says whether it follows from the record, which is.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from environments.contract import UnplayableError
from institutional.cassette.reading import read_cassette
from institutional.errors import InstitutionalError
from institutional.ledger.auditing.verdict import Outcome, Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small
from institutional.ledger.manifest import FILE_NAME, parse_statement, read_manifest
from institutional.ledger.reading import StoredEntries
from institutional.replay import published
from institutional.replay.answers import Conversation
from institutional.replay.parting import differences, plain, side_by_side
from institutional.replay.published import Number
from institutional.replay.records import shocks_of, unlike_record
from institutional.replay.rulings import (
    Coverage,
    Difference,
    Entry,
    Replay,
    Session,
    read_graph,
    replay_under,
    seed_of,
    surveyed,
)
from institutional.replay.tables import MAX_FILE, read_table

CHECKS: Mapping[str, str] = {
    "declared": "entry 0 says what the manifest declares",
    "opening": "agents, rounds, parameters, thresholds and lottery follow from the inputs",
    "order": "the rounds that were promised, each with its ruling",
    "actions": "what was played is what was submitted, under the restrictions in force",
    "rulings": "every case, move, fine, refusal, standing and notice, to the byte",
    "records": "prices, quantities and profits are the market's answer to what was played",
    "answers": "what agents that read played is what the recorded answers read as",
    "summary": "summary.json is not signed; its numbers follow from the record, which is",
    "rounds-table": "rounds.parquet is not signed; its numbers follow from the record",
    "results-row": "results.parquet is not signed; the run's row follows from the record",
}
"""Each question with what it means that it passes."""

ON_TRUST: Mapping[str, str] = {
    "submitted": "what an agent submits is its own choice; that it was played is checked",
    "regime, pairing, seats, commit_every": "what the manifest calls them; who acted does not "
    "follow from what was done",
    "packages": "the manifest says with what the run was made; a replay uses what is installed",
    **{f"summary.{name}": reason for name, reason in published.ON_TRUST.items()},
}
"""What no check derives, and why."""

_EXACT = ("opening", "order", "actions", "rulings")
_NOT_LATER = {"declared", *_EXACT}
_NUMBERS_KEPT = 20
_ROUNDS_AT_ONCE = 1024
_MAX_SUMMARY = 1 << 20
_MAX_GRAPH = 1 << 20


class Check(NamedTuple):
    """One question: how it was answered and why, and where the first difference is."""

    id: str
    outcome: Outcome
    reason: str
    word: Word | None = None  # the verdict that this calls for, if any
    seq: int | None = None
    round: int | None = None
    path: str | None = None
    expected: str | None = None  # what follows from the evidence
    found: str | None = None
    numbers: tuple[Number, ...] = ()  # published numbers that do not follow, the first of them

    def as_json(self) -> dict[str, Any]:
        """Everything that is known of this check."""
        said = {k: v for k, v in self._asdict().items() if v is not None and k != "numbers"}
        if self.word is not None:
            said["word"] = str(self.word)
        if self.numbers:
            said["numbers"] = [number.as_json() for number in self.numbers]
        return said


@dataclass(frozen=True)
class Conformance:
    """The answers in the order of `CHECKS`, and how many decisions they speak of."""

    checks: tuple[Check, ...]
    coverage: Coverage
    rounds: int = 0  # derived again
    replay: str = "not-applicable"  # or `exact`, `mismatch`, `undecided`
    graph: str | None = None  # digest of the graph's content

    @property
    def word(self) -> Word | None:
        """REPLAY_MISMATCH, CANNOT_DECIDE or VERIFIED; None where nothing applies."""
        called = {check.word for check in self.checks}
        for word in (Word.REPLAY_MISMATCH, Word.CANNOT_DECIDE):
            if word in called:
                return word
        passed = any(check.outcome is Outcome.PASS for check in self.checks)
        return Word.VERIFIED if passed else None

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values; same input, same bytes."""
        return {
            "replay": self.replay,
            "rounds": self.rounds,
            "graph": self.graph,
            "coverage": {**self.coverage._asdict(), "unreached": self.coverage.unreached},
            "checks": [check.as_json() for check in self.checks],
            "on_trust": dict(ON_TRUST),
        }


@dataclass(frozen=True)
class Exhibits:
    """What there is of a run: the entries of its log, and the bytes of what belongs to it."""

    entries: Sequence[Entry]
    run: str  # its id
    graph: bytes | None = None
    manifest: bytes | None = None  # the payload, whose SHA-256 entry 0 names
    summary: bytes | None = None
    rounds: bytes | None = None
    results: bytes | None = None  # of the whole experiment
    folder: Path | None = None  # where a cassette is looked for


def exhibits(folder: Path) -> Exhibits:
    """Read the run in `folder`; the log's form is checked, not who wrote it.

    Raises InstitutionalError for what is there and cannot be read.
    """
    entries = StoredEntries(folder / "ledger")
    manifest = folder / FILE_NAME
    return Exhibits(
        entries=entries,
        run=entries[0].run if entries else "unknown",
        graph=_optional(folder / "graph.yaml", _MAX_GRAPH),
        manifest=read_manifest(manifest)[0] if manifest.exists() else None,
        summary=_optional(folder / "summary.json", _MAX_SUMMARY),
        rounds=_optional(folder / "rounds.parquet", MAX_FILE),
        results=_optional(folder.resolve().parent / "results.parquet", MAX_FILE),
        folder=folder,
    )


def _optional(path: Path, limit: int) -> bytes | None:
    try:
        return read_small(path, limit=limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error}") from error


def conform(given: Exhibits) -> Conformance:
    """Ask every question of `CHECKS`. Total: whatever was recorded, the answer is a value."""
    coverage = surveyed(given.entries)
    if not _is_episode(given):
        reason = "not the log of an episode: nothing says that an environment was played"
        checks = [Check(name, Outcome.NOT_APPLICABLE, reason) for name in CHECKS]
        return Conformance(tuple(checks), coverage)
    opening = given.entries[0].body
    checks = [_asked("declared", lambda: _declared(given))]
    try:
        loaded = read_graph(opening, given.graph)
        found = replay_under(given.entries, loaded)
    except InstitutionalError as error:
        checks += [_undecided(name, str(error)) for name in CHECKS if name != "declared"]
        coverage = coverage._replace(missing=coverage.decisions)
        return Conformance(tuple(checks), coverage, replay="undecided")
    checks += _derived_again(given, found)
    if found.difference is not None and found.difference.rule == "opening":
        checks += [_unreached(name, found.difference) for name in CHECKS if name not in _NOT_LATER]
    else:
        session = Session(opening, loaded)
        checks.append(_asked("records", lambda: _records(given, session, found)))
        checks.append(_asked("answers", lambda: _answers(given, session, found)))
        checks += _published(given, session, found)
    graph = None if loaded is None else loaded.canonical_digest
    return Conformance(tuple(checks), found.coverage, found.rounds, found.word, graph)


def _is_episode(given: Exhibits) -> bool:
    """Whether anything says that an environment was played; a missing one alone excuses nothing."""
    if not given.entries:
        return False
    opening = given.entries[0].body
    return (
        "environment" in opening
        or opening.get("graph") is not None
        or any(entry.kind == "ruling" for entry in given.entries)
        or (given.manifest is not None and b'"environment":' in given.manifest)
    )


def _asked(name: str, question: Callable[[], Check]) -> Check:
    """Ask, and where the means to answer are missing say so."""
    try:
        with np.errstate(all="ignore"):  # numbers of a hostile record may overflow
            return question()
    except (InstitutionalError, UnplayableError, ValueError, ArithmeticError) as error:
        return _undecided(name, str(error))


def _passed(name: str) -> Check:
    return Check(name, Outcome.PASS, CHECKS[name])


def _undecided(name: str, reason: str) -> Check:
    return Check(name, Outcome.SKIPPED, plain(" ".join(reason.split())), Word.CANNOT_DECIDE)


def _unreached(name: str, difference: Difference) -> Check:
    where = f"entry {difference.seq}" + (f", {difference.path}" if difference.path else "")
    return Check(name, Outcome.SKIPPED, f"not reached: the record parts at {plain(where)}")


def _failed(difference: Difference) -> Check:
    found, expected = side_by_side(difference.recorded, difference.derived)
    return Check(
        difference.rule,
        Outcome.FAIL,
        str(difference).split("\n", maxsplit=1)[0],
        Word.REPLAY_MISMATCH,
        seq=difference.seq,
        round=difference.round if difference.round >= 0 else None,
        path=plain(difference.path),
        expected=expected,
        found=found,
    )


def _declared(given: Exhibits) -> Check:
    opening = given.entries[0]
    if given.manifest is None:
        return _undecided("declared", "there is no manifest here")
    manifest = parse_statement(given.manifest)
    derived = {"manifest": hashlib.sha256(given.manifest).hexdigest(), **manifest.config}
    if "graph" in manifest.subjects:
        derived["graph"] = manifest.subjects["graph"]
    recorded = {name: opening.body[name] for name in derived if name in opening.body}
    for path, was, should in differences(recorded, derived):
        return _failed(Difference(opening.seq, -1, path, was, should, "declared"))
    return _passed("declared")


def _derived_again(given: Exhibits, found: Replay) -> Iterator[Check]:
    """What a replay says of the opening, the order, the actions and the rulings."""
    whole = found.rounds == sum(entry.kind == "round" for entry in given.entries)
    for name in _EXACT:
        if name == "rulings" and not found.governed:
            yield Check(name, Outcome.NOT_APPLICABLE, "nothing governed this run")
        elif found.difference is None:
            yield _passed(name)
        elif name == found.difference.rule:
            yield _failed(found.difference)
        elif name == "opening" or (whole and found.difference.rule == "order"):
            yield _passed(name)  # what is out of order comes after all of it
        else:
            yield _unreached(name, found.difference)


def _records(given: Exhibits, session: Session, found: Replay) -> Check:
    rounds = (entry for entry in given.entries if entry.kind == "round")
    shocks = shocks_of(session.core, seed_of(given.entries[0].body))
    parts = (
        list(islice(rounds, min(_ROUNDS_AT_ONCE, found.rounds - start)))
        for start in range(0, found.rounds, _ROUNDS_AT_ONCE)
    )
    unlike = (unlike_record(session.core, shocks[part[0].body["round"] :], part) for part in parts)
    difference = next(filter(None, unlike), None)
    if difference is not None:
        packages = parse_statement(given.manifest).packages if given.manifest is not None else {}
        here, there = version("numpy"), packages.get("numpy", "")
        if shocks.shape[1] and there and there.split(".")[:2] != here.split(".")[:2]:
            return _undecided(
                "records",
                f"{_failed(difference).reason} differs, but the shocks were drawn with numpy "
                f"{there} and here with {here}, which may draw others from one seed",
            )
        return _failed(difference)
    if found.difference is not None and next(rounds, None) is not None:
        return _unreached("records", found.difference)
    return _passed("records")


def _answers(given: Exhibits, session: Session, found: Replay) -> Check:
    if not session.readers:
        return Check("answers", Outcome.NOT_APPLICABLE, "nobody in this run reads")
    if found.difference is not None and found.difference.rule == "answers":
        return _failed(found.difference)
    conversation = conversation_of(given, session)
    reached = 0
    for entry in given.entries:
        if reached == found.rounds:
            break
        difference = unlike_answers(conversation, entry)
        if difference is not None:
            return _failed(difference)
        reached += entry.kind == "round"
    if found.difference is not None:
        return _unreached("answers", found.difference)
    if not conversation.decides:
        return Check(
            "answers",
            Outcome.SKIPPED,
            "not decided: what was answered is on the run's cassette, which is not here; the order "
            "of the outcomes and the fallbacks follow",
        )
    return _passed("answers")


def conversation_of(given: Exhibits, session: Session) -> Conversation:
    """The replay of what was answered in a run, from its first round."""
    cassette = None if given.folder is None else read_cassette(given.folder)
    return Conversation(session.core, session.readers, cassette)


def unlike_answers(conversation: Conversation, entry: Entry) -> Difference | None:
    """Take the next entry of a run; return where it parts from what was answered."""
    if entry.kind not in {"answers", "round"}:
        return None
    body = entry.body
    places = conversation.answers(body) if entry.kind == "answers" else conversation.moves(body)
    # To the end, whatever is found: a replay goes on from what was recorded.
    for path, was, should in list(places):
        return Difference(entry.seq, body["round"], path, was, should, "answers")
    return None


def _published(given: Exhibits, session: Session, found: Replay) -> Iterator[Check]:
    """What the files beside the log say, each if it is there."""
    files = {
        "summary": (given.summary, "summary.json"),
        "rounds-table": (given.rounds, "rounds.parquet"),
        "results-row": (given.results, "results.parquet"),
    }
    for name, (data, file) in files.items():
        if data is None:
            yield Check(name, Outcome.NOT_APPLICABLE, f"there is no {file} here")
        elif found.difference is not None:
            yield _unreached(name, found.difference)
        else:
            yield _asked(name, partial(_compared, name, data, given, session, found))


def _compared(name: str, data: bytes, given: Exhibits, session: Session, found: Replay) -> Check:
    derived = published.derive(given.entries, session, run=given.run, replay=found.word)
    if name == "rounds-table":
        total = sum(map(len, derived.rounds.values()))
        unlike = published.unlike_rounds(read_table(data, rows=found.rounds + 1), derived.rounds)
    else:
        total = len(derived.summary)
        said = (
            published.read_summary(data)
            if name == "summary"
            else published.read_row(data, given.run)
        )
        if said is None:
            return Check(name, Outcome.SKIPPED, "results.parquet has no row of this run")
        unlike = published.unlike_summary(said, derived.summary)
    if not unlike:
        return _passed(name)
    names = ", ".join(number.name for number in unlike[:5])
    more = ", ..." if len(unlike) > 5 else ""
    return Check(
        name,
        Outcome.FAIL,
        f"{len(unlike)} of {total} values do not follow from the signed record: {names}{more}",
        Word.REPLAY_MISMATCH,
        numbers=tuple(unlike[:_NUMBERS_KEPT]),
    )
