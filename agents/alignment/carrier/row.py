"""A row of the method table as a trainer of others carries it: its loss, its memory, its settings.

Knows nothing of TRL. A step is what it is in `train`: readings fill the batch, the row's loss is
averaged, its memory moves.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from agents.alignment.batch import AlignmentError, Batch, single
from agents.alignment.method import Method, nothing
from agents.alignment.readings import Models, read_mismatched, read_reference
from agents.alignment.train import assessed, moved
from agents.alignment.views import log_ratios

FILE = "method.safetensors"
"""Beside a checkpoint's weights: what the row remembers."""


class Row:
    """A method with its memory, from step to step and from checkpoint to checkpoint."""

    def __init__(self, method: Method) -> None:
        """Nothing is remembered before the first batch."""
        self.method = method
        self.memory: Mapping[str, Tensor] | None = None

    @property
    def refers(self) -> bool:
        """Whether it reads a reference."""
        return read_reference in self.method.reads or self.crosses

    @property
    def crosses(self) -> bool:
        """Whether it reads what the reference says of answers to other prompts, in each batch."""
        return read_mismatched in self.method.reads

    def loss(self, given: Batch, models: Models, *, learns: bool) -> tuple[Tensor, Batch]:
        """The mean loss of a batch, and the batch as the loss read it.

        With `learns` the memory moves on. Raises AlignmentError for what no method can learn from.
        """
        seen = assessed(self.method, given, models, self.memory)
        if learns:
            with torch.no_grad():
                self.memory = moved(self.method, seen)
        return seen.loss, seen.batch

    def save(self, folder: Path) -> None:
        """Write the memory into a checkpoint's folder."""
        memory = {name: tensor.contiguous() for name, tensor in (self.memory or {}).items()}
        save_file(memory, folder / FILE, metadata={"method": self.method.name})

    def load(self, folder: Path, *, device: str) -> None:
        """Take up the memory of a checkpoint; AlignmentError if another method wrote it."""
        path = folder / FILE
        if not path.exists():
            raise AlignmentError(
                f"{path} is not there: {folder} was not written by a row of the method table\n"
                "  start from its weights instead: model=..., without resuming"
            )
        with safe_open(path, framework="pt", device=device) as file:
            wrote = file.metadata()["method"]
            if wrote != self.method.name:
                raise AlignmentError(
                    f"{folder} is of method {wrote}, this run of {self.method.name}\n"
                    "  start from its weights instead: model=..., without resuming"
                )
            self.memory = {name: file.get_tensor(name) for name in file.keys()} or None  # noqa: SIM118


def require_one_process(method: Method, processes: int) -> None:
    """AlignmentError where several processes would each remember something else."""
    if processes > 1 and method.begins is not nothing:
        raise AlignmentError(
            f"{method.name} remembers from step to step, and {processes} processes would each "
            "remember their own batches\n  train it in one process"
        )


def require_untouched(args: Any, names: Iterable[str], method: Method) -> None:
    """AlignmentError if a loss setting of TRL was changed: here the row's settings count."""
    defaults = {
        field.name: field.default_factory()
        if field.default_factory is not dataclasses.MISSING
        else field.default
        for field in dataclasses.fields(args)
    }
    for name in names:
        if getattr(args, name) != defaults[name]:
            settings = ", ".join(method.defaults) or "none"
            raise AlignmentError(
                f"{type(args).__name__} says {name}={getattr(args, name)}, which {method.name} "
                f"does not read\n  its settings: {settings}; change them with method.using(...)"
            )


def reads_apart(method: Method) -> bool:
    """Whether a pair's loss is one of the first answer plus one of the second.

    Only then may the two be answers to different prompts. Asked of the loss itself: the gradient
    at one answer must not depend on the other, near or far.
    """
    slopes = []
    for other in (-200.0, -1.0, 0.0):
        policy = torch.tensor([[-1.0, other]], dtype=torch.float64, requires_grad=True)
        flat = torch.full((1, 2), -1.0, dtype=torch.float64)
        known = {"reference": flat, "behaviour": flat, "mismatched": flat[:, 0]}
        batch = single(torch.zeros(1, 2, dtype=torch.long), policy=policy, **known)
        try:
            memory = method.begins(batch, **method.defaults)
            loss = method.loss(batch, **method.defaults, **memory).sum()
        except AlignmentError:
            return False
        slopes.append(torch.autograd.grad(loss, policy)[0][0, 0])
    return bool(torch.stack(slopes).sub(slopes[0]).abs().max() < 1e-12)


def watched(batch: Batch) -> dict[str, Tensor]:
    """What a log shows of a batch: by how much the policy has moved from the reference."""
    if batch.policy is None or batch.reference is None:
        return {}
    gained = log_ratios(batch).detach()
    shown = {"log_ratio/first": gained[:, 0].mean()}
    if gained.shape[1] > 1:
        shown["log_ratio/others"] = gained[:, 1:].mean()
        ahead = gained[:, :1] > gained[:, 1:]
        shown["log_ratio/first_ahead"] = ahead.to(gained.dtype).mean()
    return shown
