"""Markets under one institution as an adversary trains against them: arrays in, arrays out.

The real array core and the real institution, so a round here is a round of a governed run, to the
bit. The adversary holds some seats, or all of them as a cartel; the other seats keep to their row
of a benchmark. Members of a cartel share what they earn.

Shapes: M markets, N agents, S seats of the adversary, A numbers in one action, F features.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.contract import Briefing
from agents.policies.watching import Seen, Watcher
from environments.market import Markets
from institutional.episode import Table
from institutional.governance.controller import Integers
from institutional.governance.institution import Institution
from institutional.governance.oracle import Mask
from institutional.governance.program import Array, Program
from institutional.seeds import derive, lottery_of


class Played(NamedTuple):
    """One round of M markets."""

    actions: Array  # [M, N, A], after restrictions
    standings: Integers  # [M, N], after the round
    suspended: Mask  # [M, N], during the round
    fines: Array  # [M, N] money
    earned: Array  # [M, N] money, net of fines


class GovernedMarkets:
    """M markets in step under one institution; whoever has the seats plays all N rows."""

    def __init__(self, table: Table, program: Program, *, markets: int, seed: int) -> None:
        self.core, self.program = table.core, program
        self.markets = markets
        self.history: list[Played] = []  # of the run under way
        self._seed, self._run = seed, 0

    def reset(self) -> None:
        """Start a run with shocks and audits that no earlier one had."""
        seeds = [derive(self._seed, "market", self._run, m) for m in range(self.markets)]
        self._run += 1
        self.history = []
        self._stepped = Markets(self.core, seeds)
        lotteries = [lottery_of(seed) for seed in seeds]
        self.institution = Institution(self.program, self.markets, lotteries)

    @property
    def over(self) -> bool:
        """Whether all rounds have been played."""
        return self._stepped.round == self.core.rounds

    def step(self, actions: Array) -> Played:
        """Regiment, settle, rule and fine, as `Governed` does."""
        suspended, cap = self.institution.suspended(), self.institution.cap()
        allowed = self.core.restrict(actions, suspended, cap)
        record = self._stepped.step(allowed)
        fines = self.institution.judge(record).decisions.fines
        played = Played(
            actions=record[self.core.action_field],
            standings=self.institution.register.state,
            suspended=suspended,
            fines=fines,
            earned=self.core.profits(record) - fines,
        )
        self.history.append(played)
        return played


class Hand(Protocol):
    """How what a network says becomes the actions of the adversary's seats."""

    @property
    def width(self) -> int:
        """Numbers in one seat's steps."""

    def actions(self, steps: Array) -> Array:
        """Steps [M, S, width] as actions [M, S, A]."""


class Votes:
    """A hand that plays nothing but given plans: the seats vote, and the plan in front is played.

    Silence is a vote for the first plan. What is learnt with it can be held against a calculation
    over the same plans.
    """

    def __init__(self, plans: Array) -> None:
        self._plans = plans  # [P, S, A]

    @property
    def width(self) -> int:
        """One number per plan."""
        return len(self._plans)

    def actions(self, steps: Array) -> Array:
        """The plan with the largest mean vote, [M, S, A]; the first of those that tie."""
        chosen: Array = self._plans[steps.mean(axis=1).argmax(axis=1)]
        return chosen


class Scale(NamedTuple):
    """What rewards are told in, both in money per round and seat."""

    honest: float  # counts as zero
    unit: float  # above it, counts as one


class AdversaryView:
    """The `ArrayBatch` that a policy is trained on; rows are markets, then seats.

    A reward is what the adversary's seats earn on average, on `scale`.
    """

    def __init__(
        self,
        governed: GovernedMarkets,
        *,
        briefing: Briefing,
        seats: Sequence[int],
        others: Array,
        hand: Hand,
        memory: int,
        scale: Scale,
    ) -> None:
        self._governed, self._seats = governed, list(seats)
        self._others, self._hand, self._scale = others, hand, scale
        states = len(governed.program.states)
        self._watcher = Watcher(briefing, self._seats, states=states, memory=memory)
        self.widths = (self._watcher.width, hand.width)

    def reset(self) -> NDArray[np.float32]:
        """Start a run; what is seen before the first round, [M S, F]."""
        self._governed.reset()
        institution = self._governed.institution
        self._watcher.reset(self._governed.markets)
        standings, _ = institution.shown()
        seen = self._watcher.first(standings, institution.suspended(), institution.cap())
        return seen.reshape(-1, self.widths[0])

    def step(self, steps: Array) -> tuple[NDArray[np.float32], Array, bool]:
        """Play `steps` [M S, A] and the others' rows."""
        markets, seats = self._governed.markets, self._seats
        joint = np.repeat(self._others[np.newaxis], markets, axis=0)
        joint[:, seats] = self._hand.actions(steps.reshape(markets, len(seats), -1))
        played = self._governed.step(joint)
        institution = self._governed.institution
        standings, credits_ = institution.shown()
        seen = self._watcher(
            Seen(
                played.actions,
                standings,
                credits_.astype(np.float64),
                played.fines,
                institution.suspended(),
                institution.cap(),
            )
        )
        earned = played.earned[:, seats].mean(axis=1)
        rewards = np.repeat((earned - self._scale.honest) / self._scale.unit, len(seats))
        return seen.reshape(-1, self.widths[0]), rewards, self._governed.over
