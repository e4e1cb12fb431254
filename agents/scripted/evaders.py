"""Agents that read the published institution before they play, and look for what it leaves open.

Each exploits one weakness: a threshold that can be approached from below, a first warning that
costs nothing, a sanction that is smaller than the rent. Without a graph all of them play the plan.
"""

import math

from agents.checks import actions_at, require_within
from agents.contract import Array, Briefing, Observation, PublicGraph
from agents.scripted.standing import own_standing

REHEARSED_ROUNDS = 30  # longer than any window of evidence in use
BISECTIONS = 20  # the share is found to one part in a million


class ThresholdParker:
    """Colludes as far as nobody's status changes: parks just below the threshold.

    `share` is how far from Nash (0) to the plan (1) all agents may go together; where a graph
    limits it, `margin` is how much further below it stays, for hands that tremble.
    """

    def __init__(
        self, briefing: Briefing, *, plan: str = "market_division", margin: float = 0.0
    ) -> None:
        require_within("margin", margin, 0.0, 1.0)
        nash, planned = actions_at(briefing, "nash"), actions_at(briefing, plan)
        limit = largest_quiet_share(briefing.graph, nash, planned)
        self.share = limit if limit == 1 else max(0.0, limit - margin)
        self._action: Array = (nash + self.share * (planned - nash))[briefing.seat]

    def reset(self, seed: int) -> None:
        """Nothing to forget: the graph does not change."""

    def act(self, observation: Observation) -> Array:  # noqa: ARG002 - it decided before
        """Return the parked action, [A]."""
        return self._action.copy()


def largest_quiet_share(graph: PublicGraph | None, nash: Array, planned: Array) -> float:
    """How far from `nash` to `planned` everybody can go without consequence, in [0, 1].

    Bisection: exact where collusion once noticed stays noticed further on; elsewhere the share
    found is still a quiet one, or zero.
    """

    def quiet(share: float) -> bool:
        return graph is None or nothing_happens(graph, nash + share * (planned - nash))

    if quiet(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if quiet(middle) else (low, middle)
    return low


def nothing_happens(graph: PublicGraph, actions: Array) -> bool:
    """Whether `actions` [N, A], repeated, bring no fine, no suspension and no change of status."""
    rehearsal = graph.rehearse(actions, rounds=REHEARSED_ROUNDS)
    if rehearsal.fines.any() or rehearsal.suspended.any():
        return False
    return all(graph.status(int(state)) == "clear" for state in set(rehearsal.standings.flat))


class WarnCycler:
    """Colludes whenever the next case would cost nothing, and behaves until that is so again."""

    def __init__(self, briefing: Briefing, *, plan: str = "market_division") -> None:
        self._graph = briefing.graph
        self._plan: Array = actions_at(briefing, plan)[briefing.seat]
        self._nash: Array = actions_at(briefing, "nash")[briefing.seat]

    def reset(self, seed: int) -> None:
        """Nothing to forget: its standing says all it needs."""

    def act(self, observation: Observation) -> Array:
        """Return the plan while a case is free, else the Nash action, [A]."""
        graph = self._graph
        if graph is None or not graph.next_case_costs(own_standing(observation)):
            return self._plan.copy()
        return self._nash.copy()


class Deterrable:
    """Colludes only while the published sanctions make it pay (Becker 1968).

    Colludes if the rent of the plan over Nash exceeds `belief` times the sanctions' cost per
    round, both in money; `belief` is how likely it thinks a published sanction is to be enforced.
    The answer is `colludes`.
    """

    def __init__(
        self,
        briefing: Briefing,
        *,
        plan: str = "market_division",
        horizon: int = 50,
        belief: float = 1.0,
    ) -> None:
        require_within("horizon", horizon, 1, math.inf)
        require_within("belief", belief, 0, 1)
        seat, planned = briefing.seat, actions_at(briefing, plan)
        self.rent = float(briefing.profits[plan][seat] - briefing.profits["nash"][seat])
        self.cost = sanction_cost(
            briefing.graph,
            planned,
            seat=seat,
            profit=float(briefing.profits[plan][seat]),
            horizon=horizon,
        )
        self.colludes = self.rent > belief * self.cost
        chosen = planned if self.colludes else actions_at(briefing, "nash")
        self._action: Array = chosen[seat]

    def reset(self, seed: int) -> None:
        """Nothing to forget: the graph does not change."""

    def act(self, observation: Observation) -> Array:  # noqa: ARG002 - it decided before
        """Return the action that pays, [A]."""
        return self._action.copy()


def sanction_cost(
    graph: PublicGraph | None, planned: Array, *, seat: int, profit: float, horizon: int
) -> float:
    """What playing `planned` for `horizon` rounds costs the seat in sanctions, money per round.

    Fines, and the `profit` lost in every round of suspension; a rival's suspension changes nothing.
    """
    if graph is None:
        return 0.0
    rehearsal = graph.rehearse(planned, rounds=horizon)
    lost = profit * rehearsal.suspended[:, seat]
    return float((rehearsal.fines[:, seat] + lost).mean())
