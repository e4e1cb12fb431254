"""The Merkle tree of RFC 6962: hashes, roots, inclusion and consistency proofs.

Plain functions over 32-byte hashes. Leaves and inner nodes are hashed under different prefixes, so
neither can pass for the other. No files and no signatures here.
"""

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one entry's bytes. RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children. RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: enough to append and to give the root, in O(log n) space.

    Holds the roots of the perfect subtrees into which the leaves fall, largest first.
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right end."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._peaks.pop(), leaf)
            size >>= 1
        self._peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return fold(self._peaks)

    def copy(self) -> "Frontier":
        """Return the same tree, free to grow on its own."""
        twin = Frontier()
        twin.size, twin._peaks = self.size, self._peaks.copy()
        return twin


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over a list of leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def fold(peaks: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees that stand side by side, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """Return the ranges of leaves whose roots are the inclusion proof, the leaf's sibling first.

    Each is (first, end), half open. RFC 6962 section 2.1.1.
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is outside of a tree with {size} leaves")
    ranges = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the sibling hashes from leaf `index` up to the root. RFC 6962 section 2.1.1."""
    return [root_of(leaves[start:end]) for start, end in inclusion_ranges(index, len(leaves))]


def consistency_ranges(size: int, new_size: int) -> list[tuple[int, int]]:
    """Return the ranges of leaves whose roots show `size` leaves to be a prefix of `new_size`.

    Each is (first, end), half open. RFC 6962 section 2.1.2.
    """
    if not 0 < size <= new_size:
        raise ValueError(f"size {size} is outside of 1 to {new_size}")
    ranges = []
    start, end = 0, new_size
    while size != end:
        middle = start + _split(end - start)
        if size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    # A subtree that begins at the first leaf has the root that the verifier knows already.
    return [*([(start, end)] if start else []), *reversed(ranges)]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """Return the hashes that show the first `size` leaves to be a prefix of all.

    RFC 6962 section 2.1.2.
    """
    return [root_of(leaves[start:end]) for start, end in consistency_ranges(size, len(leaves))]


def verify_inclusion(
    *, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `leaf` stands at `index` of the tree with `size` leaves and this `root`.

    RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    *, size: int, root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the tree of `new_size` leaves continues the tree of `size` leaves.

    Neither tree is empty: an empty tree is continued by every other, which proves nothing.
    RFC 9162 section 2.1.4.2.
    """
    if not 0 < size <= new_size or not _are_hashes(root, new_root, *proof):
        return False
    if size == new_size:
        return not proof and root == new_root
    path = list(proof) if size & (size - 1) else [root, *proof]
    if not path:
        return False
    node, last = size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old == root and new == new_root


def _split(size: int) -> int:
    """Return the largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
