"""What a run's own log holds, read for publication: its newest head, and its entries once more.

Reading refuses anything that is not whole; `audit` is what grades a damaged log.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.log import CHECKPOINT, LOG
from institutional.ledger.manifest import (
    FILE_NAME,
    MAX_BYTES,
    Manifest,
    parse_envelope,
    parse_statement,
)
from institutional.ledger.note import MAX_NOTE_BYTES, VerifyKey, parse_note
from institutional.ledger.publication.chain import ROTATE, next_key
from institutional.ledger.tree import Frontier, leaf_hash


class Boundary(NamedTuple):
    """The last head of an epoch, as its note, and how many entries it signs."""

    size: int
    note: bytes


class Log(NamedTuple):
    """A whole log: what was declared, its newest head, and the keys of its epochs in order.

    `root_at` is the root at the size asked for, None where the log is shorter.
    """

    declared: bytes
    manifest: Manifest
    head: bytes
    size: int
    root: bytes
    root_at: bytes | None
    keys: tuple[VerifyKey, ...]
    boundaries: tuple[Boundary, ...]


def read_log(run: Path, *, size_asked: int = 0) -> Log:
    """Return what the log of `run` holds; raises LedgerError unless every byte is under a head.

    Heads are checked with the keys that manifest and rotations name, which says that the log is
    whole and not who wrote it.
    """
    try:
        declared = read_small(run / FILE_NAME, limit=MAX_BYTES)
        with open_regular(run / "ledger" / LOG) as file:
            log = _walk(file, declared, size_asked)
        return log._replace(head=_newest_note(run / "ledger" / CHECKPOINT, log))
    except OSError as error:
        raise LedgerError(f"{run}: not a run that can be read: {error}") from error
    except LedgerError as error:
        raise LedgerError(
            f"{run}: the log is not whole: {error}\n"
            "  `audit verify` says more; a torn end is set aside when the run is resumed"
        ) from error


def stored_entries(run: Path, size: int) -> Iterator[bytes]:
    """Yield the bytes of the first `size` entries of the log of `run`."""
    with open_regular(run / "ledger" / LOG) as file:
        for record in wal.records(file):
            if isinstance(record, wal.EntryLine):
                yield record.data
                size -= 1
                if size == 0:
                    return


def _walk(file: BinaryIO, declared: bytes, size_asked: int) -> Log:
    """Check every head of `file` and return the log under the last one."""
    manifest = parse_statement(parse_envelope(declared).payload)
    frontier, root_at, head, size = Frontier(), None, b"", 0
    keys, boundaries = [manifest.key], []
    rotated: VerifyKey | None = None
    for record in wal.records(file):
        if isinstance(record, wal.Stray):
            raise LedgerError(f"byte {record.offset}: {record.reason}")
        if isinstance(record, wal.EntryLine):
            if rotated is not None:
                raise LedgerError(f"byte {record.offset}: an entry between a rotation and its head")
            rotated = _rotation(record, manifest.run, frontier.size, keys)
            frontier.append(leaf_hash(record.data))
            root_at = frontier.root() if frontier.size == size_asked else root_at
            continue
        try:
            wal.check_head(record.data, frontier, size, keys[-1])
        except LedgerError as error:
            raise LedgerError(f"byte {record.offset}: {error}") from error
        head, size = record.data, frontier.size
        if rotated is not None:
            boundaries.append(Boundary(size, head))
            keys.append(rotated)
            rotated = None
    if size == 0 or size != frontier.size:
        raise LedgerError(f"no signed head covers the entries from {size} on")
    root = frontier.root()
    return Log(declared, manifest, head, size, root, root_at, tuple(keys), tuple(boundaries))


def _rotation(line: wal.EntryLine, run: str, seq: int, keys: list[VerifyKey]) -> VerifyKey | None:
    """Return the key of the next epoch if this is a rotate entry.

    Only lines that can be one are parsed: in canonical bytes a rotation is spelt just so.
    """
    if b'"kind":"rotate"' not in line.data:
        return None
    entry = wal.parse_entry(line, run=run, seq=seq)
    return next_key(entry, keys) if entry.kind == ROTATE else None


def _newest_note(path: Path, log: Log) -> bytes:
    """Return the published head where it says what the newest one says: it may be cosigned."""
    try:
        published = read_small(path, limit=MAX_NOTE_BYTES)
    except FileNotFoundError:
        return log.head
    same = parse_note(published).text == parse_note(log.head).text
    return published if same else log.head
