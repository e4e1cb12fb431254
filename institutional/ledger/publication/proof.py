"""The proof that one entry stands in a signed log, as one text file for a stranger.

    c2sp.org/tlog-proof@v1
    extra eyJ...                  what travels with it (see `Enclosure`); nothing vouches for it yet
    index 14
    CR9m...                       the inclusion proof, a hash a line, the leaf's sibling first
    <empty line>
    institutional.dev/run/7       the signed head of the log, cosignatures included
    ...

c2sp.org/tlog-proof (snapshot of July 2026). Form only: `check` verifies, `prove` makes one.
"""

import re
from typing import NamedTuple

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.note import from_base64, parse_checkpoint, parse_note, to_base64
from institutional.ledger.tree import HASH_BYTES

SUFFIX = ".tlog-proof"
HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 16_777_216
MAX_HASHES = 63
MAX_PORTABLE_LINE = 65_535
"""The longest line that the reader of transparency-dev/formats takes; the format has no limit."""
_SEQ = re.compile(r"index (0|[1-9][0-9]{0,15})\Z")


class Proof(NamedTuple):
    """A proof's parts: which entry, its inclusion proof, the signed head as its note, the extra."""

    seq: int
    hashes: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None


class Rotation(NamedTuple):
    """One closed epoch: the proof of its rotate entry, the last of that epoch's boundary head.

    `proof` encloses the entry itself as its extra; `consistency` shows that head to be a prefix of
    the one that the whole proof is about.
    """

    proof: Proof
    consistency: tuple[bytes, ...]


class Enclosure(NamedTuple):
    """What our proofs carry as extra, so that the operator's public key is all that is needed.

    The entry's bytes, the run's manifest and the rotations of keys up to the head. Whoever altered
    the file may have written it: every part is verified before it is believed.
    """

    entry: bytes
    manifest: bytes
    rotations: tuple[Rotation, ...] = ()


def write_proof(proof: Proof) -> bytes:
    """Return the text of a proof."""
    lines = [HEADER]
    if proof.extra is not None:
        lines.append(f"extra {to_base64(proof.extra)}")
    lines += [f"index {proof.seq}", *map(to_base64, proof.hashes)]
    data = "\n".join(lines).encode() + b"\n\n" + proof.note
    parse_proof(data)
    return data


def parse_proof(data: bytes) -> Proof:
    """Return the parts of a proof; takes one spelling of each, raises LedgerError for the rest.

    Nothing is verified. Raises UnknownVersionError for another version of the format.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise LedgerError(f"a proof of {len(data)} bytes; {MAX_PROOF_BYTES} are allowed")
    head, gap, note = data.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise LedgerError(f"not a proof: {error}") from error
    if first != HEADER or not gap:
        if first.startswith("c2sp.org/tlog-proof@") and first != HEADER:
            raise UnknownVersionError(f"a proof of a version unknown here: {first[:60]!a}")
        raise LedgerError(f"not a proof, which begins with {HEADER} and ends in a signed head")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = from_base64(lines.pop(0).removeprefix("extra "))
        if not extra:
            raise LedgerError("a proof with an empty extra line, which is to be left out")
    found = _SEQ.match(lines[0]) if lines else None
    if found is None:
        raise LedgerError(f"not an index line in a proof: {(lines or ['nothing'])[0][:60]!a}")
    hashes = _hashes(lines[1:])
    parse_checkpoint(parse_note(note).text)
    return Proof(int(found[1]), hashes, note, extra)


def write_enclosure(enclosure: Enclosure) -> bytes:
    """Return the extra data that encloses these."""
    try:
        return canonical.encode(
            {
                "v": 1,
                "entry": enclosure.entry.decode(),
                "manifest": enclosure.manifest.decode(),
                "rotations": [
                    {
                        "proof": write_proof(rotation.proof).decode(),
                        "consistency": [to_base64(found) for found in rotation.consistency],
                    }
                    for rotation in enclosure.rotations
                ],
            }
        )
    except UnicodeDecodeError as error:
        raise LedgerError(f"cannot be enclosed in a proof: {error}") from error


def parse_enclosure(extra: bytes) -> Enclosure:
    """Return what an extra line encloses; raises LedgerError when it is not one of ours."""
    match canonical.decode(extra):
        case {
            "v": int(version),
            "entry": str(entry),
            "manifest": str(manifest),
            "rotations": list(rotations),
            **no_more,
        } if not no_more and version == 1 and not isinstance(version, bool):
            return Enclosure(entry.encode(), manifest.encode(), tuple(map(_rotation, rotations)))
    raise LedgerError("the extra line of the proof is not one of this program's")


def _rotation(value: object) -> Rotation:
    match value:
        case {"proof": str(proof), "consistency": [*hashes], **no_more} if not no_more:
            return Rotation(parse_proof(proof.encode()), _hashes([str(found) for found in hashes]))
    raise LedgerError("a rotation in the proof is not a proof with its consistency")


def _hashes(lines: list[str]) -> tuple[bytes, ...]:
    hashes = tuple(map(from_base64, lines))
    if len(hashes) > 2 * MAX_HASHES or any(len(found) != HASH_BYTES for found in hashes):
        raise LedgerError("the hashes in a proof are not at most 126 of 32 bytes each")
    return hashes
