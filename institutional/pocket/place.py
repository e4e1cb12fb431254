"""Where the pocket model lies unless another folder is named."""

from pathlib import Path

from institutional.ledger.keys import home

POCKET = "pocket"


def model_folder(name: str) -> Path:
    """The folder of a local model: of the pocket model, or the one that `name` is a path of."""
    return home() / "models" / POCKET if name == POCKET else Path(name)
