"""Text that is not ours, made harmless: it can be read in a prompt but imitate nothing of it.

A prompt's sections are lines of their own, its roles are special tokens of a model. Foreign text
gets no line of its own (`quoted`) or only marked ones (`cited`), and no character of it can start a
special token, hide or reorder text. Such characters are written as JSON escapes.
"""

import json
import re

# Spelt out instead of asked of `unicodedata`: the same prompt under every version of Python.
_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"  # invisible, or marks
    "\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\uffff"  # separators, bidi, fillers
    "\ufe00-\ufe0f\ud800-\uf8ff"  # variation selectors, surrogates, private use
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2"  # the other format characters
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff"  # tags and private use: text that no reader sees
    "]"
    # What special tokens begin with: <|im_start|>, </s>, [INST], their full-width twins, but not
    # "HHI <0.65" or "[46, 27]".
    "|[<\ufe64\uff1c](?=[^\\s\\d=.-])|[\\[\uff3b](?=/?\\w+[\\]\uff3d])"
)
_LINES = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def inert(text: str) -> str:
    """`text` in one line, with an escape for every character that could do more than be read."""
    return _UNSAFE.sub(_escaped, text)


def quoted(text: str) -> str:
    """`text` as a JSON string that reads back as `text`."""
    return inert(json.dumps(text, ensure_ascii=False))


def cited(text: str) -> str:
    """`text` line by line, each after a mark; empty lines are left out."""
    return "\n".join(f"> {inert(line)}" for line in _LINES.split(text) if line.strip())


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
