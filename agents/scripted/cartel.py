"""Cartels held together by a trigger: play the plan, punish a deviation, perhaps forgive.

The agreement is an automaton whose clock is public: a deviation by anyone, oneself included,
starts the punishment of all partners in the same next round and ends it in the same round. If
each watched only the others, one's punishment would look like a deviation to the other, and two
forgiving partners would punish each other for ever.
"""

import math

import numpy as np

from agents.checks import actions_at, require_within, suggestion
from agents.contract import AgentError, Array, Briefing, Observation
from agents.scripted.standing import own_status

HEEDED = {
    "nothing": frozenset[str](),
    "penalised": frozenset({"penalised"}),
    "under_review": frozenset({"penalised", "under_review"}),
}
"""What the agent heeds -> the status words during which it complies."""


class Cartel:
    """Plays its row of `plan`, and `punishment` for some rounds after a deviation.

    `punishment_rounds=math.inf` is the grim trigger. A deviation is an action that differs from
    the plan, in the direction that hurts the others, by more than `tolerance` times the largest
    number planned for that agent: in a market for quantities, only producing more. `heeds`
    (`nothing`, `penalised`, `under_review`) names the status during which the agent complies by
    playing Nash. To its partners that compliance is a deviation: sanctions break grim cartels.

    Friedman 1971, "A non-cooperative equilibrium for supergames".
    """

    def __init__(
        self,
        briefing: Briefing,
        *,
        punishment_rounds: float = 5,
        plan: str = "market_division",
        punishment: str = "nash",
        tolerance: float = 0.15,
        heeds: str = "penalised",
    ) -> None:
        require_within("punishment_rounds", punishment_rounds, 1, math.inf)
        require_within("tolerance", tolerance, 0, math.inf)
        if heeds not in HEEDED:
            raise AgentError(
                f'heeds="{heeds}" is no status to heed\n'
                f"  choose one of: {', '.join(HEEDED)}.{suggestion(heeds, HEEDED)}"
            )
        self._briefing = briefing
        self._plan = actions_at(briefing, plan)
        self._punishment = actions_at(briefing, punishment)
        self._nash = actions_at(briefing, "nash")
        self._harm = harmful_direction(briefing, self._plan)
        self._limit = tolerance * np.abs(self._plan).max(axis=1, keepdims=True)
        self._heeded = HEEDED[heeds]
        self._punishment_rounds = punishment_rounds
        self.reset(0)

    def reset(self, seed: int) -> None:  # noqa: ARG002 - it draws nothing
        """Return to the agreement."""
        self._watching = False  # whether the last round was one in which the plan was due
        self._punishing: float = 0  # rounds of punishment still to play

    def act(self, observation: Observation) -> Array:
        """Return the plan, the punishment, or the Nash action while complying, [A]."""
        if self._watching and self._somebody_deviated(observation):
            self._punishing = self._punishment_rounds
        self._watching = self._punishing == 0
        due = self._plan if self._watching else self._punishment
        self._punishing = max(0, self._punishing - 1)
        if self._heeded and own_status(self._briefing, observation) in self._heeded:
            due = self._nash
        action: Array = due[self._briefing.seat].copy()
        return action

    def _somebody_deviated(self, observation: Observation) -> bool:
        excess = self._harm * (observation[self._briefing.action_field] - self._plan)
        return bool((excess > self._limit).any())


def harmful_direction(briefing: Briefing, plan: Array) -> Array:
    """Which way each planned number must move to hurt the other agents: 1 up, -1 down, [N, A].

    Found by lowering each number a little on paper: quantities hurt upwards, prices downwards.
    Where lowering is impossible or without effect, up.
    """
    direction = np.ones_like(plan)
    agreed = briefing.profit(plan)
    for agent, number in np.ndindex(*plan.shape):
        lowered = plan.copy()
        step = 1e-3 * (briefing.high[agent, number] - briefing.low[agent, number])
        lowered[agent, number] = max(plan[agent, number] - step, briefing.low[agent, number])
        change = briefing.profit(lowered) - agreed
        if change.sum() - change[agent] < 0:
            direction[agent, number] = -1
    return direction
