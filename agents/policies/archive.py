"""Policies as files: plain arrays beside a header, read strictly.

A NumPy archive, which nothing is unpickled from. What is read has one format, the arrays that were
asked for and no others, every number finite, nothing compressed.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.contract import AgentError

LEVEL_POLICY = "institutional.level_policy/1"
"""Here, so that a file can be told for one without torch."""
LARGEST_FILE = 16 * 1024 * 1024
LARGEST_COUNT = 1024

Header = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
Read = TypeVar("Read")


def write(path: Path, format_: str, header: Header, arrays: Arrays) -> None:
    """Write to `path`; the same content gives the same bytes."""
    text = json.dumps({"format": format_, **header}, sort_keys=True)
    members: dict[str, Any] = dict(arrays)
    buffer = BytesIO()
    np.savez(buffer, header=np.frombuffer(text.encode(), dtype=np.uint8), **members)
    path.write_bytes(buffer.getvalue())


def read(
    path: Path, format_: str, parse: Callable[[Header, Arrays], Read], *, written_by: str
) -> Read:
    """What `parse` makes of the header (without its format) and the arrays at `path`.

    Raises AgentError, which names the command that writes such files, for anything else; `parse`
    says what is wrong with a ValueError or a KeyError.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        _require_plain(data)
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            header = _header(arrays["header"], format_)
            return parse(header, {name: arrays[name] for name in arrays.files if name != "header"})
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise AgentError(
            f"{path}: not a policy ({error})\n  name a file that `{written_by}` wrote"
        ) from error


def is_of(path: Path, format_: str) -> bool:
    """Whether `path` is an archive whose header names `format_`, sound or not."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("header.npy") as member:
            return format_.encode() in member.read(LARGEST_FILE)
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def require_fields(header: Header, names: list[str]) -> None:
    """Raise ValueError unless the header has exactly the fields `names`."""
    if sorted(header) != sorted(names):
        raise ValueError("other header fields than a policy has")


def require_counts(header: Header, names: list[str]) -> dict[str, int]:
    """The fields `names`, each a whole number within reason; ValueError otherwise."""
    for name in names:
        if type(header[name]) is not int or not 1 <= header[name] <= LARGEST_COUNT:
            raise ValueError(f"{name}={header[name]!r} in the header")
    return {name: header[name] for name in names}


def require_arrays(
    arrays: Arrays, shapes: Mapping[str, tuple[int, ...]], dtype: type[np.generic] = np.float32
) -> None:
    """Raise ValueError unless `arrays` are those of `shapes`, of `dtype` and finite."""
    if sorted(arrays) != sorted(shapes):
        raise ValueError("other arrays than a policy has")
    for name, shape in shapes.items():
        array, kind = arrays[name], np.dtype(dtype)
        if array.dtype != kind or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, not {kind} {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a number that is not finite")


def _require_plain(data: bytes) -> None:
    if len(data) > LARGEST_FILE:
        raise ValueError(f"more than {LARGEST_FILE} bytes")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        # Stored, each entry is no larger than the file that was measured.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed")
        if sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise ValueError("entries overlap")


def _header(raw: NDArray[Any], format_: str) -> dict[str, Any]:
    if raw.dtype != np.uint8 or raw.ndim != 1:
        raise ValueError("no header")
    header = json.loads(raw.tobytes())
    if not isinstance(header, dict) or header.pop("format", None) != format_:
        raise ValueError(f"the header's format is not {format_}")
    return header
