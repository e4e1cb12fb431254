"""Where local models are kept, and the pocket model unless another folder is named."""

from pathlib import Path

from institutional.ledger.keys import home

POCKET = "pocket"


def kept_folder(name: str) -> Path:
    """The folder of the model called `name` beside the operator's key."""
    return home() / "models" / name


def model_folder(name: str) -> Path:
    """The folder of a local model: of the pocket model, or the one that `name` is a path of."""
    return kept_folder(POCKET) if name == POCKET else Path(name)
