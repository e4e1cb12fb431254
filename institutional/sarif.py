"""The frame of a SARIF 2.1.0 document, which code hosts and editors read.

OASIS, Static Analysis Results Interchange Format 2.1.0. Same findings, same bytes: nothing of the
time or the machine enters.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def document(
    tool: str, *, rules: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return one run of `tool`: its rules, and results that name them by `ruleIndex`."""
    driver = {"name": tool, "semanticVersion": version("institutional"), "rules": list(rules)}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": list(results),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def uri(path: PurePath) -> str:
    """Return how SARIF names a file: absolute as a URI, relative as it is."""
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
