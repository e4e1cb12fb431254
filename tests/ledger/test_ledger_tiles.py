"""Tiles against the specification's own numbers, and against the tree over all leaves."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from institutional.ledger import tree
from institutional.ledger.errors import LedgerError
from institutional.ledger.publication.tiles import (
    ENTRIES,
    Bundles,
    HashTiles,
    Tile,
    consistency_proof,
    inclusion_proof,
    parse_path,
    range_root,
    split_bundle,
    tile_at,
)

SIZES = [1, 2, 3, 255, 256, 257, 512, 1000, 65_536, 70_000]
LEAVES = [tree.leaf_hash(b"%d" % number) for number in range(max(SIZES))]


def built(size):
    """The tiles of a log of `size` entries, by path, and the builder."""
    tiles = {}
    builder = HashTiles(lambda tile, data: tiles.setdefault(tile.path, data))
    for leaf in LEAVES[:size]:
        builder.add(leaf)
    builder.finish()
    return tiles, builder


def reader(tiles, size):
    return lambda level, number: tiles[tile_at(level, number, size).path]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 999, 256), "tile/0/999"),
        (Tile(1, 1000, 256), "tile/1/x001/000"),
        (Tile(2, 1_234_067, 256), "tile/2/x001/x234/067"),
        (Tile(63, 273, 112), "tile/63/273.p/112"),
        (Tile(ENTRIES, 1_234_067, 1), "tile/entries/x001/x234/067.p/1"),
    ],
)
def test_paths_are_those_of_the_specification(tile, path):
    assert tile.path == path
    assert parse_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/8/0/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/234",
        "tile/0/x001/x234",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/data/000",
    ],
)
def test_other_spellings_are_no_tiles(path):
    assert parse_path(path) is None


@given(st.integers(-1, 63), st.integers(0, 10**15), st.integers(1, 256))
def test_every_path_leads_back_to_its_tile(level, number, width):
    tile = Tile(level, number, width)

    assert parse_path(tile.path) == tile


def test_seventy_thousand_entries_have_the_tiles_of_the_specification():
    """273 full tiles and one of 112, one full of level 1 and one of 17, one hash of level 2."""
    tiles, _ = built(70_000)
    full = {Tile(0, number, 256).path for number in range(273)}

    assert set(tiles) == full | {
        "tile/0/273.p/112",
        "tile/1/000",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
    }
    assert {len(tiles[path]) for path in full} == {8192}
    assert len(tiles["tile/1/001.p/17"]) == 17 * 32


def test_two_hundred_and_fifty_six_entries_have_a_full_tile_and_its_root():
    tiles, _ = built(256)

    assert tiles == {
        "tile/0/000": b"".join(LEAVES[:256]),
        "tile/1/000.p/1": tree.root_of(LEAVES[:256]),
    }


@pytest.mark.parametrize("size", SIZES)
def test_tiles_give_the_root_and_proofs_of_the_whole_tree(size):
    tiles, builder = built(size)
    read = reader(tiles, size)
    leaves = LEAVES[:size]
    root = tree.root_of(leaves)

    assert builder.root() == range_root(0, size, read) == root
    for seq in sorted({0, size // 3, size - size % 256, size - 1} - {size}):
        assert inclusion_proof(seq, size, read) == tree.inclusion_proof(leaves, seq)
    for earlier in sorted({1, size // 2 or 1, size - size % 256 or 1, size}):
        assert consistency_proof(earlier, size, read) == tree.consistency_proof(leaves, earlier)


@given(st.integers(1, 700), st.data())
def test_every_proof_from_tiles_is_that_of_the_tree(size, data):
    read = reader(built(size)[0], size)
    seq = data.draw(st.integers(0, size - 1))

    assert inclusion_proof(seq, size, read) == tree.inclusion_proof(LEAVES[:size], seq)
    assert consistency_proof(seq + 1, size, read) == tree.consistency_proof(LEAVES[:size], seq + 1)


def test_the_root_is_there_after_every_entry():
    builder = HashTiles(lambda *_: None)
    frontier = tree.Frontier()
    for leaf in LEAVES[:1100]:
        builder.add(leaf)
        frontier.append(leaf)
        assert builder.root() == frontier.root()


def test_a_tile_that_ends_early_is_told():
    with pytest.raises(LedgerError, match="tile 0 of level 0 holds fewer than 4 hashes"):
        range_root(0, 4, lambda *_: b"".join(LEAVES[:3]))


def test_there_is_no_tile_beyond_the_end():
    assert tile_at(1, 0, 256) == Tile(1, 0, 1)
    for level, number, size in [(1, 0, 255), (0, 1, 256), (ENTRIES, 0, 0), (0, -1, 9)]:
        with pytest.raises(ValueError, match="no tile"):
            tile_at(level, number, size)


def bundled(entries):
    found = {}
    bundles = Bundles(found.setdefault)
    for entry in entries:
        bundles.add(entry)
    bundles.finish()
    return found


def test_a_bundle_is_each_entry_after_its_length():
    assert bundled([b"ab", b"", b"c"]) == {Tile(ENTRIES, 0, 3): b"\x00\x02ab\x00\x00\x00\x01c"}
    assert list(bundled([b"x"] * 600)) == [
        Tile(ENTRIES, 0, 256),
        Tile(ENTRIES, 1, 256),
        Tile(ENTRIES, 2, 88),
    ]


def test_the_longest_entry_fits_and_one_byte_more_does_not():
    ((tile, data),) = bundled([b"x" * 65_535]).items()

    assert split_bundle(data, tile.width) == [b"x" * 65_535]
    with pytest.raises(LedgerError, match="65536 bytes; 65535 are allowed"):
        bundled([b"x" * 65_536])


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=256))
def test_a_bundle_splits_into_what_was_put_in(entries):
    ((tile, data),) = bundled(entries).items()

    assert split_bundle(data, tile.width) == entries


def test_a_bundle_cut_anywhere_or_lengthened_is_refused():
    entries = [b"abc", b"", b"defg"]
    ((_, data),) = bundled(entries).items()
    for cut in range(len(data)):
        with pytest.raises(LedgerError, match=r"cut off|instead of 3"):
            split_bundle(data[:cut], 3)
    for more in (b"\0", b"\0\0", b"\0\1x"):
        with pytest.raises(LedgerError, match=r"cut off|more than 3"):
            split_bundle(data + more, 3)
    with pytest.raises(LedgerError, match="instead of 4"):
        split_bundle(data, 4)


@given(st.binary(max_size=60), st.integers(1, 4))
def test_what_can_be_split_is_the_only_spelling_of_its_entries(data, width):
    try:
        entries = split_bundle(data, width)
    except LedgerError:
        return
    assert bundled(entries) == {Tile(ENTRIES, 0, width): data}


def test_building_takes_the_same_memory_for_a_short_log_and_a_long_one():
    def peak(size):
        builder, bundles = HashTiles(lambda *_: None), Bundles(lambda *_: None)
        tracemalloc.start()
        for number in range(size):
            builder.add(LEAVES[number])
            bundles.add(b"an entry")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(40_000) < peak(1000) + 30_000
