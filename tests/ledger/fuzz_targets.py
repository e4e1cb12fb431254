"""Every parser of the ledger as a fuzz target: bytes are echoed, or refused with the one error.

To add a parser, add a row to `TARGETS`: a function that reads bytes and writes what it read (a
parser has one spelling per value, so the bytes must be the same), and seeds that it accepts.
`test_ledger_fuzz.py` and `make fuzz` then try it.
"""

import contextlib
import hashlib
import io
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import fuzz_mutations as by
import small_run
import vectors

from institutional.ledger import canonical, keys, manifest, note, wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.publication import proof, tiles
from institutional.ledger.tree import Frontier, leaf_hash
from institutional.ledger.trust import parse_trust


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
    read = note.parse_note(data)
    lines = [f"— {s.name} {note.to_base64(s.key_id + s.signature)}\n" for s in read.signatures]
    return (read.text + "\n" + "".join(lines)).encode()


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
    assert parse_trust(text_of(data)) == parse_trust(plain)
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


def repair_vkey(data):
    name, _, rest = data.partition(b"+")
    encoded = rest.partition(b"+")[2].decode()
    return b"%b+%b+%b" % (
        name,
        note.key_id(name.decode(), note.from_base64(encoded)).hex().encode(),
        encoded.encode(),
    )


def repair_private_line(data):
    name, _, encoded = data.decode().removeprefix("PRIVATE+KEY+").split("+", 2)
    seed = note.from_base64(encoded.removesuffix("\n"))[1:]
    return keys.private_line(note.SigningKey(name, seed)).encode()


def repair_statement(data):
    value = canonical.decode(data)
    config = canonical.encode(value["predicate"]["config"])
    for subject in value["subject"]:
        if subject["name"] == "config":
            subject["digest"]["sha256"] = hashlib.sha256(config).hexdigest()
    return canonical.encode(value)


def repair_wal(data):
    """Sign every head again, with the key then in force, for the entries that now stand before."""
    frontier, lines = Frontier(), []
    key = small_run.KEY
    epochs = wal.Epochs(key.verify_key)
    for record in wal.records(io.BytesIO(data)):
        if isinstance(record, wal.EntryLine):
            epochs.entry(record, frontier.size)
            frontier.append(leaf_hash(record.data))
            lines.append(record.data + b"\n")
        elif isinstance(record, wal.HeadNote):
            head = note.Checkpoint(key.name, frontier.size, frontier.root())
            lines.append(note.sign_note(note.checkpoint_text(head), key))
            if epochs.head():
                key = keys.next_epoch(key)
    return b"".join(lines)


def rotated_log():
    """A log of four entries in two epochs of two each, with false heads for repair to sign."""
    rotation = {"epoch": 1, "key": keys.next_epoch(small_run.KEY).verify_key.vkey}
    told = [("open", {"manifest": "0" * 64}), ("rotate", rotation), ("round", {}), ("close", {})]
    head = note.sign_note(
        note.checkpoint_text(note.Checkpoint(small_run.ORIGIN, 0, bytes(32))), small_run.KEY
    )
    lines = [
        wal.entry_bytes(run=small_run.RUN, seq=seq, kind=kind, body=body) + b"\n" + head * (seq % 2)
        for seq, (kind, body) in enumerate(told)
    ]
    return repair_wal(b"".join(lines))


def cosigner(name):
    typed = b"\x04" + hashlib.sha256(name.encode()).digest()
    return f"{name}+{note.key_id(name, typed).hex()}+{note.to_base64(typed)}"


C2SP = vectors.load("c2sp/notes.json")
NOTES = tuple(
    example.encode() for name, examples in C2SP.items() if name != "vkey" for example in examples
)
VKEYS = (C2SP["vkey"].encode(), small_run.TRUST.encode())
POLICY = f"""# who may say what
log {small_run.TRUST} https://log.example

witness W1 {cosigner("w1.example")}
\twitness W2 {cosigner("w2.example")} https://w2.example
group both all W1 W2
quorum both
""".encode()
LOG = (small_run.GOLDEN / "ledger" / "log.wal").read_bytes()
ENTRIES = tuple(
    record.data for record in wal.records(io.BytesIO(LOG)) if isinstance(record, wal.EntryLine)
)
ENVELOPE = (small_run.GOLDEN / "manifest.dsse.json").read_bytes()
DOCUMENTS = tuple(spelt.encode() for _, spelt in vectors.load("jcs/documents.json").values())
BARE_PROOF = proof.write_proof(proof.Proof(1, (bytes(32), b"\1" * 32), NOTES[2]))
ENCLOSURE = proof.write_enclosure(
    proof.Enclosure(
        ENTRIES[1],
        ENVELOPE,
        (proof.Rotation(proof.parse_proof(BARE_PROOF), (bytes(32),)),),
    )
)
PROOF = proof.write_proof(proof.parse_proof(BARE_PROOF)._replace(extra=ENCLOSURE))
BUNDLE = b"\0\3one\0\0\0\5three"
TILE_PATHS = (b"tile/0/x001/x234/067.p/8", b"tile/entries/000", b"tile/63/999.p/255")
AS_JSON = (by.edit_bytes, by.edit_json)

TARGETS = {
    "note": Target(echo_note, NOTES),
    "checkpoint": Target(
        echo_checkpoint, tuple(head.partition(b"\n\n")[0] + b"\n" for head in NOTES[2:])
    ),
    "vkey": Target(echo_vkey, VKEYS, repair=repair_vkey),
    "typed_key": Target(echo_typed_key, (*VKEYS, cosigner("w").encode()), repair=repair_vkey),
    "policy": Target(echo_policy, (small_run.TRUST.encode(), POLICY)),
    "json": Target(echo_json, DOCUMENTS, AS_JSON),
    "envelope": Target(echo_envelope, (ENVELOPE,), AS_JSON),
    "statement": Target(
        echo_statement, (manifest.parse_envelope(ENVELOPE).payload,), AS_JSON, repair_statement
    ),
    "entry": Target(echo_entry, ENTRIES, AS_JSON),
    "wal": Target(
        echo_wal, (LOG, rotated_log()), (by.edit_bytes, by.edit_lines, by.edit_json), repair_wal
    ),
    "proof": Target(echo_proof, (PROOF, BARE_PROOF)),
    "enclosure": Target(echo_enclosure, (ENCLOSURE,), AS_JSON),
    "bundle": Target(echo_bundle, (BUNDLE,), (by.edit_bytes,)),
    "tile_path": Target(echo_tile_path, TILE_PATHS),
    "private_line": Target(
        echo_private_line,
        (keys.private_line(small_run.OPERATOR).encode(),),
        repair=repair_private_line,
    ),
}
