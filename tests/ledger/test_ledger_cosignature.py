from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_witness import ml_dsa_line

from institutional.ledger.cosignature import (
    ED25519,
    MAX_TIME_S,
    ML_DSA_44,
    WitnessKey,
    cosign,
    cosigned_at,
    cosigned_message,
    parse_witness_vkey,
    time_text,
    witness_key,
)
from institutional.ledger.errors import LedgerError, SignatureError, UnknownKeyError
from institutional.ledger.note import (
    Checkpoint,
    Note,
    SigningKey,
    checkpoint_text,
    key_id,
    note_bytes,
    parse_note,
    sign_note,
    to_base64,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "witness"
SPECIFICATION = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGz\
Gku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin\
1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""
LOG = SigningKey("log.example", b"\x01" * 32)
WITNESS = SigningKey("witness.example", b"\x02" * 32)
KEY = witness_key(WITNESS)
TEXT = checkpoint_text(Checkpoint("log.example", 3, b"\x05" * 32))
HEAD = parse_note(sign_note(TEXT, LOG))
ALONE = note_bytes(Note(TEXT, (cosign(TEXT, WITNESS, time_s=1_700_000_000),)))
COSIGNED = Note(TEXT, (*HEAD.signatures, cosign(TEXT, WITNESS, time_s=1_700_000_000)))


def test_a_public_witness_cosigned_a_public_log_with_both_kinds_of_keys_at_one_time():
    note = parse_note((GOLDEN / "navigli.head").read_bytes())
    keys = [parse_witness_vkey(line) for line in (GOLDEN / "navigli.keys").read_text().split()]

    assert [key.kind for key in keys] == [ED25519, ML_DSA_44]
    assert [cosigned_at(note, key) for key in keys] == [1_785_704_691] * 2
    assert time_text(1_785_704_691) == "2026-08-02 21:04:51 UTC"


def test_a_public_witness_s_lines_hold_for_no_other_head():
    note = parse_note((GOLDEN / "navigli.head").read_bytes())
    other = note._replace(text=note.text.replace("185550722", "185550723"))
    for line in (GOLDEN / "navigli.keys").read_text().split():
        with pytest.raises(SignatureError):
            cosigned_at(other, parse_witness_vkey(line))


def test_what_is_signed_is_what_the_specification_shows():
    """The time of its example, 1679315147, is in the eight bytes after the key id."""
    note = parse_note(SPECIFICATION.encode())
    line = note.signatures[1]

    assert line.key_id.hex() == "8d66cf3f"
    assert int.from_bytes(line.signature[:8], "big") == 1_679_315_147
    assert cosigned_message(note.text, KEY, time_s=1_679_315_147) == (
        b"cosignature/v1\n"
        b"time 1679315147\n"
        b"example.com/behind-the-sofa\n"
        b"20852163\n"
        b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    )


def test_what_ml_dsa_signs_is_laid_out_byte_by_byte():
    key = WitnessKey("w", ML_DSA_44, b"")

    assert cosigned_message(TEXT, key, time_s=258) == (
        b"subtree/v1\n\0"
        b"\x01w"
        b"\0\0\0\0\0\0\x01\x02"
        b"\x0blog.example"
        b"\0\0\0\0\0\0\0\0"
        b"\0\0\0\0\0\0\0\x03" + b"\x05" * 32
    )


def test_a_key_id_binds_the_type_so_that_a_log_s_key_is_no_witness_s():
    assert KEY.key_id == key_id("witness.example", b"\x04" + WITNESS.verify_key.public)
    assert KEY.key_id != WITNESS.verify_key.key_id
    assert parse_witness_vkey(KEY.vkey) == KEY


@given(st.integers(1, MAX_TIME_S))
def test_the_time_that_was_signed_is_the_time_that_is_read(time_s):
    line = cosign(TEXT, WITNESS, time_s=time_s)

    assert len(line.signature) == 72
    assert cosigned_at(Note(TEXT, (line,)), KEY) == time_s


def test_a_line_without_a_time_is_read_as_such():
    key, line = ml_dsa_line(TEXT, time_s=0)

    assert cosigned_at(Note(TEXT, (line,)), key) == 0
    assert time_text(0) == "no time"
    assert time_text(MAX_TIME_S) == f"second {MAX_TIME_S}"


@pytest.mark.parametrize("time_s", [0, -1, 2**63])
def test_no_impossible_time_is_signed(time_s):
    with pytest.raises(LedgerError, match="no time"):
        cosign(TEXT, WITNESS, time_s=time_s)


@given(st.integers(0, 8 * len(ALONE) - 1))
def test_no_flipped_bit_is_accepted(bit):
    broken = bytearray(ALONE)
    broken[bit // 8] ^= 1 << bit % 8

    with pytest.raises(LedgerError):
        cosigned_at(parse_note(bytes(broken)), KEY)


@pytest.mark.parametrize("kind", ["ed25519", "ml-dsa"])
@pytest.mark.parametrize(
    "change",
    [
        lambda s: s[:-1],
        lambda s: s + b"\0",
        lambda s: s[:8],
        lambda s: s[:0],
        lambda s: s[1:],
        lambda s: b"\xff" + s[1:],
        lambda s: s[:7] + bytes([s[7] ^ 1]) + s[8:],
        lambda s: s[:8] + bytes(len(s) - 8),
    ],
)
def test_a_line_of_another_length_or_time_is_false(kind, change):
    key, line = (
        ml_dsa_line(TEXT, time_s=7) if kind == "ml-dsa" else (KEY, cosign(TEXT, WITNESS, time_s=7))
    )
    assert cosigned_at(Note(TEXT, (line,)), key) == 7
    broken = line._replace(signature=change(line.signature))

    with pytest.raises(SignatureError, match="though it says so"):
        cosigned_at(Note(TEXT, (broken,)), key)


def test_a_head_that_ml_dsa_cannot_sign_is_false_and_no_other_error():
    key, line = ml_dsa_line(TEXT, time_s=7)
    for text in ("no checkpoint\n", TEXT.replace("log.example", "l" * 256)):
        with pytest.raises(SignatureError):
            cosigned_at(Note(text, (line,)), key)


def test_a_missing_line_is_told_from_a_false_one():
    with pytest.raises(UnknownKeyError, match="not cosigned by witness"):
        cosigned_at(HEAD, KEY)
    renamed = witness_key(SigningKey("other.example", WITNESS.seed))
    with pytest.raises(UnknownKeyError):
        cosigned_at(COSIGNED, renamed)


def typed(kind, length, name="w.example"):
    material = kind + b"\x09" * length
    return f"{name}+{key_id(name, material).hex()}+{to_base64(material)}"


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "w.example",
        WITNESS.verify_key.vkey,  # type 0x01: a note's key, with which a log signs
        typed(b"\x04", 31),
        typed(b"\x04", 33),
        typed(b"\x06", 32),
        typed(b"\x06", 1311),
        typed(b"\x05", 32),
        typed(b"", 0),
        KEY.vkey.replace("witness", "Witness"),
        KEY.vkey + "\n",
        f"w+{key_id('w', ED25519 + bytes(32)).hex()}+{to_base64(ED25519 + bytes(32))}",
    ],
)
def test_a_malformed_or_weak_witness_key_is_refused(vkey):
    with pytest.raises(LedgerError):
        parse_witness_vkey(vkey)


@given(st.text(max_size=60))
def test_any_text_is_a_witness_key_or_the_one_error(text):
    with pytest.raises(LedgerError):
        parse_witness_vkey(text)
