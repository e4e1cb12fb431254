"""Learnt sessions in a file, and training that can be killed and goes on where it stopped.

A file is an uncompressed NumPy archive (.npz) with exactly the members listed here; what else there
is, what is missing or of another shape, is refused. Files appear whole or not at all.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agents.contract import AgentError
from agents.q_learning.game import Game, from_payoffs
from agents.q_learning.schedule import Boltzmann, EpsilonGreedy, Learner
from agents.q_learning.sessions import (
    MOST_STRATEGY_BYTES,
    Progress,
    Sessions,
    session_words,
    train,
)

FORMAT = "institutional.sessions/1"
CHUNK = 100
"""Sessions per file of `train_into`: what is lost at most when a training is killed."""

_RESULTS = {
    "seeds": np.dtype(np.uint64),
    "strategy": np.dtype(np.int16),
    "periods": np.dtype(np.int64),
    "converged": np.dtype(np.bool_),
    "profit": np.dtype(np.float64),
    "state": np.dtype(np.int64),
}
_MOST_HEADER = 1 << 20


def save(sessions: Sessions, path: Path) -> None:
    """Write `sessions`, without their values, to `path`."""
    members = {name: getattr(sessions, name) for name in _RESULTS}
    members["payoffs"] = sessions.game.payoffs
    for seat, grid in enumerate(sessions.game.actions):
        members[f"actions_{seat}"] = grid
    header = json.dumps(_header(sessions.game, sessions.learner), sort_keys=True)
    members["header"] = np.frombuffer(header.encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    _replace(path, buffer.getvalue())


def load(path: Path) -> Sessions:
    """Read what `save` wrote; raises AgentError for anything else, before it fills the memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            packed = any(info.compress_type != zipfile.ZIP_STORED for info in infos)
            if packed or sum(info.file_size for info in infos) > 2 * MOST_STRATEGY_BYTES:
                raise _no_sessions(path, "it is compressed or too large")
            members = {info.filename.removesuffix(".npy"): _member(archive, info) for info in infos}
        if len(members) != len(infos):
            raise _no_sessions(path, "a part is there twice")
        return _assembled(path, members)
    except OSError as error:
        raise AgentError(f"{path}: cannot be read ({error.strerror})") from error
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, TypeError) as error:
        raise _no_sessions(path, str(error) or type(error).__name__) from error


def train_into(
    folder: Path,
    game: Game,
    learner: Learner,
    seeds: Sequence[int],
    *,
    chunk: int = CHUNK,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Sessions:
    """`train`, a file per `chunk` sessions; called again it plays only what is not there.

    The result does not depend on how often it was killed. Raises AgentError if `folder` holds
    another training.
    """
    words = session_words(seeds, len(game.sizes))
    claim = _claim(game, learner, words, chunk)
    stamp = folder / "training.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if stamp.is_file():
            if stamp.read_bytes() != claim:
                raise AgentError(
                    f"{folder}: another training was begun here\n"
                    "  another game, learner, seeds or chunk: choose another folder"
                )
        elif any(folder.iterdir()):
            raise AgentError(f"{folder}: not empty, and no training\n  choose another folder")
        else:
            _replace(stamp, claim)
    except OSError as error:
        raise AgentError(f"{folder}: cannot be written ({error.strerror})") from error
    parts = []
    for first in range(0, len(words), chunk):
        path = folder / f"sessions_{first:06d}.npz"
        if path.is_file():
            part = load(path)
        else:
            part = train(game, learner, words[first : first + chunk], threads=threads)
            save(part, path)
        parts.append(part)
        if progress is not None:
            progress(min(first + chunk, len(words)), len(words))
    return joined(parts)


def joined(parts: Sequence[Sessions]) -> Sessions:
    """The sessions of several trainings of one learner in one game."""
    results = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _RESULTS}
    return Sessions(parts[0].game, parts[0].learner, **results)


def _claim(game: Game, learner: Learner, words: np.ndarray, chunk: int) -> bytes:
    """What identifies a training, to the byte."""
    digest = hashlib.sha256()
    for values in (game.payoffs, *game.actions, words):
        digest.update(np.ascontiguousarray(values).tobytes())
    stated = _header(game, learner) | {"chunk": chunk, "digest": digest.hexdigest()}
    return (json.dumps(stated, indent=1, sort_keys=True) + "\n").encode()


def _header(game: Game, learner: Learner) -> dict[str, Any]:
    kind = "boltzmann" if isinstance(learner.exploration, Boltzmann) else "epsilon_greedy"
    return {
        "format": FORMAT,
        "names": list(game.names),
        "first": game.first,
        "learner": asdict(learner) | {"exploration": {kind: asdict(learner.exploration)}},
    }


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as stream:
        loaded: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return loaded


def _assembled(path: Path, members: dict[str, np.ndarray]) -> Sessions:
    raw = members.pop("header").tobytes()
    if len(raw) > _MOST_HEADER:
        raise _no_sessions(path, "its header is too long")
    header = json.loads(raw)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _no_sessions(path, f'its header does not say "format": "{FORMAT}"')
    fields = dict(header["learner"])
    ((kind, exploration),) = fields.pop("exploration").items()
    kinds = {"boltzmann": Boltzmann, "epsilon_greedy": EpsilonGreedy}
    learner = Learner(exploration=kinds[kind](**exploration), **fields)
    agents = len(header["names"])
    grids = [members.pop(f"actions_{seat}") for seat in range(agents)]
    sizes = [len(grid) for grid in grids]
    payoffs = members.pop("payoffs")
    game = from_payoffs(payoffs, sizes, actions=grids, names=header["names"], first=header["first"])
    if set(members) != set(_RESULTS):
        raise _no_sessions(path, f"its parts are {sorted(members)}")
    count, states = len(members["state"]), game.states(learner.memory)
    shapes = {
        "seeds": (count, agents),
        "strategy": (count, agents, states),
        "profit": (count, agents),
    }
    for name, kind_of in _RESULTS.items():
        found = members[name]
        if found.dtype != kind_of or found.shape != shapes.get(name, (count,)):
            raise _no_sessions(path, f"{name} is {found.dtype} {found.shape}")
    largest = np.array(sizes)[None, :, None]
    if (members["strategy"] < 0).any() or (members["strategy"] >= largest).any():
        raise _no_sessions(path, "a strategy plays an action that does not exist")
    if (members["state"] < 0).any() or (members["state"] >= states).any():
        raise _no_sessions(path, "a session ended in a state that does not exist")
    return Sessions(game, learner, **members)


def _no_sessions(path: Path, why: str) -> AgentError:
    return AgentError(f"{path}: no file of learnt sessions ({why})\n  `save` writes them")


def _replace(path: Path, data: bytes) -> None:
    """Write atomically: a reader sees the old file, the new one or none."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(data)
    temporary.replace(path)
