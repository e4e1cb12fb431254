"""Every parser of the ledger as a fuzz target: bytes are echoed, or refused with the one error.

To add a parser, add a row to `TARGETS`: a function that reads bytes and writes what it read (a
parser has one spelling per value, so the bytes must be the same), and seeds that it accepts.
`test_ledger_fuzz.py` and `make fuzz` then try it.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import fuzz_mutations as by
import fuzz_seeds as given
import small_run

from institutional.ledger import (
    canonical,
    cosignature,
    keys,
    manifest,
    note,
    wal,
)
from institutional.ledger.errors import LedgerError
from institutional.ledger.private import commitment, redaction
from institutional.ledger.publication import proof, tiles
from institutional.ledger.trust import check_quorum, parse_trust
from institutional.ledger.witness import protocol


class Target(NamedTuple):
    """A parser under test.

    `echo` returns the bytes that spell what it read, or raises LedgerError. `seeds` are accepted.
    `mutations` change an input, knowing something of its form; `repair` makes good what only its
    last bytes betray (a key id, a digest, a signature), so that what lies behind is reached.
    """

    echo: Callable[[bytes], bytes]
    seeds: tuple[bytes, ...]
    mutations: tuple[by.Mutation, ...] = (by.edit_bytes, by.edit_lines)
    repair: Callable[[bytes], bytes] | None = None


def accepts(target: Target, data: bytes) -> bool:
    """Whether `data` is accepted; fails if it is read as something that is spelt otherwise."""
    try:
        again = target.echo(data)
    except LedgerError:
        return False
    assert again == data, f"{data!r} is read like {again!r}"
    return True


def spoil(target: Target, inputs: Sequence[bytes], random: Random) -> bytes:
    """Return one of the inputs after a few of the target's mutations."""
    data = random.choice(inputs)
    for _ in range(random.randint(1, 4)):
        data = random.choice(target.mutations)(data, random)
    if target.repair is not None and random.random() < 0.7:
        # What is too broken to be repaired is tried as it is.
        with contextlib.suppress(LedgerError, ValueError, LookupError, TypeError):
            return target.repair(data)
    return data


def text_of(data):
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise LedgerError("not UTF-8: whoever reads the file refuses it") from error


def echo_note(data):
    return given.note_bytes(note.parse_note(data))


def echo_cosigned(data):
    """The witness, asked to sign at the time that was read, signs the same."""
    read = note.parse_note(data)
    time_s = cosignature.cosigned_at(read, cosignature.witness_key(given.WITNESS))
    return given.note_bytes(given.cosigned(read, time_s))


def echo_witness_key(data):
    return cosignature.parse_witness_vkey(text_of(data)).vkey.encode()


def echo_submission(data):
    read = protocol.parse_submission(data)
    return protocol.submission_bytes(
        old_size=read.old_size, proof=read.proof, head=given.note_bytes(read.note)
    )


def echo_rotation(data):
    read = protocol.parse_rotation(data)
    return protocol.rotation_bytes(size=read.size, proof=read.proof, entry=read.entry)


def echo_redaction(data):
    return redaction.statement(redaction.parse_redaction(data))


def echo_item(data):
    return commitment.item_bytes(commitment.parse_item(data))


def echo_checkpoint(data):
    return note.checkpoint_text(note.parse_checkpoint(text_of(data))).encode()


def echo_vkey(data):
    return note.parse_vkey(text_of(data)).vkey.encode()


def echo_typed_key(data):
    name, typed = note.split_vkey(text_of(data))
    return f"{name}+{note.key_id(name, typed).hex()}+{note.to_base64(typed)}".encode()


def echo_policy(data):
    """A policy may be laid out freely: without comments and spare spaces it says the same."""
    lines = [line.replace("\t", " ").split(" ") for line in text_of(data).split("\n")]
    lines = [[word for word in line if word] for line in lines]
    plain = "\n".join(" ".join(line) for line in lines if line and not line[0].startswith("#"))
    trust = parse_trust(text_of(data))
    assert trust == parse_trust(plain)
    check_quorum(trust, given.COSIGNED)
    return data


def echo_json(data):
    return canonical.encode(canonical.decode(data))


def echo_envelope(data):
    envelope = manifest.parse_envelope(data)
    signature = {"keyid": envelope.keyid, "sig": note.to_base64(envelope.signature)}
    value = {
        "payload": note.to_base64(envelope.payload),
        "payloadType": envelope.payload_type,
        "signatures": [signature],
    }
    return canonical.encode(value) + b"\n"


def echo_statement(data):
    read = manifest.parse_statement(data)
    predicate = read._asdict() | {"key": read.key.vkey}
    subjects = predicate.pop("subjects")
    value = {
        "_type": manifest.STATEMENT_TYPE,
        "predicateType": manifest.PREDICATE_TYPE,
        "predicate": predicate,
        "subject": [{"name": name, "digest": {"sha256": hex_}} for name, hex_ in subjects.items()],
    }
    return canonical.encode(value)


