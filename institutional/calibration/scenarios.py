"""Ground truth by construction: who plays, whether they collude, and how noisily.

A scenario is an intent over arrays, not agents: most are open loop, the same whatever the
institution does. What an environment cannot express (a division of one good, shocks to a price
market) is left out. Nothing here knows a governance graph.

Shapes: M runs, N agents, A numbers in one action, K shocks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.tremble import CAPACITY_SLACK
from environments import presets
from environments.contract import Array, Core
from environments.shocks import Shock

NOISE = (0.0, 0.05, 0.10, 0.20, 0.30)
"""Standard deviations of what multiplies an action; what is zero stays zero."""
PLANNER_NOISE = (0.0, 0.10)
REPLY_NOISE = 0.10
SHOCK_SIZE = 0.10
"""Standard deviation of a shock, as a share of the mean Nash price."""
SHOCK_PERSISTENCE = 0.8
PLANNER = "planner"
_LONGEST_STEP = 0.05  # of the range of actions: where profit is nearly straight, Newton leaps


class Moment(NamedTuple):
    """What an intent may look at."""

    round: int
    runs: int
    rng: np.random.Generator
    offered: Array | None  # last intents with their noise [M, N, A]; None in the first round
    played: Array | None  # the same as the institution let them pass
    shock: Array | None  # of the last round [M, K]


Intent = Callable[[Moment], Array]
"""What everybody means to do in the coming round, [M, N, A]."""


@dataclass(frozen=True)
class Scenario:
    """One kind of conduct with one level of noise."""

    name: str
    kind: str
    innocent: bool
    core: Core
    intent: Intent
    noise: float = 0.0
    by_chance: bool = False  # whether runs differ even without noise

    @property
    def varies(self) -> bool:
        """Whether runs differ; if not, one stands for all and an interval means nothing."""
        return self.by_chance or self.noise > 0


def ground_truth(preset: str) -> list[Scenario]:
    """Every scenario that the environment `preset` can express, the innocent first."""
    core = presets.make(preset)
    points = {name: point.actions for name, point in core.benchmarks().items()}
    cartel = points.get("fixed_price", points["joint_monopoly"])
    found = [
        *_noisy(core, "nash", _in_turn([points["nash"]]), innocent=True),
        *_repliers(preset, core),
        *_noisy(
            core, PLANNER, _in_turn([points["competitive"]]), innocent=True, levels=PLANNER_NOISE
        ),
        Scenario(
            "random", "random", innocent=True, core=core, intent=_random(core), by_chance=True
        ),
    ]
    offences: dict[str, Sequence[Array]] = {"fixed price": [cartel]}
    if "market_division" in points:
        offences = {"division": [points["market_division"]], **offences}
    if core.capacity is None:
        if "prices" in core.fields:  # else nobody can sell alone
            offences["turns"] = _price_turns(core, points["joint_monopoly"])
    else:
        firms, goods = core.low.shape
        sold = points["joint_monopoly"].sum(axis=0)
        if firms > 1 and goods > 1:
            offences["rotation"] = _sellers(
                sold, [[(g + r) % firms for g in range(goods)] for r in range(firms)], firms
            )
        if firms > 1:
            offences["turns"] = _sellers(sold, [[r] * goods for r in range(firms)], firms)
    for kind, turns in offences.items():
        found += _noisy(core, kind, _in_turn(turns), innocent=False)
    return found


MEANINGS: Mapping[str, str] = {
    "nash": "everybody plays the one-round Nash equilibrium",
    "best reply": "everybody moves part of the way to the best reply to the last round",
    "planner": "the efficient plan: specialised where costs differ, at competitive prices",
    "random": "uniform within bounds and capacity",
    "division": "each good is left to one firm, for good",
    "fixed price": "the cartel's price without a division",
    "rotation": "each good is left to one firm, and the goods change hands every round",
    "turns": "one firm sells alone, another one every round",
}
"""What each kind of conduct is, in words."""


def feasible(core: Core, actions: Array) -> Array:
    """`actions` [M, N, A] clipped to their bounds and scaled back to the capacity."""
    clipped: Array = np.clip(actions, core.low, core.high)
    if core.capacity is None:
        return clipped
    offered = clipped.sum(axis=2, keepdims=True)
    limit = core.capacity * (1 - CAPACITY_SLACK)
    scale = np.divide(limit, offered, out=np.ones_like(offered), where=offered > limit)
    scaled: Array = clipped * scale
    return scaled


def _noisy(
    core: Core, kind: str, intent: Intent, *, innocent: bool, levels: Sequence[float] = NOISE
) -> Iterator[Scenario]:
    shaken = core.shocks(0).shape[1] > 0
    for noise in levels:
        name = f"{kind} ±{noise:.0%}" if noise else kind
        yield Scenario(name, kind, innocent, core, intent, noise, by_chance=shaken)


def _repliers(preset: str, core: Core) -> Iterator[Scenario]:
    """Repliers with trembling hands, then, where the market can be disturbed, under shocks."""
    kind = "best reply"
    yield Scenario(
        f"{kind} ±{REPLY_NOISE:.0%}",
        kind,
        innocent=True,
        core=core,
        intent=_partial_best_reply(core),
        noise=REPLY_NOISE,
    )
    for what in ("demand", "cost"):
        if f"{what}_shock" not in presets.PRESETS[preset].overrides:
            continue
        sd = SHOCK_SIZE * float(core.benchmarks()["nash"].record["prices"].mean())
        shocks = (Shock(sd, SHOCK_PERSISTENCE, "common"), Shock(sd, SHOCK_PERSISTENCE, "private"))
        for shock in shocks:
            shaken = presets.make(preset, **{f"{what}_shock": shock})
            name = f"{kind}, {shock.scope} {what}"
            intent = _partial_best_reply(shaken)
            yield Scenario(name, kind, innocent=True, core=shaken, intent=intent, by_chance=True)


def _in_turn(turns: Sequence[Array]) -> Intent:
    """Everybody's actions [N, A] in round r are `turns[r % len(turns)]`."""

    def intent(moment: Moment) -> Array:
        joint = turns[moment.round % len(turns)]
        return np.broadcast_to(joint, (moment.runs, *joint.shape))

    return intent


