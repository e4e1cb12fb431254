"""A run's log as a folder of static files that any web server can serve and anyone can check.

    checkpoint                     the newest signed head, replaced last
    tile/<level>/..., tile/entries/...   hashes and entries (see `tiles`)
    manifest.dsse.json, graph.yaml       the run's own, byte for byte
    keys                           the verifier keys of its epochs, one a line
    heads/<size>                   the last head of each epoch that was closed by a rotation

Nothing is signed here. What was stored is read back and checked before `checkpoint` names it, so a
reader finds the old log or the new one, whole; a publication that was interrupted is finished by
publishing again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small, replace, sync_folder
from institutional.ledger.manifest import FILE_NAME
from institutional.ledger.note import MAX_NOTE_BYTES, Checkpoint, parse_checkpoint, parse_note
from institutional.ledger.publication.fsck import CHECKPOINT, GRAPH, HEADS, KEYS, fsck
from institutional.ledger.publication.source import Log, key_lines, read_log, stored_entries
from institutional.ledger.publication.tiles import (
    WIDTH,
    Bundles,
    HashTiles,
    Tile,
    count_at,
    parse_path,
)
from institutional.ledger.tree import leaf_hash

_PART = ".part"
_OURS = {CHECKPOINT, FILE_NAME, GRAPH, HEADS, KEYS, "tile", _PART}
MAX_GRAPH_BYTES = 16_777_216


class Publication(NamedTuple):
    """What is published now: `size` entries, of which `earlier` were published before."""

    origin: str
    run: str
    size: int
    root: bytes
    earlier: int
    written: int


def publish(run: Path, out: Path) -> Publication:
    """Write the log of the run folder `run` to `out`, or extend what was published there before.

    Raises LedgerError for a log that is not whole, for a folder that holds something else or a log
    that this one does not continue, and when the disk fails; `checkpoint` is then untouched.
    """
    try:
        published = _published(out)
        before = parse_checkpoint(parse_note(published).text) if published else None
        earlier = before.size if before else 0
        log = read_log(run, size_asked=earlier)
        out.mkdir(parents=True, exist_ok=True)
        with _locked(out):
            if _published(out) != published:
                raise LedgerError(f"{out}: another process has published there; publish again")
            _check_place(out, log, before)
            written = _write(run, out, log, published, earlier)
    except OSError as error:
        raise LedgerError(
            f"{out}: the publication stopped: {error}\n"
            "  the head published before still stands; make room or repair, then publish again"
        ) from error
    return Publication(log.manifest.origin, log.manifest.run, log.size, log.root, earlier, written)


def _write(run: Path, out: Path, log: Log, published: bytes | None, earlier: int) -> int:
    """Store everything, read it back, and only then the head; return how many files are new."""
    store = _Store(out, earlier)
    store.put(FILE_NAME, log.declared, fixed=earlier > 0)
    if (run / GRAPH).exists():
        store.put(GRAPH, read_small(run / GRAPH, limit=MAX_GRAPH_BYTES), fixed=earlier > 0)
    bundles, tree = Bundles(store.put_tile), HashTiles(store.put_tile)
    for entry in stored_entries(run, log.size):
        bundles.add(entry)
        tree.add(leaf_hash(entry))
    bundles.finish()
    tree.finish()
    for size, note in log.boundaries:
        store.put(f"{HEADS}/{size}", note, fixed=size <= earlier)
    store.put(KEYS, key_lines(log.keys), fixed=False)
    store.sync()
    head = _with_most_signatures(log.head, published)
    found = fsck(out, [log.manifest.key], checkpoint=head)
    if found.findings:
        raise LedgerError(
            f"{out}: what is stored there does not verify, so no new head was published\n"
            f"  {found.findings[0]}\n"
            "  publish to an empty folder, and keep this one as evidence if it was altered"
        )
    if head != published:
        replace(out / CHECKPOINT, head)
    _remove_superseded(out, log.size)
    return store.written


def _published(out: Path) -> bytes | None:
    """Return the head that is published in `out`, if any."""
    try:
        note = read_small(out / CHECKPOINT, limit=MAX_NOTE_BYTES)
        parse_checkpoint(parse_note(note).text)
    except FileNotFoundError:
        return None
    except LedgerError as error:
        raise LedgerError(f"{out / CHECKPOINT}: no head of a published log: {error}") from error
    return note


def _check_place(out: Path, log: Log, before: Checkpoint | None) -> None:
    """Raise LedgerError unless `out` is empty or holds an earlier state of this very log."""
    held = {path.name for path in out.iterdir()} - {_PART}
    if not held:
        return
    try:
        same = read_small(out / FILE_NAME, limit=len(log.declared)) == log.declared
    except (FileNotFoundError, LedgerError):
        same = False
    if not same or (before is None and held - _OURS):
        raise LedgerError(
            f"{out}: holds something else than an earlier publication of this log\n"
            "  choose an empty folder, or one that does not exist"
        )
    if before is None:
        return
    if before.size > log.size:
        raise LedgerError(
            f"{out}: {before.size} entries are published, this log has {log.size}\n"
            "  it was rolled back, or this is an old copy of the run"
        )
    if before.root != log.root_at or before.origin != log.manifest.origin:
        raise LedgerError(
            f"{out}: the {before.size} entries published there do not begin this log\n"
            "  two histories under one key: keep both folders as evidence"
        )


class _Store:
    """Files in `out`, each written whole and synced; those of `earlier` entries may not change."""

    def __init__(self, out: Path, earlier: int) -> None:
        self.written = 0
        self._out = out
        self._earlier = earlier
        self._folders: set[Path] = {out.absolute().parent}

    def put_tile(self, tile: Tile, data: bytes) -> None:
        """Store a tile, which must be there already if the published head covers it."""
        self.put(tile.path, data, fixed=tile.end <= count_at(tile.level, self._earlier))

    def put(self, name: str, data: bytes, *, fixed: bool) -> None:
        """Store `data` at `name`, unless it is there."""
        path = self._out / name
        if _holds(path, data):
            return
        if fixed:
            raise LedgerError(
                f"{path}: missing, or not what was published; a published file never changes\n"
                "  restore it from a mirror, or publish to an empty folder"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with (self._out / _PART).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        (self._out / _PART).replace(path)
        self.written += 1
        self._folders.update(self._out / folder for folder in Path(name).parents)

    def sync(self) -> None:
        """Make the names of all stored files durable."""
        for folder in sorted(self._folders, reverse=True):
            sync_folder(folder)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return read_small(path, limit=len(data)) == data
    except (FileNotFoundError, LedgerError):
        return False


def _with_most_signatures(head: bytes, published: bytes | None) -> bytes:
    """Return the published note if it is the same head under more signatures."""
    if published is None:
        return head
    new, old = parse_note(head), parse_note(published)
    return published if old.text == new.text and len(old[1]) > len(new[1]) else head


def _remove_superseded(out: Path, size: int) -> None:
    """Remove partial tiles whose full tile is there, as the format allows; others stay."""
    for folder, _, names in os.walk(out / "tile"):
        for name in names:
            path = Path(folder) / name
            tile = parse_path(path.relative_to(out).as_posix())
            if tile and tile.width < WIDTH and tile.start + WIDTH <= count_at(tile.level, size):
                path.unlink()
        if folder.endswith(".p"):
            with suppress(OSError):  # a partial tile that is still needed
                Path(folder).rmdir()


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the folder `out` for one publisher at a time."""
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(f"{out}: another process is publishing there") from None
        yield
    finally:
        os.close(descriptor)
