"""What an auditor can see of private values: opened, redacted, withheld, or wrong.

A log is sound without any of them. This counts what became of each commitment:

    opened       the item is here and opens the commitment at its place
    redacted     the item is gone, and the operator signed that it was erased and why
    withheld     the item is not here or cannot be read, and nobody says why: no accusation, a
                 copy for strangers leaves all items out
    unfinished   signed as erased, and still here: the same `redact` again ends it
    wrong        an item, a statement or a commitment that is not what it must be

`stray` counts files of items that open no commitment: left by a killed run, damaged, or planted.
For one value there is selective disclosure: its item, handed over, is checked against its entry.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError, UnknownKeyError, UnknownVersionError
from institutional.ledger.note import VerifyKey
from institutional.ledger.private.commitment import MARK, Item, commitments
from institutional.ledger.private.items import item_path, read_item, remains, stored, torn
from institutional.ledger.private.redaction import Redaction, read_redaction, redaction_path


class State(StrEnum):
    """What became of one private value."""

    OPENED = "opened"
    REDACTED = "redacted"
    WITHHELD = "withheld"
    UNFINISHED = "unfinished"
    WRONG = "wrong"


class Bad(NamedTuple):
    """The first private value that is not what it must be, and where its entry stands."""

    seq: int
    offset: int
    reason: str


class Openings(NamedTuple):
    """How many commitments are in each state, and the first that is wrong."""

    counts: Counter[State]
    stray: int
    first: Bad | None

    def __str__(self) -> str:
        parts = [f"{self.counts[state]} {state}" for state in State if self.counts[state]]
        parts += [f"{self.stray} stray"] if self.stray else []
        return f"{self.counts.total()} private values" + (f": {', '.join(parts)}" if parts else "")


def openings(
    log: BinaryIO, *, end: int, run_folder: Path, run: str, keys: Sequence[VerifyKey]
) -> Openings:
    """Return what became of the private values of the entries before byte `end` of `log`.

    `end` is where the committed part ends; `keys` may sign redactions: the operator's. Memory does
    not grow with the log. Never stops on what it finds; raises OSError when `log` or the folder of
    items cannot be read.
    """
    counts: Counter[State] = Counter()
    first: Bad | None = None
    seq = -1
    log.seek(0)
    for record in wal.records(log):
        if record.offset >= end:
            break
        seq += isinstance(record, wal.EntryLine)
        if not isinstance(record, wal.EntryLine) or MARK not in record.data:
            continue
        try:
            entry = wal.parse_entry(record, run=run, seq=seq)
        except LedgerError:
            continue  # no entry at all: for the check of entries to tell
        for state, reason in _states(run_folder, entry, keys):
            counts[state] += 1
            if state == State.WRONG:
                first = first or Bad(seq, record.offset, reason)
    held = sum(1 for _ in stored(run_folder)) + sum(1 for _ in torn(run_folder))
    return Openings(counts, held - counts[State.OPENED] - counts[State.UNFINISHED], first)


def check_item(item: Item, entry: wal.Entry) -> None:
    """Raise LedgerError unless `item` opens a commitment of `entry`, at the place that it names."""
    _check_place(item, entry, item.path)
    committed = dict(commitments(entry.body)).get(item.path)
    if committed is None:
        raise LedgerError(f"entry {entry.seq} holds no private value at {item.path!a:.80}")
    if committed != item.commitment:
        raise LedgerError(
            f"entry {entry.seq} committed to another value at {item.path!a:.80}: "
            f"{committed}, not {item.commitment}"
        )


def _states(
    run_folder: Path, entry: wal.Entry, keys: Sequence[VerifyKey]
) -> Iterator[tuple[State, str]]:
    """Yield the state of every commitment in `entry`, and why if it is wrong."""
    try:
        found = list(commitments(entry.body))
    except LedgerError as error:
        yield State.WRONG, str(error)
        return
    for path, committed in found:
        try:
            yield _state(run_folder, entry, path, committed, keys), ""
        except LedgerError as error:
            yield State.WRONG, str(error)


def _state(
    run_folder: Path, entry: wal.Entry, path: str, committed: str, keys: Sequence[VerifyKey]
) -> State:
    """Return the state of one commitment; raises LedgerError, saying why, where it is wrong."""
    redaction = item = None
    with contextlib.suppress(OSError, UnknownKeyError, UnknownVersionError):
        redaction = read_redaction(redaction_path(run_folder, committed), keys)
        _check_place(redaction, entry, path)
    if redaction is not None:
        return State.UNFINISHED if remains(run_folder, committed) else State.REDACTED
    with contextlib.suppress(OSError, UnknownVersionError):
        item = read_item(item_path(run_folder, committed))
        _check_place(item, entry, path)
    return State.WITHHELD if item is None else State.OPENED


def _check_place(found: Item | Redaction, entry: wal.Entry, path: str) -> None:
    if (found.run, found.seq, found.path) != (entry.run, entry.seq, path):
        raise LedgerError(
            f"what is kept of {found.commitment} is of entry {found.seq} of {found.run!a:.80} "
            f"at {found.path!a:.80}"
        )
