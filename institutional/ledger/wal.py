r"""The file `log.wal` as bytes: entries, signed heads, and where the trustworthy part ends.

    {"body":{...},"kind":"open","run":"...","seq":0,"v":1}      entry: one canonical line
    {"body":{...},"kind":"round","run":"...","seq":1,"v":1}
    institutional.dev/run/7                                     head: a checkpoint note over all
    2                                                           entries before it, signed by the
    qlqhSL2Qb4g8Gxn5rPEJ4RUqm0Dzm3dZ+sEBo8Y7qXE=                run's key: five lines
    <empty line>
    — institutional.dev/run/7 2H6l...

A head is the commit record: what follows the last valid one was never acknowledged. An entry of
kind "rotate" ends an epoch: it names the next key and is the last of its commit, whose head the
old key signs; every later head is signed by the next key, and the old one is forgotten. There is no
clock in an entry: the same inputs give the same bytes, and when something happened is what
outside anchors tell. Reading is in bounded memory whatever the file holds.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, BinaryIO, NamedTuple

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.note import (
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_vkey,
)
from institutional.ledger.tree import Frontier, leaf_hash

VERSION = 1
MAX_ENTRY_BYTES = 65_535  # what a C2SP entry bundle can hold
MAX_COMMIT_BYTES = 67_108_864
MAX_KINDS = 256
KIND = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
ROTATE = "rotate"
# Compared as a whole: a pattern with five class patterns takes five times as long.
_FIELDS = ("v", "run", "seq", "kind", "body")
_FIELDS_OF = itemgetter(*_FIELDS)
_MAYBE_ROTATE = b'"kind":"rotate"'  # what every such entry holds, and few others
_NEXT_KEY = re.compile(rb'"key":"([^"\\]{1,400})"\},"kind":"rotate"')
_MAX_HEAD_LINE = 1024
_HEAD_LINES = 5
_MAX_HEAD = _HEAD_LINES * _MAX_HEAD_LINE
_BLOCK = 1_048_576
_MAX_KEYS = 16  # tried on one head; a hostile tail may name any number


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
    """The committed part of a file: everything up to `end` is covered by `head`.

    `epochs` holds the key of every epoch so far; the last is in force. Empty if no key was given.
    """

    frontier: Frontier
    end: int
    head: bytes
    complete: bool
    problem: str
    epochs: tuple[VerifyKey, ...]


class Epochs:
    """The keys of a log as far as it was read: each rotation makes the next one count.

    Whoever reads a log tells it every entry and every valid head, in order.
    """

    def __init__(self, first: VerifyKey) -> None:
        self.keys = [first]
        self._next: VerifyKey | None = None

    @property
    def rotating(self) -> bool:
        """Whether a rotation was told that no head covers yet."""
        return self._next is not None

    @property
    def in_force(self) -> VerifyKey:
        """The key that must have signed the next head."""
        return self.keys[-1]

    def entry(self, line: EntryLine, seq: int) -> None:
        """Note a rotation; raises LedgerError for one that is not in its place."""
        if self._next is not None:
            raise LedgerError("follows a rotation, which must be the last entry of its commit")
        if _MAYBE_ROTATE not in line.data:
            return
        entry = parse_entry(line, run=None, seq=seq)
        if entry.kind != ROTATE:
            return
        match entry.body:
            case {"epoch": int(epoch), "key": str(vkey), **nothing_else} if not nothing_else:
                key = parse_vkey(vkey)
            case _:
                raise LedgerError("is no rotation (epoch, key)")
        in_order = epoch == len(self.keys) and not isinstance(epoch, bool)
        if not in_order or key.name != self.in_force.name or key in self.keys:
            raise LedgerError(f"names no next key of this log: epoch {epoch}, {vkey[:200]!a}")
        self._next = key

    def head(self) -> bool:
        """A valid head covers what was told so far; return whether it ends an epoch."""
        if self._next is None:
            return False
        self.keys.append(self._next)
        self._next = None
        return True


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


def entry_lines(file: BinaryIO, *, end: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of every entry before the offset `end`, passing heads over."""
    for record in records(file):
        if end is not None and record.offset >= end:
            return
        if isinstance(record, EntryLine):
            yield record.data


def entry_bytes(*, run: str, seq: int, kind: str, body: dict[str, Any]) -> bytes:
    """Return the canonical bytes of one entry; raises LedgerError when they are too many."""
    return encode_entry(run=run, seq=seq, kind=kind, body=body)[0]


