"""Text for the picture of a governance graph: how wide it will be, and broken into lines.

No font is at hand when the picture is made, so widths are estimates, on the wide side of the
common sans-serif fonts. Units: px.
"""

from collections.abc import Sequence
from typing import NamedTuple

TEXT, NAME, LINE = 11.0, 14.0, 14.0
"""Sizes of labels and of states' names, and the distance of two lines of text."""
PADDING = 4.0


class Block(NamedTuple):
    """Broken lines and the room they need."""

    lines: tuple[str, ...]
    bold: int  # so many lines from the first belong to the id
    width: float
    height: float


def text_width(text: str, *, size: float, bold: bool = False) -> float:
    """About the width of `text`; on the wide side of the common sans-serif fonts."""
    units = sum(_letter(letter) for letter in text)
    return units * size * (1.12 if bold else 1.0)


def _letter(letter: str) -> float:
    if letter in "ijl|'!.,:; ":
        return 0.34
    if letter in "frt()[]/-":
        return 0.42
    if letter in "mwMW%@":
        return 0.98
    if letter in "+=<>×":
        return 0.84
    if not letter.isascii():
        return 1.0
    return 0.72 if letter.isupper() else 0.64


def wrapped(text: str, width: float, *, bold: bool = False) -> list[str]:
    """`text` broken at blanks into as few lines as `width` allows, of much the same length.

    A word is never broken: one that is too long stands alone.
    """
    lines = _greedy(text, width, bold=bold)
    while len(shorter := _greedy(text, width - 4, bold=bold)) == len(lines) and width > 4:
        lines, width = shorter, width - 4
    return lines


def _greedy(text: str, width: float, *, bold: bool) -> list[str]:
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size=TEXT, bold=bold) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def fitted(lines: Sequence[str], width: float) -> Block:
    """`lines`, the first of them bold, as a block at most `width` wide, or as its longest word."""
    room = width - 2 * PADDING
    head, *rest = (wrapped(line, room, bold=not i) for i, line in enumerate(lines))
    broken, bold = (*head, *(line for part in rest for line in part)), len(head)
    wide = max(text_width(line, size=TEXT, bold=i < bold) for i, line in enumerate(broken))
    return Block(broken, bold, wide + 2 * PADDING, len(broken) * LINE + 4)
