r"""Cosignatures: a witness says when it saw a head, and that it continues all it had seen before.

c2sp.org/tlog-cosignature (v1.0.1). A cosignature is one more signature line on a checkpoint's note,
under a key of a type of its own, and holds a time (8 bytes, POSIX seconds) and a signature over

    type 0x04, Ed25519     "cosignature/v1\ntime 1679315147\n" and the checkpoint's text
    type 0x06, ML-DSA-44   "subtree/v1\n\0", the witness's name, the time, the log's origin, 0, the
                           size and the root, as fixed-width integers and short strings

Both are verified. The witness of this program signs with Ed25519 only: every verifier of today can
check that, and a line has 76 bytes where one of ML-DSA-44 has 2432. No clock is read here.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.note import (
    Note,
    NoteSignature,
    SigningKey,
    check_point,
    key_id,
    parse_checkpoint,
    split_vkey,
    to_base64,
)

ED25519 = b"\x04"
ML_DSA_44 = b"\x06"
MAX_TIME_S = 2**63 - 1
_PUBLIC_BYTES = {ED25519: 32, ML_DSA_44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, ML_DSA_44: 2420}
_TIME_BYTES = 8


class WitnessKey(NamedTuple):
    """A witness's public key, its type byte and the name it signs under."""

    name: str
    kind: bytes
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that bind the name, the type and the key."""
        return key_id(self.name, self.kind + self.public)

    @property
    def vkey(self) -> str:
        """The key as one line of text: NAME+KEYID+BASE64."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(self.kind + self.public)}"


def parse_witness_vkey(text: str) -> WitnessKey:
    """Return the witness's key that `text` spells, of type 0x04 or 0x06.

    Raises LedgerError for a key of another type, of another length, or of low order.
    """
    name, typed = split_vkey(text)
    kind, public = typed[:1], typed[1:]
    if _PUBLIC_BYTES.get(kind) != len(public):
        raise LedgerError(
            f"not a witness's key (type 0x04, Ed25519, or 0x06, ML-DSA-44): {text[:80]!a}"
        )
    if kind == ED25519:
        check_point(public, text)
    return WitnessKey(name, kind, public)


def witness_key(key: SigningKey) -> WitnessKey:
    """Return the public half of the key with which a witness signs."""
    return WitnessKey(key.name, ED25519, key.verify_key.public)


def cosigned_message(text: str, key: WitnessKey, *, time_s: int) -> bytes:
    """Return the bytes that `key` signs at `time_s` for the checkpoint of this text.

    Raises LedgerError when type 0x06 is asked for a text that is no checkpoint or a name too long.
    """
    if key.kind == ED25519:
        return f"cosignature/v1\ntime {time_s}\n{text}".encode()
    checkpoint = parse_checkpoint(text)
    return b"".join(
        [
            b"subtree/v1\n\0",
            _short(key.name),
            _stamp(time_s),
            _short(checkpoint.origin),
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        ]
    )


def cosign(text: str, key: SigningKey, *, time_s: int) -> NoteSignature:
    """Return the cosignature of a checkpoint's text at `time_s`, at least 1, in POSIX seconds."""
    if not 0 < time_s <= MAX_TIME_S:
        raise LedgerError(f"{time_s} is no time for a cosignature (POSIX seconds, at least 1)")
    public = witness_key(key)
    signed = key.sign(cosigned_message(text, public, time_s=time_s))
    return NoteSignature(key.name, public.key_id, _stamp(time_s) + signed)


def cosigned_at(note: Note, key: WitnessKey) -> int:
    """Return when `key` says to have seen this checkpoint, in POSIX seconds; 0 is no time.

    The time is among the signed bytes. Raises UnknownKeyError without a line of that key,
    SignatureError when its line is wrong, UnknownVersionError where this machine cannot check it.
    """
    for name, claimed_id, stamped in note.signatures:
        if name == key.name and claimed_id == key.key_id:
            return _verified_time(note.text, key, stamped)
    raise UnknownKeyError(f"not cosigned by {key.name}+{key.key_id.hex()}")


def time_text(time_s: int) -> str:
    """Return a cosignature's time for people, in UTC."""
    if time_s == 0:
        return "no time"
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {time_s}"


def _verified_time(text: str, key: WitnessKey, stamped: bytes) -> int:
    problem = SignatureError(
        f"the cosignature is not by {key.name}+{key.key_id.hex()}, though it says so"
    )
    time_s, signature = int.from_bytes(stamped[:_TIME_BYTES], "big"), stamped[_TIME_BYTES:]
    if len(signature) != _SIGNATURE_BYTES[key.kind] or time_s > MAX_TIME_S:
        raise problem
    try:
        message = cosigned_message(text, key, time_s=time_s)
        if key.kind == ED25519:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
        else:
            MLDSA44PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError, LedgerError):
        raise problem from None
    except UnsupportedAlgorithm as error:
        raise UnknownVersionError(f"ML-DSA-44 cannot be checked here: {error}") from error
    return time_s


def _stamp(time_s: int) -> bytes:
    return time_s.to_bytes(_TIME_BYTES, "big")


def _short(text: str) -> bytes:
    """A string of 1 to 255 bytes with its length before it."""
    data = text.encode()
    if not 0 < len(data) < 256:
        raise LedgerError(f"a name of {len(data)} bytes; 1 to 255 can be cosigned: {text[:60]!a}")
    return bytes([len(data)]) + data
