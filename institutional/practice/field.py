"""Many markets in step in which an answer can be tried before it is given.

The real array core and, if there is one, the real institution. Who learns sits in groups: seats of
one group answer together and share what they earn; the other seats keep to a benchmark.

Shapes: M markets, N agents, P groups of S seats each, A numbers in one action, K answers,
B = M P situations, by market, then by group.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from agents.contract import Briefing
from agents.policies.levels import Grid, Tokens
from agents.policies.looking import Look, Shown, honest_profits, statuses
from agents.policies.preferences import Tried
from agents.policies.watching import Features, Integers
from environments.contract import Array, Core
from environments.market import Markets
from institutional.episode import Table
from institutional.governance.institution import Institution
from institutional.seeds import derive, lottery_of

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Field:
    """M markets with or without an institution, as they stand."""

    core: Core
    markets: Markets
    institution: Institution | None
    statuses: Integers  # of each legal state, as an index into STATUSES
    actions: Array  # [M, N, A] of the last round, zeros before the first
    fines: Array  # [M, N] money, in the last round

    @classmethod
    def fresh(cls, table: Table, seeds: Sequence[int]) -> Self:
        """Markets before their first round, one for each of `seeds`."""
        core, program = table.core, table.program
        lotteries = [lottery_of(seed) for seed in seeds]
        return cls(
            core,
            Markets(core, seeds),
            None if program is None else Institution(program, len(seeds), lotteries),
            statuses(table.briefing(0), 1 if program is None else len(program.states)),
            np.zeros((len(seeds), *core.low.shape)),
            np.zeros((len(seeds), len(core.agents))),
        )

    @property
    def left(self) -> int:
        """Rounds still to be played."""
        return self.core.rounds - self.markets.round

    def picked(self, which: Sequence[int]) -> Self:
        """The markets `which`, to be played on apart from these; a repeat is a copy."""
        return replace(
            self,
            markets=self.markets.picked(which),
            institution=self.institution and self.institution.picked(which),
            actions=self.actions[list(which)],
            fines=self.fines[list(which)],
        )

    def shown(self) -> Shown:
        """What agents are shown before the coming round."""
        if self.institution is None:
            free = np.zeros(self.fines.shape)
            clear = np.zeros(self.fines.shape, dtype=np.int64)
            return Shown(self.actions, clear, free, free, free > 0, free + 1)
        standings, credits_ = self.institution.shown()
        return Shown(
            self.actions,
            self.statuses[standings],
            credits_.astype(np.float64),
            self.fines,
            self.institution.suspended(),
            self.institution.cap(),
        )

    def played(self, actions: Array) -> tuple[Self, Array]:
        """The same markets a round of `actions` [M, N, A] later, and profits [M, N], money.

        Regiments, settles, rules and fines as a governed run does.
        """
        institution, fines = self.institution, self.fines
        if institution is not None:
            actions = self.core.restrict(actions, institution.suspended(), institution.cap())
        record = self.markets.step(actions)
        if institution is not None:
            fines = institution.judge(record).decisions.fines
        after = replace(self, actions=record[self.core.action_field], fines=fines)
        return after, self.core.profits(record)


class TriedInPlay:
    """The `Practice` of a policy over levels: runs of M markets, one after the other."""

    def __init__(
        self,
        table: Table,
        *,
        groups: Groups,
        others: Array,
        levels: int,
        hold: int,
        markets: int,
        seed: int,
    ) -> None:
        briefing = table.briefing(groups[0][0])
        self._table, self._groups, self._others = table, groups, others
        self._hold, self._count, self._seed = hold, markets, seed
        self._seats = [seat for group in groups for seat in group]
        self._look = Look(briefing, self._seats)
        self._grid = grid(briefing, self._seats, levels)
        self._honest = honest_profits(briefing)
        self._run = 0
        self._begin()

    def _begin(self) -> None:
        seeds = [derive(self._seed, "market", self._run, m) for m in range(self._count)]
        self._run += 1
        self._field = Field.fresh(self._table, seeds)

    def seen(self) -> Features:
        """What each group's seats see now, [B, S, F]."""
        seen = self._look(self._field.shown())
        return seen.reshape(-1, len(self._groups[0]), seen.shape[-1])

    def tried(self, tokens: Tokens) -> Tried:
        """Let each group try each of its answers [B, K, S, A] while the others give their first."""
        groups, answers = len(self._groups), tokens.shape[1]
        every = tokens.reshape(self._count, groups, answers, *tokens.shape[2:])
        # One market per market, group and answer, in which that group alone departs from the first.
        joint = np.repeat(every[:, np.newaxis, :, 0], groups * answers, axis=1)
        joint = joint.reshape(self._count, groups, answers, groups, *tokens.shape[2:])
        for group in range(groups):
            joint[:, group, :, group] = every[:, group]
        apart = self._field.picked(np.repeat(range(self._count), groups * answers).tolist())
        _, net = self._kept(apart, joint.reshape(-1, len(self._seats), tokens.shape[-1]))
        earned = net.reshape(self._count, groups, answers, -1) / self._honest
        own = [earned[:, at, :, list(group)].mean(axis=0) for at, group in enumerate(self._groups)]
        return Tried(
            np.stack(own, axis=1).reshape(-1, answers),
            np.moveaxis(earned, -1, 0).reshape(-1, self._count * groups, answers),
        )

    def play(self, tokens: Tokens) -> None:
        """Go on with `tokens` [B, S, A]; after the last round, to a new run."""
        every = tokens.reshape(self._count, len(self._seats), -1)
        self._field, _ = self._kept(self._field, every)
        if self._field.left == 0:
            self._begin()

    def _kept(self, field: Field, tokens: Tokens) -> tuple[Field, Array]:
        """Keep to `tokens` [M, seats, A]; the field then, and what a round brings net, [M, N]."""
        joint = np.repeat(self._others[np.newaxis], len(tokens), axis=0)
        joint[:, self._seats] = self._grid.actions(tokens)
        rounds = min(self._hold, field.left)
        net = np.zeros(joint.shape[:2])
        for _ in range(rounds):
            field, profits = field.played(joint)
            net += profits - field.fines
        return field, net / rounds


def grid(briefing: Briefing, seats: list[int], levels: int) -> Grid:
    """The levels of `seats`."""
    return Grid(briefing.low[seats], briefing.high[seats], briefing.capacity, levels)
