"""Making the proof of one entry, from a run's own log or from a published one.

From a published folder only the tiles on the way are read; a run's own log is read whole, since it
stores no hashes. A proof is checked before it is returned: a damaged source gives none.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small
from institutional.ledger.manifest import FILE_NAME, MAX_BYTES, parse_envelope, parse_statement
from institutional.ledger.note import MAX_NOTE_BYTES, parse_checkpoint, parse_note
from institutional.ledger.publication.check import Checked, check_proof
from institutional.ledger.publication.fsck import CHECKPOINT, HEADS
from institutional.ledger.publication.proof import (
    Enclosure,
    Proof,
    Rotation,
    write_enclosure,
    write_proof,
)
from institutional.ledger.publication.source import Boundary, read_log, stored_entries
from institutional.ledger.publication.tiles import (
    ENTRIES,
    MAX_BUNDLE_BYTES,
    WIDTH,
    HashTiles,
    Read,
    Tile,
    consistency_proof,
    inclusion_proof,
    split_bundle,
    tile_at,
)
from institutional.ledger.tree import HASH_BYTES, leaf_hash

_SIZE = re.compile(r"[1-9][0-9]{0,15}\Z")


class _Source(NamedTuple):
    """What a proof is made of: the manifest, the newest head, tiles, entries, closed epochs."""

    manifest: bytes
    note: bytes
    size: int
    read: Read
    entry: Callable[[int], bytes]
    boundaries: Sequence[Boundary]


class Proven(NamedTuple):
    """A proof as the text of its file, and what it is about."""

    data: bytes
    entry: bytes
    checked: Checked


def prove(folder: Path, seq: int, *, bare: bool = False) -> Proven:
    """Return the proof of entry `seq` of the run or published log in `folder`.

    It encloses the entry, the manifest and every rotation of keys; a `bare` one nothing. Raises
    LedgerError where there is no such entry, and where the log or the tiles are damaged.
    """
    try:
        source = (_working if (folder / "ledger").is_dir() else _published)(folder, seq)
        if not 0 <= seq < source.size:
            raise LedgerError(f"{folder}: no entry {seq}; there are entries 0 to {source.size - 1}")
        whole = _assembled(source, seq)
        entry = source.entry(seq)
    except OSError as error:
        raise LedgerError(f"{folder}: no proof can be made: {error}") from error
    trust = parse_statement(parse_envelope(source.manifest).payload).key.vkey
    checked = check_proof(write_proof(whole), trust)
    if checked.verdict.word != Word.UNANCHORED:
        raise LedgerError(
            f"{folder}: what is stored proves nothing: {checked.verdict.findings[0].reason}"
        )
    return Proven(write_proof(whole._replace(extra=None) if bare else whole), entry, checked)


def _assembled(source: _Source, seq: int) -> Proof:
    """Return the proof of one entry with everything enclosed."""
    size, read = source.size, source.read
    rotations = []
    for boundary in source.boundaries:
        if boundary.size >= size:
            break
        last = boundary.size - 1
        hashes = tuple(inclusion_proof(last, boundary.size, read))
        closing = Proof(last, hashes, boundary.note, source.entry(last))
        between = tuple(consistency_proof(boundary.size, size, read))
        rotations.append(Rotation(closing, between))
    extra = write_enclosure(Enclosure(source.entry(seq), source.manifest, tuple(rotations)))
    return Proof(seq, tuple(inclusion_proof(seq, size, read)), source.note, extra)


def _working(run: Path, seq: int) -> _Source:
    """Read a run's own log; the hash tiles are held in memory, 33 bytes an entry."""
    log = read_log(run)
    tiles: dict[tuple[int, int], bytes] = {}
    kept: dict[int, bytes] = {}

    def keep(tile: Tile, data: bytes) -> None:
        tiles[tile.level, tile.number] = data

    tree = HashTiles(keep)
    wanted = {seq, *(boundary.size - 1 for boundary in log.boundaries)}
    for number, data in enumerate(stored_entries(run, log.size)):
        tree.add(leaf_hash(data))
        if number in wanted:
            kept[number] = data
    tree.finish()
    return _Source(
        log.declared,
        log.head,
        log.size,
        lambda level, number: tiles[level, number],
        kept.__getitem__,
        log.boundaries,
    )


def _published(folder: Path, _: int) -> _Source:
    """Read a published log as far as it is asked."""
    note = read_small(folder / CHECKPOINT, limit=MAX_NOTE_BYTES)
    size = parse_checkpoint(parse_note(note).text).size

    def read(level: int, number: int) -> bytes:
        tile = tile_at(level, number, size)
        return read_small(folder / tile.path, limit=tile.width * HASH_BYTES)

    def entry(seq: int) -> bytes:
        bundle = tile_at(ENTRIES, seq // WIDTH, size)
        data = read_small(folder / bundle.path, limit=MAX_BUNDLE_BYTES)
        return split_bundle(data, bundle.width)[seq % WIDTH]

    manifest = read_small(folder / FILE_NAME, limit=MAX_BYTES)
    return _Source(manifest, note, size, read, entry, _boundaries(folder / HEADS))


def _boundaries(folder: Path) -> list[Boundary]:
    """Return the boundary heads that are published, smallest first."""
    if not folder.is_dir():
        return []
    sizes = sorted(int(path.name) for path in folder.iterdir() if _SIZE.match(path.name))
    return [Boundary(size, read_small(folder / str(size), limit=MAX_NOTE_BYTES)) for size in sizes]
