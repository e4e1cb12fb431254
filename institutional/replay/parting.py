"""Where what was recorded and what follows from the evidence part, as parsed JSON."""

from collections.abc import Iterator
from typing import Any

ABSENT = "absent"
_SHOWN = 96
_LINES = 320

Place = tuple[str, Any, Any]
"""A path such as `moves[0].fine`, what is recorded there, and what was derived."""


def differences(recorded: Any, derived: Any, path: str = "") -> Iterator[Place]:
    """The places where two values differ, depth first."""
    if isinstance(recorded, dict) and isinstance(derived, dict):
        for key in sorted(recorded.keys() | derived.keys()):
            below = f"{path}.{key}" if path else key
            if key not in recorded or key not in derived:
                yield below, recorded.get(key, ABSENT), derived.get(key, ABSENT)
            else:
                yield from differences(recorded[key], derived[key], below)
    elif isinstance(recorded, list) and isinstance(derived, list) and len(recorded) == len(derived):
        for index, (was, should) in enumerate(zip(recorded, derived, strict=True)):
            yield from differences(was, should, f"{path}[{index}]")
    elif recorded != derived or isinstance(recorded, bool) != isinstance(derived, bool):
        yield path, recorded, derived


def side_by_side(recorded: Any, derived: Any) -> tuple[str, str]:
    """Both values as plain ASCII, long ones from shortly before the place where they part.

    A hostile log is printed by this: nothing of it reaches a terminal unescaped.
    """
    texts = ascii(recorded), ascii(derived)
    start = 0
    if max(map(len, texts)) > _SHOWN:
        pairs = enumerate(zip(*texts, strict=False))
        parting = next((i for i, (was, is_) in pairs if was != is_), min(map(len, texts)))
        start = max(0, parting - _SHOWN // 3)
    return _cut(texts[0], start), _cut(texts[1], start)


def plain(text: str) -> str:
    """`text` without anything that a terminal would obey, and no longer than a line or two."""
    shown = ascii(text)[1:-1]
    return shown if len(shown) <= _LINES else shown[:_LINES] + "..."


def _cut(text: str, start: int) -> str:
    before, after = "..." * (start > 0), "..." * (len(text) > start + _SHOWN)
    return before + text[start : start + _SHOWN] + after


def are_numbers(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether `value` is lists of numbers, nested as `shape` says; a truth value is no number."""
    if not shape:
        return type(value) in (int, float)
    return (
        type(value) is list
        and len(value) == shape[0]
        and all(are_numbers(entry, shape[1:]) for entry in value)
    )