def echo_entry(data):
    match canonical.decode(data):
        case {"seq": int(seq)}:
            pass
        case _:
            seq = 0
    entry = wal.parse_entry(wal.EntryLine(0, data), run=None, seq=seq)
    return wal.entry_bytes(run=entry.run, seq=entry.seq, kind=entry.kind, body=entry.body)


def echo_wal(data):
    """A log is refused as a whole if anything follows its last head, and its committed part is not.

    That part is the same with and without the rest, and whether or not signatures are looked at.
    """
    key = small_run.KEY.verify_key
    prefix = wal.committed(io.BytesIO(data), key)
    kept = wal.committed(io.BytesIO(data[: prefix.end]), key)
    assert kept.complete
    assert (kept.head, kept.epochs, kept.frontier.root()) == (
        prefix.head,
        prefix.epochs,
        prefix.frontier.root(),
    )
    assert prefix.end <= wal.committed(io.BytesIO(data), None).end <= len(data)
    wal.why_not_torn(io.BytesIO(data), prefix.epochs, start=prefix.end, above=prefix.frontier.size)
    lines = [
        record.data + b"\n" * isinstance(record, wal.EntryLine)
        for record in wal.records(io.BytesIO(data))
        if not isinstance(record, wal.Stray)
    ]
    assert data.startswith(b"".join(lines))
    if not prefix.complete:
        raise LedgerError(prefix.problem)
    return b"".join(lines)


def echo_proof(data):
    return proof.write_proof(proof.parse_proof(data))


def echo_enclosure(data):
    return proof.write_enclosure(proof.parse_enclosure(data))


def echo_bundle(data):
    """Three entries, as many as the seed has."""
    entries = tiles.split_bundle(data, 3)
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def echo_tile_path(data):
    tile = tiles.parse_path(text_of(data))
    if tile is None:
        raise LedgerError("no tile is spelt so")
    return tile.path.encode()


def echo_private_line(data):
    return keys.private_line(keys.parse_private_line(data, where="fuzz")).encode()


AS_JSON = (by.edit_bytes, by.edit_json)

TARGETS = {
    "note": Target(echo_note, given.NOTES),
    "checkpoint": Target(
        echo_checkpoint, tuple(head.partition(b"\n\n")[0] + b"\n" for head in given.NOTES[2:])
    ),
    "cosigned": Target(echo_cosigned, (given.COSIGNED,), repair=given.repair_cosigned),
    "vkey": Target(echo_vkey, given.VKEYS, repair=given.repair_vkey),
    "typed_key": Target(
        echo_typed_key, (*given.VKEYS, given.cosigner("w").encode()), repair=given.repair_vkey
    ),
    "witness_key": Target(
        echo_witness_key,
        (given.cosigner("w").encode(), given.LATTICE.vkey.encode()),
        repair=given.repair_vkey,
    ),
    "policy": Target(echo_policy, (small_run.TRUST.encode(), given.POLICY)),
    "json": Target(echo_json, given.DOCUMENTS, AS_JSON),
    "envelope": Target(echo_envelope, (given.ENVELOPE,), AS_JSON),
    "statement": Target(
        echo_statement,
        (manifest.parse_envelope(given.ENVELOPE).payload,),
        AS_JSON,
        given.repair_statement,
    ),
    "entry": Target(echo_entry, given.ENTRIES, AS_JSON),
    "wal": Target(
        echo_wal,
        (given.LOG, given.ROTATED),
        (by.edit_bytes, by.edit_lines, by.edit_json),
        given.repair_wal,
    ),
    "proof": Target(echo_proof, (given.PROOF, given.BARE_PROOF)),
    "enclosure": Target(echo_enclosure, (given.ENCLOSURE,), AS_JSON),
    "bundle": Target(echo_bundle, (given.BUNDLE,), (by.edit_bytes,)),
    "tile_path": Target(echo_tile_path, given.TILE_PATHS),
    "submission": Target(
        echo_submission,
        (
            protocol.submission_bytes(old_size=0, proof=(), head=given.NOTES[2]),
            protocol.submission_bytes(
                old_size=7, proof=(bytes(32), b"\1" * 32), head=given.COSIGNED
            ),
        ),
    ),
    "rotation": Target(
        echo_rotation,
        (protocol.rotation_bytes(size=2, proof=(bytes(32),), entry=given.ROTATION),),
        (by.edit_bytes, by.edit_lines, by.edit_json),
    ),
    "redaction": Target(
        echo_redaction,
        (redaction.statement(redaction.Redaction("small", "o", 3, "/text", "0" * 64, "asked")),),
        AS_JSON,
    ),
    "item": Target(
        echo_item,
        (
            commitment.item_bytes(
                commitment.Item("small", 3, "/text", {"a": ["é", 1.5]}, b"k" * 32)
            ),
        ),
        AS_JSON,
    ),
    "private_line": Target(
        echo_private_line,
        (keys.private_line(small_run.OPERATOR).encode(),),
        repair=given.repair_private_line,
    ),
}
