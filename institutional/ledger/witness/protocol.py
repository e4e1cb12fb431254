r"""What a witness is asked, and what it answers: pure functions over what it remembers of a log.

c2sp.org/tlog-witness (v1.0.0), `add-checkpoint`:

    old 5                                     the size that the witness is thought to remember
    <base64>                                  the consistency proof from there, a hash each line
    <empty line>
    institutional.dev/run/7                   the new head, a checkpoint note
    ...

A log's key may change: its head of n entries ends in a "rotate" entry that names the next key, and
heads beyond n are signed by that. A witness that was only told the first key learns the next by
`add-key`, which is ours and not C2SP's: the entry, and the proof that it is the last one of the
head that the witness itself remembers.

    rotate 5
    <base64>                                  the inclusion proof of entry 4 among 5
    <empty line>
    {"body":{"epoch":1,"key":"institutional.dev/run/7+..."},"kind":"rotate",...}

From then on the old key counts no more: a thief of it cannot have anything cosigned. The first key
is either listed by the witness's keeper or named by a manifest (the other form of `add-key`) that a
listed operator has signed. Who takes a key off the list stops every log that rests on it.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from institutional.ledger.errors import LedgerError, SignatureError, UnknownKeyError
from institutional.ledger.manifest import Manifest
from institutional.ledger.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    Note,
    NoteSignature,
    VerifyKey,
    check_signature,
    from_base64,
    note_bytes,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    signature_line,
    to_base64,
)
from institutional.ledger.tree import (
    EMPTY_ROOT,
    HASH_BYTES,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from institutional.ledger.wal import MAX_ENTRY_BYTES, EntryLine, parse_entry

ADD_CHECKPOINT = "add-checkpoint"
ADD_KEY = "add-key"
MAX_PROOF_LINES = 63
_MAX_HEADER_BYTES = 4096  # 63 hashes of 45 bytes and the first line
MAX_REQUEST_BYTES = _MAX_HEADER_BYTES + max(MAX_NOTE_BYTES, MAX_ENTRY_BYTES)
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"
_NUMBER = r"(0|[1-9][0-9]{0,15})"
SIZE_LINE = re.compile(_NUMBER + r"\n\Z")


class Submission(NamedTuple):
    """A new head, and the proof that it continues the one of `old_size` entries."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


class Rotation(NamedTuple):
    """The entry that names a log's next key, and the proof that it is the last of `size`."""

    size: int
    proof: tuple[bytes, ...]
    entry: bytes
    key: VerifyKey


class Record(NamedTuple):
    """What a witness remembers of one log.

    `root` is the listed key on which the log's keys rest, `keys` holds one for each epoch (the last
    is in force), `head` is the newest cosigned checkpoint note, or None before the first.
    """

    root: VerifyKey
    keys: tuple[VerifyKey, ...]
    head: bytes | None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The newest cosigned head, parsed."""
        return None if self.head is None else parse_checkpoint(parse_note(self.head).text)


class Answer(NamedTuple):
    """What the witness says, in HTTP's terms."""

    status: int
    body: bytes
    content_type: str = TEXT_TYPE


class Conflict(NamedTuple):
    """Two heads that a log has signed and that cannot both be true, or were not shown to be.

    A "fork" is two roots for one size: the two notes prove it to anyone. An "unproven" pair came
    with a wrong proof, which anybody could have sent: it is the log's to show that they are one.
    """

    kind: str
    remembered: bytes
    submitted: bytes


class Decision(NamedTuple):
    """The answer, what is to be remembered before it is given, and a conflict worth keeping."""

    answer: Answer
    record: Record | None
    conflict: Conflict | None = None


def submission_bytes(*, old_size: int, proof: tuple[bytes, ...], head: bytes) -> bytes:
    """Return an `add-checkpoint` request for the checkpoint note `head`."""
    return _request("old", old_size, proof, head)


def rotation_bytes(*, size: int, proof: tuple[bytes, ...], entry: bytes) -> bytes:
    """Return an `add-key` request for the canonical bytes of a "rotate" entry."""
    return _request("rotate", size, proof, entry + b"\n")


