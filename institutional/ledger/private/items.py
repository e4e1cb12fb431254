"""The files that open commitments: one item each, beside the log, for its owner's eyes only.

    <run>/private/<commitment>.json    run, place, value and key; mode 0600 in a folder of mode 0700

Nothing here is needed to verify a log. Whoever holds an item can show the value to others; whoever
destroys it has erased the value from the record.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small, replace, sync_folder
from institutional.ledger.private.commitment import (
    MAX_ITEM_BYTES,
    Item,
    is_commitment,
    item_bytes,
    parse_item,
)

FOLDER = "private"
_SUFFIX = ".json"
_TORN = ".json.tmp"
_CHUNK = 65_536


def item_path(run_folder: Path, commitment: str) -> Path:
    """Where the item behind `commitment` lies, if it is kept."""
    return run_folder / FOLDER / (commitment + _SUFFIX)


def read_item(path: Path) -> Item:
    """Return the item in `path`, which must be named by its commitment.

    Raises LedgerError for what is no such item, OSError when it cannot be read.
    """
    try:
        item = parse_item(read_small(path, limit=MAX_ITEM_BYTES))
    except LedgerError as error:
        raise type(error)(f"{path}: {error}") from error
    if path.name != item.commitment + _SUFFIX:
        raise LedgerError(f"{path}: it does not open the commitment that names it")
    return item


def write_item(run_folder: Path, item: Item) -> None:
    """Make `item` durable. Raises OSError, and LedgerError as `item_bytes` does."""
    path = item_path(run_folder, item.commitment)
    data = item_bytes(item)
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700)
        sync_folder(run_folder)
    replace(path, data, mode=0o600)


def stored(run_folder: Path) -> Iterator[Path]:
    """Yield the files of all items, in no order; other files in the folder are passed over."""
    for path in _files(run_folder):
        if path.suffix == _SUFFIX and is_commitment(path.stem):
            yield path


def torn(run_folder: Path) -> Iterator[Path]:
    """Yield what a kill left half written or half destroyed: it may hold part of a value."""
    for path in _files(run_folder):
        if path.name.endswith(_TORN):
            yield path


def remains(run_folder: Path, commitment: str) -> bool:
    """Whether anything is left of the item behind `commitment`, whole or not."""
    path = item_path(run_folder, commitment)
    return os.path.lexists(path) or os.path.lexists(path.with_suffix(_TORN))


def destroy(path: Path) -> None:
    """Overwrite a file with zeros, make that durable, and remove it; raises OSError.

    What an honest disk was told to overwrite is gone for whoever reads the file system. A
    copy-on-write file system, a flash disk's spare blocks, snapshots and backups may keep the old
    bytes: against those only an encrypted disk helps, or asking their owners.
    """
    if path.suffix == _SUFFIX:
        path = path.rename(path.with_suffix(_TORN))  # so that a half destroyed item is no item
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= file.write(bytes(min(left, _CHUNK)))
        file.flush()
        os.fsync(descriptor)
    path.unlink()
    sync_folder(path.parent)


def _files(run_folder: Path) -> Iterator[Path]:
    folder = run_folder / FOLDER
    if folder.is_dir():
        with os.scandir(folder) as found:
            for entry in found:
                yield folder / entry.name
