"""One walk over a log file: what its signed heads cover, and the first thing that is wrong.

Never stops on an error and never accuses: `audit` turns a survey into a verdict. Memory stays
bounded whatever the file holds. An entry counts once a valid head covers it; before that its
flaws are those of a tail.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.note import VerifyKey
from institutional.ledger.tree import Frontier, leaf_hash


@dataclass(frozen=True)
class Flaw:
    """Something wrong, and where."""

    reason: str
    offset: int
    seq: int | None = None
    expected: str | None = None
    found: str | None = None
    unknown_version: bool = False


@dataclass
class Survey:
    """What a log holds: first what is signed, then what is wrong.

    `entry` is the first bad entry under a valid signature, `head` the first bad head or break, and
    `tail` bytes after the last valid head that no later head covers. `roots` are those at the
    sizes asked for; `epochs` are the keys that signed, in order, and `boundaries` the sizes of the
    heads at which each but the last of them ended.
    """

    size: int = 0
    end: int = 0
    head: bytes = b""
    root: str = ""
    roots: dict[int, bytes] = field(default_factory=dict)
    opening: dict[str, Any] | None = None
    closing: dict[str, Any] | None = None
    counts: Counter[str] = field(default_factory=Counter)
    epochs: tuple[VerifyKey, ...] = ()
    boundaries: tuple[int, ...] = ()
    entry: Flaw | None = None
    head_flaw: Flaw | None = None
    tail: Flaw | None = None

    def key_at(self, size: int) -> VerifyKey:
        """The key that may sign a head of `size` entries, or of more than are here."""
        return self.epochs[bisect_left(self.boundaries, size)]

    def signed_by(self, key: VerifyKey) -> int:
        """How many entries the last head that this key, one of `epochs`, signed covers."""
        return (*self.boundaries, self.size)[self.epochs.index(key)]


def survey(
    file: BinaryIO, key: VerifyKey, *, run: str, sizes_asked: Collection[int] = ()
) -> Survey:
    """Return what `file` holds for the log of `run` whose first epoch `key` signed."""
    found = Survey(epochs=(key,))
    frontier = Frontier()
    epochs = wal.Epochs(key)
    roots: dict[int, bytes] = {}
    pending = _Pending()
    broken: Flaw | None = None
    position = 0
    for record in wal.records(file):
        if isinstance(record, wal.Stray):
            broken = Flaw(record.reason, record.offset, frontier.size)
            break
        position = record.offset + len(record.data) + isinstance(record, wal.EntryLine)
        if isinstance(record, wal.EntryLine):
            closed = found.closing is not None
            pending.look(record, run=run, seq=frontier.size, closed=closed, epochs=epochs)
            frontier.append(leaf_hash(record.data))
            if frontier.size in sizes_asked:
                roots[frontier.size] = frontier.root()
            continue
        try:
            wal.check_head(record.data, frontier, found.size, epochs.in_force)
        except LedgerError as error:
            found.head_flaw = _bad_head(error, record, found.size, frontier.size, pending)
            found.entry = found.entry or pending.flaw
            return found
        found.size, found.end, found.head = frontier.size, position, record.data
        found.root = frontier.root().hex()
        found.roots.update(roots)
        roots.clear()
        pending.settle(found)
        if epochs.head():
            found.boundaries = (*found.boundaries, frontier.size)
        found.epochs = tuple(epochs.keys)
        pending = _Pending()
    if broken is None and position > found.end:
        broken = Flaw("entries that no signed head covers", found.end, found.size)
    if broken is not None:
        _judge_tail(file, epochs.in_force, found, broken, pending)
    return found


class _Pending:
    """Entries since the last head, summed up."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.flaw: Flaw | None = None
        self.counts: Counter[str] = Counter()
        self.opening: dict[str, Any] | None = None
        self.closing: dict[str, Any] | None = None

    def look(
        self, line: wal.EntryLine, *, run: str, seq: int, closed: bool, epochs: wal.Epochs
    ) -> None:
        self.first = line.offset if self.first is None else self.first
        if self.flaw is not None:
            return
        try:
            entry = wal.parse_entry(line, run=run, seq=seq)
            if entry.kind == wal.ROTATE or epochs.rotating:
                epochs.entry(line, seq)
        except LedgerError as error:
            unknown = isinstance(error, UnknownVersionError)
            self.flaw = Flaw(str(error), line.offset, seq, unknown_version=unknown)
            return
        self.counts[entry.kind] += 1
        if closed or self.closing is not None:
            self.flaw = Flaw("stands after the closing entry", line.offset, seq)
        elif len(self.counts) > wal.MAX_KINDS:
            self.flaw = Flaw("is of one kind too many", line.offset, seq)
        elif (entry.kind == "open") != (seq == 0):
            self.flaw = Flaw(f"is {entry.kind!a}: a log begins with one open", line.offset, seq)
        if entry.kind == "open":
            self.opening = entry.body
        if entry.kind == "close":
            self.closing = entry.body

    def settle(self, found: Survey) -> None:
        """A valid head covers these entries: they count."""
        found.counts += self.counts
        found.opening = found.opening if found.opening is not None else self.opening
        found.closing = found.closing if found.closing is not None else self.closing
        found.entry = found.entry or self.flaw
        if len(found.counts) > wal.MAX_KINDS:
            found.entry = found.entry or Flaw("too many kinds of entries", found.end)
            found.counts.clear()


def _bad_head(
    error: LedgerError, record: wal.HeadNote, start: int, stop: int, pending: _Pending
) -> Flaw:
    """Say what a bad head accuses: the entries before it if their root is wrong, or itself."""
    if not isinstance(error, wal.RootError):
        return Flaw(str(error), record.offset, stop)
    which = f"entry {start}" if stop == start + 1 else f"one of entries {start} to {stop - 1}"
    reason = f"{which} was altered after it was signed"
    first = record.offset if pending.first is None else pending.first
    return Flaw(reason, first, start, error.expected, error.found)


def _judge_tail(
    file: BinaryIO, key: VerifyKey, found: Survey, broken: Flaw, pending: _Pending
) -> None:
    """Bytes after the last valid head are a torn write, unless something shows otherwise."""
    refuted = wal.why_not_torn(file, [key], start=found.end, above=found.size)
    if refuted is not None:
        first = pending.flaw or broken
        reason = f"{first.reason}; no torn write: {refuted}"
        found.head_flaw = Flaw(reason, first.offset, first.seq)
        found.entry = found.entry or pending.flaw
    elif found.closing is not None:
        found.head_flaw = Flaw("bytes were added after the log was closed", found.end, found.size)
    else:
        reason = f"from here on no signed head covers the log; byte {broken.offset}: "
        found.tail = Flaw(reason + broken.reason, found.end, found.size)
