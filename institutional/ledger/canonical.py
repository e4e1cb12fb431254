"""Canonical JSON: one value, one spelling, so that hashing bytes is hashing content.

RFC 8785 (JCS). What is stored is hashed as stored and never written anew for hashing; a reader
accepts only bytes that equal their own canonical encoding. The profile is narrower than JSON:
integers stay within 2**53 - 1, and nesting within `MAX_DEPTH`.

Two encoders: `rfc8785` is the reference, and `orjson` does the work wherever it cannot differ from
it, some ten times as fast. It differs in whole floats (3.0), in exponents and in the order of keys
beyond the Basic Multilingual Plane, and it writes types that JSON does not know (UUID, enum) or
null for NaN. So nothing that it writes is taken unless reading it gives the value back and its
text shows none of these. A property test holds the two together.
"""

import json
import re
from typing import Any

import orjson
import rfc8785

from institutional.ledger.errors import LedgerError

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 64


def encode(value: Any) -> bytes:
    """Return the canonical bytes of `value`, which holds only what JSON knows.

    Raises LedgerError for NaN, infinities, large integers, lone surrogates and foreign types.
    """
    try:
        return _fast_encoded(value)[0]
    except (ValueError, TypeError):
        return _reference(value)


def encode_text(text: str) -> bytes:
    """Return the canonical bytes of a text alone, on which both encoders always agree.

    Raises LedgerError for a lone surrogate.
    """
    try:
        return orjson.dumps(text)
    except TypeError as error:
        raise LedgerError(f"cannot be written as canonical JSON: {error}") from error


def encode_and_read(value: Any) -> tuple[bytes, Any]:
    """Return the canonical bytes of `value` and what a strict reader makes of them.

    Raises LedgerError as `encode` does, and for what no strict reader takes back: deep nesting, and
    floats like 1e20, which is spelt as an integer beyond 2**53 - 1.
    """
    try:
        data, read = _fast_encoded(value)
    except (ValueError, TypeError):
        data = _reference(value)
        return data, decode(data)
    _check_depth(data)
    return data, read


def decode(data: bytes) -> Any:
    """Return the value of `data`, which must be canonical; raises LedgerError for anything else.

    Refused: duplicate keys, NaN and infinities, integers beyond 2**53 - 1, lone surrogates, a byte
    order mark, deep nesting, white space, and every other spelling but the canonical one.
    """
    _check_depth(data)
    try:
        return _fast_decoded(data)
    except (ValueError, TypeError):
        pass
    try:
        value = _STRICT.decode(data.decode("utf-8"))
        again = rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"not canonical JSON: {error}") from error
    if again != data:
        at = next((i for i, (a, b) in enumerate(zip(again, data, strict=False)) if a != b), None)
        at = min(len(again), len(data)) if at is None else at
        raise LedgerError(f"not canonical JSON: spelt differently from byte {at} on")
    return value


def _reference(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"cannot be written as canonical JSON: {error}") from error


def _fast_encoded(value: Any) -> tuple[bytes, Any]:
    """Return the canonical bytes of `value`, and the value that they hold, if orjson can tell.

    Raises ValueError or TypeError otherwise.
    """
    data = orjson.dumps(value, option=_PLAIN)
    if _WHOLE_FLOAT.search(data):
        # This may hurt a string that holds "1.0,": then it does not read back as `value`.
        data = data.replace(b".0,", b",").replace(b".0]", b"]").replace(b".0}", b"}")
    read = _fast_decoded(data)
    if read != value:
        raise ValueError
    return data, read


def _fast_decoded(data: bytes) -> Any:
    """Return the value of `data` if it is canonical and orjson can tell.

    Raises ValueError or TypeError when it is not, or when only the reference can tell. Numbers
    without an exponent and without a fraction of zero are spelt by both in the same, shortest,
    digits; a duplicate key, an escape or a sign too many does not survive being written again.
    """
    value = orjson.loads(data)
    if (
        orjson.dumps(value, option=_PLAIN) != data
        or _WHOLE_FLOAT.search(data)
        or (_DIGIT_E.search(data) and _EXPONENT.search(data))
        or not (data.isascii() or _keys_sort_alike(data))
    ):
        raise ValueError
    return value


def _check_depth(data: bytes) -> None:
    if _deeper_than_allowed(data):
        raise LedgerError(f"not canonical JSON: nested deeper than {MAX_DEPTH} levels")


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


def _keys_sort_alike(data: bytes) -> bool:
    """Whether no two keys in `data` can sort by UTF-8 otherwise than by UTF-16.

    For that one must hold a character beyond U+FFFF and another one of U+E000 to U+FFFF.
    """
    return not (_BEYOND_BMP.search(data) and _END_OF_BMP.search(data))


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


# The first two begin with a letter that the search can leap to; the third is ten times as slow, and
# asked only where the second found something: an exponent, or a digest in hex.
_WHOLE_FLOAT = re.compile(rb"\.0(?![0-9])")
_DIGIT_E = re.compile(rb"e(?<=[0-9]e)[-+0-9]")
_EXPONENT = re.compile(rb"(?:\A|[\[,:])-?[0-9.]+e")
_BEYOND_BMP = re.compile(rb"[\xf0-\xf4]")
_END_OF_BMP = re.compile(rb"[\xee\xef]")
_STRICT = json.JSONDecoder(
    parse_int=_integer, parse_constant=_no_constant, object_pairs_hook=_unique
)
_PLAIN = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
