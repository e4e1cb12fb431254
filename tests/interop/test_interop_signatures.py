"""Signatures, proofs and envelopes, each judged by a program that shares no code with ours."""

import base64
import json

import by_the_book
import pytest
import small_run
import vectors
from foreign import openssl, sigstore, tlogcheck
from published import publication
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from small_run import KEY, OPERATOR
from tampering import split

from institutional.ledger.note import SigningKey, parse_vkey
from institutional.ledger.publication.prove import prove
from institutional.ledger.publication.tiles import HashTiles, split_bundle
from institutional.ledger.tree import inclusion_proof, leaf_hash

OTHER = SigningKey("institutional/operator/other", b"\x09" * 32).verify_key
TESSERA = vectors.FOLDER / "tessera"


def taken_apart(note):
    """Text and Ed25519 signature of a note with one signature line, without our parser."""
    text, line = note.split(b"\n\n")
    return text + b"\n", base64.b64decode(line.split(b" ")[2])[4:]


def test_openssl_verifies_a_checkpoint_and_refuses_an_altered_one():
    text, signature = taken_apart((small_run.GOLDEN / "ledger" / "checkpoint").read_bytes())
    public = KEY.verify_key.public

    assert openssl(text, signature, public)
    assert not openssl(text.replace(b"7", b"8", 1), signature, public)
    assert not openssl(text, signature[:-1] + b"\0", public)
    assert not openssl(text, signature, OTHER.public)


def test_openssl_verifies_the_manifest_as_dsse_says():
    envelope = json.loads((small_run.GOLDEN / "manifest.dsse.json").read_bytes())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"]
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = base64.b64decode(envelope["signatures"][0]["sig"])

    assert openssl(signed, signature, OPERATOR.verify_key.public)
    assert not openssl(payload, signature, OPERATOR.verify_key.public)


def dsse_accepts(envelope, key):
    """The judgement of securesystemslib, on which in-toto and TUF stand."""
    value = {"public": key.public.hex()}
    known = SSlibKey(key.key_id.hex(), "ed25519", "ed25519", value)
    try:
        return bool(Envelope.from_dict(json.loads(json.dumps(envelope))).verify([known], 1))
    except VerificationError:
        return False


def test_securesystemslib_verifies_the_manifest_and_refuses_an_altered_one():
    envelope = json.loads((small_run.GOLDEN / "manifest.dsse.json").read_bytes())
    operator = OPERATOR.verify_key
    payload = base64.b64decode(envelope["payload"])
    other_seed = base64.b64encode(payload.replace(b'"seed":1', b'"seed":2')).decode()

    assert dsse_accepts(envelope, operator)
    assert not dsse_accepts(envelope, OTHER)
    assert not dsse_accepts(envelope, OTHER._replace(public=operator.public))
    assert not dsse_accepts(envelope | {"payload": other_seed}, operator)
    assert not dsse_accepts(envelope | {"payloadType": "text/plain"}, operator)


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 512, 1000])
def test_sigstore_accepts_every_inclusion_proof_under_the_checkpoint(size, tmp_path):
    folder, key = publication(tmp_path, size)
    checkpoint = (folder / "checkpoint").read_bytes()
    entries = [
        entry
        for bundle in sorted(folder.glob("tile/entries/*[0-9]*"))
        for path in ([bundle] if bundle.is_file() else bundle.iterdir())
        for entry in split(path.read_bytes())
    ]
    leaves = [leaf_hash(entry) for entry in entries]
    places = range(size) if size < 300 else range(0, size, 37)
    proofs = [(n, entries[n], inclusion_proof(leaves, n)) for n in places]

    assert len(entries) == size
    assert sigstore(checkpoint, key, proofs) == (True, [True] * len(proofs))


@pytest.mark.parametrize("seq", [0, 300, 699])
def test_sigstore_accepts_the_proof_file_of_one_entry(seq, tmp_path):
    """The file is taken apart as c2sp.org/tlog-proof says, and not by our parser."""
    folder, key = publication(tmp_path, 700)
    proven = prove(folder, seq, bare=True)
    proof, checkpoint = proven.data.split(b"\n\n", 1)
    header, index, *hashes = proof.split(b"\n")
    claim = (int(index.removeprefix(b"index ")), proven.entry, map(base64.b64decode, hashes))

    assert (header, claim[0]) == (b"c2sp.org/tlog-proof@v1", seq)
    assert sigstore(checkpoint, key, [claim]) == (True, [True])


def test_sigstore_refuses_what_ours_refuses(tmp_path):
    folder, key = publication(tmp_path, 3)
    checkpoint = (folder / "checkpoint").read_bytes()
    entries = split((folder / "tile/entries/000.p/3").read_bytes())
    leaves = [leaf_hash(entry) for entry in entries]
    hashes = inclusion_proof(leaves, 1)
    wrong = [
        (0, entries[1], hashes),
        (2, entries[1], hashes),
        (3, entries[1], hashes),
        (1, entries[0], hashes),
        (1, entries[1] + b" ", hashes),
        (1, entries[1], hashes[:-1]),
        (1, entries[1], [*hashes, leaves[0]]),
        (1, entries[1], hashes[::-1]),
        (1, entries[1], [leaves[2], hashes[1]]),
    ]

    assert sigstore(checkpoint, key, wrong) == (True, [False] * len(wrong))
    assert sigstore(checkpoint.replace(b"\n3\n", b"\n4\n"), key, []) == (False, [])
    assert sigstore(checkpoint, OTHER._replace(name=key.name), []) == (False, [])


def test_a_log_of_tessera_is_read_by_all_of_us():
    """A foreign log with nothing of ours in it: Go's packages, the oracle, and our tiles agree."""
    key = parse_vkey(vectors.load("tessera/checkpoints.json")["vkey"])
    log = TESSERA / "log"
    entries = split_bundle((log / "tile/entries/000.p/15").read_bytes(), 15)
    made = {}
    tree = HashTiles(lambda tile, data: made.update({tile.path: data}))
    for entry in entries:
        tree.add(leaf_hash(entry))
    tree.finish()

    assert tlogcheck(log, key)
    assert entries[:3] == [b"one", b"two", b"three"]
    assert made == {"tile/0/000.p/15": (log / "tile/0/000.p/15").read_bytes()}
    assert by_the_book.files(entries) == made | {
        "tile/entries/000.p/15": (log / "tile/entries/000.p/15").read_bytes()
    }
