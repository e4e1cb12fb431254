"""Structural ways to tamper with a published log of 700 entries: bundles, tiles, head, mixtures.

Each takes the folder, which it changes, and the folder of another run's log of the same size. The
log has 3 bundles, 3 tiles at level 0 and 1 at level 1: the last of each is partial.
"""

import shutil

FULL, LAST = "tile/entries/001", "tile/entries/002.p/188"
HASHES, LAST_HASHES, UPPER = "tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"


def split(data):
    """The entries of a bundle."""
    entries = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        entries.append(data[2:end])
        data = data[end:]
    return entries


def join(entries):
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def edited(path, edit):
    """Replace the bytes of one file by what `edit` makes of them."""

    def tamper(folder, _other):
        (folder / path).write_bytes(edit((folder / path).read_bytes()))

    return tamper


def entries(path, edit):
    """Replace the entries of one bundle by what `edit` makes of their list."""
    return edited(path, lambda data: join(edit(split(data))))


def removed(path):
    return lambda folder, _other: (folder / path).unlink()


def moved(path, to):
    def tamper(folder, _other):
        (folder / to).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).rename(folder / to)

    return tamper


def swapped(one, two):
    def tamper(folder, _other):
        first, second = (folder / one).read_bytes(), (folder / two).read_bytes()
        (folder / one).write_bytes(second)
        (folder / two).write_bytes(first)

    return tamper


def taken(*paths):
    """Put the other log's files or folders in place of these."""

    def tamper(folder, other):
        for path in paths:
            if (folder / path).is_dir():
                shutil.rmtree(folder / path)
                shutil.copytree(other / path, folder / path)
            else:
                shutil.copy(other / path, folder / path)

    return tamper


def exchanged(folder, _other):
    """Swap two entries that lie in different bundles."""
    one, two = split((folder / FULL).read_bytes()), split((folder / LAST).read_bytes())
    one[3], two[3] = two[3], one[3]
    (folder / FULL).write_bytes(join(one))
    (folder / LAST).write_bytes(join(two))


def flip(at):
    """Flip the lowest bit of the byte at `at`, which may count from the end."""

    def edit(data):
        spoilt = bytearray(data)
        spoilt[at] ^= 1
        return bytes(spoilt)

    return edit


def hashes(edit):
    def on_bytes(data):
        return b"".join(edit([data[at : at + 32] for at in range(0, len(data), 32)]))

    return on_bytes


BUNDLES = {
    "an entry's byte flipped": edited(FULL, flip(40)),
    "an entry's length raised": edited(FULL, flip(1)),
    "the first entry dropped": entries(FULL, lambda e: e[1:]),
    "a middle entry dropped": entries(FULL, lambda e: e[:100] + e[101:]),
    "the closing entry dropped": entries(LAST, lambda e: e[:-1]),
    "an entry twice": entries(FULL, lambda e: e[:7] + e[6:]),
    "an entry twice, another dropped": entries(FULL, lambda e: e[:7] + e[6:-1]),
    "the last entry twice": entries(LAST, lambda e: [*e, e[-1]]),
    "two neighbours swapped": entries(FULL, lambda e: [e[1], e[0], *e[2:]]),
    "the bundle reversed": entries(FULL, lambda e: e[::-1]),
    "two entries of two bundles swapped": exchanged,
    "an empty entry inserted": entries(FULL, lambda e: [*e[:5], b"", *e[5:]]),
    "an entry emptied": entries(FULL, lambda e: [*e[:5], b"", *e[6:]]),
    "two entries joined": entries(FULL, lambda e: [*e[:5], e[5] + e[6], *e[7:]]),
    "an entry cut in two": entries(FULL, lambda e: [*e[:5], e[5][:9], e[5][9:], *e[6:]]),
    "a bundle cut off": edited(FULL, lambda data: data[:-1]),
    "a bundle cut in a length": edited(LAST, lambda data: data + b"\0"),
    "a byte after a bundle": edited(FULL, lambda data: data + b"\0"),
    "an empty bundle": edited(FULL, lambda _: b""),
    "a bundle missing": removed(FULL),
    "the last bundle missing": removed(LAST),
    "two bundles swapped": swapped("tile/entries/000", FULL),
    "the last bundle under another width": moved(LAST, "tile/entries/002.p/187"),
    "the last bundle as if full": moved(LAST, "tile/entries/002"),
}
TILES = {
    f"{what}: {how}": change
    for what, path in (
        ("full tile", HASHES),
        ("partial tile", LAST_HASHES),
        ("upper tile", UPPER),
    )
    for how, change in {
        "first bit flipped": edited(path, flip(0)),
        "last bit flipped": edited(path, flip(-1)),
        "cut off by a byte": edited(path, lambda data: data[:-1]),
        "cut off by a hash": edited(path, lambda data: data[:-32]),
        "a byte longer": edited(path, lambda data: data + b"\0"),
        "a hash longer": edited(path, lambda data: data + data[:32]),
        "empty": edited(path, lambda _: b""),
        "missing": removed(path),
        "two hashes swapped": edited(path, hashes(lambda h: [h[1], h[0], *h[2:]])),
        "a hash repeated": edited(path, hashes(lambda h: [h[0], h[0], *h[2:]])),
        "the other log's": taken(path),
    }.items()
} | {
    "two tiles swapped": swapped("tile/0/000", HASHES),
    "a tile of another level": swapped(LAST_HASHES, UPPER),
    "a partial tile under another width": moved(UPPER, "tile/1/000.p/1"),
    "a partial tile as if full": moved(LAST_HASHES, "tile/0/002"),
}
HEADS = {
    "a size raised": edited("checkpoint", lambda data: data.replace(b"\n700\n", b"\n701\n")),
    "a size lowered": edited("checkpoint", lambda data: data.replace(b"\n700\n", b"\n699\n")),
    "a size spelt with a zero": edited("checkpoint", lambda d: d.replace(b"\n700\n", b"\n0700\n")),
    "a size spelt with a sign": edited("checkpoint", lambda d: d.replace(b"\n700\n", b"\n+700\n")),
    "an extension line": edited("checkpoint", lambda data: data.replace(b"\n\n", b"\nmore\n\n")),
    "no signature": edited("checkpoint", lambda data: data.partition(b"\n\n")[0] + b"\n\n"),
    "no text": edited("checkpoint", lambda data: b"\n" + data.partition(b"\n\n")[2]),
    "cut off": edited("checkpoint", lambda data: data[:-1]),
    "a line after it": edited("checkpoint", lambda data: data + b"more\n"),
    "empty": edited("checkpoint", lambda _: b""),
    "missing": removed("checkpoint"),
    "the other log's": taken("checkpoint"),
}
MIXTURES = {
    "the other log's bundle": taken(FULL),
    "the other log's bundles": taken("tile/entries"),
    "the other log's tiles": taken("tile/0", "tile/1"),
    "the other log's bundles and tiles": taken("tile"),
    "the other log's bundles and head": taken("tile/entries", "checkpoint"),
    "the other log's tiles and head": taken("tile/0", "tile/1", "checkpoint"),
    "the other log": taken("tile", "checkpoint"),
    "the other run, manifest and all": taken("tile", "checkpoint", "manifest.dsse.json", "keys"),
    "no tile at all": lambda folder, _other: shutil.rmtree(folder / "tile"),
}
ALL = {
    f"{group}: {name}": change
    for group, changes in (
        ("bundle", BUNDLES),
        ("tile", TILES),
        ("checkpoint", HEADS),
        ("mixed", MIXTURES),
    )
    for name, change in changes.items()
}
