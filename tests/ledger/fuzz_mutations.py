"""Ways to spoil an input: at its bytes, at its lines, and at the values of its JSON.

Each takes bytes and a source of randomness and returns other bytes. The suite draws the randomness
from Hypothesis, so that a failure shrinks; `make fuzz` from the coverage-guided fuzzer.
"""

import json
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]

# What parsers have stumbled over: other spellings of numbers, spaces, dashes, keys and base64.
TOKENS = [
    *(b"", b"\0", b"\n", b"\n\n", b"\r", b" ", b"\t", b"=", b"==", b"+", b"-", b"A", b"_", b"/"),
    *(b"0", b"00", b"-0", b"+1", b"1_0", b"1.0", b"1e3", b"9007199254740992", b"9" * 20, b"NaN"),
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0041", b"\\ud800", b"null", b",", b":", b"true"),
    *(b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\xc2\xa0", b"\xe2\x80\x94 ", b"\xe2\x80\xa8"),
    *("\u0660".encode(), "\u212a".encode(), "é".encode(), "e\u0301".encode(), b"[" * 70),
    *(b"log ", b"witness ", b"group ", b"quorum none", b"any", b"all", b"#", b"PRIVATE+KEY+"),
    *(b"AQ==", b"AR==", b"AAAA", b"+00000000+", b"open", b"close", b"rotate"),
]
VALUES = [None, True, False, 0, 1, -1, 2**53 - 1, 1.5, 1e-7, "", "é", "open", "a" * 300, [], {}]


def edit_bytes(data: bytes, random: Random) -> bytes:
    """Flip a bit, or replace some bytes by other ones, by a copy of others here, or by a token."""
    if not data or random.random() < 0.3:
        at = random.randint(0, len(data))
        return data[:at] + random.choice(TOKENS) + data[at:]
    start = random.randrange(len(data))
    stop = min(len(data), start + random.choice([1, 1, 1, 4, 16, len(data)]))
    match random.randrange(5):
        case 0:
            return (
                data[:start] + bytes([data[start] ^ 1 << random.randrange(8)]) + data[start + 1 :]
            )
        case 1:
            return data[:start] + data[stop:]
        case 2:
            return data[:stop] + data[start:]
        case 3:
            return data[:start] + random.choice(TOKENS) + data[stop:]
        case _:
            return data[:start] + random.randbytes(random.randrange(9)) + data[stop:]


def edit_lines(data: bytes, random: Random) -> bytes:
    """Drop, repeat or swap lines, or the words of a line."""
    lines = data.split(b"\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            words = lines[at].split(b" ")
            words.insert(random.randrange(len(words) + 1), random.choice([*words, *TOKENS]))
            lines[at] = b" ".join(words)
        case _:
            words = lines[at].split(b" ")
            words[random.randrange(len(words))] = random.choice([*lines[other].split(b" "), b"-"])
            lines[at] = b" ".join(words)
    return b"\n".join(lines)


def edit_json(data: bytes, random: Random) -> bytes:
    """Change a value somewhere inside of a JSON line, and spell it canonically or not quite."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    try:
        value = json.loads(lines[at])
    except (ValueError, RecursionError):
        return edit_bytes(data, random)
    value = _edit_value(value, random)
    lines[at] = json.dumps(
        value,
        separators=(",", ":") if random.random() < 0.95 else None,
        sort_keys=random.random() < 0.95,
        ensure_ascii=random.random() < 0.05,
    ).encode(errors="surrogatepass")
    return b"\n".join(lines)


def _edit_value(value, random):
    """Return `value` with something in it replaced, added, dropped or repeated."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return random.choice([*VALUES, [value], {"a": value}])
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    name = random.choice(names)
    match random.randrange(6):
        case 0:
            del value[name]
        case 1 if isinstance(value, list):
            value.insert(random.randrange(len(value) + 1), value[name])
        case 1:
            value[random.choice(["a", "v", "seq", "é", name + "x"])] = value[name]
        case 2 if isinstance(value, list):
            random.shuffle(value)
        case 2:
            other = random.choice(names)
            value[name], value[other] = value[other], value[name]
        case _:
            value[name] = _edit_value(value[name], random)
    return value
