"""Checks of parameters at the edge, one message each: what, the rule, what next."""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environments.contract import UnplayableError


def number(value: Any, name: str, *, low: float = -math.inf, above: float = -math.inf) -> float:
    """Return `value` as a finite float of at least `low` and greater than `above`."""
    rule = f"of at least {low:g}" if low > -math.inf else "that is finite"
    rule = f"greater than {above:g}" if above > -math.inf else rule
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise UnplayableError(f"{name} is {value!r}: give one number {rule}")
    result = float(value)
    if not (math.isfinite(result) and result >= low and result > above):
        raise UnplayableError(f"{name} is {result}: give one number {rule}")
    return result


def count(value: Any, name: str, *, low: int = 1) -> int:
    """Return `value` as an integer of at least `low`."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low:
        raise UnplayableError(f"{name} is {value!r}: give a whole number of at least {low}")
    return int(value)


def array(value: Any, name: str, *, shape: tuple[int | None, ...]) -> NDArray[np.float64]:
    """Return `value` as finite floats of `shape`, in which None is any length but zero."""
    wanted = " x ".join("any" if length is None else str(length) for length in shape)
    try:
        result = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise UnplayableError(f"{name} is {value!r}: give {wanted} numbers") from None
    fits = result.ndim == len(shape) and all(
        have > 0 if want is None else have == want
        for have, want in zip(result.shape, shape, strict=True)
    )
    if not fits:
        have = " x ".join(map(str, result.shape)) or "a single number"
        raise UnplayableError(f"{name} has shape {have}: give {wanted} numbers")
    if not np.isfinite(result).all():
        raise UnplayableError(f"{name} is {result.tolist()}: every number must be finite")
    return result


def known(given: Iterable[str], allowed: Iterable[str], what: str) -> None:
    """Refuse the first name in `given` that is not `allowed`, with the nearest one that is."""
    names = list(allowed)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise UnplayableError(f'"{name}" is no {what}; known: {", ".join(names)}.{hint}')


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    """Return `value` if it maps names to values."""
    if not isinstance(value, Mapping):
        raise UnplayableError(f"{name} is {value!r}: give names and values")
    return value
