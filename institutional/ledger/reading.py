"""The entries of a stored log, for whoever wants to know what they say.

Form and place are checked, signatures are not: `auditing` does that, with a key from elsewhere.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular
from institutional.ledger.log import LOG


def read_entries(folder: Path) -> list[wal.Entry]:
    """Return the committed entries of the ledger in `folder`, each checked for its form and place.

    Sizes and roots of the heads are checked, signatures are not: `audit` does that, with a key from
    elsewhere. Raises LedgerError when bytes are damaged or follow the last head.
    """
    path = folder / LOG
    try:
        with open_regular(path) as file:
            prefix = wal.committed(file, None)
            if not prefix.complete:
                raise LedgerError(f"{path}: damaged after byte {prefix.end}: {prefix.problem}")
            file.seek(0)
            return list(entries(file, path))
    except OSError as error:
        raise LedgerError(f"{path}: the log cannot be read: {error}") from error


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
