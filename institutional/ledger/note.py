"""Signed notes, their keys, and the checkpoint that a log signs, exactly as C2SP spells them.

c2sp.org/signed-note (v1.0.0, Ed25519, type 0x01) and c2sp.org/tlog-checkpoint (v1.0.0, without
extension lines). Every parser takes one spelling per value and raises LedgerError for the rest.
Keys on disk are in `keys`, files in `log`.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from institutional.ledger.errors import LedgerError, SignatureError, UnknownKeyError
from institutional.ledger.tree import HASH_BYTES

ED25519 = b"\x01"
MAX_NOTE_BYTES = 65_536
MAX_SIGNATURES = 100
_DASH = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,15})\Z")
_KEY_ID = re.compile(r"[0-9a-f]{8}\Z")


class VerifyKey(NamedTuple):
    """A public key and the name it signs under."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that bind the name, the algorithm and the key."""
        return key_id(self.name, ED25519 + self.public)

    @property
    def vkey(self) -> str:
        """The key as one line of text: NAME+KEYID+BASE64."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(ED25519 + self.public)}"


@dataclass(frozen=True)
class SigningKey:
    """A private Ed25519 key (its 32-byte seed) and the name it signs under."""

    name: str
    seed: bytes = field(repr=False)

    @cached_property
    def verify_key(self) -> VerifyKey:
        """The public half."""
        return VerifyKey(self.name, self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`, the same for the same message (RFC 8032)."""
        return self._private.sign(message)

    def __reduce__(self) -> tuple[type["SigningKey"], tuple[str, bytes]]:
        # What is cached below cannot be sent to another process, and need not be.
        return SigningKey, (self.name, self.seed)

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


class NoteSignature(NamedTuple):
    """One signature line: who claims to have signed, under which key, and the signature."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A parsed note; nothing is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]


class Checkpoint(NamedTuple):
    """What a signed head says: this log had `size` entries with this root."""

    origin: str
    size: int
    root: bytes


def key_id(name: str, typed_key: bytes) -> bytes:
    """Return the key id of a key given as its type byte(s) and its bytes."""
    return hashlib.sha256(name.encode() + b"\n" + typed_key).digest()[:4]


def to_base64(data: bytes) -> str:
    """Return standard base64 with padding."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Return the bytes of standard base64 in its only spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LedgerError(f"not base64: {text[:60]!a}") from error
    if to_base64(data) != text:
        raise LedgerError(f"not the one spelling of base64: {text[:60]!a}")
    return data


def check_name(name: str) -> str:
    """Return `name` if it may name a key: not empty, no white space, no plus, no control."""
    # Of all white space only the plain space counts as printable.
    if not name or " " in name or "+" in name or not name.isprintable():
        raise LedgerError(f"not a key name (no spaces, no plus): {name[:60]!a}")
    return name


def parse_vkey(text: str) -> VerifyKey:
    """Return the Ed25519 key that `text` spells; raises LedgerError also for low-order keys."""
    name, typed = split_vkey(text)
    if typed[:1] != ED25519 or len(typed) != 33:
        raise LedgerError(f"not an Ed25519 verifier key of type 0x01: {text[:200]!a}")
    return VerifyKey(name, check_point(typed[1:], text))


def check_point(public: bytes, text: str) -> bytes:
    """Return an Ed25519 public key in its one spelling; `text` is where it stood.

    Refuses a y-coordinate that is not reduced (RFC 8032, 5.1.3) and the points of low order.
    """
    if int.from_bytes(public, "little") & (2**255 - 1) >= _P:
        raise LedgerError(f"not the one spelling of a public key: {text[:200]!a}")
    if _is_low_order(public):
        raise LedgerError(f"a key of low order, under which anyone can sign: {text[:200]!a}")
    return public


