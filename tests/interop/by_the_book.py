"""C2SP's tiled log, written down from the specification's own formulas and from nothing of ours.

c2sp.org/tlog-tiles 0.1.0 and RFC 6962 section 2.1. Slow and plain: the oracle for `publish`.
"""

import hashlib


def leaf(data):
    return hashlib.sha256(b"\x00" + data).digest()


def tree_hash(hashes):
    """MTH of RFC 6962, given the hashes of the leaves."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while 2 * half < len(hashes):
        half *= 2
    return hashlib.sha256(b"\x01" + tree_hash(hashes[:half]) + tree_hash(hashes[half:])).digest()


def path(level, number, width):
    """tile/<L>/<N>[.p/<W>], where 1234067 is x001/x234/067."""
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    return f"tile/{level}/" + "/".join(parts) + (f".p/{width}" if width < 256 else "")


def files(entries):
    """Return path -> bytes of every tile and bundle of a log of these entries."""
    found = {}
    for first in range(0, len(entries), 256):
        some = entries[first : first + 256]
        bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in some)
        found[path("entries", first // 256, len(some))] = bundle
    hashes, level = [leaf(entry) for entry in entries], 0
    while hashes:
        for first in range(0, len(hashes), 256):
            some = hashes[first : first + 256]
            found[path(level, first // 256, len(some))] = b"".join(some)
        # The next level holds the root of each full tile of this one, and of no partial one.
        full = len(hashes) // 256
        hashes = [tree_hash(hashes[256 * n : 256 * n + 256]) for n in range(full)]
        level += 1
    return found
