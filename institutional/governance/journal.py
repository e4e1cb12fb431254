"""What a journal keeps of a round, and the forms in which it is read back.

A run scores and decides from what its journal returns; a replay reads the same bodies from a log.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from institutional.errors import InstitutionalError
from institutional.governance.program import Record

Journal = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Takes (kind, body), keeps it, and returns the body as read back from what was kept."""


def as_read_back(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Keep nothing, but return what a journal would have returned; raises on NaN and infinity."""
    try:
        read: dict[str, Any] = json.loads(json.dumps(body, allow_nan=False))
    except ValueError as error:
        raise InstitutionalError(f"the {kind} cannot be recorded: {error}") from error
    return read


def as_arrays(record: Mapping[str, Any]) -> Record:
    """A parsed public record as arrays with a leading axis of one market."""
    return {name: np.asarray(value, dtype=np.float64)[None] for name, value in record.items()}
