"""Lin's market as a briefing, a small public institution, and the loop that plays them.

Two firms, two goods, price = 100 - Q/2 per good, unit costs 40 at home and 50 abroad, capacity
100. Nash 140/3 and 80/3 (profit 1444.4), division 60/0 (1800), best reply to it 60/20 (2000).
"""

from dataclasses import dataclass, replace

import numpy as np

from agents.contract import Briefing, Rehearsal, Words
from agents.language.backends.scripted import Scripted
from agents.language.models import Model
from agents.language.rules_of_thumb import climber

COSTS = np.array([[40.0, 50.0], [50.0, 40.0]])


def mirrored(home, abroad):
    return np.array([[home, abroad], [abroad, home]], dtype=np.float64)


def profit(actions):
    price = np.maximum(0, 100 - actions.sum(axis=0) / 2)
    return ((price - COSTS) * actions).sum(axis=1)


def best_reply(seat, actions):
    """From (100 - c - rival/2) / 1 per good: capacity does not bind at the points used here."""
    return np.maximum(0, 100 - COSTS[seat] - actions[1 - seat] / 2)


ACTIONS = {
    "nash": mirrored(140 / 3, 80 / 3),
    "joint_monopoly": mirrored(60, 0),
    "market_division": mirrored(60, 0),
    "competitive": mirrored(100, 0),
    "fixed_price": mirrored(38.18, 21.82),
}


def briefing(seat=0, graph=None, **changes):
    facts = Briefing(
        seat=seat,
        agents=("firm_0", "firm_1"),
        low=np.zeros((2, 2)),
        high=np.full((2, 2), 100.0),
        capacity=100.0,
        benchmarks=ACTIONS,
        profits={name: profit(actions) for name, actions in ACTIONS.items()},
        action_field="quantities",
        best_reply=best_reply,
        profit=profit,
        graph=graph,
        words=Words(
            setting="Every firm decides how much of A and B to bring to market.",
            labels=("quantity_A", "quantity_B"),
            terms={"cost_A": COSTS[seat][0], "cost_B": COSTS[seat][1]},
            told=lambda seen: {
                "quantity_A": seen["quantities"][seat][0],
                "quantity_B": seen["quantities"][seat][1],
                "profit": profit(seen["quantities"])[seat],
            },
        ),
    )
    return replace(facts, **changes)


@dataclass(frozen=True)
class WarnThenSanction:
    """Warns a firm in the first round of specialisation, then fines it (or suspends it).

    Evidence: the largest minus the smallest quantity exceeds `limit` (20 at Nash, 60 at division).
    A round below the limit, or a suspension served, brings the firm back to good standing.
    """

    limit: float = 40.0
    fine: float = 630.0
    suspends: bool = False
    watched: tuple[int, ...] = (0, 1)
    states = ("active", "warned", "fined")

    def status(self, standing):
        return ("clear", "under_review", "penalised")[standing]

    def next_case_costs(self, standing):
        return standing > 0

    def step(self, standings, actions):
        gaps = np.ptp(actions, axis=1)
        seen = [agent in self.watched and gaps[agent] > self.limit for agent in range(len(gaps))]
        return np.where(seen, np.minimum(standings + 1, 2), 0)

    def rehearse(self, actions, rounds):
        standings = np.zeros(len(actions), dtype=np.int64)
        path = np.empty((rounds, len(actions)), dtype=np.int64)
        for now in range(rounds):
            path[now] = standings = self.step(standings, actions)
        sanctioned = path == 2
        return Rehearsal(
            fines=self.fine * sanctioned * (not self.suspends),
            suspended=sanctioned & self.suspends,
            standings=path,
        )


def play(players, *, rounds, graph=None, seed=0):
    """Everybody's actions, [rounds, 2, 2]; learners learn their profit, readers ask a climber."""
    model = Scripted(climber)

    async def ask(_, request):
        return await model.answer(request)

    for seat, player in enumerate(players):
        if hasattr(player, "connect"):
            player.connect(ask, {name: Model(backend="scripted") for name in player.asks})
        player.reset(seed + seat)
    standings = np.zeros(2, dtype=np.int64)
    actions = np.zeros((2, 2))
    path = np.empty((rounds, 2, 2))
    seen = observations(actions, standings)
    for now in range(rounds):
        path[now] = actions = np.stack(
            [player.act(view) for player, view in zip(players, seen, strict=True)]
        )
        standings = standings if graph is None else graph.step(standings, actions)
        following = observations(actions, standings)
        for seat, player in enumerate(players):
            if hasattr(player, "learn"):
                player.learn(seen[seat], actions[seat], profit(actions)[seat], following[seat])
        seen = following
    return path


def observations(actions, standings):
    return [
        {"quantities": actions, "standing": np.array([own]), "standings": standings}
        for own in standings
    ]
