"""The myopic agent: the best reply to what the others did in the last round (Cournot 1838)."""

import numpy as np

from agents.checks import actions_at, require_within
from agents.contract import Array, Briefing, Observation
from agents.tremble import bounded


class BestReply:
    """Starts at a benchmark, then replies; `weight` is the share of its last action it keeps.

    Without inertia three or more Cournot firms overshoot and need not settle (Theocharis 1960).
    """

    def __init__(self, briefing: Briefing, *, start: str = "nash", weight: float = 0.0) -> None:
        require_within("weight", weight, 0, 1)
        self._briefing = briefing
        self._start: Array = actions_at(briefing, start)[briefing.seat]
        self._weight = weight
        self._begun = False

    def reset(self, seed: int) -> None:  # noqa: ARG002 - it draws nothing
        """Begin at the benchmark again."""
        self._begun = False

    def act(self, observation: Observation) -> Array:
        """Return the reply to the last joint actions, [A]."""
        if not self._begun:
            self._begun = True
            return self._start.copy()
        briefing = self._briefing
        last = observation[briefing.action_field]
        reply = np.asarray(briefing.best_reply(briefing.seat, last), dtype=np.float64)
        if not self._weight:
            return reply
        return bounded(
            self._weight * last[briefing.seat] + (1 - self._weight) * reply,
            low=briefing.low[briefing.seat],
            high=briefing.high[briefing.seat],
            capacity=briefing.capacity,
        )
