"""What a policy over levels sees: the last round, and its own standing under an institution.

The same numbers under every institution and under none, so that a policy can be played in regimes
that it was not trained in. Standings enter by their status, good standing as zeros; an input that
was zero throughout training has no weight, and changes nothing when it first differs.

Shapes: M markets, N agents, S seats, A numbers in one action, F features.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import Array, Briefing, Mask, Observation
from agents.policies.watching import CREDITS_UNIT, Features, Integers

STATUSES = ("clear", "under_review", "penalised", "rehabilitated")


class Shown(NamedTuple):
    """What agents are shown before a round; of all but the actions each sees its own."""

    actions: Array  # [M, N, A] of the last round, zeros before the first
    statuses: Integers  # [M, N] index into STATUSES
    credits: Array  # [M, N]
    fines: Array  # [M, N] money, in the last round
    suspended: Mask  # [M, N], in the coming round
    cap: Array  # [M, N], likewise


class Look:
    """Turns what is shown into features [M, S, F].

    own seat      N      one-hot
    last actions  N x A  from -1 at the lower to 1 at the upper bound, by seat
    status        3      under review, penalised, rehabilitated
    terms         4      credits, last fine in honest profits, suspended, what the cap takes
    """

    def __init__(self, briefing: Briefing, seats: list[int]) -> None:
        self._low = briefing.low
        self._range = np.where(briefing.high > briefing.low, briefing.high - briefing.low, 1.0)
        self._seats = seats
        self._own = np.eye(len(briefing.agents))[seats]
        self._honest = honest_profits(briefing)[seats]

    def __call__(self, shown: Shown) -> Features:
        """Features of each seat."""
        markets, seats = len(shown.actions), self._seats
        last = (2 * (shown.actions - self._low) / self._range - 1).reshape(markets, 1, -1)
        terms = np.stack(
            [
                shown.credits[:, seats] / CREDITS_UNIT,
                shown.fines[:, seats] / self._honest,
                shown.suspended[:, seats],
                1 - shown.cap[:, seats],
            ],
            axis=-1,
        )
        parts = [
            np.broadcast_to(self._own, (markets, *self._own.shape)),
            np.repeat(last, len(seats), axis=1),
            np.eye(len(STATUSES))[shown.statuses[:, seats]][..., 1:],
            terms,
        ]
        return np.concatenate(parts, axis=-1, dtype=np.float32, casting="unsafe")


def honest_profits(briefing: Briefing) -> Array:
    """What money is counted in, [N]: the profits of one-round Nash play; 1 where they are zero."""
    found = np.abs(briefing.profits["nash"])
    return np.where(found > 0, found, 1.0)


def width(*, agents: int, actions: int) -> int:
    """How many features a look gives, F."""
    return agents + agents * actions + len(STATUSES) - 1 + 4


def as_shown(briefing: Briefing, observation: Observation) -> Shown:
    """What one seat observes, as M = 1; others' entries are those of good standing."""
    agents, seat = len(briefing.agents), briefing.seat
    own = np.zeros((4, 1, agents))
    statuses = np.zeros((1, agents), dtype=np.int64)
    if briefing.graph is not None:
        standing = int(np.asarray(observation["standing"]).item())
        statuses[0, seat] = STATUSES.index(briefing.graph.status(standing))
        # A partial institution, as in a test, may show no more than standings.
        own[:, 0, seat] = [
            float(np.asarray(observation.get(name, free)).item())
            for name, free in (("credits", 0.0), ("fine", 0.0), ("suspended", 0.0), ("cap", 1.0))
        ]
    else:
        own[3] = 1.0
    actions = np.asarray(observation[briefing.action_field], dtype=np.float64)[np.newaxis]
    return Shown(actions, statuses, own[0], own[1], own[2] > 0, own[3])


def statuses(briefing: Briefing, states: int) -> NDArray[np.int64]:
    """Index into STATUSES of each of the institution's `states`; without one, of a single state."""
    graph = briefing.graph
    found = ["clear"] if graph is None else [graph.status(state) for state in range(states)]
    return np.array([STATUSES.index(status) for status in found])
