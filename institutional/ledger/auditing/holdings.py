"""What an index names held against what is shown: the runs that were begun and are missing."""

from pathlib import Path
from typing import NamedTuple

from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small
from institutional.ledger.index import Index, Start
from institutional.ledger.log import CHECKPOINT
from institutional.ledger.manifest import FILE_NAME, read_manifest
from institutional.ledger.note import MAX_NOTE_BYTES


class Holding(NamedTuple):
    """One registered run: how it ended, and whether it is among what is shown."""

    run: str
    origin: str
    experiment: str
    ended: str
    shown: str
    amiss: bool


def hold(index: Index, runs: Path | None) -> list[Holding]:
    """Return one line per registered run; only those of the plans in `runs`, if that is given.

    A run is amiss if it began or ended more than once, or if `runs` does not show it as it ended.
    """
    lines = {start.origin: start for start in index.starts}
    if runs is not None:
        plans = _plans(runs)
        lines = {origin: start for origin, start in lines.items() if start.plan in plans}
        if not lines:
            raise LedgerError(
                f"{runs}: none of the runs here is in this index\n"
                "  is this the operator's own index, and an experiment's folder?"
            )
    return [_holding(index, start, runs) for start in lines.values()]


def _holding(index: Index, start: Start, runs: Path | None) -> Holding:
    begun, ends = index.starts_of(start.origin), index.ends_of(start.origin)
    ended = "not yet" if not ends else "once" if len(ends) == 1 else f"{len(ends)} times"
    again = len(begun) > 1 or len(ends) > 1
    if len(begun) > 1:
        ended += f", begun {len(begun)} times"
    shown, amiss = "not asked", False
    if runs is not None:
        shown = _shown(runs / start.run, [end.head for end in ends])
        amiss = shown != "as it ended"
    return Holding(start.run, start.origin, start.experiment, ended, shown, amiss or again)


def _shown(folder: Path, heads: list[str]) -> str:
    try:
        head = read_small(folder / "ledger" / CHECKPOINT, limit=MAX_NOTE_BYTES).decode()
    except FileNotFoundError:
        return "not closed" if folder.is_dir() else "MISSING"
    except (OSError, ValueError, LedgerError):
        return "unreadable"
    return "as it ended" if head in heads else "OTHERWISE"


def _plans(runs: Path) -> set[str]:
    """The plans that the manifests in an experiment's folder name."""
    found = set()
    for path in sorted(runs.glob(f"*/{FILE_NAME}")):
        plan = read_manifest(path)[1].plan
        if plan is not None:
            found.add(plan)
    return found
