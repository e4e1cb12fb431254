"""A published log checked alone: every tile, bundle, key and head, from plain files, offline.

    found = fsck(Path("mirror/07"), [operator_key])

Everything is derived again from the entries and compared with what is stored, down to the last
byte under `tile/`; of other files only those are read that the format names. Whatever the folder
holds, the answer is an `Inspection`; a missing file is never called an alteration.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError, UnknownKeyError, UnknownVersionError
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.manifest import FILE_NAME, MAX_BYTES, Manifest
from institutional.ledger.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.publication.source import key_lines
from institutional.ledger.publication.tiles import (
    ENTRIES,
    MAX_BUNDLE_BYTES,
    WIDTH,
    HashTiles,
    Tile,
    count_at,
    parse_path,
    split_bundle,
    tile_at,
)
from institutional.ledger.tree import HASH_BYTES, leaf_hash
from institutional.ledger.verdict import Word
from institutional.ledger.vouching import vouch

CHECKPOINT = "checkpoint"
GRAPH = "graph.yaml"
HEADS = "heads"
KEYS = "keys"
MAX_FINDINGS = 20
MAX_KEYS_BYTES = 1_048_576


class Finding(NamedTuple):
    """Something wrong: in which file, what, how grave, and the entry that it concerns."""

    path: str
    reason: str
    word: Word = Word.INVALID
    seq: int | None = None
    expected: str | None = None
    found: str | None = None

    def __str__(self) -> str:
        entry = "" if self.seq is None else f"entry {self.seq}: "
        return f"{self.path}: {entry}{self.reason}"


@dataclass
class Inspection:
    """What a published folder holds, and what is wrong with it, first things first.

    `size` entries under `checkpoint`, of which `entries` were read; `files` under `tile/` were
    checked. At most MAX_FINDINGS findings are kept, `more` were not.
    """

    findings: list[Finding] = field(default_factory=list)
    more: int = 0
    manifest: Manifest | None = None
    keys: tuple[VerifyKey, ...] = ()
    checkpoint: bytes = b""
    size: int = 0
    root: str = ""
    entries: int = 0
    files: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    opening: dict[str, Any] | None = None
    closing: dict[str, Any] | None = None


def fsck(
    folder: Path, trusted: Sequence[VerifyKey], *, checkpoint: bytes | None = None
) -> Inspection:
    """Return what is wrong with the published log in `folder`: nothing, if it is sound.

    `trusted` holds the operator's or the run's key; `checkpoint` stands in for the file of that
    name before it is written. Cosignatures are left to the auditor's policy.
    """
    work = _Inspector(folder)
    try:
        work.run(trusted, checkpoint)
    except _StopError:
        pass
    except (OSError, ValueError, LedgerError, RecursionError, MemoryError) as error:
        work.add(".", f"{type(error).__name__}: {error}", Word.CANNOT_DECIDE)
    return work.found


class _StopError(Exception):
    """Nothing further can be checked."""


class _Inspector:
    """The findings so far, and the tree as far as it was derived again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = Inspection()
        self.genesis = ""
        self.tree = HashTiles(self.compare)

    def run(self, trusted: Sequence[VerifyKey], checkpoint: bytes | None) -> None:
        manifest = self.check_manifest(trusted)
        self.check_graph(manifest)
        note = self.read(CHECKPOINT, MAX_NOTE_BYTES) if checkpoint is None else checkpoint
        head = self.parse_head(note)
        self.found.checkpoint, self.found.size = note, head.size
        self.found.root = head.root.hex()
        self.check_entries(manifest)
        self.check_head(CHECKPOINT, note)
        self.check_keys()
        for name in self.tile_names():
            self.check_leftover(name)

    def add(
        self,
        path: str,
        reason: str,
        word: Word = Word.INVALID,
        *,
        seq: int | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        """Keep a finding."""
        if len(self.found.findings) < MAX_FINDINGS:
            self.found.findings.append(Finding(path, reason, word, seq, expected, found))
        else:
            self.found.more += 1

    def peek(self, path: str, limit: int) -> bytes | None:
        """Return the bytes at `path`, or None with a finding; `limit` of them are allowed."""
        try:
            return read_small(self.folder / path, limit=limit)
        except FileNotFoundError:
            self.add(path, "is missing", Word.CANNOT_DECIDE)
        except OSError as error:
            self.add(path, f"cannot be read: {error}", Word.CANNOT_DECIDE)
        except LedgerError:
            self.add(path, f"is not a file of at most {limit} bytes")
        return None

    def read(self, path: str, limit: int) -> bytes:
        """Return the bytes at `path`, without which nothing can go on."""
        data = self.peek(path, limit)
        if data is None:
            raise _StopError
        return data

    def check_manifest(self, trusted: Sequence[VerifyKey]) -> Manifest:
        """Find the run's key."""
        data = self.read(FILE_NAME, MAX_BYTES)
        try:
            manifest, payload, _ = vouch(data, trusted)
        except LedgerError as error:
            self.add(FILE_NAME, str(error), _word(error))
            raise _StopError from None
        self.found.manifest, self.found.keys = manifest, (manifest.key,)
        self.epochs, self.signer = wal.Epochs(manifest.key), manifest.key
        self.genesis = hashlib.sha256(payload).hexdigest()
        return manifest

    def check_graph(self, manifest: Manifest) -> None:
        expected = manifest.subjects.get(GRAPH)
        try:
            with open_regular(self.folder / GRAPH) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            if expected is not None:
                self.add(GRAPH, "is missing", Word.CANNOT_DECIDE)
            return
        except (OSError, LedgerError) as error:
            self.add(GRAPH, f"cannot be read: {error}", Word.CANNOT_DECIDE)
            return
        if found != expected:
            reason = "is not the graph that was declared"
            self.add(GRAPH, reason, expected=expected or "no graph", found=found)

    def parse_head(self, note: bytes) -> Checkpoint:
        try:
            head = parse_checkpoint(parse_note(note).text)
        except LedgerError as error:
            self.add(CHECKPOINT, str(error))
            raise _StopError from None
        if head.size == 0:
            self.add(CHECKPOINT, "signs an empty log, which proves nothing", Word.INCOMPLETE)
            raise _StopError
        return head

    # --- entries and the tree over them

    def check_entries(self, manifest: Manifest) -> None:
        """Read every entry in order; the first bundle that cannot be split ends the inspection."""
        for number in range(-(-self.found.size // WIDTH)):
            bundle = tile_at(ENTRIES, number, self.found.size)
            data = self.read(bundle.path, MAX_BUNDLE_BYTES)
            try:
                entries = split_bundle(data, bundle.width)
            except LedgerError as error:
                self.add(bundle.path, str(error), seq=bundle.start)
                raise _StopError from None
            for seq, entry in enumerate(entries, bundle.start):
                self.tree.add(leaf_hash(entry))
                self.check_entry(bundle.path, seq, entry, manifest.run)
            self.found.entries = bundle.end
            self.found.files += 1
        self.tree.finish()

    def check_entry(self, path: str, seq: int, data: bytes, run: str) -> None:
        found = self.found
        line = wal.EntryLine(0, data)
        try:
            entry = wal.parse_entry(line, run=run, seq=seq)
            self.epochs.entry(line, seq)
        except LedgerError as error:
            self.add(path, str(error), _word(error), seq=seq)
            return
        found.counts[entry.kind] += 1
        if len(found.counts) > wal.MAX_KINDS:
            self.add(path, "is of one kind too many", seq=seq)
            raise _StopError
        if (entry.kind == "open") != (seq == 0):
            self.add(path, f"is {entry.kind!a}: a log begins with one open", seq=seq)
        if found.closing is not None:
            self.add(path, "stands after the closing entry", seq=seq)
        if entry.kind == "open" and entry.body.get("manifest") != self.genesis:
            self.add(path, "names another manifest", seq=seq, expected=self.genesis)
        if entry.kind == "open":
            found.opening = entry.body
        if entry.kind == "close":
            found.closing = entry.body
            if entry.body.get("counts") != dict(found.counts):
                self.add(path, "the closing entry counts otherwise", seq=seq)
        if entry.kind == wal.ROTATE:
            self.check_boundary(seq + 1)

    def check_boundary(self, size: int) -> None:
        """A new epoch begins if the old key signed the head over everything up to here."""
        path = f"{HEADS}/{size}"
        self.check_head(path, self.read(path, MAX_NOTE_BYTES))
        self.epochs.head()
        self.found.keys = tuple(self.epochs.keys)
        if size < self.found.size:
            self.signer = self.epochs.in_force

    def check_head(self, path: str, note: bytes) -> None:
        """A head over all entries read so far, by the key in force."""
        try:
            head = open_checkpoint(note, self.signer)
        except LedgerError as error:
            self.add(path, str(error))  # also under another key of this log: of the wrong epoch
            return
        if head.size != self.tree.size:
            self.add(path, f"signs {head.size} entries, not {self.tree.size}")
            return
        root = self.tree.root()
        if head.root != root:
            reason = f"the entries up to {head.size - 1} are not those that were signed"
            self.add(path, reason, expected=head.root.hex(), found=root.hex())

    def compare(self, tile: Tile, data: bytes) -> None:
        """Hold a stored tile against the one derived from the entries."""
        stored = self.peek(tile.path, len(data))
        if stored is None:
            return
        self.found.files += 1
        if stored == data:
            return
        at = next(
            at
            for at in range(0, len(data), HASH_BYTES)
            if stored[at : at + HASH_BYTES] != data[at : at + HASH_BYTES]
        )
        place = tile.start + at // HASH_BYTES
        of = f"entry {place}" if tile.level == 0 else f"subtree {place} of level {tile.level}"
        self.add(
            tile.path,
            f"hash {at // HASH_BYTES} is not that of {of}",
            seq=place if tile.level == 0 else None,
            expected=data[at : at + HASH_BYTES].hex(),
            found=stored[at : at + HASH_BYTES].hex(),
        )

    # --- what stands beside them

    def check_keys(self) -> None:
        expected = key_lines(self.found.keys)
        stored = self.peek(KEYS, MAX_KEYS_BYTES)
        if stored is None or stored == expected:
            return
        if stored.startswith(expected):
            self.add(KEYS, "lists keys of epochs that no signed entry begins", Word.INCOMPLETE)
        else:
            self.add(KEYS, "does not list the keys of this log's epochs")

    def tile_names(self) -> Iterator[str]:
        """Every file under `tile/`, as a path from the log's root."""
        for folder, _, names in os.walk(self.folder / "tile"):
            for name in names:
                yield (Path(folder) / name).relative_to(self.folder).as_posix()

    def check_leftover(self, name: str) -> None:
        """A tile that was not derived: of an older head, of a later one, or nothing of ours."""
        tile, size = parse_path(name), self.found.size
        if tile is None:
            self.add(ascii(name), "is no tile of this log", Word.INCOMPLETE)
        elif tile.end > count_at(tile.level, size):
            self.add(name, f"holds more than the {size} entries that are signed", Word.INCOMPLETE)
        elif tile != (newer := tile_at(tile.level, tile.number, size)):
            limit = MAX_BUNDLE_BYTES if tile.level == ENTRIES else WIDTH * HASH_BYTES
            old, new = self.peek(name, limit), self.peek(newer.path, limit)
            if old is not None and new is not None and not _begins(new, old, tile):
                self.add(name, f"does not begin {newer.path}, which replaced it")


def _begins(new: bytes, old: bytes, tile: Tile) -> bool:
    """Whether the superseded `tile` holds `old`, the first part of `new`."""
    if not new.startswith(old):
        return False
    if tile.level != ENTRIES:
        return len(old) == tile.width * HASH_BYTES
    try:
        return bool(split_bundle(old, tile.width))
    except LedgerError:
        return False


def _word(error: LedgerError) -> Word:
    """What an error says of a log: an unknown key or version is no alteration."""
    unknown = isinstance(error, UnknownKeyError | UnknownVersionError)
    return Word.CANNOT_DECIDE if unknown else Word.INVALID