def _sellers(sold: Array, plans: Sequence[Sequence[int]], firms: int) -> list[Array]:
    """Joint actions [N, A] in which firm `plan[g]` sells the whole of good g, one per plan."""
    turns = []
    for plan in plans:
        joint = np.zeros((firms, len(sold)))
        joint[list(plan), range(len(sold))] = sold
        turns.append(joint)
    return turns


def _price_turns(core: Core, cartel: Array) -> list[Array]:
    """One firm asks the cartel's price and the others one at which nobody buys."""
    turns = []
    for seller in range(len(cartel)):
        joint = core.high.copy()
        joint[seller] = cartel[seller]
        turns.append(joint)
    return turns


def _random(core: Core) -> Intent:
    """Uniform over bounds, or over what a capacity that binds before the bounds leaves."""
    firms, width = core.low.shape

    def intent(moment: Moment) -> Array:
        if core.capacity is None:
            draw = moment.rng.random((moment.runs, firms, width))
            return core.low + (core.high - core.low) * draw
        shares = moment.rng.standard_exponential((moment.runs, firms, width + 1))
        used = shares[:, :, :width] / shares.sum(axis=2, keepdims=True)
        room = core.capacity - core.low.sum(axis=1, keepdims=True)
        drawn: Array = core.low + room * used
        return drawn

    return intent


def _partial_best_reply(core: Core) -> Intent:
    """A damped Newton step on each firm's own profit in the last round; Nash in the first.

    The derivatives are differences of the market's own `settle` under the last round's shock, so
    that one rule serves every market and all runs at once; for linear demand the step aims at the
    best reply itself. No step is longer than a twentieth of the range, and where profit is not
    concave it is that long, uphill. The damping 2 / (N + 1) is the one under which linear Cournot
    firms that all err alike are back at Nash after one step (undamped, three or more need not
    settle: Theocharis 1960).
    """
    firms, width = core.low.shape
    weight = 2 / (firms + 1)
    nudge = 1e-3 * float(core.high.max())
    longest = _LONGEST_STEP * (core.high - core.low)
    nash = core.benchmarks()["nash"].actions

    def intent(moment: Moment) -> Array:
        if moment.played is None or moment.offered is None or moment.shock is None:
            return np.broadcast_to(nash, (moment.runs, *nash.shape))
        following = moment.offered.copy()
        for firm in range(firms):
            # A firm remembers what it meant to do, and sees what the others were let do.
            joint = moment.played.copy()
            joint[:, firm] = moment.offered[:, firm]
            for entry in range(width):
                profit = []
                for steps in range(3):
                    tried = joint.copy()
                    tried[:, firm, entry] += steps * nudge
                    profit.append(core.profits(core.settle(tried, moment.shock))[:, firm])
                slope = (-3 * profit[0] + 4 * profit[1] - profit[2]) / (2 * nudge)
                bend = (profit[0] - 2 * profit[1] + profit[2]) / nudge**2
                most = longest[firm, entry]
                uphill = most * np.sign(slope)
                step = np.divide(-slope, bend, out=uphill, where=bend < 0)
                following[:, firm, entry] += weight * np.clip(step, -most, most)
        return following

    return intent
