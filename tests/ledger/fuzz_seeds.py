"""What the parsers of `fuzz_targets` accept, and how a spoilt input is made to pass its checks."""

import hashlib
import io

import small_run
import vectors

from institutional.ledger import canonical, cosignature, keys, note, wal
from institutional.ledger.publication import proof
from institutional.ledger.tree import Frontier, leaf_hash

WITNESS = note.SigningKey("w1.example", b"\x0a" * 32)


def note_bytes(read):
    lines = [f"— {s.name} {note.to_base64(s.key_id + s.signature)}\n" for s in read.signatures]
    return (read.text + "\n" + "".join(lines)).encode()


def cosigned(read, time_s):
    """Return the note with the witness's lines signed anew."""
    again = cosignature.cosign(read.text, WITNESS, time_s=time_s)
    lines = [again if s[:2] == again[:2] else s for s in read.signatures]
    return read._replace(signatures=tuple(lines))


def repair_vkey(data):
    name, _, rest = data.partition(b"+")
    encoded = rest.partition(b"+")[2].decode()
    return b"%b+%b+%b" % (
        name,
        note.key_id(name.decode(), note.from_base64(encoded)).hex().encode(),
        encoded.encode(),
    )


def repair_cosigned(data):
    """Sign at the time that the line claims."""
    read = note.parse_note(data)
    witness = cosignature.witness_key(WITNESS)
    for name, key_id, stamped in read.signatures:
        if (name, key_id) == (witness.name, witness.key_id):
            return note_bytes(cosigned(read, int.from_bytes(stamped[:8])))
    return data


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
COSIGNED = note_bytes(
    note.Note(
        note.parse_note(NOTES[2]).text,
        (
            *note.parse_note(NOTES[2]).signatures,
            cosignature.cosign(note.parse_note(NOTES[2]).text, WITNESS, time_s=1_700_000_000),
        ),
    )
)
LATTICE = cosignature.WitnessKey("w1.example", cosignature.ML_DSA_44, bytes(1312))
VKEYS = (C2SP["vkey"].encode(), small_run.TRUST.encode())
POLICY = f"""# who may say what
log {small_run.TRUST} https://log.example

witness W1 {cosignature.witness_key(WITNESS).vkey}
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
ROTATED = rotated_log()
ROTATION = ROTATED.split(b"\n")[1]
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
