import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from pathlib import Path

import numpy as np
import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError

EXAMPLE = (
    Path(__file__).parents[2] / "runs/example/institutional-divider_forgiving-0000/ledger/log.wal"
)
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

    assert canonical.decode(data) == canonical.encode_and_read(value)[1] == value
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
        canonical.encode_and_read([1e20])


def test_brackets_inside_strings_do_not_count_as_depth():
    value = ['"\\[[[{{{' * 40]

    assert canonical.decode(canonical.encode(value)) == value


ANY_NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
# What might be taken for a number, a key order or an escape that the two encoders spell otherwise.
TRAPS = [
    "1.0,",
    ":-0.0}",
    "[3.0]",
    ",1e5",
    "9e7",
    "e",
    ".0",
    "\U0001f600",
    "\ufb33",
    "\ue000",
    '"',
    "\\",
]
TRAPPED = TEXT | st.sampled_from(TRAPS) | st.lists(st.sampled_from(TRAPS), max_size=3).map("".join)
ANYTHING = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | st.sampled_from([0.0, -0.0, 3.0]) | TRAPPED,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(TRAPPED, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=2000)
@given(ANYTHING)
def test_the_fast_spelling_is_the_reference_spelling(value):
    assert canonical.encode(value) == rfc8785.dumps(value)


@settings(max_examples=1000)
@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text('\x00\x1f\x7f\x80\u2028\ud7ff\ue000"\\/', max_size=9)
)
def test_a_text_alone_is_spelt_as_the_reference_spells_it(text):
    assert canonical.encode_text(text) == rfc8785.dumps(text)


def test_half_a_surrogate_pair_is_no_text():
    with pytest.raises(LedgerError, match="surrogate"):
        canonical.encode_text("\ud800")


@given(ANYTHING, st.data())
def test_a_changed_byte_is_refused_unless_the_reference_would_write_it(value, data):
    stored = bytearray(canonical.encode(value))
    at = data.draw(st.integers(0, len(stored)))
    stored[at : at + data.draw(st.integers(0, 1))] = data.draw(
        st.sampled_from([b"", b" ", b"0", b".0", b"e", b"-", b"1", b",", b"\\u0041", b"\xf0"])
    )
    try:
        read = canonical.decode(bytes(stored))
    except LedgerError:
        return

    assert rfc8785.dumps(read) == stored
    assert repr(read) == repr(json.loads(stored))


@given(ANYTHING)
def test_what_was_encoded_is_returned_as_a_strict_reader_reads_it(value):
    """Or refused, if no strict reader would take it: 1e20 is spelt as a large integer."""
    try:
        data, read = canonical.encode_and_read(value)
    except LedgerError:
        with pytest.raises(LedgerError):
            canonical.decode(canonical.encode(value))
        return

    assert data == rfc8785.dumps(value)
    assert repr(read) == repr(json.loads(data))


def test_a_hundred_thousand_doubles_of_every_size_are_spelt_like_the_reference():
    bits = np.random.default_rng(8785).integers(0, 2**64, 100_000, dtype=np.uint64)
    doubles = bits.view(np.float64)
    for value in doubles[np.isfinite(doubles)].tolist():
        assert canonical.encode([value]) == rfc8785.dumps([value])


@pytest.fixture
def no_reference(monkeypatch):
    def refuse(_):
        raise AssertionError("the slow reference was asked")

    reference = rfc8785.dumps
    monkeypatch.setattr(rfc8785, "dumps", refuse)
    return reference


def test_a_million_ordinary_doubles_are_spelt_like_the_reference_without_asking_it(no_reference):
    """Between 1e-5 and 1e15 in size, every third rounded to three places and so often whole."""
    draws = np.random.default_rng(1)
    sizes = 10.0 ** draws.uniform(-5, 15, (1000, 1000))
    sizes[::3] = np.round(sizes[::3], 3)
    for values in np.copysign(sizes, draws.standard_normal((1000, 1000))).tolist():
        ordinary = [value or 0.0 for value in values]  # a negative zero is not ordinary
        assert canonical.encode(ordinary) == no_reference(ordinary)


@pytest.mark.usefixtures("no_reference")
def test_the_entries_of_a_recorded_run_never_need_the_slow_reference():
    """Digests, fractions, whole numbers and text."""
    entries = [line for line in EXAMPLE.read_bytes().split(b"\n") if line.startswith(b"{")]
    values = [json.loads(entry) for entry in entries]

    assert [canonical.encode(value) for value in values] == entries
    assert [canonical.decode(entry) for entry in entries] == values
    assert len(entries) == 42


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int = 1


@pytest.mark.parametrize(
    "value",
    [
        uuid.UUID(int=1),
        Colour.RED,
        Colour.BLUE,
        Point(),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.date(2026, 1, 2),
        dt.time(1, 2),
        decimal.Decimal(1),
        np.int64(1),
        np.array([1.0]),
        orjson.Fragment(b"1"),
        float("nan"),
        float("-inf"),
        {Colour.BLUE: 1},
    ],
)
def test_what_the_fast_encoder_knows_and_json_does_not_is_refused(value):
    for holder in (value, [value], {"a": {"b": value}}):
        with pytest.raises(LedgerError, match="canonical JSON"):
            canonical.encode(holder)
