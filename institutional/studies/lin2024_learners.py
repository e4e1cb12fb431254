"""Calvano's learners in quantity markets: one good, and the two goods of Lin et al.

Lin et al. let language models choose quantities of two goods and saw them divide the market. If
learners without any language reach the same pattern, the pattern needs no language. What
they add to it is the price: their profits lie far above Nash.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from agents.q_learning.conduct import on_path, walk
from agents.q_learning.schedule import EpsilonGreedy, Learner
from environments import presets
from environments.contract import Array
from institutional.studies import drawing
from institutional.studies.learning import Trained, World, trained
from institutional.studies.study import Outcome, Prediction, Study, stacked

PAPER = "Lin et al. 2024, arXiv:2410.00031, section 3; learner of Calvano et al. 2020"
SLOW, FAST = 8e-7, 2e-6
LEVELS = 5
"""Quantities per good: 25 joint actions, from below Nash to above division."""


def run(
    seeds: Sequence[int], *, levels: int = LEVELS, betas: tuple[float, float] = (FAST, SLOW)
) -> Outcome:
    """Train the single-good market, and a tenth as many sessions of the larger two-good one."""
    few = seeds[: max(5, len(seeds) // 10)]
    single = trained(World.of(presets.make("waltman_kaymak2008")), Learner(), seeds)
    lin = World.of(presets.make("lin2024"), levels=levels)
    fast, slow = (trained(lin, Learner(exploration=EpsilonGreedy(beta)), few) for beta in betas)
    myopic = trained(lin, Learner(discount=0.0, exploration=EpsilonGreedy(betas[0])), few)
    tiers = {name: tier(arm) for name, arm in (("fast", fast), ("slow", slow), ("myopic", myopic))}
    arms = {
        "one good": single,
        "two goods": fast,
        "two goods, slow": slow,
        "two goods, myopic": myopic,
    }
    return Outcome(
        measured={
            "one good: Delta": single.delta,
            "one good: periods to convergence, millions": single.periods / 1e6,
            "one good: cuts that do not pay, share": single.unprofitable(),
            "one good: rival's quantity after a cut, change": single.answers(),
            "one good: mean quantity ten periods after, change": single.aftermath(10),
            "two goods: Delta": fast.delta,
            "two goods: mean price": price(fast),
            "two goods: tier 4, share": tiers["fast"] == 4,
            "two goods, slow: Delta": slow.delta,
            "two goods, slow: mean price": price(slow),
            "two goods, slow: tier 4, share": tiers["slow"] == 4,
            "two goods, myopic: Delta": myopic.delta,
            "two goods, myopic: tier 4, share": tiers["myopic"] == 4,
            "two goods: tier": tiers["fast"],
            "two goods, slow: tier": tiers["slow"],
            "two goods, myopic: tier": tiers["myopic"],
            "two goods: genuine collusion, share": fast.genuine,
            "two goods: periods to convergence, millions": fast.periods / 1e6,
            "two goods: converged, share": fast.converged,
        },
        table=stacked(
            arm.columns(name, seeds) | {"price": price(arm), "tier": tier(arm)}
            for name, arm in arms.items()
        ),
        draw=lambda: drawn(arms),
        caption=f"Delta averages {single.delta.mean():.2f} with one good and"
        f" {fast.delta.mean():.2f} with two; after a forced expansion the other firm expands",
    )


def price(arm: Trained) -> Array:
    """Mean price over goods where play has settled, [S]."""
    return on_path(arm.learned, arm.cycle, arm.world.record["prices"].mean(axis=1))


def tier(arm: Trained) -> Array:
    """The tier of a run of the market's usual length, played as learned, [S]."""
    core = arm.world.core
    joint = walk(arm.learned, arm.cycle.state, periods=core.rounds)
    history = {name: values[joint] for name, values in arm.world.record.items()}
    return core.measures(history, np.ones(joint.shape, dtype=np.bool_))["tier"]