def parse_submission(data: bytes) -> Submission:
    """Return what an `add-checkpoint` request says; nothing is verified yet."""
    old_size, proof, head = _parts("old", data)
    note = parse_note(head)
    return Submission(old_size, proof, note, parse_checkpoint(note.text))


def parse_rotation(data: bytes) -> Rotation:
    """Return what an `add-key` request with a rotation says; nothing is verified yet."""
    size, proof, line = _parts("rotate", data)
    if size < 1 or not line.endswith(b"\n"):
        raise LedgerError("not a rotation: it names the last of at least one entries, on one line")
    entry = parse_entry(EntryLine(0, line[:-1]), run=None, seq=size - 1)
    match entry.kind, entry.body:
        case "rotate", {"epoch": int(epoch), "key": str(vkey), **no_more} if (
            not no_more and not isinstance(epoch, bool)
        ):
            return Rotation(size, proof, line[:-1], parse_vkey(vkey))
    raise LedgerError("not a rotate entry (epoch, key)")


def trusted_keys(
    record: Record | None, listed: tuple[VerifyKey, ...], origin: str
) -> tuple[VerifyKey, ...]:
    """Return the keys whose heads of `origin` may be cosigned now.

    The one in force, unless what it rests on is no longer listed; and listed keys of that name
    that are not among the log's known ones, so that an epoch that has ended stays ended.
    """
    named = tuple(key for key in listed if key.name == origin)
    if record is None or record.root not in listed:
        return named
    return (record.keys[-1], *(key for key in named if key not in record.keys))


def add_checkpoint(
    record: Record | None,
    submission: Submission,
    listed: tuple[VerifyKey, ...],
    cosign: Callable[[str], NoteSignature],
) -> Decision:
    """Decide on a new head: cosigned only if it continues the remembered one."""
    new, old = submission.checkpoint, record.checkpoint if record else None
    keys = trusted_keys(record, listed, new.origin)
    if not keys:
        return Decision(refusal(404, "this witness does not know that log"), record)
    # A key that has ended may still ask how far the witness is, and gets nothing cosigned.
    ended = tuple(key for key in record.keys if key not in keys) if record else ()
    try:
        signer, line = _signer(submission.note, (*ended, *keys))
    except (UnknownKeyError, SignatureError) as error:
        return Decision(refusal(403, str(error)), record)
    signed = Note(submission.note.text, (line,))
    size = old.size if old else 0
    conflict = None
    clashes = old is not None and old.size == new.size and old.root != new.root
    if clashes and record and record.head and signer in keys:
        conflict = Conflict("fork", record.head, note_bytes(signed))
    if submission.old_size > new.size:
        reason = f"the old size {submission.old_size} is above the new one, {new.size}"
        return Decision(refusal(400, reason), record, conflict)
    if submission.old_size != size:
        return Decision(Answer(409, b"%d\n" % size, SIZE_TYPE), record, conflict)
    if signer in ended:
        return Decision(refusal(403, "signed by a key whose epoch has ended"), record)
    if conflict:
        return Decision(refusal(422, "another root was cosigned for that size"), record, conflict)
    if not _continues(old, submission):
        if record and record.head and size:
            conflict = Conflict("unproven", record.head, note_bytes(signed))
        return Decision(refusal(422, "the consistency proof does not hold"), record, conflict)
    cosigned = Note(signed.text, (line, cosign(signed.text)))
    if record is None or record.root not in listed:
        return _cosigned(Record(signer, (signer,), None), cosigned)
    known = record.keys if signer in record.keys else (*record.keys, signer)
    return _cosigned(record._replace(keys=known), cosigned)


def add_manifest(record: Record | None, manifest: Manifest, operator: VerifyKey) -> Decision:
    """Decide on a manifest, which names a log's first key and which a listed key has signed."""
    if record is not None and record.keys[0] != manifest.key:
        return Decision(refusal(403, "this witness knows another first key of that log"), record)
    if record is not None:
        return Decision(Answer(200, b""), record._replace(root=operator))
    return Decision(Answer(200, b""), Record(operator, (manifest.key,), None))


