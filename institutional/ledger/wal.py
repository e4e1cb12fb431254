r"""The file `log.wal` as bytes: entries, signed heads, and where the trustworthy part ends.

    {"body":{...},"kind":"open","run":"...","seq":0,"v":1}      entry: one canonical line
    {"body":{...},"kind":"round","run":"...","seq":1,"v":1}
    institutional.dev/run/7                                     head: a checkpoint note over all
    2                                                           entries before it, signed by the
    qlqhSL2Qb4g8Gxn5rPEJ4RUqm0Dzm3dZ+sEBo8Y7qXE=                run's key: five lines
    <empty line>
    — institutional.dev/run/7 2H6l...

A head is the commit record: what follows the last valid one was never acknowledged. There is no
clock in an entry: the same inputs give the same bytes, and when something happened is what
outside anchors tell. Reading is in bounded memory whatever the file holds.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.note import VerifyKey, open_checkpoint, parse_checkpoint, parse_note
from institutional.ledger.tree import Frontier, leaf_hash

VERSION = 1
MAX_ENTRY_BYTES = 65_535  # what a C2SP entry bundle can hold
MAX_COMMIT_BYTES = 67_108_864
MAX_KINDS = 256
KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
_MAX_HEAD_LINE = 1024
_HEAD_LINES = 5
_MAX_HEAD = _HEAD_LINES * _MAX_HEAD_LINE
_BLOCK = 1_048_576


class RootError(LedgerError):
    """A properly signed head over other entries than those before it."""

    def __init__(self, expected: bytes, found: bytes) -> None:
        super().__init__("the entries do not have the root that was signed for them")
        self.expected, self.found = expected.hex(), found.hex()


class EntryLine(NamedTuple):
    """One line that begins like an entry, without its newline."""

    offset: int
    data: bytes


class HeadNote(NamedTuple):
    """Five lines that are laid out like a signed head."""

    offset: int
    data: bytes


class Stray(NamedTuple):
    """Where the file stops being entries and heads, and why; always the last record."""

    offset: int
    reason: str


class Entry(NamedTuple):
    """One entry of a log: its place, its kind, what it says, and where it is stored."""

    seq: int
    kind: str
    body: dict[str, Any]
    offset: int
    run: str


class Prefix(NamedTuple):
    """The committed part of a file: everything up to `end` is covered by `head`."""

    frontier: Frontier
    end: int
    head: bytes
    complete: bool
    problem: str


def records(file: BinaryIO) -> Iterator[EntryLine | HeadNote | Stray]:
    """Yield what `file` holds from its current position on, which counts as offset 0."""
    offset = 0
    while line := file.readline(MAX_ENTRY_BYTES + 1):
        if line.startswith(b"{"):
            if not line.endswith(b"\n"):
                long = len(line) > MAX_ENTRY_BYTES
                yield Stray(offset, "an entry that is " + ("too long" if long else "cut off"))
                return
            yield EntryLine(offset, line[:-1])
            offset += len(line)
            continue
        lines = [line]
        while len(lines) < _HEAD_LINES and lines[-1].endswith(b"\n"):
            lines.append(file.readline(_MAX_HEAD_LINE))
        if len(lines) < _HEAD_LINES or lines[3] != b"\n" or not lines[4].endswith(b"\n"):
            yield Stray(offset, "neither an entry nor a whole head")
            return
        yield HeadNote(offset, b"".join(lines))
        offset += sum(map(len, lines))


def entry_bytes(*, run: str, seq: int, kind: str, body: dict[str, Any]) -> bytes:
    """Return the canonical bytes of one entry; raises LedgerError when they are too many."""
    try:
        data = canonical.encode({"v": VERSION, "run": run, "seq": seq, "kind": kind, "body": body})
    except LedgerError as error:
        raise LedgerError(f'entry {seq} ("{kind}") {error}') from error
    if len(data) > MAX_ENTRY_BYTES:
        raise LedgerError(
            f'entry {seq} ("{kind}") has {len(data)} bytes; {MAX_ENTRY_BYTES} are allowed\n'
            "  keep large evidence in a file and record its SHA-256"
        )
    return data


def parse_entry(line: EntryLine, *, run: str | None, seq: int) -> Entry:
    """Return the entry that must stand at `seq`; raises LedgerError for anything else."""
    match canonical.decode(line.data):
        case {
            "v": int(version),
            "run": str(named),
            "seq": int(number),
            "kind": str(kind),
            "body": dict(body),
            **nothing_else,
        } if not nothing_else and not isinstance(number, bool):
            pass
        case _:
            raise LedgerError("not an entry (v, run, seq, kind, body)")
    if version != VERSION or isinstance(version, bool):
        raise UnknownVersionError(f"is of version {version}, which is unknown here")
    if run is not None and named != run:
        raise LedgerError(f"belongs to run {named[:80]!a}, not to {run!a}")
    if number != seq:
        raise LedgerError(f"is numbered {number}")
    if not KIND.match(kind):
        raise LedgerError(f"has no proper kind: {kind[:80]!a}")
    return Entry(number, kind, body, line.offset, named)


def committed(file: BinaryIO, key: VerifyKey | None) -> Prefix:
    """Return the part of `file`, read from its start, that its last valid head covers.

    Without a key the heads' sizes and roots are checked and their signatures are not.
    """
    frontier, kept = Frontier(), Frontier()
    end, head, problem = 0, b"", "no signed head after these bytes"
    last = 0
    for record in records(file):
        if isinstance(record, EntryLine):
            frontier.append(leaf_hash(record.data))
            last = record.offset + len(record.data) + 1
            continue
        if isinstance(record, Stray):
            return Prefix(kept, end, head, complete=False, problem=record.reason)
        try:
            check_head(record.data, frontier, kept.size, key)
        except LedgerError as error:
            return Prefix(kept, end, head, complete=False, problem=str(error))
        kept, head = frontier.copy(), record.data
        last = end = record.offset + len(record.data)
    return Prefix(kept, end, head, complete=last == end, problem=problem)


def why_not_torn(file: BinaryIO, key: VerifyKey, *, start: int, above: int) -> str | None:
    """Return why the bytes from `start` on are no torn write, or None when they may be one.

    A head of more than `above` entries that `key` has signed proves that the bytes before it were
    committed, whatever they look like now; and no write of ours is longer than one commit.
    """
    length = file.seek(0, 2) - start
    if (later := _later_head(file, key, start=start, above=above)) is not None:
        return f"a head that this run signed begins after it, at byte {later}"
    if length > MAX_COMMIT_BYTES + MAX_ENTRY_BYTES + _MAX_HEAD:  # the closing entry is extra
        return f"{length} bytes follow, more than one commit can hold"
    return None


def _later_head(file: BinaryIO, key: VerifyKey, *, start: int, above: int) -> int | None:
    """Return where a head begins; sought at every offset, as the newline before it may be hurt.

    Blocks are read rather than mapped: a mapped file that shrinks would kill the process.
    """
    origin = key.name.encode() + b"\n"
    carry, offset = b"", file.seek(start)
    while offset < start + 2 * MAX_COMMIT_BYTES:
        block = file.read(_BLOCK)
        data = carry + block
        # Near the end of a block a head may be incomplete: it is looked at with the next one.
        safe = max(0, len(data) - _MAX_HEAD) if block else len(data)
        at = data.find(origin, 0)
        while 0 <= at < safe:
            lines = data[at : at + _MAX_HEAD].split(b"\n", _HEAD_LINES)
            # A head that lacks its last newline was torn: it is not yet a head.
            if len(lines) > _HEAD_LINES:
                with contextlib.suppress(LedgerError):
                    if open_checkpoint(b"\n".join([*lines[:-1], b""]), key).size > above:
                        return offset + at
            at = data.find(origin, at + 1)
        if not block:
            break
        carry, offset = data[safe:], offset + safe
    return None


def check_head(data: bytes, frontier: Frontier, above: int, key: VerifyKey | None) -> None:
    """Raise LedgerError unless `data` is the head of exactly these entries, more than `above`."""
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text) if key is None else open_checkpoint(data, key)
    if len(note.signatures) != 1:
        raise LedgerError("a head in the log carries one signature")
    if checkpoint.size != frontier.size or checkpoint.size <= above:
        raise LedgerError(f"a head of {checkpoint.size} entries after {frontier.size} entries")
    if checkpoint.root != frontier.root():
        raise RootError(checkpoint.root, frontier.root())
