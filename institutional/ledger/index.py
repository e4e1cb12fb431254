"""The operator's index: a log of its own that says which runs were begun, and how each ended.

A run is registered before its first round, with the digest of its manifest, and again when it is
closed, with its last signed head. So a run that is kept from an auditor leaves a gap, and one that
was run twice until it pleased stands here twice. It says nothing of runs that were never
registered; that this program registers every one is what its source shows.

The index lies in `index/` beside the operator's key, in the form of a run folder, and is never
closed. Its own head is what is worth showing to witnesses: whoever keeps it has a hold on all runs.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from institutional.ledger import keys, log
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import locked, read_small
from institutional.ledger.log import Ledger
from institutional.ledger.manifest import FILE_NAME, statement, write_manifest
from institutional.ledger.note import MAX_NOTE_BYTES, SigningKey
from institutional.ledger.reading import read_entries
from institutional.ledger.wal import Entry

KIND = "index"
"""The `kind` in the configuration of an index's manifest: a log that is never closed."""
RUN = "index"
START, END = "start", "end"
ROTATE_EVERY = 1000


class Start(NamedTuple):
    """A run is about to begin: its log's name, its manifest's digest, the plan it belongs to."""

    run: str
    origin: str
    manifest: str
    experiment: str
    plan: str


class End(NamedTuple):
    """A run was closed, and this is its last signed head."""

    run: str
    origin: str
    head: str


class Index(NamedTuple):
    """What an index says: everything ever registered, in order."""

    starts: tuple[Start, ...]
    ends: tuple[End, ...]

    def starts_of(self, origin: str) -> list[Start]:
        """Every beginning of the log called `origin`; more than one is another manifest."""
        return [start for start in self.starts if start.origin == origin]

    def ends_of(self, origin: str) -> list[End]:
        """Every end of it; more than one is a run that was run again and ended otherwise."""
        return [end for end in self.ends if end.origin == origin]


def register(folder: Path, operator: SigningKey, entries: Iterable[Start | End]) -> None:
    """Add what is not there yet to the operator's index in `folder`, durably; it is made if needed.

    Waits for another process that is registering; raises LedgerError when the index is damaged.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(folder):
            _extend(folder, operator, list(entries))
    except OSError as error:
        raise LedgerError(f"{folder}: the index cannot be written: {error}") from error


def read_index(folder: Path) -> Index:
    """Return what the index in `folder` says. Nothing is verified: see `audit`."""
    found = [_parsed(entry) for entry in read_entries(folder / "ledger")]
    return Index(
        tuple(entry for entry in found if isinstance(entry, Start)),
        tuple(entry for entry in found if isinstance(entry, End)),
    )


def _extend(folder: Path, operator: SigningKey, asked: Sequence[Start | End]) -> None:
    origin = f"{operator.name}/{RUN}"
    key = keys.run_key(operator, origin)
    payload = statement(
        run=RUN, origin=origin, key=key.verify_key, config={"kind": KIND}, packages={}
    )
    digest = write_manifest(folder / FILE_NAME, payload, operator)
    begin = Ledger.extend if log.exists(folder / "ledger") else Ledger.create
    with begin(
        folder / "ledger", origin=origin, run=RUN, key=key, rotate_every=ROTATE_EVERY
    ) as ledger:
        if ledger.size == 0:
            ledger.append("open", {"manifest": digest})
            ledger.commit()
        known = {*_everything(read_index(folder))}
        fresh = [entry for entry in dict.fromkeys(asked) if entry not in known]
        for entry in fresh:
            ledger.append(START if isinstance(entry, Start) else END, entry._asdict())
        if fresh:
            ledger.commit()
        if not _publishes(folder / "ledger" / log.CHECKPOINT, ledger.head):
            ledger.publish()


def _publishes(path: Path, head: bytes) -> bool:
    """Whether the published head is the newest; after a kill between commit and this it is not."""
    try:
        return read_small(path, limit=MAX_NOTE_BYTES) == head
    except FileNotFoundError:
        return False


def _everything(index: Index) -> Iterable[Start | End]:
    return (*index.starts, *index.ends)


def _parsed(entry: Entry) -> Start | End | None:
    match entry.kind, entry.body:
        case "start", {
            "run": str(run),
            "origin": str(origin),
            "manifest": str(manifest),
            "experiment": str(experiment),
            "plan": str(plan),
        }:
            return Start(run, origin, manifest, experiment, plan)
        case "end", {"run": str(run), "origin": str(origin), "head": str(head)}:
            return End(run, origin, head)
    return None
