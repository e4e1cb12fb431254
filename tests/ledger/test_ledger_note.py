import pytest
from hypothesis import given
from hypothesis import strategies as st

from institutional.ledger.errors import LedgerError, SignatureError, UnknownKeyError
from institutional.ledger.note import (
    ED25519,
    MAX_NOTE_BYTES,
    Checkpoint,
    SigningKey,
    checkpoint_text,
    from_base64,
    key_id,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    sign_checkpoint,
    sign_note,
    to_base64,
)

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfq"
    "dngotpRZb6KE6RyyBwJnAM=\n"
).encode()
ALICE = SigningKey("alice.example/log", b"\x01" * 32)
BOB = SigningKey("bob.example/log", b"\x02" * 32)
ROOT = b"\x05" * 32


def test_the_example_of_the_signed_note_specification_verifies():
    assert open_note(NOTE, parse_vkey(VKEY)) == TEXT


def test_a_vkey_is_written_as_it_was_read():
    assert parse_vkey(VKEY).vkey == VKEY


@given(st.integers(0, len(NOTE) * 8 - 1))
def test_no_flipped_bit_of_the_example_is_accepted(bit):
    broken = bytearray(NOTE)
    broken[bit // 8] ^= 1 << bit % 8

    with pytest.raises(LedgerError):
        open_note(bytes(broken), parse_vkey(VKEY))


@given(st.integers(0, len(NOTE) - 1), st.sampled_from([b"\0", b"\n", b" ", b"=", b"a", b"\r"]))
def test_no_inserted_byte_is_accepted(at, byte):
    with pytest.raises(LedgerError):
        open_note(NOTE[:at] + byte + NOTE[at:], parse_vkey(VKEY))


def test_signing_is_deterministic_and_other_signers_are_ignored():
    note = sign_note("a text\n", ALICE, BOB)

    assert note == sign_note("a text\n", ALICE, BOB)
    assert open_note(note, ALICE.verify_key) == open_note(note, BOB.verify_key) == "a text\n"


def test_an_unknown_signer_is_told_from_a_false_signature():
    note = sign_note("a text\n", ALICE)

    with pytest.raises(UnknownKeyError, match="not by bob"):
        open_note(note, BOB.verify_key)
    with pytest.raises(SignatureError, match="though it says so"):
        open_note(note.replace(b"a text", b"b text"), ALICE.verify_key)


def test_the_same_key_under_another_name_is_another_key():
    renamed = SigningKey("carol.example/log", ALICE.seed)

    with pytest.raises(UnknownKeyError):
        open_note(sign_note("a text\n", ALICE), renamed.verify_key)


def test_one_key_signs_a_note_once():
    note = sign_note("a text\n", ALICE)

    with pytest.raises(LedgerError, match="twice"):
        parse_note(note + note.split(b"\n")[-2] + b"\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\n\n",
        b"text\n\n- alice AAAAAAA=\n",
        "text\n\n— alice AAAAAAA=".encode(),
        "text\n\n— alice AAAAAAAA\n".encode()[:-1],
        "text\n\n— alice AAAA\n".encode(),
        "text\n\n— alice AAAAAAB=\n".encode(),
        "text\n\n— alice AAAAAAA\n".encode(),
        "text\n\n— alice  AAAAAAA=\n".encode(),
        "text\n\n— al+ce AAAAAAA=\n".encode(),
        "text\n\n—  AAAAAAA=\n".encode(),
        "te\tt\n\n— alice AAAAAAA=\n".encode(),
        "text\r\n\n— alice AAAAAAA=\n".encode(),
        "text\n\n— alice AAAAAAA=\njunk\n".encode(),
        b"\xff\n\n" + "— alice AAAAAAA=\n".encode(),
        b"a" * (MAX_NOTE_BYTES + 1),
    ],
)
def test_a_malformed_note_is_refused(data):
    with pytest.raises(LedgerError):
        parse_note(data)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda t: t.encode(errors="replace")))
def test_the_note_parser_returns_or_raises_its_one_error(data):
    for junk in (data, data + b"\n\n" + "— alice AAAAAAA=\n".encode()):
        try:
            note = parse_note(junk)
        except LedgerError:
            continue
        lines = [f"— {s.name} {to_base64(s.key_id + s.signature)}\n" for s in note.signatures]
        assert (note.text + "\n" + "".join(lines)).encode() == junk


