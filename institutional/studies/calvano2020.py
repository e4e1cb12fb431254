"""Two Q-learners with one period of memory learn prices above Nash, and defend them.

The benchmark of the field: logit duopoly, fifteen prices, greedy play checked until it has not
changed in any state for 100,000 periods. Collusion is shown as conduct: one firm is forced to
its static best reply for one period, and what the other does next decides what the prices were.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from agents.q_learning.schedule import Learner
from environments import presets
from environments.contract import Array
from institutional.studies import drawing
from institutional.studies.learning import Trained, World, trained
from institutional.studies.study import Outcome, Prediction, Study, stacked

BAND = (0.84, 0.87)

PAPER = "Calvano, Calzolari, Denicolò and Pastorello 2020, AER 110(10), doi:10.1257/aer.20190623"
_PORTS = "two public replications of the paper, and 300 pilot sessions of this learner"


def run(seeds: Sequence[int]) -> Outcome:
    """Train the benchmark, and a tenth as many sessions of each control."""
    world = World.of(presets.make("calvano2020"))
    few = seeds[: max(5, len(seeds) // 10)]
    main = trained(world, Learner(), seeds)
    forgetful = trained(world, Learner(memory=0), few)
    myopic = trained(world, Learner(discount=0.0), few)
    arms = {"memory 1": main, "no memory": forgetful, "no future": myopic}
    return Outcome(
        measured={
            "Delta": main.delta,
            "periods to convergence, millions": main.periods / 1e6,
            "rival's price after a cut, change": main.answers(),
            "cuts that do not pay, share": main.unprofitable(),
            "mean price one period after a cut, change": main.aftermath(1),
            "mean price eight periods after, change": main.aftermath(8),
            "value over best single change, on path": mean_over_firms(main, "once_ratio_on_path"),
            "no memory: rival's price after a cut, change": forgetful.answers(),
            "no memory: cuts that do not pay, share": forgetful.unprofitable(),
            "no memory: genuine collusion, share": forgetful.genuine,
            "no future: Delta": myopic.delta,
            "converged, share": main.converged,
            "genuine collusion, share": main.genuine,
            "punishment, periods": main.punishments(),
            "play returns after a cut, share": main.returns(),
            "no single change pays, share of states on path": mean_over_firms(
                main, "once_replies_on_path"
            ),
            "no single change pays, share of all states": mean_over_firms(
                main, "once_replies_everywhere"
            ),
            "value over best reply, on path": mean_over_firms(main, "ratio_on_path"),
            "no memory: Delta": forgetful.delta,
        },
        table=stacked(columns(name, arm, seeds) for name, arm in arms.items()),
        draw=lambda: drawn(arms),
        caption=f"Delta averages {main.delta.mean():.2f} over {len(seeds)} sessions; after a forced"
        " cut the other firm's price falls and both return",
    )


def mean_over_firms(sessions: Trained, field: str) -> Array:
    """The mean over firms of one measure of exploitability, [S]."""
    return np.asarray(np.mean([getattr(one, field) for one in sessions.exploited], axis=0))


def columns(name: str, arm: Trained, seeds: Sequence[int]) -> dict[str, ArrayLike]:
    """One row per session: where it settled, and what each firm's cut would bring."""
    found = arm.columns(name, seeds)
    for firm, (cut, exploited) in enumerate(zip(arm.cuts, arm.exploited, strict=True), start=1):
        found |= {
            f"profit_{firm}": arm.profits[:, firm - 1],
            f"cut_possible_{firm}": cut.possible,
            f"cut_gain_at_once_{firm}": cut.at_once,
            f"cut_gain_{firm}": cut.gain,
            f"punishment_{firm}": cut.punishment,
            f"loss_to_best_reply_{firm}": exploited.loss_on_path,
        }
    return found