def encode_entry(
    *, run: str, seq: int, kind: str, body: dict[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of `entry_bytes`, and the body that a reader finds in them."""
    value = {"v": VERSION, "run": run, "seq": seq, "kind": kind, "body": body}
    try:
        data, read = canonical.encode_and_read(value)
    except LedgerError as error:
        raise LedgerError(f'entry {seq} ("{kind}") {error}') from error
    if len(data) > MAX_ENTRY_BYTES:
        raise LedgerError(
            f'entry {seq} ("{kind}") has {len(data)} bytes; {MAX_ENTRY_BYTES} are allowed\n'
            "  keep large evidence in a file and record its SHA-256"
        )
    return data, read["body"]


def parse_entry(line: EntryLine, *, run: str | None, seq: int) -> Entry:
    """Return the entry that must stand at `seq`; raises LedgerError for anything else."""
    version, named, number, kind, body = _parts(canonical.decode(line.data))
    if version != VERSION:
        raise UnknownVersionError(f"is of version {version}, which is unknown here")
    if run is not None and named != run:
        raise LedgerError(f"belongs to run {named[:80]!a}, not to {run!a}")
    if number != seq:
        raise LedgerError(f"is numbered {number}")
    if not KIND.match(kind):
        raise LedgerError(f"has no proper kind: {kind[:80]!a}")
    return Entry(number, kind, body, line.offset, named)


def _parts(value: Any) -> tuple[int, str, int, str, dict[str, Any]]:
    # Written out, not looped over a table of types: every entry of an audit passes here.
    if type(value) is dict and len(value) == len(_FIELDS):
        with contextlib.suppress(KeyError):
            version, named, number, kind, body = _FIELDS_OF(value)
            if (
                type(version) is int
                and type(named) is str
                and type(number) is int
                and type(kind) is str
                and type(body) is dict
            ):
                return version, named, number, kind, body
    raise LedgerError("not an entry (v, run, seq, kind, body)")


def committed(file: BinaryIO, key: VerifyKey | None) -> Prefix:
    """Return the part of `file`, read from its start, that its last valid head covers.

    `key` is that of the first epoch. Without one the heads' sizes and roots are checked and their
    signatures are not.
    """
    frontier, kept = Frontier(), Frontier()
    epochs = None if key is None else Epochs(key)
    end, head, problem = 0, b"", "no signed head after these bytes"
    last = 0
    complete = True
    for record in records(file):
        if isinstance(record, Stray):
            complete, problem = False, record.reason
            break
        try:
            if isinstance(record, EntryLine):
                if epochs is not None:
                    epochs.entry(record, frontier.size)
                frontier.append(leaf_hash(record.data))
                last = record.offset + len(record.data) + 1
                continue
            in_force = None if epochs is None else epochs.in_force
            check_head(record.data, frontier, kept.size, in_force)
        except LedgerError as error:
            complete, problem = False, str(error)
            break
        if epochs is not None:
            epochs.head()
        kept, head = frontier.copy(), record.data
        last = end = record.offset + len(record.data)
    keys = () if epochs is None else tuple(epochs.keys)
    return Prefix(kept, end, head, complete and last == end, problem, keys)


def why_not_torn(
    file: BinaryIO, keys: Sequence[VerifyKey], *, start: int, above: int
) -> str | None:
    """Return why the bytes from `start` on are no torn write, or None when they may be one.

    A head of more than `above` entries that one of `keys` has signed, or a key that a rotation
    among these bytes names, proves that the bytes before it were committed, whatever they look
    like now; and no write of ours is longer than one commit.
    """
    length = file.seek(0, 2) - start
    if (later := _later_head(file, keys, start=start, above=above)) is not None:
        return f"a head that this run signed begins after it, at byte {later}"
    if length > MAX_COMMIT_BYTES + MAX_ENTRY_BYTES + _MAX_HEAD:  # the closing entry is extra
        return f"{length} bytes follow, more than one commit can hold"
    return None


def _later_head(file: BinaryIO, keys: Sequence[VerifyKey], *, start: int, above: int) -> int | None:
    """Return where a head begins; sought at every offset, as the newline before it may be hurt.

    Blocks are read rather than mapped: a mapped file that shrinks would kill the process.
    """
    origin = keys[0].name.encode() + b"\n"
    known = list(keys)
    carry, offset = b"", file.seek(start)
    while offset < start + 2 * MAX_COMMIT_BYTES:
        block = file.read(_BLOCK)
        data = carry + block
        for named in _NEXT_KEY.finditer(data):
            with contextlib.suppress(LedgerError, UnicodeDecodeError):
                key = parse_vkey(named[1].decode())
                if key.name == known[0].name and key not in known:
                    known.append(key)
        # Near the end of a block a head may be incomplete: it is looked at with the next one.
        safe = max(0, len(data) - _MAX_HEAD) if block else len(data)
        at = data.find(origin, 0)
        while 0 <= at < safe:
            lines = data[at : at + _MAX_HEAD].split(b"\n", _HEAD_LINES)
            # A head that lacks its last newline was torn: it is not yet a head.
            if len(lines) > _HEAD_LINES:
                note = b"\n".join([*lines[:-1], b""])
                if any(_signs_more(note, key, above) for key in known[-_MAX_KEYS:]):
                    return offset + at
            at = data.find(origin, at + 1)
        if not block:
            break
        carry, offset = data[safe:], offset + safe
    return None


def _signs_more(note: bytes, key: VerifyKey, above: int) -> bool:
    try:
        return open_checkpoint(note, key).size > above
    except LedgerError:
        return False


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
