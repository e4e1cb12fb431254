"""The prompts as files: `texts/*.md`, with places for what differs, and one digest over them all.

A changed text is another experiment: raise `VERSION`, and the digest goes into plan and manifest.
"""

import hashlib
from functools import cache
from pathlib import Path
from string import Template

VERSION = 1
FOLDER = Path(__file__).parent / "texts"


@cache
def text(name: str) -> Template:
    """The text `texts/NAME.md`; substituted values are never searched for places again."""
    return Template((FOLDER / f"{name}.md").read_text(encoding="utf-8"))


@cache
def digest() -> str:
    """SHA-256, in hex, of the version and of every text with its name."""
    total = hashlib.sha256(f"institutional.prompts/{VERSION}\n".encode())
    for path in sorted(FOLDER.glob("*.md")):
        data = path.read_bytes()
        total.update(f"{path.name} {len(data)}\n".encode() + data)
    return total.hexdigest()
