"""A trained policy as one file: weights as plain arrays, and what they were trained to see.

A NumPy archive, which nothing is unpickled from. Reading is strict: one format, these arrays and no
others, with the shapes that the header gives, every number finite, nothing compressed.
"""

import json
import zipfile
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agents.contract import AgentError
from agents.policies.network import Weights, fresh, shapes
from agents.policies.watching import width

FORMAT = "institutional.policy/1"
LARGEST_FILE = 16 * 1024 * 1024
LARGEST_COUNT = 1024


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a policy is made for: how many agents, numbers, states, rounds and hidden units."""

    agents: int
    actions: int
    states: int  # legal states; 1 where nothing governs
    memory: int
    hidden: int

    @property
    def features(self) -> int:
        """F."""
        return width(
            agents=self.agents, actions=self.actions, states=self.states, memory=self.memory
        )

    def untrained(self, seed: int) -> Weights:
        """First weights."""
        return fresh(features=self.features, actions=self.actions, hidden=self.hidden, seed=seed)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights."""
        return shapes(features=self.features, actions=self.actions, hidden=self.hidden)


@dataclass(frozen=True, eq=False)
class Policy:
    """Weights and what they see."""

    sight: Sight
    weights: Weights


def save(path: Path, policy: Policy) -> None:
    """Write `policy` to `path`; the same policy gives the same bytes."""
    header = json.dumps({"format": FORMAT, **asdict(policy.sight)}, sort_keys=True)
    arrays: dict[str, Any] = {name: weight.numpy() for name, weight in policy.weights.items()}
    buffer = BytesIO()
    np.savez(buffer, header=np.frombuffer(header.encode(), dtype=np.uint8), **arrays)
    path.write_bytes(buffer.getvalue())


def load(path: Path) -> Policy:
    """Read the policy at `path`; AgentError says what is not one."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        return _read(data)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise AgentError(
            f"{path}: not a policy ({error})\n"
            "  name a file that `institutional graph redteam --out` wrote"
        ) from error


def _read(data: bytes) -> Policy:
    if len(data) > LARGEST_FILE:
        raise ValueError(f"more than {LARGEST_FILE} bytes")
    with zipfile.ZipFile(BytesIO(data)) as archive:
        # Stored, each entry is no larger than the file that was measured.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("compressed")
        if sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise ValueError("entries overlap")
    with np.load(BytesIO(data), allow_pickle=False) as arrays:
        sight = _sight(arrays["header"])
        wanted = sight.shapes()
        if sorted(arrays.files) != sorted([*wanted, "header"]):
            raise ValueError("other arrays than a policy has")
        weights = {}
        for name, shape in wanted.items():
            array = arrays[name]
            if array.dtype != np.float32 or array.shape != shape:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not float32 {shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds a number that is not finite")
            weights[name] = torch.from_numpy(array.copy())
    return Policy(sight, weights)


def _sight(raw: Any) -> Sight:
    if raw.dtype != np.uint8 or raw.ndim != 1:
        raise ValueError("no header")
    header = json.loads(raw.tobytes())
    names = [field.name for field in fields(Sight)]
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"the header's format is not {FORMAT}")
    if sorted(header) != sorted([*names, "format"]):
        raise ValueError("other header fields than a policy has")
    for name in names:
        count = header[name]
        if type(count) is not int or not 1 <= count <= LARGEST_COUNT:
            raise ValueError(f"{name}={count!r} in the header")
    return Sight(**{name: header[name] for name in names})