def split_vkey(text: str) -> tuple[str, bytes]:
    """Return the name and the typed key bytes of a verifier key of any algorithm."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.match(parts[1]):
        raise LedgerError(f"not a verifier key (NAME+KEYID+BASE64): {text[:200]!a}")
    name, typed = check_name(parts[0]), from_base64(parts[2])
    if key_id(name, typed).hex() != parts[1]:
        raise LedgerError(f"the key id does not belong to this name and key: {text[:200]!a}")
    return name, typed


def sign_note(text: str, *keys: SigningKey) -> bytes:
    """Return the note of `text`, which ends in a newline, with one signature line per key."""
    message = text.encode()
    return note_bytes(
        Note(
            text,
            tuple(
                NoteSignature(key.name, key.verify_key.key_id, key.sign(message)) for key in keys
            ),
        )
    )


def note_bytes(note: Note) -> bytes:
    """Return the note as it is stored; raises LedgerError for one that `parse_note` refuses."""
    lines = "".join(map(signature_line, note.signatures))
    data = f"{note.text}\n{lines}".encode()
    parse_note(data)
    return data


def signature_line(signature: NoteSignature) -> str:
    """Return one line of a note, its newline included."""
    name, claimed_id, signed = signature
    return f"{_DASH}{name} {to_base64(claimed_id + signed)}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Return the note of `checkpoint`, whose origin is the key's name, as `sign_note` would.

    Every commit needs one, so what was just written is not parsed again: a checked name, a size
    and a root cannot make anything but a note.
    """
    text = checkpoint_text(checkpoint)
    signature = NoteSignature(key.name, key.verify_key.key_id, key.sign(text.encode()))
    return f"{text}\n{signature_line(signature)}".encode()


def parse_note(data: bytes) -> Note:
    """Return text and signatures of a note; the text ends in a newline. Nothing is verified."""
    if len(data) > MAX_NOTE_BYTES:
        raise LedgerError(f"a note of {len(data)} bytes; {MAX_NOTE_BYTES} are allowed")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LedgerError(f"a note that is not UTF-8: {error}") from error
    if _CONTROL.search(whole):
        raise LedgerError("a note with control characters")
    body, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise LedgerError("not a signed note (text, empty line, signature lines)")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise LedgerError(f"a note with {len(lines)} signatures; {MAX_SIGNATURES} are allowed")
    signatures = tuple(_signature_line(line) for line in lines)
    if len({(s.name, s.key_id) for s in signatures}) != len(signatures):
        raise LedgerError("a note that one key has signed twice")
    return Note(body + "\n", signatures)


def open_note(data: bytes, key: VerifyKey) -> str:
    """Return the text of a note that `key` has signed; lines of other keys are ignored.

    Raises UnknownKeyError without a line of that key, SignatureError when its line is wrong.
    """
    note = parse_note(data)
    for name, claimed_id, signature in note.signatures:
        if name == key.name and claimed_id == key.key_id:
            check_signature(key, note.text.encode(), signature)
            return note.text
    signers = ", ".join(f"{s.name[:80]}+{s.key_id.hex()}" for s in note.signatures[:3])
    raise UnknownKeyError(f"signed by {signers}; not by {key.name}+{key.key_id.hex()}")


def check_signature(key: VerifyKey, message: bytes, signature: bytes) -> None:
    """Raise SignatureError unless `signature` is by `key` over `message`."""
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError(
            f"the signature is not by {key.name}+{key.key_id.hex()}, though it says so"
        ) from error


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the text that a log signs: origin, size and root, a line each."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{to_base64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that `text` spells; raises LedgerError for extension lines."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise LedgerError("not a checkpoint (three lines: origin, size, root)")
    if not _SIZE.match(lines[1]):
        raise LedgerError(f"not a size in a checkpoint: {lines[1][:60]!a}")
    root = from_base64(lines[2])
    if len(root) != HASH_BYTES:
        raise LedgerError(f"a root of {len(root)} bytes; {HASH_BYTES} are needed")
    return Checkpoint(check_name(lines[0]), int(lines[1]), root)


def open_checkpoint(data: bytes, key: VerifyKey) -> Checkpoint:
    """Return the checkpoint in a note that the log's own `key` has signed; its name is the origin.

    Raises LedgerError for another origin, and as `open_note` does.
    """
    checkpoint = parse_checkpoint(open_note(data, key))
    if checkpoint.origin != key.name:
        raise LedgerError(f"a checkpoint of {checkpoint.origin[:200]!a}, not of {key.name!a}")
    return checkpoint


def _signature_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise LedgerError(f"not a signature line (— NAME BASE64): {line[:60]!a}")
    data = from_base64(encoded)
    if len(data) < 5:
        raise LedgerError(f"a signature of {len(data)} bytes: {line[:60]!a}")
    return NoteSignature(check_name(name), data[:4], data[4:])


# y-coordinates of the eight points of small order: 0, 1, -1 and the two of order eight.
_P = 2**255 - 19
_LOW_ORDER_Y = {
    0,
    1,
    _P - 1,
    int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    ),
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
}


def _is_low_order(public: bytes) -> bool:
    """Whether an Ed25519 key is one of the small points, in any of their spellings."""
    y = int.from_bytes(public, "little") & (2**255 - 1)
    return y % _P in _LOW_ORDER_Y
