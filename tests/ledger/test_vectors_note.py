"""Our notes, checkpoints and envelopes against the examples in their specifications."""

import json

import pytest
import vectors

from institutional.ledger.errors import LedgerError, UnknownKeyError
from institutional.ledger.manifest import pae, parse_envelope
from institutional.ledger.note import (
    Checkpoint,
    checkpoint_text,
    from_base64,
    open_note,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    to_base64,
)

C2SP = vectors.load("c2sp/notes.json")
POEM, EXAMPLE = C2SP["signed-note"]
(HEAD,) = C2SP["tlog-checkpoint"]
(COSIGNED,) = C2SP["tlog-cosignature"]
DSSE = vectors.load("dsse/pae.json")


def test_the_specification_s_key_verifies_the_specification_s_note():
    key = parse_vkey(C2SP["vkey"])

    assert key.vkey == C2SP["vkey"]
    assert open_note(EXAMPLE.encode(), key) == "This is an example message.\n"
    with pytest.raises(UnknownKeyError):
        open_note(POEM.encode(), key)


@pytest.mark.parametrize("text", [POEM, EXAMPLE, HEAD, COSIGNED])
def test_every_example_is_read_and_written_back(text):
    note = parse_note(text.encode())

    lines = [f"— {s.name} {to_base64(s.key_id + s.signature)}\n" for s in note.signatures]
    assert note.text + "\n" + "".join(lines) == text


def test_an_empty_line_may_stand_in_a_note_s_text():
    assert parse_note(POEM.encode()).text.split("\n")[2:] == ["", "ed è subito sera.", ""]


@pytest.mark.parametrize("text", [HEAD, COSIGNED])
def test_the_checkpoint_of_the_specifications_is_read_and_written_back(text):
    body = parse_note(text.encode()).text
    checkpoint = parse_checkpoint(body)

    root = from_base64("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    assert checkpoint == Checkpoint("example.com/behind-the-sofa", 20_852_163, root)
    assert checkpoint_text(checkpoint) == body


def test_a_cosignature_is_eight_bytes_longer_than_a_log_s_signature():
    """A type 0x04 line holds a time before the signature; here the time is 0x6418_50cb."""
    log, witness = parse_note(COSIGNED.encode()).signatures

    assert (len(log.signature), len(witness.signature)) == (64, 72)
    assert int.from_bytes(witness.signature[:8]) == 0x641850CB


def test_dsse_s_own_example_has_our_pre_authentication_encoding():
    assert pae(DSSE["type"], DSSE["body"].encode()) == DSSE["pae"].encode()


def test_dsse_s_own_envelope_is_refused_for_its_spelling_and_its_missing_key_id():
    """By design: a manifest is stored in canonical JSON, and names its signer."""
    with pytest.raises(LedgerError, match="spelt differently from byte"):
        parse_envelope(DSSE["envelope"].encode() + b"\n")
    compact = json.dumps(json.loads(DSSE["envelope"]), separators=(",", ":"), sort_keys=True)
    with pytest.raises(LedgerError, match="exactly one signature"):
        parse_envelope(compact.encode() + b"\n")
