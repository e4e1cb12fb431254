"""Known-answer vectors of others, as `tests/golden/vectors/collect.py` packed them."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "golden" / "vectors"


def load(name):
    """Return the content of one file, such as "merkle/inclusion.json"."""
    return json.loads((FOLDER / name).read_bytes())
