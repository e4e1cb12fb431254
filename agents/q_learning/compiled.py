"""Compile a function of numbers and arrays to machine code that runs without Python's lock.

Numba is imported here and nowhere else. Arithmetic is compiled as written, without shortcuts, so
that compiled and interpreted code agree to the last bit.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """`function`, compiled once per machine and kept on disk.

    Numba notices a change of the file that holds it, not a change of what it calls elsewhere.
    """
    return cast("_Function", numba.njit(nogil=True, cache=True)(function))


def part(function: _Function) -> _Function:
    """A piece of a compiled function, pasted into it wherever it is called.

    As a call it would cost three times the work of a period: an array is ten arguments.
    """
    return cast("_Function", numba.njit(nogil=True, forceinline=True)(function))
