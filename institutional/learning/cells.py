"""Playing the cells of a plan: in chunks of sessions that are written once and never again.

A chunk's name holds the digest of everything that its numbers depend on, so what lies in the folder
is taken as it is, whatever else was changed, and a study that was killed goes on where it stopped.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import rfc8785

from environments.contract import Array
from institutional.errors import InstitutionalError
from institutional.learning.control import Burden
from institutional.learning.plan import LearnerTerms, Setting
from institutional.learning.sessions import GovernedSessions, train_governed
from institutional.learning.tables import GovernedGame

CHUNK = 20
"""Sessions per file: what a kill may cost."""

Done = Callable[[int], None]
"""(sessions that are done since the last call)"""


class Played(NamedTuple):
    """What is kept of E sessions; see `GovernedSessions` for meanings and shapes."""

    seeds: Array
    periods: Array
    converged: Array
    profit: Array
    fines: Array
    visits: Array
    moves: Array
    cases: Array
    suspended: Array
    fines_learning: Array
    moves_learning: Array


class Task(NamedTuple):
    """Sessions to be played, and all that they depend on."""

    name: str
    setting: Setting
    governed: GovernedGame
    terms: LearnerTerms
    identity: Mapping[str, Any]  # what `governed` was made of, JSON

    @property
    def digest(self) -> str:
        """SHA-256 of whatever the sessions depend on but their seeds, in hex."""
        grids = [grid.tolist() for grid in self.setting.game.actions]
        whole = {
            "market": self.setting.core.config(),
            "grids": grids,
            "learner": self.terms.model_dump(mode="json"),
            "graph": self.governed.program.loaded.canonical_digest,
            **self.identity,
        }
        return hashlib.sha256(rfc8785.dumps(whole)).hexdigest()


def play(
    task: Task, sessions: int, folder: Path, *, threads: int | None, done: Done = lambda _: None
) -> Played:
    """The sessions of seeds 0 to `sessions` - 1: from the folder, or played and put there."""
    learner = task.terms.build()
    parts = []
    for seeds in _chunks(sessions):
        path = folder / f"{task.name}-{task.digest[:16]}-{seeds[0]}-{len(seeds)}.npz"
        if path.is_file():
            part = _read(path)
        else:
            part = _kept(train_governed(task.governed, learner, seeds, threads=threads))
            _write(path, part)
        parts.append(part)
        done(len(seeds))
    return Played(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def burden(task: Task, played: Played) -> Burden | None:
    """How the fines of a cell fell while its sessions learnt; None if nobody was ever fined."""
    fining = [index for index, move in enumerate(task.governed.program.moves) if move.fine]
    count = int(played.moves_learning[:, :, fining].sum())
    total = float(played.fines_learning.sum())
    if total == 0:
        return None
    rounds = int(played.periods.sum()) * played.profit.shape[1]
    return Burden(chance=count / rounds, fine=total / count)


def _chunks(sessions: int) -> Iterator[Sequence[int]]:
    for first in range(0, sessions, CHUNK):
        yield range(first, min(first + CHUNK, sessions))


def _kept(result: GovernedSessions) -> Played:
    return Played(
        np.array(result.seeds),
        *(getattr(result, name) for name in Played._fields if name != "seeds"),
    )


def _read(path: Path) -> Played:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return Played(*(data[name] for name in Played._fields))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise InstitutionalError(
            f"{path}: cannot be read ({error})\n  delete it, and its sessions are played again"
        ) from error


def _write(path: Path, part: Played) -> None:
    """All of it or nothing: under its name there is never half a chunk."""
    temporary = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez_compressed(file, **part._asdict())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InstitutionalError(f"{path}: cannot be written ({error.strerror})") from error
