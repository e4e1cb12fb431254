import json

import numpy as np
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("4340000000000001", "9007199254740994"),
        ("4430000000000000", "295147905179352830000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
    ],
)
def test_numbers_are_spelt_as_rfc_8785_appendix_b_spells_them(bits, text):
    assert canonical.encode(memoryview(bytes.fromhex(bits)[::-1]).cast("d")[0]) == text.encode()


def test_keys_are_sorted_by_their_utf_16_units():
    """RFC 8785 section 3.2.3: the emoji (D83D...) sorts before U+FB33, though it is larger."""
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}

    assert [v for _, v in json.loads(canonical.encode(value), object_pairs_hook=list)] == [
        2, 4, 6, 7, 1, 5, 3,
    ]  # fmt: skip


@given(VALUES)
def test_what_is_encoded_is_read_back_the_same_by_both_readers(value):
    data = canonical.encode(value)

    assert canonical.decode(data) == canonical.decode_own(data) == value
    assert canonical.encode(canonical.decode(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"9007199254740992",
        b"-9007199254740992",
        b"1" * 5000,
        b"1e999",
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"{} ",
        b" {}",
        b"{ }",
        b"{}\n",
        b"",
        b"1.0",
        b"1e0",
        b"-0",
        b"0.10",
        b"1e-07",
        b'"\\u0041"',
        b'"\\u000A"',
        b'"\\/"',
        b'"\\ud83d\\ude00"',
        b'{"b":1,"a":2}',
        b"[1,]",
        b"01",
        b"True",
        b"[" * 65 + b"]" * 65,
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
def test_any_other_spelling_is_refused(data):
    with pytest.raises(LedgerError):
        canonical.decode(data)


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_refused_or_are_canonical(data):
    try:
        value = canonical.decode(data)
    except LedgerError:
        return
    assert canonical.encode(value) == data


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, "\ud800", {1: 2}, {"\ud800": 1}, b"", object()]
)
def test_what_json_cannot_hold_is_not_encoded(value):
    with pytest.raises(LedgerError, match="canonical JSON"):
        canonical.encode(value)


def test_a_float_that_is_spelt_as_a_large_integer_is_refused_at_writing():
    """1e20 becomes 100000000000000000000, which no strict reader takes for an integer."""
    with pytest.raises(LedgerError, match="beyond 2\\*\\*53"):
        canonical.decode_own(canonical.encode([1e20]))


def test_brackets_inside_strings_do_not_count_as_depth():
    value = ['"\\[[[{{{' * 40]

    assert canonical.decode(canonical.encode(value)) == value


ANY_NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.recursive(
        st.none() | st.booleans() | ANY_NUMBER | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=12,
    )
)
def test_the_fast_spelling_is_the_reference_spelling(value):
    assert canonical.encode(value) == rfc8785.dumps(value)


def test_a_hundred_thousand_doubles_are_spelt_like_the_reference():
    """Mantissas and exponents of every size, from a fixed seed."""
    bits = np.random.default_rng(8785).integers(0, 2**64, 100_000, dtype=np.uint64)
    doubles = bits.view(np.float64)
    near_one = np.random.default_rng(1).standard_normal(100_000) * 10.0 ** (np.arange(100_000) % 20)
    for value in [*doubles[np.isfinite(doubles)].tolist(), *near_one.tolist()]:
        assert canonical.encode([value]) == rfc8785.dumps([value])
