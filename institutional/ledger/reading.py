"""The entries of a stored log, for whoever wants to know what they say.

Form and place are checked, signatures are not: `auditing` does that, with a key from elsewhere.
"""

from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, overload

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular
from institutional.ledger.log import LOG


def read_entries(folder: Path) -> list[wal.Entry]:
    """Return the committed entries of the ledger in `folder`, each checked for its form and place.

    Sizes and roots of the heads are checked, signatures are not: `audit` does that, with a key from
    elsewhere. Raises LedgerError when bytes are damaged or follow the last head.
    """
    return list(StoredEntries(folder))


class StoredEntries(Sequence[wal.Entry]):
    """What `read_entries` returns, read from the file again whenever it is asked for.

    Of a log of a million entries only their places are held in memory. Raises LedgerError as
    `read_entries` does, and later for a file that has changed since.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._offsets = array("Q")
        try:
            with open_regular(self._path) as file:
                prefix = wal.committed(file, None)
                if not prefix.complete:
                    raise LedgerError(
                        f"{self._path}: damaged after byte {prefix.end}: {prefix.problem}"
                    )
                file.seek(0)
                self._offsets.extend(entry.offset for entry in entries(file, self._path))
        except OSError as error:
            raise self._unreadable(error) from error

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[wal.Entry]:
        try:
            with open_regular(self._path) as file:
                yield from islice(entries(file, self._path), len(self))
        except OSError as error:
            raise self._unreadable(error) from error

    @overload
    def __getitem__(self, index: int) -> wal.Entry: ...
    @overload
    def __getitem__(self, index: slice) -> list[wal.Entry]: ...
    def __getitem__(self, index: int | slice) -> wal.Entry | list[wal.Entry]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        seq = range(len(self))[index]
        try:
            with open_regular(self._path) as file:
                file.seek(self._offsets[seq])
                line = file.readline(wal.MAX_ENTRY_BYTES + 1).removesuffix(b"\n")
        except OSError as error:
            raise self._unreadable(error) from error
        return wal.parse_entry(wal.EntryLine(self._offsets[seq], line), run=None, seq=seq)

    def _unreadable(self, error: OSError) -> LedgerError:
        return LedgerError(f"{self._path}: the log cannot be read: {error}")


def entries(file: BinaryIO, path: Path) -> Iterator[wal.Entry]:
    """Yield the entries of an open log in order; raises LedgerError naming the first bad one."""
    run, seq = None, 0
    for record in wal.records(file):
        if isinstance(record, wal.EntryLine):
            try:
                entry = wal.parse_entry(record, run=run, seq=seq)
            except LedgerError as error:
                raise LedgerError(f"{path}: entry {seq} at byte {record.offset}: {error}") from None
            yield entry
            run, seq = entry.run, seq + 1
