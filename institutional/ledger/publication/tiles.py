"""A log as static files: the tiles of C2SP, their paths, and proofs read back from them.

    tile/0/x001/234         256 leaf hashes; tile/1/... the roots of 256 such tiles, and so on
    tile/0/x001/234.p/17    the first 17 of them, while there are no more
    tile/entries/x001/234   256 entries, each after its length in two bytes

c2sp.org/tlog-tiles (0.1.0). Paths and bytes only: no file is opened here, and memory does not grow
with the log. Go's own tlog package writes the height of a tile into its path (tile/8/0/...); C2SP
does not.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from institutional.ledger.errors import LedgerError
from institutional.ledger.tree import (
    HASH_BYTES,
    consistency_ranges,
    fold,
    inclusion_ranges,
    root_of,
)

WIDTH = 256
HEIGHT = 8
MAX_LEVEL = 63
ENTRIES = -1
"""The level of entry bundles, which lie beside the hashes of level 0."""
MAX_ENTRY_BYTES = 65_535
MAX_BUNDLE_BYTES = WIDTH * (2 + MAX_ENTRY_BYTES)
_PATH = re.compile(
    r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,5})([0-9]{3})(?:\.p/([0-9]{1,3}))?\Z"
)


class Tile(NamedTuple):
    """Which hashes (or, at level ENTRIES, which entries) a file holds: `width` from a place on."""

    level: int
    number: int
    width: int

    @property
    def path(self) -> str:
        """Where the file lies, relative to the log's root."""
        digits = str(self.number)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        kind = "entries" if self.level == ENTRIES else str(self.level)
        return f"tile/{kind}/{name}" + (f".p/{self.width}" if self.width < WIDTH else "")

    @property
    def start(self) -> int:
        """The place of its first hash or entry within the level."""
        return self.number * WIDTH

    @property
    def end(self) -> int:
        """The place after its last one."""
        return self.start + self.width


Sink = Callable[[Tile, bytes], None]
Read = Callable[[int, int], bytes]
"""From level and number to the bytes of that tile, as wide as the tree makes it."""


def parse_path(text: str) -> Tile | None:
    """Return the tile that lies at `text`, or None when no tile is spelt so."""
    found = _PATH.match(text)
    if found is None:
        return None
    kind, groups, last, width = found.groups()
    number = int(groups.replace("x", "").replace("/", "") + last)
    tile = Tile(ENTRIES if kind == "entries" else int(kind), number, int(width or WIDTH))
    return tile if tile.path == text and tile.level <= MAX_LEVEL and tile.width else None


def count_at(level: int, size: int) -> int:
    """Return how many hashes (entries) a log of `size` entries has at `level`."""
    return size >> HEIGHT * max(level, 0)


def tile_at(level: int, number: int, size: int) -> Tile:
    """Return the tile of this level and number in a log of `size` entries."""
    width = min(WIDTH, count_at(level, size) - number * WIDTH)
    if number < 0 or width <= 0:
        raise ValueError(f"a log of {size} entries has no tile {number} at level {level}")
    return Tile(level, number, width)


class HashTiles:
    """The hash tiles of a growing tree: full ones go to `sink` at once, partial ones at `finish`.

    Holds less than one tile per level.
    """

    def __init__(self, sink: Sink) -> None:
        self.size = 0
        self._sink = sink
        self._edge: list[bytearray] = []

    def add(self, leaf: bytes) -> None:
        """Add one leaf hash at the right end."""
        self.size += 1
        found, level = leaf, 0
        while True:
            if level == len(self._edge):
                self._edge.append(bytearray())
            edge = self._edge[level]
            edge += found
            if len(edge) < WIDTH * HASH_BYTES:
                return
            data = bytes(edge)
            edge.clear()
            self._sink(Tile(level, count_at(level, self.size) // WIDTH - 1, WIDTH), data)
            found, level = root_of(_hashes(data)), level + 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return range_root(0, self.size, lambda level, _: bytes(self._edge[level]))

    def finish(self) -> None:
        """Hand over the partial tiles at the right edge."""
        for level, edge in enumerate(self._edge):
            if edge:
                number = count_at(level, self.size) // WIDTH
                self._sink(Tile(level, number, len(edge) // HASH_BYTES), bytes(edge))


class Bundles:
    """The entry bundles of a growing log: full ones go to `sink` at once, the last at `finish`."""

    def __init__(self, sink: Sink) -> None:
        self.size = 0
        self._sink = sink
        self._data = bytearray()

    def add(self, entry: bytes) -> None:
        """Add one entry; raises LedgerError when its length does not fit into two bytes."""
        if len(entry) > MAX_ENTRY_BYTES:
            raise LedgerError(f"an entry of {len(entry)} bytes; {MAX_ENTRY_BYTES} are allowed")
        self._data += len(entry).to_bytes(2, "big") + entry
        self.size += 1
        if self.size % WIDTH == 0:
            self._sink(Tile(ENTRIES, self.size // WIDTH - 1, WIDTH), bytes(self._data))
            self._data.clear()

    def finish(self) -> None:
        """Hand over the partial bundle at the end."""
        if width := self.size % WIDTH:
            self._sink(Tile(ENTRIES, self.size // WIDTH, width), bytes(self._data))


def split_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle; raises LedgerError unless there are just so many."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise LedgerError(f"is cut off within its entry {len(entries)}")
        if len(entries) == width:
            raise LedgerError(f"holds more than {width} entries")
        entries.append(data[start:at])
    if len(entries) != width:
        raise LedgerError(f"holds {len(entries)} entries instead of {width}")
    return entries


def range_root(start: int, end: int, read: Read) -> bytes:
    """Return the root over the leaves from `start` to before `end`, one tile per perfect subtree.

    The range is a node of some tree that `read` covers, as in RFC 6962: `start` is a multiple of
    the largest power of two that fits.
    """
    peaks = []
    while start < end:
        height = (end - start).bit_length() - 1
        peaks.append(_perfect(start, height, read))
        start += 1 << height
    return fold(peaks)


def inclusion_proof(seq: int, size: int, read: Read) -> list[bytes]:
    """Return what `tree.inclusion_proof` does, from tiles."""
    return [range_root(start, end, read) for start, end in inclusion_ranges(seq, size)]


def consistency_proof(size: int, new_size: int, read: Read) -> list[bytes]:
    """Return what `tree.consistency_proof` does, from tiles."""
    return [range_root(start, end, read) for start, end in consistency_ranges(size, new_size)]


def _perfect(start: int, height: int, read: Read) -> bytes:
    """Return the root of the 2**height leaves from `start` on."""
    level, up = divmod(height, HEIGHT)
    number, first = divmod(start >> HEIGHT * level, WIDTH)
    hashes = _hashes(read(level, number))[first : first + (1 << up)]
    if len(hashes) != 1 << up:
        end = first + (1 << up)
        raise LedgerError(f"tile {number} of level {level} holds fewer than {end} hashes")
    return root_of(hashes)


def _hashes(data: bytes) -> list[bytes]:
    """Return the whole hashes in a tile."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data) - HASH_BYTES + 1, HASH_BYTES)]
