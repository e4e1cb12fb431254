"""What a run's own log holds, read for publication: its newest head, and its entries once more.

Reading refuses anything that is not whole; `audit` is what grades a damaged log.
"""

import contextlib
from collections.abc import Iterator, Sequence
from itertools import islice
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
from institutional.ledger.tree import Frontier, leaf_hash
from institutional.ledger.witness.cosigned import COSIGNED


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
        return log._replace(head=_newest_note(run / "ledger", log.head))
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
        yield from islice(wal.entry_lines(file), size)


def _walk(file: BinaryIO, declared: bytes, size_asked: int) -> Log:
    """Check every head of `file` and return the log under the last one."""
    manifest = parse_statement(parse_envelope(declared).payload)
    frontier, root_at, head, size = Frontier(), None, b"", 0
    epochs, boundaries = wal.Epochs(manifest.key), []
    for record in wal.records(file):
        if isinstance(record, wal.Stray):
            raise LedgerError(f"byte {record.offset}: {record.reason}")
        try:
            if isinstance(record, wal.EntryLine):
                epochs.entry(record, frontier.size)
                frontier.append(leaf_hash(record.data))
                root_at = frontier.root() if frontier.size == size_asked else root_at
                continue
            wal.check_head(record.data, frontier, size, epochs.in_force)
        except LedgerError as error:
            raise LedgerError(f"byte {record.offset}: {error}") from error
        head, size = record.data, frontier.size
        if epochs.head():
            boundaries.append(Boundary(size, head))
    if size == 0 or size != frontier.size:
        raise LedgerError(f"no signed head covers the entries from {size} on")
    root, keys = frontier.root(), tuple(epochs.keys)
    return Log(declared, manifest, head, size, root, root_at, keys, tuple(boundaries))


def _newest_note(folder: Path, head: bytes) -> bytes:
    """Return the newest head under the most signatures: as it was signed, or cosigned since."""
    text, notes = parse_note(head).text, [head]
    for name in (CHECKPOINT, COSIGNED):
        with contextlib.suppress(FileNotFoundError):
            notes.append(read_small(folder / name, limit=MAX_NOTE_BYTES))
    same = [note for note in notes if parse_note(note).text == text]
    return max(same, key=lambda note: len(parse_note(note).signatures))


def key_lines(keys: Sequence[VerifyKey]) -> bytes:
    """Return the keys of a log's epochs as a file, one verifier key a line."""
    return "".join(f"{key.vkey}\n" for key in keys).encode()
