"""Reading a table that may be hostile, in a process of its own with little memory.

A few kilobytes of Parquet can unpack to gigabytes, and the decoder may abort rather than raise:
whatever becomes of the process, here it is one error.
"""

import json
import os
import subprocess
import sys
from typing import Any

from institutional.errors import InstitutionalError

MAX_FILE = 1 << 26
_MEMORY = 1 << 30
_MAX_TEXT = 1 << 27
_SECONDS = 60
_PROGRAM = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY}, {_MEMORY}))
import io, json, sys
import polars as pl
asked = json.loads(sys.stdin.buffer.readline())
frame = pl.scan_parquet(io.BytesIO(sys.stdin.buffer.read()))
for name, value in asked["where"].items():
    frame = frame.filter(pl.col(name) == value)
text = json.dumps(frame.head(asked["rows"]).collect().to_dict(as_series=False))
if len(text) > {_MAX_TEXT}:
    sys.exit("too large")
sys.stdout.write(text)
"""


def read_table(
    data: bytes, *, rows: int, where: dict[str, Any] | None = None
) -> dict[str, list[Any]]:
    """Return the first `rows` rows of a Parquet file, column -> values, of those that match.

    `where` maps columns to the value that a row must have. Raises InstitutionalError for bytes
    that are no table, or one too large to be what is asked for.
    """
    asked = json.dumps({"rows": rows, "where": where or {}}).encode() + b"\n"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM],
            input=asked + data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError:
        raise InstitutionalError("not a table, or one too large to be read safely") from None
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found
