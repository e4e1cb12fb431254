"""Two copies of one log: where they part, and which of them a signature covers there."""

from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular
from institutional.ledger.log import LOG


class Divergence(NamedTuple):
    """The first entry in which two logs differ; None where one of them has ended."""

    seq: int
    first: bytes | None
    second: bytes | None


def first_divergence(first: Path, second: Path) -> tuple[int, Divergence | None]:
    """Return how many entries two run folders' logs share from the start, and where they part.

    Heads are passed over: they say when a disk was asked to sync. Nothing is verified.
    """
    try:
        with open_regular(first / "ledger" / LOG) as a, open_regular(second / "ledger" / LOG) as b:
            entries = zip_longest(wal.entry_lines(a), wal.entry_lines(b))
            seq = -1
            for seq, (one, other) in enumerate(entries):
                if one != other:
                    return seq, Divergence(seq, one, other)
            return seq + 1, None
    except OSError as error:
        raise LedgerError(f"{first}, {second}: a log cannot be read: {error}") from error
