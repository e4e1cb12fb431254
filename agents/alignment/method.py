"""What a method is: a composition of blocks, what it reads and remembers, and where it is from.

The rows are in `methods`; the loop knows only this shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from agents.alignment.batch import AlignmentError, Batch
from agents.alignment.readings import Reading
from agents.alignment.sources import Samplers
from agents.alignment.transforms import unchanged
from agents.checks import suggestion

Settings = Mapping[str, Any]
Memory = Mapping[str, Tensor]


class Paper(NamedTuple):
    """Where a loss is from."""

    title: str
    where: str  # arXiv:number, or a URL where there is no such
    place: str  # equation, section or file


def nothing(_batch: Batch, **_settings: object) -> dict[str, Tensor]:
    """What a method without memory remembers."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row: a composition of blocks and the settings it is used with."""

    name: str
    loss: Callable[..., Tensor]  # (batch, **defaults, **memory) -> [B]
    reads: tuple[Reading, ...]
    paper: Paper
    defaults: Settings = field(default_factory=dict)
    defaults_from: str
    prepares: Callable[[Batch], Batch] = unchanged  # of the data, before any model reads it
    samplers: Samplers | None = None  # who answers; None: fixed data
    begins: Callable[..., Memory] = nothing  # (first batch, **defaults) -> memory
    learns: Callable[..., Memory] = nothing  # (batch, **defaults, **memory) -> what changed

    def using(self, **settings: Any) -> "Method":
        """The same method with other settings; AlignmentError for one it does not have."""
        for name in settings:
            if name not in self.defaults:
                known = ", ".join(sorted(self.defaults)) or "none"
                raise AlignmentError(
                    f'{self.name} has no setting "{name}"\n'
                    f"  settings: {known}.{suggestion(name, self.defaults)}"
                )
        return replace(self, defaults=MappingProxyType({**self.defaults, **settings}))

    def bound(self) -> Callable[[Batch], Tensor]:
        """The loss of a method without memory, with its settings filled in."""
        return partial(self.loss, **self.defaults)