def drawn(arms: dict[str, Trained]) -> Figure:
    """How a cut is answered where there is one good, and what two goods come to."""
    single = arms["one good"]
    figure, (left, middle, right) = drawing.panels(3)
    drawing.distribution(left, {"one good": single.delta}, band=(0.83, 0.89))
    points = single.world.core.benchmarks()
    drawing.cut(
        middle,
        {"": single.path(0)},
        references={
            "Nash": float(points["nash"].actions[0, 0]),
            "monopoly": float(points["joint_monopoly"].actions[0, 0]),
        },
        what="quantity",
    )
    drawing.scatter(
        right,
        {name: (price(arm), arm.delta) for name, arm in arms.items() if arm is not single},
        labels=("mean price of the two goods (Nash 63.3)", "profit gain Δ"),
    )
    right.axvline(190 / 3, color="#59636e", linewidth=0.8, linestyle=(0, (1, 2)))
    right.set_title("Lin's two goods, a dot per session", loc="left")
    return figure


_PILOT = "pilots of this learner"
_FEW = "pilots of this learner, 12 sessions only"

STUDY = Study(
    name="lin2024_learners",
    paper=PAPER,
    claim="Learners without language divide Lin's two-good market as language models do, at prices"
    " above Nash, and restrict quantity where there is one good.",
    miniature="The learner of calvano2020 in single-good Cournot (price 40 - Q, cost 4, 15"
    " quantities) and, a tenth as many sessions, in Lin's market with 5 quantities per good, a grid"
    " from below Nash to above division that already leans to each firm's cheaper good; epsilon"
    " exp(-2e-6 t), and exp(-8e-7 t) as the slow arm.",
    predictions=(
        Prediction(
            quantity="one good: Delta",
            low=0.83,
            high=0.89,
            number=0.859,
            no_effect=0.0,
            source=_PILOT,
        ),
        Prediction(
            quantity="one good: periods to convergence, millions",
            low=2.1,
            high=2.4,
            number=2.25,
            source=_PILOT,
        ),
        Prediction(
            quantity="one good: cuts that do not pay, share",
            low=0.7,
            high=0.9,
            number=0.8,
            no_effect=0.0,
            source=_PILOT,
        ),
        Prediction(
            quantity="one good: rival's quantity after a cut, change",
            low=0.8,
            high=1.8,
            number=1.3,
            no_effect=0.0,
            source=f"{_PILOT}: the rival expands from 10.0 to 11.3",
        ),
        Prediction(
            quantity="one good: mean quantity ten periods after, change",
            low=-0.3,
            high=0.3,
            source=f"{_PILOT}: returns over about 10",
        ),
        Prediction(
            quantity="two goods: Delta",
            low=0.74,
            high=0.88,
            number=0.81,
            no_effect=0.0,
            source=_FEW,
        ),
        Prediction(
            quantity="two goods: mean price",
            fixed="after 8 sessions",
            low=68.5,
            high=72.0,
            number=70.2,
            no_effect=190 / 3,
            source=f"{_FEW}; Nash is 63.33",
        ),
        Prediction(
            quantity="two goods: tier 4, share",
            fixed="after 8 sessions",
            low=0.8,
            high=1.0,
            number=1.0,
            no_effect=0.0,
            source=f"{_FEW}: 12 of 12",
        ),
        Prediction(
            quantity="two goods, slow: Delta",
            low=0.6,
            high=0.82,
            number=0.70,
            no_effect=0.0,
            source=_FEW,
        ),
        Prediction(
            quantity="two goods, slow: mean price",
            fixed="after 8 sessions",
            low=67.5,
            high=71.0,
            number=68.9,
            no_effect=190 / 3,
            source=_FEW,
        ),
        Prediction(
            quantity="two goods, slow: tier 4, share",
            fixed="after 8 sessions",
            low=0.3,
            high=0.85,
            number=0.58,
            no_effect=0.0,
            source=f"{_FEW}: 7 of 12",
        ),
    ),
    controls=(
        Prediction(
            quantity="two goods, myopic: Delta",
            fixed="after 8 sessions",
            low=-0.1,
            high=0.4,
            no_effect=0.0,
            source="a firm that counts the present only; a coarse grid has equilibria above Nash",
        ),
        Prediction(
            quantity="two goods, myopic: tier 4, share",
            fixed="after 8 sessions",
            low=0.0,
            high=0.1,
            no_effect=0.0,
            source="without a future there is nothing to divide the market for",
        ),
    ),
    does_not_show=(
        "That language models divide the market for the reason that learners do.",
        "Division on a free grid: this one leans to the favoured good, as the myopic arm shows.",
        "The prices of Lin et al.: their language models sold at competitive ones.",
    ),
    seeds=400,
    quick_seeds=10,
    run=run,
)
