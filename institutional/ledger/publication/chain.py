"""Which key may sign which head: from the operator's key over the manifest through every epoch.

The manifest names the key of the first epoch. An entry of kind "rotate" names the next one, and the
head over exactly the entries up to it (the boundary head) is the last that the old key signs. So a
head of n entries counts if it is signed by the key in force at n, and a thief of the newest key
cannot rewrite an epoch that was closed before.
"""

from collections.abc import Sequence

from institutional.ledger.errors import LedgerError, UnknownKeyError
from institutional.ledger.manifest import (
    Manifest,
    parse_envelope,
    parse_statement,
    verify_manifest,
)
from institutional.ledger.note import VerifyKey, parse_vkey
from institutional.ledger.wal import Entry

ROTATE = "rotate"


def vouched(data: bytes, trusted: Sequence[VerifyKey]) -> tuple[Manifest, VerifyKey]:
    """Return the manifest of a stored envelope and the trusted key that vouches for it.

    The operator's key signs it; the run's own key, which it names, is believed where it is trusted
    itself. Raises UnknownKeyError for others' manifests, SignatureError for a forged one.
    """
    envelope = parse_envelope(data)
    for key in trusted:
        try:
            return verify_manifest(envelope, key), key
        except UnknownKeyError:
            continue
    manifest = parse_statement(envelope.payload)
    if manifest.key not in trusted:
        names = ", ".join(key.name for key in trusted[:3])
        raise UnknownKeyError(f"the manifest is not signed by {names}")
    return manifest, manifest.key


def next_key(entry: Entry, keys: Sequence[VerifyKey]) -> VerifyKey:
    """Return the key that a rotate entry names, given the keys of the epochs so far.

    The first epoch is number 0, so the first rotate entry begins epoch 1.
    """
    match entry.body:
        case {"epoch": int(epoch), "key": str(vkey), **no_more} if not no_more:
            pass
        case _:
            raise LedgerError(f"entry {entry.seq} is no rotation (epoch, key)")
    if epoch != len(keys) or isinstance(epoch, bool):
        raise LedgerError(f"entry {entry.seq} begins epoch {epoch}; the next is {len(keys)}")
    key = parse_vkey(vkey)
    if key.name != keys[0].name or key in keys:
        raise LedgerError(f"entry {entry.seq} rotates to a key of another log or to an old one")
    return key


def key_lines(keys: Sequence[VerifyKey]) -> bytes:
    """Return the keys of a log's epochs as a file, one verifier key a line."""
    return "".join(f"{key.vkey}\n" for key in keys).encode()
