"""Two witnesses' memories side by side: the heads of one log that cannot both be true.

Each head is verified under the log's key first. Two roots for one size are a fork, and the two
notes prove it to anyone; heads of different sizes can be told apart only with the log itself.
"""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from institutional.ledger.errors import LedgerError, UnknownKeyError
from institutional.ledger.files import read_small
from institutional.ledger.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.tree import root_of
from institutional.ledger.witness import memory
from institutional.ledger.witness.heads import RunHeads


class Word(StrEnum):
    """What two heads of one log say together."""

    AGREE = "agree"
    FORK = "fork"
    UNDECIDED = "undecided"


class Head(NamedTuple):
    """A verified head, and the keys under which its log is known there."""

    checkpoint: Checkpoint
    keys: tuple[VerifyKey, ...]


class Comparison(NamedTuple):
    """Two heads of one log, and what they say together."""

    origin: str
    word: Word
    reason: str
    one: Checkpoint
    other: Checkpoint


def heads_in(source: Path, keys: tuple[VerifyKey, ...]) -> dict[str, Head]:
    """Return the verified heads in a witness's folder, or the one in a file, by origin.

    A file needs one of `keys`; a folder knows the keys of its logs.
    """
    if source.is_dir():
        records = [memory.load(where) for where in memory.places(source)]
        heads = [Head(r.checkpoint, r.keys) for r in records if r and r.checkpoint]
        return {head.checkpoint.origin: head for head in heads}
    try:
        data = read_small(source, limit=MAX_NOTE_BYTES)
        head = _opened(data, keys)
    except (OSError, LedgerError) as error:
        raise LedgerError(f"{source}: not a head signed by a key that is given: {error}") from error
    return {head.checkpoint.origin: head}


def compare(
    one: dict[str, Head], other: dict[str, Head], logs: dict[str, RunHeads]
) -> list[Comparison]:
    """Return what the heads of the logs known to both say; `logs` are runs to judge them by.

    Raises LedgerError for a run whose newest head is not by a key of its log.
    """
    return [
        _compare(origin, one[origin], other[origin], logs.get(origin))
        for origin in sorted(one.keys() & other.keys())
    ]


def _compare(origin: str, first: Head, second: Head, log: RunHeads | None) -> Comparison:
    one, other = first.checkpoint, second.checkpoint
    sizes = f"{one.size} and {other.size} entries"
    if not set(first.keys) & set(second.keys):
        reason = "they know it under different keys: two logs of one name"
        return Comparison(origin, Word.UNDECIDED, reason, one, other)
    if one.size == other.size:
        if one.root == other.root:
            return Comparison(origin, Word.AGREE, f"both saw {one.size} entries", one, other)
        reason = f"two roots for {one.size} entries: the log has shown two histories"
        return Comparison(origin, Word.FORK, reason, one, other)
    if log is None:
        reason = f"{sizes}: only the log tells whether one continues the other"
        return Comparison(origin, Word.UNDECIDED, reason, one, other)
    _opened(log.head, (*first.keys, *second.keys))  # else a made-up log could accuse anybody
    if max(one.size, other.size) > log.checkpoint.size:
        reason = f"{sizes}: the log that is given has {log.checkpoint.size}"
        return Comparison(origin, Word.UNDECIDED, reason, one, other)
    strange = [head.size for head in (one, other) if root_of(log.leaves[: head.size]) != head.root]
    if not strange:
        return Comparison(origin, Word.AGREE, f"{sizes} of the log that is given", one, other)
    reason = f"the log that is given does not have the head of {strange[0]} entries that was shown"
    return Comparison(origin, Word.FORK, reason, one, other)


def _opened(data: bytes, keys: tuple[VerifyKey, ...]) -> Head:
    """Return the head that one of `keys` signed."""
    origin = parse_checkpoint(parse_note(data).text).origin
    for key in keys:
        try:
            return Head(open_checkpoint(data, key), tuple(k for k in keys if k.name == origin))
        except UnknownKeyError:
            continue
    raise UnknownKeyError(f"a head of {origin[:200]!a} that no known key of it has signed")
