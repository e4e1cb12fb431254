"""Which model answers and how it is reached: the `models:` of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model of an experiment.

    What decides its answers is part of the plan (`identity`); how it is reached is not, so that a
    run may be continued from another address or with another limit.
    """

    backend: str  # a name of `backends.catalogue.BACKENDS`
    model: str = ""  # the server's name for it, or the folder of a local one
    temperature: float = 1.0
    max_tokens: int = 1000
    options: Mapping[str, Any] = field(default_factory=dict)  # further fields of the request
    base_url: str = ""
    key: str = ""  # the environment variable that holds the key, never the key
    timeout_s: float = 120.0
    in_flight: int = 64  # most requests at once

    def identity(self) -> dict[str, Any]:
        """What decides the answers, as plain JSON values."""
        return {
            "backend": self.backend,
            "model": self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "options": dict(self.options),
        }
