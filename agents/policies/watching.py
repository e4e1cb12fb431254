"""What a network sees of a market and its institution, as one row of numbers per seat.

Nothing but what every agent is shown: joint actions and standings, one's own credits, fines and
restrictions. A watcher remembers the last rounds, for evidence looks back over several.

Shapes: M markets, N agents, S seats that the network plays, A numbers in one action, F features.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.contract import AgentError, Array, Briefing, Mask
from agents.policies.reach import Reach

Integers = NDArray[np.int64]
Features = NDArray[np.float32]

CREDITS_UNIT = 3.0


class Seen(NamedTuple):
    """One round as it was shown: what everybody did, and what the institution made of it."""

    actions: Array  # [M, N, A]
    standings: Integers  # [M, N]
    credits: Array  # [M, N]; only one's own entry is looked at
    fines: Array  # [M, N] money, likewise
    suspended: Mask  # [M, N], likewise; for the coming round
    cap: Array  # [M, N], likewise


class Watcher:
    """Turns what is shown, round by round, into features [M, S, F].

    own seat      N          one-hot
    past actions  K x N x A  in steps from the start, oneself first, the newest round first
    standings     N x states one-hot, oneself first
    rounds        2 x K      since the own standing changed and since the own last fine; entry k
                             is 1 if it is more than k
    terms         4          credits, last fine in honest profits, suspended, cap

    K is `memory`. Before the first round everybody is taken to have played honestly for ever.
    """

    def __init__(self, briefing: Briefing, seats: list[int], *, states: int, memory: int) -> None:
        if not 1 <= memory <= 100:
            raise AgentError(f"memory={memory} is out of range\n  choose it in [1, 100]")
        agents = len(briefing.agents)
        everyone = Reach.of(briefing, list(range(agents)))
        self._start, self._step = everyone.start, np.where(everyone.step > 0, everyone.step, 1.0)
        self._honest = np.abs(briefing.profits["nash"][seats])
        self._seats = seats
        self._states = states
        self._memory = memory
        # Oneself first: row s lists the agents in the order in which seat s sees them.
        self._order = np.array([[(seat + k) % agents for k in range(agents)] for seat in seats])
        self.width = width(
            agents=agents, actions=briefing.low.shape[1], states=states, memory=memory
        )
        self.reset(1)

    def reset(self, markets: int) -> None:
        """Forget everything; `markets` are watched from now on."""
        seats = len(self._seats)
        self._past = np.zeros((self._memory, markets, *self._start.shape))
        self._standing: Integers | None = None
        self._unchanged = np.full((markets, seats), self._memory)
        self._unfined = np.full((markets, seats), self._memory)

    def first(self, standings: Integers, suspended: Mask, cap: Array) -> Features:
        """What is seen before the first round, [M, S, F]."""
        self._standing = standings[:, self._seats]
        return self._features(
            Seen(self._start, standings, np.zeros(cap.shape), np.zeros(cap.shape), suspended, cap)
        )

    def __call__(self, seen: Seen) -> Features:
        """Take in a round; what is seen after it, [M, S, F]."""
        self._past = np.roll(self._past, 1, axis=0)
        self._past[0] = (seen.actions - self._start) / self._step
        own = seen.standings[:, self._seats]
        moved = own != self._standing
        fined = seen.fines[:, self._seats] > 0
        self._unchanged = np.where(moved, 0, np.minimum(self._unchanged + 1, self._memory))
        self._unfined = np.where(fined, 0, np.minimum(self._unfined + 1, self._memory))
        self._standing = own
        return self._features(seen)

    def _features(self, seen: Seen) -> Features:
        markets, seats = len(seen.standings), self._seats
        flat = (markets, len(seats), -1)
        own = np.repeat(np.eye(len(self._start))[np.newaxis, seats], markets, axis=0)
        past = self._past[:, :, self._order].transpose(1, 2, 0, 3, 4).reshape(flat)
        standings = np.eye(self._states)[seen.standings[:, self._order]].reshape(flat)
        counts = np.arange(self._memory)
        terms = np.stack(
            [
                seen.credits[:, seats] / CREDITS_UNIT,
                seen.fines[:, seats] / self._honest,
                seen.suspended[:, seats],
                seen.cap[:, seats],
            ],
            axis=-1,
        )
        parts = [
            own,
            past,
            standings,
            self._unchanged[..., np.newaxis] > counts,
            self._unfined[..., np.newaxis] > counts,
            terms,
        ]
        return np.concatenate(parts, axis=-1, dtype=np.float32, casting="unsafe")


def width(*, agents: int, actions: int, states: int, memory: int) -> int:
    """How many features a watcher gives, F."""
    return agents + memory * agents * actions + agents * states + 2 * memory + 4