@pytest.mark.parametrize("spelling", ["AAAAAAB=", "AAAA AAA=", "AAAAAAA", "AAAAAB==", "AAA-", "é"])
def test_base64_has_one_spelling(spelling):
    with pytest.raises(LedgerError):
        from_base64(spelling)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice",
        VKEY + " ",
        VKEY + "\n",
        VKEY.replace("c74f", "C74F"),
        VKEY.replace("c74f", "c74e"),
        VKEY.replace("Peter", "Paul"),
        VKEY[:-1] + "X",
        VKEY.replace("+c74f20a3", "+c74f20a"),
        "x+" + key_id("x", b"\x02" + b"k" * 32).hex() + "+" + to_base64(b"\x02" + b"k" * 32),
        "x+" + key_id("x", b"\x01" + b"k" * 31).hex() + "+" + to_base64(b"\x01" + b"k" * 31),
    ],
)
def test_a_malformed_vkey_is_refused(text):
    with pytest.raises(LedgerError):
        parse_vkey(text)


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def times_eight_is_neutral(y):
    """Double the point of this y three times on the curve -x2 + y2 = 1 + d x2 y2."""
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    for _ in range(3):
        # After doubling: y' = (y2 + x2) / (1 - d x2 y2), and x'2 from the curve again.
        y2 = y * y % P
        y = (y2 + x2) * pow(1 - D * x2 * y2, -1, P) % P
        x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    return y == 1


def test_every_key_of_low_order_is_refused_in_every_spelling():
    """Eight points; y below 2**255 may also be spelt plus P, and x may carry either sign."""
    octic = [
        int.from_bytes(bytes.fromhex(text), "little")
        for text in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        )
    ]
    for y in [0, 1, P - 1, P, P + 1, *octic]:
        assert times_eight_is_neutral(y % P)
        for sign in (0, 1 << 255):
            typed = ED25519 + (y | sign).to_bytes(32, "little")
            with pytest.raises(LedgerError, match=r"low order|one spelling"):
                parse_vkey(f"x+{key_id('x', typed).hex()}+{to_base64(typed)}")
    ordinary = int.from_bytes(ALICE.verify_key.public, "little") & (2**255 - 1)
    assert not times_eight_is_neutral(ordinary)


def test_a_checkpoint_is_read_as_it_was_written():
    checkpoint = Checkpoint("alice.example/log", 42, ROOT)

    text = checkpoint_text(checkpoint)

    assert text == f"alice.example/log\n42\n{to_base64(ROOT)}\n"
    assert parse_checkpoint(text) == checkpoint
    assert open_checkpoint(sign_note(text, ALICE), ALICE.verify_key) == checkpoint
    assert sign_checkpoint(checkpoint, ALICE) == sign_note(text, ALICE)


@pytest.mark.parametrize("size", ["", "042", "+42", "-1", " 42", "4_2", "٤٢", "1e3", "9" * 20])
def test_a_size_has_one_spelling(size):
    with pytest.raises(LedgerError, match="size"):
        parse_checkpoint(f"alice\n{size}\n{to_base64(ROOT)}\n")


@pytest.mark.parametrize(
    "text",
    [
        f"alice\n1\n{to_base64(ROOT)}\nextension\n",
        f"alice\n1\n{to_base64(ROOT)}",
        f"alice\n1\n{to_base64(ROOT[:31])}\n",
        f"\n1\n{to_base64(ROOT)}\n",
        "alice\n1\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text):
    with pytest.raises(LedgerError):
        parse_checkpoint(text)


def test_a_checkpoint_of_another_origin_is_refused():
    note = sign_note(checkpoint_text(Checkpoint("bob.example/log", 1, ROOT)), ALICE)

    with pytest.raises(LedgerError, match="not of 'alice"):
        open_checkpoint(note, ALICE.verify_key)


def test_a_signing_key_does_not_print_its_secret():
    assert repr(b"\x01" * 32) not in f"{ALICE} {ALICE!r}"
