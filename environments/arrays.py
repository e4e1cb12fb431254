"""Sums whose order is fixed, so that one market and thousands agree to the bit.

`numpy.sum` picks its order of addition by memory layout and length; a decision that hangs on a
threshold must not. The axes summed here are short (firms, goods), where slices are also faster.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def total(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Sum `values` along the short `axis` from its first entry to its last."""
    if axis:
        return _folded(np.add, values, axis)
    result: NDArray[np.float64] = values[0]
    for entry in values[1:]:
        result = result + entry
    return result


def largest(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the maximum of `values` along the short `axis`."""
    return _folded(np.maximum, values, axis)


def smallest(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the minimum of `values` along the short `axis`."""
    return _folded(np.minimum, values, axis)


def _folded(
    join: Callable[..., NDArray[np.float64]], values: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    # Plain slices: in a market of one, numpy.moveaxis costs more than the sum.
    before: tuple[Any, ...] = (slice(None),) * (axis % values.ndim)
    result: NDArray[np.float64] = values[(*before, 0)]
    for entry in range(1, values.shape[axis]):
        result = join(result, values[(*before, entry)])
    return result
