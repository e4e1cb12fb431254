"""What a third-party environment lacks to be governed: a public record and signals.

`Published(env, record=..., signals=...)` adds them to any PettingZoo `ParallelEnv` and changes
nothing else: actions, observations and rewards pass through untouched.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pettingzoo.utils import BaseParallelWrapper

from environments.contract import Array, Mask, Record, Signal, UnplayableError

Publish = Callable[[Any, dict[str, Any], dict[str, float]], dict[str, Any]]
"""(environment, actions, rewards) -> the public record of the round, plain numbers and lists."""
Restrict = Callable[[dict[str, Any], Mask, Array], dict[str, Any]]
"""(actions, suspended [N], cap [N]) -> actions that respect the restrictions."""


class Published(BaseParallelWrapper[str, Any, Any]):
    """`env` with a public record, signals over it and, if its agents can be restricted, how."""

    def __init__(
        self,
        env: Any,
        *,
        record: Publish,
        signals: Mapping[str, Signal],
        restrict: Restrict | None = None,
        references: Mapping[str, Record] | None = None,
    ) -> None:
        super().__init__(env)
        self._publish, self._restrict = record, restrict
        self.signals = signals
        self._references = references or {}
        self._record: dict[str, Any] = {}

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset the environment; no round is published yet."""
        self._record = {}
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: dict[str, Any]) -> Any:
        """Step the environment and publish the round."""
        outcome = self.env.step(actions)
        self._record = self._publish(self.env, actions, outcome[1])
        return outcome

    def public_record(self) -> dict[str, Any]:
        """The public record of the last round."""
        return self._record

    def restrict(self, actions: dict[str, Any], suspended: Mask, cap: Array) -> dict[str, Any]:
        """Bring `actions` under the restrictions; raises UnplayableError if nobody said how."""
        if self._restrict is None:
            raise UnplayableError(
                "this environment cannot suspend or cap its agents\n"
                "  pass restrict=... to Published, or use a graph whose states restrict nobody"
            )
        return self._restrict(actions, suspended, cap)

    def references(self) -> Mapping[str, Record]:
        """Public records at the benchmarks, if any were given."""
        return self._references
