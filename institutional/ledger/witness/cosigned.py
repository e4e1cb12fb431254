"""The cosigned head of a run, `<run>/ledger/cosigned`: the log's line, and its witnesses' lines."""

from pathlib import Path

from institutional.ledger import files
from institutional.ledger.cosignature import WitnessKey, cosigned_at
from institutional.ledger.errors import DivergedError, LedgerError
from institutional.ledger.files import read_small, replace
from institutional.ledger.note import (
    MAX_NOTE_BYTES,
    Note,
    note_bytes,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.tree import root_of
from institutional.ledger.witness.heads import RunHeads

COSIGNED = "cosigned"


def read_cosigned(run: Path, log: RunHeads) -> Note | None:
    """Return the note that is kept for the run in `run`, or None without one.

    Raises DivergedError when it is of a head that `log` does not have: the log was rolled back or
    written anew since.
    """
    path = run / "ledger" / COSIGNED
    try:
        note = parse_note(read_small(path, limit=MAX_NOTE_BYTES))
        kept = parse_checkpoint(note.text)
    except FileNotFoundError:
        return None
    except (OSError, LedgerError) as error:
        raise LedgerError(f"{path}: not a cosigned head: {error}") from error
    if kept.size > log.checkpoint.size or root_of(log.leaves[: kept.size]) != kept.root:
        raise DivergedError(
            f"{path}: a head of {kept.size} entries that this log, of {log.checkpoint.size}, "
            "does not have\n  the log was rolled back or written anew after that head was cosigned"
        )
    return note


def cosigned_size(note: Note | None, key: WitnessKey) -> int:
    """Return the size up to which `key` has cosigned, as far as the kept note tells; else 0."""
    if note is None:
        return 0
    try:
        cosigned_at(note, key)
    except LedgerError:
        return 0
    return parse_checkpoint(note.text).size


def keep_cosigned(run: Path, log: RunHeads, cosigned: Note, key: WitnessKey) -> None:
    """Add the line of `key` on the newest head to what is kept; lines on older heads are dropped.

    A line of the same witness that is there already and holds stays: its time is the earlier one,
    and so says more about when this head existed.
    """
    folder = run / "ledger"
    with files.locked(folder):
        kept = read_cosigned(run, log)
        lines = list(parse_note(log.head).signatures)
        if kept is not None and kept.text == cosigned.text:
            lines += [s for s in kept.signatures if s[:2] not in {line[:2] for line in lines}]
        if not _holds(Note(cosigned.text, tuple(lines)), key):
            lines = [line for line in lines if line[:2] != (key.name, key.key_id)]
            lines += [s for s in cosigned.signatures if s[:2] == (key.name, key.key_id)]
        replace(folder / COSIGNED, note_bytes(Note(cosigned.text, tuple(lines))))


def _holds(note: Note, key: WitnessKey) -> bool:
    try:
        cosigned_at(note, key)
    except LedgerError:
        return False
    return True
