"""Networks trained against a target; the one module here that needs torch."""

from collections.abc import Callable

import numpy as np
import torch

from agents.policies.batch import FromArrays
from agents.policies.network import Weights, opinion
from agents.policies.reach import Reach
from agents.policies.saving import Policy, Sight
from agents.policies.train import train
from institutional.redteam.market import AdversaryView, GovernedMarkets, Hand, Scale, Votes
from institutional.redteam.target import Measured, Target
from institutional.seeds import derive

MEMORY, HIDDEN = 8, 64
LEARNING_RATE = 0.002


def trained(
    target: Target,
    *,
    method: str,
    plans_only: bool,
    updates: int,
    markets: int,
    seed: int,
    device: str,
    advance: Callable[[int], None],
) -> tuple[Measured, Policy | None]:
    """What a network brings after `updates` runs in each of `markets`, exploring no more.

    The policy can take a seat in a run; one that votes among plans cannot.
    """
    briefing = target.table.briefing(target.seats[0])
    seats = list(target.seats)
    hand: Hand = (
        Votes(np.stack([plan[seats] for plan in target.plans.values()]))
        if plans_only
        else Reach.of(briefing, seats)
    )

    def view(governed: GovernedMarkets) -> AdversaryView:
        return AdversaryView(
            governed,
            briefing=briefing,
            seats=seats,
            others=target.others,
            hand=hand,
            memory=MEMORY,
            scale=Scale(target.honest, target.unit),
        )

    weights = train(
        FromArrays(view(target.markets(markets, seed=derive(seed, "training"))), device=device),
        method=method,
        updates=updates,
        seed=seed,
        hidden=HIDDEN,
        learning_rate=LEARNING_RATE,
        device=device,
        report_progress=lambda progress: advance(progress.update),
    )
    measured = _measured(target, view, weights, seed=derive(seed, "measured"))
    agents, actions = target.others.shape
    sight = Sight(
        agents=agents,
        actions=actions,
        states=len(target.program.states),
        memory=MEMORY,
        hidden=HIDDEN,
    )
    return measured, None if plans_only else Policy(sight, weights)


def _measured(
    target: Target, view: Callable[[GovernedMarkets], AdversaryView], weights: Weights, *, seed: int
) -> Measured:
    governed = target.measuring(seed=seed)
    judged = view(governed)
    seen, over = judged.reset(), False
    while not over:
        steps = opinion(weights, torch.from_numpy(seen)).means.double().numpy()
        seen, _, over = judged.step(steps)
    return target.measured(governed.history)
