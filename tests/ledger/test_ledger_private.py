"""Commitments: what they hide, what they bind, and how they are spelt."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.private.commitment import (
    MARK,
    MAX_ITEM_BYTES,
    Item,
    Private,
    commitment,
    commitments,
    item_bytes,
    parse_item,
    sealed,
)

KEY = bytes(range(32))
OTHER = bytes(32)
ITEM = Item("small", 3, "/said/firm.1", "yes", KEY)
# What a strict reader takes back: no integer beyond 2**53 - 1 and no float spelt like one.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15, allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
)
KEYS = st.text(st.characters(codec="utf-8")).filter(lambda key: key != "hmac-sha256")
VALUES = st.recursive(SCALARS, lambda v: st.lists(v) | st.dictionaries(KEYS, v), max_leaves=10)


def test_a_commitment_is_the_hmac_of_the_canonical_bytes():
    """RFC 2104 written out: H(key ^ 5c.. || H(key ^ 36.. || message))."""
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in KEY + bytes(32)) + b'{"a":1,"b":"x"}').digest()
    outer = hashlib.sha256(bytes(b ^ 0x5C for b in KEY + bytes(32)) + inner).hexdigest()

    assert commitment({"b": "x", "a": 1}, KEY) == outer


def test_equal_values_look_different_and_a_guess_needs_the_key():
    guesses = ["yes", "no"]
    first, second = commitment("yes", KEY), commitment("yes", OTHER)

    assert first != second
    assert not {first, second} & {hashlib.sha256(canonical.encode(g)).hexdigest() for g in guesses}
    assert not {first, second} & {commitment(g, hashlib.sha256(b"").digest()) for g in guesses}


def test_the_length_of_a_value_does_not_show():
    short, long = ({"said": Private(value)} for value in ("no", "yes, whatever it costs" * 99))

    def spelt(body):
        return canonical.encode(sealed(body, lambda _, value: commitment(value, KEY)))

    assert len(spelt(short)) == len(spelt(long))


@pytest.mark.parametrize("key", [b"", KEY[:31], KEY + b"\0"])
def test_a_key_of_another_length_is_refused_because_it_would_not_bind(key):
    """HMAC pads short keys with zeros: a key of 31 bytes opens what it opens with a zero added."""
    padded = hmac.new(KEY[:31], b'"x"', hashlib.sha256).digest()
    assert padded == hmac.new(KEY[:31] + b"\0", b'"x"', hashlib.sha256).digest()

    with pytest.raises(LedgerError, match="32 are needed"):
        commitment("x", key)


@given(VALUES, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_commitment_opens_with_its_own_value_and_key_only(value, key, other):
    committed = commitment(value, key)

    assert commitment(value, key) == committed
    assert commitment([value], key) != committed
    assert (commitment(value, other) == committed) == (key == other)


@given(VALUES, VALUES)
def test_every_private_value_is_found_again_at_its_place(public, private):
    body = {"public": public, "a/b": [Private(private), {"~": Private(public)}]}

    read = canonical.decode(canonical.encode(sealed(body, lambda _, v: commitment(v, KEY))))

    assert dict(commitments(read)) == {
        "/a~1b/0": commitment(private, KEY),
        "/a~1b/1/~0": commitment(public, KEY),
    }
    assert MARK in canonical.encode(read)


@given(VALUES)
def test_a_body_without_private_values_is_recorded_as_it_is(value):
    assert canonical.encode(sealed(value, commitment)) == canonical.encode(value)
    assert MARK not in canonical.encode(value)


@pytest.mark.parametrize(
    "value",
    [
        {"hmac-sha256": "0" * 63},
        {"hmac-sha256": "0" * 65},
        {"hmac-sha256": "A" * 64},
        {"hmac-sha256": "0" * 63 + "\n"},
        {"hmac-sha256": "٠" * 64},
        {"hmac-sha256": 0},
        {"hmac-sha256": None},
        {"hmac-sha256": "0" * 64, "bytes": 3},
    ],
)
def test_the_reserved_key_held_in_another_way_is_refused(value):
    with pytest.raises(LedgerError, match="not a commitment at '/said/0'"):
        list(commitments({"said": [value]}))


def test_a_public_value_cannot_pass_for_a_commitment():
    with pytest.raises(LedgerError, match="reserved"):
        sealed({"said": [{"hmac-sha256": "0" * 64}]}, commitment)


def test_a_private_value_is_not_shown_by_accident():
    assert "secret" not in repr(Private("secret"))
    with pytest.raises(LedgerError):
        canonical.encode({"said": Private("secret")})


@given(VALUES, st.text(st.characters(codec="utf-8")), st.integers(0, 2**53 - 1))
def test_an_item_reads_back_and_has_one_spelling(value, path, seq):
    item = Item("small", seq, path, value, KEY)
    data = item_bytes(item)

    assert item_bytes(parse_item(data)) == data
    assert parse_item(data).commitment == item.commitment


@given(st.binary(max_size=300) | st.builds(lambda v: canonical.encode(v) + b"\n", VALUES))
def test_any_other_bytes_are_an_error_and_never_a_crash(data):
    with pytest.raises(LedgerError):
        parse_item(data)


FIELDS = {"v": 1, "run": "small", "seq": 3, "path": "/x", "key": KEY.hex(), "value": None}


def test_a_value_may_be_null_but_not_absent():
    assert parse_item(canonical.encode(FIELDS) + b"\n").value is None
    del (absent := dict(FIELDS))["value"]
    with pytest.raises(LedgerError):
        parse_item(canonical.encode(absent) + b"\n")


@pytest.mark.parametrize(
    "change",
    [
        {"seq": -1},
        {"seq": True},
        {"seq": 1.5},
        {"run": 1},
        {"path": None},
        {"key": KEY.hex().upper()},
        {"key": KEY.hex()[:62]},
        {"key": KEY.hex() + "\n"},
        {"more": 1},
        {"v": True},
        {"v": "1"},
    ],
)
def test_an_item_of_another_shape_is_refused(change):
    with pytest.raises(LedgerError):
        parse_item(canonical.encode(FIELDS | change) + b"\n")


def test_a_later_version_of_an_item_is_unknown_rather_than_broken():
    with pytest.raises(UnknownVersionError):
        parse_item(canonical.encode(FIELDS | {"v": 2}) + b"\n")


def test_an_error_about_an_item_does_not_repeat_its_value():
    data = canonical.encode(FIELDS).replace(b'"value":null', b'"value":12345678901234567890')
    with pytest.raises(LedgerError) as refused:
        parse_item(data + b"\n")

    assert "1234567" not in str(refused.value)


def test_an_item_of_the_largest_size_is_kept_and_one_byte_more_is_refused():
    spare = MAX_ITEM_BYTES - len(item_bytes(ITEM._replace(value="")))

    assert len(item_bytes(ITEM._replace(value="x" * spare))) == MAX_ITEM_BYTES
    with pytest.raises(LedgerError, match=f"{MAX_ITEM_BYTES} are allowed"):
        item_bytes(ITEM._replace(value="x" * (spare + 1)))


@pytest.mark.parametrize("value", [1e20, float("nan"), {1: 2}, {2}, "\ud800"])
def test_what_could_not_be_read_back_is_refused_when_it_is_written(value):
    with pytest.raises(LedgerError):
        item_bytes(ITEM._replace(value=value))
