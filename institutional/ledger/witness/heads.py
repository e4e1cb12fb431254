"""A run's own heads, and what a witness must be shown of them: the newest, and where keys changed.

Reads `log.wal` only and checks no signature: the witness does, and `audit` for the reader.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.log import LOG
from institutional.ledger.manifest import FILE_NAME, MAX_BYTES
from institutional.ledger.note import Checkpoint, parse_checkpoint, parse_note
from institutional.ledger.tree import Frontier, consistency_proof, inclusion_proof, leaf_hash
from institutional.ledger.witness.protocol import (
    ADD_CHECKPOINT,
    ADD_KEY,
    rotation_bytes,
    submission_bytes,
)


class Boundary(NamedTuple):
    """A head whose last entry names the key that signs all later ones."""

    size: int
    head: bytes
    entry: bytes


class RunHeads(NamedTuple):
    """A run's manifest, its entries' hashes, its newest head, and its epochs' boundaries."""

    manifest: bytes
    leaves: list[bytes]
    head: bytes
    checkpoint: Checkpoint
    boundaries: list[Boundary]


class Request(NamedTuple):
    """A request and the witness's name for its kind."""

    name: str
    body: bytes


def read_run(run: Path) -> RunHeads:
    """Return what a witness is to be shown of the run in `run`, which may still be going on.

    Raises LedgerError where the log holds no signed head, or one over other entries.
    """
    path = run / "ledger" / LOG
    try:
        manifest = read_small(run / FILE_NAME, limit=MAX_BYTES)
        with open_regular(path) as file:
            return _heads(wal.records(file), manifest)
    except OSError as error:
        raise LedgerError(f"{run}: not a run with a log that can be read: {error}") from error
    except LedgerError as error:
        raise LedgerError(f"{path}: {error}\n  see: institutional audit verify {run}") from error


def steps(run: RunHeads, *, remembered: int) -> Iterator[Request]:
    """Yield the requests that lead a witness from a head of `remembered` entries to the newest."""
    at = remembered
    for boundary in run.boundaries:
        if boundary.size < remembered or boundary.size == run.checkpoint.size:
            continue
        if boundary.size > at:
            yield _submission(run, old_size=at, size=boundary.size, head=boundary.head)
            at = boundary.size
        proof = tuple(inclusion_proof(run.leaves[:at], at - 1))
        yield Request(ADD_KEY, rotation_bytes(size=at, proof=proof, entry=boundary.entry))
    yield _submission(run, old_size=at, size=run.checkpoint.size, head=run.head)


def _submission(run: RunHeads, *, old_size: int, size: int, head: bytes) -> Request:
    proof = tuple(consistency_proof(run.leaves[:size], old_size)) if old_size else ()
    return Request(ADD_CHECKPOINT, submission_bytes(old_size=old_size, proof=proof, head=head))


def _heads(
    records: Iterator[wal.EntryLine | wal.HeadNote | wal.Stray], manifest: bytes
) -> RunHeads:
    leaves: list[bytes] = []
    frontier = Frontier()
    newest: tuple[bytes, Checkpoint] | None = None
    boundaries: list[Boundary] = []
    last: wal.EntryLine | None = None
    for record in records:
        if isinstance(record, wal.Stray):
            break  # what is being written just now, or a tail: not yet shown to anybody
        if isinstance(record, wal.EntryLine):
            leaves.append(leaf_hash(record.data))
            frontier.append(leaves[-1])
            last = record
            continue
        checkpoint = parse_checkpoint(parse_note(record.data).text)
        if (checkpoint.size, checkpoint.root) != (frontier.size, frontier.root()):
            raise LedgerError(f"the head at byte {record.offset} is not over the entries before it")
        if newest and newest[1].origin != checkpoint.origin:
            raise LedgerError(f"the head at byte {record.offset} is of another log")
        newest = record.data, checkpoint
        if last and wal.parse_entry(last, run=None, seq=frontier.size - 1).kind == "rotate":
            boundaries.append(Boundary(frontier.size, record.data, last.data))
    if newest is None:
        raise LedgerError("there is no signed head to show to a witness")
    return RunHeads(manifest, leaves[: newest[1].size], *newest, boundaries)