def add_rotation(record: Record | None, rotation: Rotation) -> Decision:
    """Decide on a log's next key: taken if the remembered head ends in the entry that names it."""
    head = record.checkpoint if record else None
    if record is None or head is None:
        return Decision(refusal(404, "this witness remembers no head of that log"), record)
    if rotation.key == record.keys[-1]:
        return Decision(Answer(200, b""), record)
    if head.size != rotation.size:
        return Decision(Answer(409, b"%d\n" % head.size, SIZE_TYPE), record)
    included = verify_inclusion(
        index=rotation.size - 1,
        size=rotation.size,
        leaf=leaf_hash(rotation.entry),
        proof=rotation.proof,
        root=head.root,
    )
    if not included or rotation.key in record.keys:
        return Decision(refusal(422, "that is not the last entry of the remembered head"), record)
    return Decision(Answer(200, b""), record._replace(keys=(*record.keys, rotation.key)))


def refusal(status: int, reason: str) -> Answer:
    """Return an answer that refuses, with its reason in one line."""
    return Answer(status, reason.replace("\n", " ").encode() + b"\n")


def _cosigned(record: Record, cosigned: Note) -> Decision:
    line = signature_line(cosigned.signatures[-1]).encode()
    return Decision(Answer(200, line), record._replace(head=note_bytes(cosigned)))


def _signer(note: Note, keys: tuple[VerifyKey, ...]) -> tuple[VerifyKey, NoteSignature]:
    """Return the last of `keys` that signed, and its line; a false line of any of them is fatal."""
    found: tuple[VerifyKey, NoteSignature] | None = None
    for key in keys:
        for line in note.signatures:
            if line.name == key.name and line.key_id == key.key_id:
                check_signature(key, note.text.encode(), line.signature)
                found = key, line
    if found is None:
        raise UnknownKeyError(f"not signed by {' or '.join(key.vkey for key in keys[:3])}")
    return found


def _continues(old: Checkpoint | None, submission: Submission) -> bool:
    new = submission.checkpoint
    if new.size == 0 and new.root != EMPTY_ROOT:
        return False
    if old is None or old.size == 0:
        return not submission.proof
    return verify_consistency(
        size=old.size,
        root=old.root,
        new_size=new.size,
        new_root=new.root,
        proof=submission.proof,
    )


def _request(word: str, number: int, proof: tuple[bytes, ...], payload: bytes) -> bytes:
    lines = "".join(f"{to_base64(node)}\n" for node in proof)
    return f"{word} {number}\n{lines}\n".encode() + payload


def _parts(word: str, data: bytes) -> tuple[int, tuple[bytes, ...], bytes]:
    """Return number, hashes and payload of a request; raises LedgerError for any other layout."""
    if len(data) > MAX_REQUEST_BYTES:
        raise LedgerError(f"a request of {len(data)} bytes; {MAX_REQUEST_BYTES} are allowed")
    header, separator, payload = data.partition(b"\n\n")
    if not separator or len(header) > _MAX_HEADER_BYTES:
        raise LedgerError("not a request (a line with a size, a proof, an empty line, what it is)")
    try:
        first, *lines = header.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise LedgerError(f"a request whose proof is not ASCII: {error}") from error
    named = re.fullmatch(f"{word} {_NUMBER}", first)
    if named is None:
        raise LedgerError(f"a request begins with {word!a} and a size, not with {first[:60]!a}")
    if len(lines) > MAX_PROOF_LINES:
        raise LedgerError(f"a proof of {len(lines)} lines; {MAX_PROOF_LINES} are allowed")
    proof = tuple(from_base64(line) for line in lines)
    if any(len(node) != HASH_BYTES for node in proof):
        raise LedgerError(f"a proof's line is the base64 of {HASH_BYTES} bytes")
    return int(named[1]), proof, payload