def drawn(arms: dict[str, Trained]) -> Figure:
    """Where sessions settle, how a cut is answered, and for how long."""
    main = arms["memory 1"]
    figure, (left, middle, right) = drawing.panels(3)
    drawing.distribution(left, {name: arm.delta for name, arm in arms.items()}, band=BAND)
    points = main.world.core.benchmarks()
    drawing.cut(
        middle,
        {"memory 1": main.path(0), "no memory": arms["no memory"].path(0)},
        references={
            "Nash": float(points["nash"].actions[0, 0]),
            "monopoly": float(points["joint_monopoly"].actions[0, 0]),
        },
        what="price",
    )
    drawing.lengths(right, main.punishments())
    return figure


STUDY = Study(
    name="calvano2020",
    paper=PAPER,
    claim="Q-learners that remember one period learn supra-competitive prices and punish cuts.",
    miniature="The paper's benchmark in full size: logit duopoly (quality 2, outside good 0, mu"
    " 0.25, cost 1), 15 prices from a tenth of the gap below Nash to a tenth above monopoly, alpha"
    " 0.15, discount 0.95, epsilon exp(-4e-6 t). Sessions start from the lowest prices, not from a"
    " random state.",
    predictions=(
        Prediction(
            quantity="Delta",
            low=BAND[0],
            high=BAND[1],
            number=0.85,
            no_effect=0.0,
            source="section 4, as replications quote it; pilots 0.847 and 0.855",
        ),
        Prediction(
            quantity="periods to convergence, millions",
            low=1.75,
            high=1.95,
            number=1.873,
            source="a public replication; pilots 1.86",
        ),
        Prediction(
            quantity="rival's price after a cut, change",
            low=-0.45,
            high=-0.05,
            no_effect=0.0,
            source="section 5: the rival answers at once",
        ),
        Prediction(
            quantity="cuts that do not pay, share",
            low=0.9,
            high=1.0,
            number=0.95,
            no_effect=0.0,
            source="pilots; the paper finds most cuts unprofitable",
        ),
        Prediction(
            quantity="mean price one period after a cut, change",
            fixed="after 40 sessions, for a punishment of 5 to 10 periods (3.9 found)",
            low=-0.35,
            high=-0.15,
            number=-0.25,
            no_effect=0.0,
            source="pilots: from 1.80 to 1.55",
        ),
        Prediction(
            quantity="mean price eight periods after, change",
            fixed="after 40 sessions, likewise",
            low=-0.03,
            high=0.03,
            source="pilots: back near the old level after about 8; recalled of the paper: 5 to 7"
            " periods of visible punishment",
        ),
        Prediction(
            quantity="value over best single change, on path",
            fixed="after 40 sessions, for the value over the full best reply (0.87 found)",
            low=0.97,
            high=1.0,
            number=0.99,
            source=_PORTS,
        ),
    ),
    controls=(
        Prediction(
            quantity="no memory: rival's price after a cut, change",
            low=0,
            high=0,
            no_effect=0.0,
            source="nothing to remember a cut by",
        ),
        Prediction(
            quantity="no memory: cuts that do not pay, share",
            low=0,
            high=0,
            no_effect=0.0,
            source="a cut nobody answers is the static best reply",
        ),
        Prediction(
            quantity="no memory: genuine collusion, share",
            low=0,
            high=0,
            no_effect=0.0,
            source="no punishment, whatever the prices",
        ),
        Prediction(
            quantity="no future: Delta",
            low=-0.2,
            high=0.3,
            no_effect=0.0,
            source="a firm that counts the present only has no reason to forgo a cut; the"
            " grid's own one-period equilibria have -0.02 and 0.12",
        ),
    ),
    does_not_show=(
        "That pricing programs in use learn like this, by millions of costless experiments.",
        "Prices in a market with entry, many products or demand that the learner must discover.",
        "Robustness over rates, firms, costs: see calvano2020_robustness.",
    ),
    seeds=1000,
    quick_seeds=24,
    run=run,
)
