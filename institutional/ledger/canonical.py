"""Canonical JSON: one value, one spelling, so that hashing bytes is hashing content.

RFC 8785 (JCS). What is stored is hashed as stored and never written anew for hashing; a reader
accepts only bytes that equal their own canonical encoding. The profile is narrower than JSON:
integers stay within 2**53 - 1, and nesting within `MAX_DEPTH`.
"""

import json
import re
from typing import Any

import rfc8785

from institutional.ledger.errors import LedgerError

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64


def encode(value: Any) -> bytes:
    """Return the canonical bytes of `value`, which holds only what JSON knows.

    Raises LedgerError for NaN, infinities, large integers, lone surrogates and foreign types.
    """
    try:
        return _spelt(value)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"cannot be written as canonical JSON: {error}") from error


def decode_own(data: bytes) -> Any:
    """Return the value of bytes that `encode` has just returned, without checking their spelling.

    The profile is still enforced: the float 1e20 is spelt as an integer beyond 2**53 - 1, which no
    strict reader would take back.
    """
    if _deeper_than_allowed(data):
        raise LedgerError(f"cannot be recorded: nested deeper than {MAX_DEPTH} levels")
    # The decoder that looks at every integer is several times as slow; few texts hold a long one.
    text = data.decode()
    return _OWN.decode(text) if _LONG_NUMBER.search(text) else json.loads(text)


def decode(data: bytes) -> Any:
    """Return the value of `data`, which must be canonical; raises LedgerError for anything else.

    Refused: duplicate keys, NaN and infinities, integers beyond 2**53 - 1, lone surrogates, a byte
    order mark, deep nesting, white space, and every other spelling but the canonical one.
    """
    if _deeper_than_allowed(data):
        raise LedgerError(f"not canonical JSON: nested deeper than {MAX_DEPTH} levels")
    try:
        value = _STRICT.decode(data.decode("utf-8"))
        again = _spelt(value)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"not canonical JSON: {error}") from error
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), None)
        at = min(len(again), len(data)) if at is None else at
        raise LedgerError(f"not canonical JSON: spelt differently from byte {at} on")
    return value


def _spelt(value: Any) -> bytes:
    """Return the RFC 8785 spelling of `value`.

    Most of what is recorded lies where the standard library's encoder agrees with RFC 8785 (ASCII
    keys, numbers that neither spells with an exponent) and is several times as fast; the rest goes
    to the reference. A property test holds the two together.
    """
    try:
        simple = _simple(value)
    except _NotSimpleError:
        return rfc8785.dumps(value)
    return _ENCODER.encode(simple).encode()


class _NotSimpleError(Exception):
    """A value on whose spelling the two encoders might differ."""


def _simple(value: Any) -> Any:
    """Return `value` with whole floats as integers; raises _NotSimpleError outside the profile."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is float:
        if value.is_integer() and -MAX_INTEGER <= value <= MAX_INTEGER:
            return int(value)
        if 1e-4 <= abs(value) < 1e15:
            return value
    elif kind is int:
        if -MAX_INTEGER <= value <= MAX_INTEGER:
            return value
    elif kind is list or kind is tuple:
        return [_simple(entry) for entry in value]
    elif kind is dict and all(type(key) is str and key.isascii() for key in value):
        return {key: _simple(entry) for key, entry in value.items()}
    raise _NotSimpleError


def _deeper_than_allowed(data: bytes) -> bool:
    """Whether brackets outside of strings nest deeper than `MAX_DEPTH`.

    Counted on the bytes, before any parser recurses; few values hold enough brackets to look.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            in_string = escaped or byte != ord('"')
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            in_string = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in b"]}":
            depth -= 1
    return False


def _integer(text: str) -> int:
    # Sixteen digits hold 2**53 - 1; longer texts are not even converted.
    if len(text.lstrip("-")) > 16 or abs(int(text)) > MAX_INTEGER:
        raise LedgerError(f"not canonical JSON: the integer {text[:24]} is beyond 2**53 - 1")
    return int(text)


def _no_constant(text: str) -> Any:
    raise LedgerError(f"not canonical JSON: {text} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise LedgerError("not canonical JSON: a key occurs twice in one object")
    return found


_LONG_NUMBER = re.compile(r"(?<![.0-9])[0-9]{16}")
_OWN = json.JSONDecoder(parse_int=_integer)
_STRICT = json.JSONDecoder(
    parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_unique
)
_ENCODER = json.JSONEncoder(
    ensure_ascii=False,
    check_circular=False,
    allow_nan=False,
    sort_keys=True,
    separators=(",", ":"),
)
