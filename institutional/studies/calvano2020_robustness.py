"""Whether the benchmark's collusion survives other rates, more firms, unequal costs, shocks.

One arm per change of calvano2020's benchmark, everything else as there, on the same seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure

from agents.q_learning.schedule import EpsilonGreedy, Learner
from agents.q_learning.shocked import train_shocked
from environments.bertrand.core import Bertrand
from institutional.studies import calvano2020, drawing
from institutional.studies.learning import Trained, World, settled, trained
from institutional.studies.study import Outcome, Prediction, Study, estimate, stacked

RECALLED = "recalled of the paper, unconfirmed"


@dataclass(frozen=True)
class Arm:
    """One change of the benchmark, and the band for its mean Delta."""

    name: str
    low: float
    high: float
    source: str
    number: float | None = None
    alpha: float = 0.15
    beta: float = 4e-6
    costs: tuple[float, ...] = (1.0, 1.0)
    shock: float = 0.0  # added to or taken off what buying nothing is worth, anew every period
    share: float = 1.0  # of the seeds; larger games get fewer


BASE = Arm("benchmark", *calvano2020.BAND, "see calvano2020", 0.85)
ARMS = (
    BASE,
    Arm("alpha 0.05", 0.82, 0.88, "pilots of this learner", 0.850, alpha=0.05),
    Arm("alpha 0.25", 0.70, 0.90, f"range over the grid, {RECALLED}", alpha=0.25),
    Arm("beta 1e-5", 0.70, 0.90, f"range over the grid, {RECALLED}", beta=1e-5),
    Arm("beta 2e-5", 0.79, 0.85, "pilots of this learner", 0.82, beta=2e-5),
    Arm("costs 1 and 0.75", 0.65, 0.90, f"falls a little; {RECALLED}", costs=(1.0, 0.75)),
    Arm("costs 1 and 0.5", 0.60, 0.90, f"falls a little; {RECALLED}", costs=(1.0, 0.5)),
    Arm("demand ±0.05", 0.80, 0.90, "pilot of 10 sessions", 0.87, shock=0.05, share=0.25),
    Arm("demand ±0.25", 0.55, 0.75, "pilot of 10 sessions", 0.65, shock=0.25, share=0.25),
    Arm("three firms", 0.54, 0.74, RECALLED, 0.64, costs=(1.0,) * 3, share=0.25),
    Arm("four firms", 0.46, 0.66, RECALLED, 0.56, costs=(1.0,) * 4, share=0.05),
)


def run(seeds: Sequence[int], *, arms: Sequence[Arm] = ARMS) -> Outcome:
    """Train every arm, and one that remembers nothing."""
    found = {arm.name: train_arm(arm, part(seeds, arm.share)) for arm in arms}
    forgetful = trained(world(BASE), Learner(memory=0), part(seeds, 0.25))
    return Outcome(
        measured={
            **{f"{name}: Delta": one.delta for name, one in found.items()},
            **{
                f"{name}: cuts that do not pay, share": one.unprofitable()
                for name, one in found.items()
            },
            **{
                f"{name}: periods to convergence, millions": one.periods / 1e6
                for name, one in found.items()
            },
            "no memory: cuts that do not pay, share": forgetful.unprofitable(),
        },
        table=stacked(one.columns(name, seeds) for name, one in found.items()),
        draw=lambda: drawn(found, arms),
        caption="Mean Delta and the share of unprofitable cuts, for each change of the benchmark",
    )


def part(seeds: Sequence[int], share: float) -> Sequence[int]:
    """The first `share` of the seeds, at least five."""
    return seeds[: max(5, round(share * len(seeds)))]


def train_arm(arm: Arm, seeds: Sequence[int]) -> Trained:
    """Train the arm; with shocks, its strategies are judged by the mean of the two markets."""
    calm = world(arm)
    if not arm.shock:
        return trained(calm, learner(arm), seeds)
    games = [
        World.of(market(arm, outside=outside), grids=calm.game.actions).game
        for outside in (-arm.shock, arm.shock)
    ]
    sessions = train_shocked(games, learner(arm), seeds)
    return settled(replace(calm, game=sessions.game), sessions)


def world(arm: Arm) -> World:
    """The arm's market without shocks, on the benchmark's grid."""
    return World.of(market(arm))


def market(arm: Arm, *, outside: float = 0.0) -> Bertrand:
    """The benchmark's market with the arm's firms and costs."""
    return Bertrand(quality=(2.0,) * len(arm.costs), costs=arm.costs, outside=outside)


def learner(arm: Arm) -> Learner:
    """The benchmark's learner at the arm's rates."""
    return Learner(alpha=arm.alpha, exploration=EpsilonGreedy(arm.beta))


def drawn(found: dict[str, Trained], arms: Sequence[Arm]) -> Figure:
    """Delta and unprofitable cuts, one row per arm."""
    figure, (left, right) = drawing.panels(2, height=3.3)
    for axes, values, references, label in (
        (
            left,
            {name: one.delta for name, one in found.items()},
            [arm.number for arm in arms],
            "profit gain Δ (bar: what a source says)",
        ),
        (
            right,
            {name: one.unprofitable() for name, one in found.items()},
            [None] * len(arms),
            "share of forced cuts that do not pay",
        ),
    ):
        drawing.forest(
            axes,
            [(name, *estimate(each)[:3]) for name, each in values.items()],
            references=references,
            label=label,
        )
        axes.set_xlim(0, 1)
    right.set_yticklabels([])
    left.set_title("Mean and 95 % interval over sessions", loc="left")
    return figure


STUDY = Study(
    name="calvano2020_robustness",
    paper=calvano2020.PAPER,
    claim="Learned collusion does not hang on one rate, on two equal firms or on constant demand.",
    miniature="The benchmark of calvano2020 with one thing changed at a time.",
    predictions=(
        *(
            Prediction(
                quantity=f"{arm.name}: Delta",
                low=arm.low,
                high=arm.high,
                number=arm.number,
                no_effect=0.0,
                source=arm.source,
            )
            for arm in ARMS
        ),
        Prediction(
            quantity="alpha 0.05: cuts that do not pay, share",
            low=0.7,
            high=0.92,
            number=0.81,
            no_effect=0.0,
            source="pilots of this learner",
        ),
        Prediction(
            quantity="beta 2e-5: periods to convergence, millions",
            low=0.48,
            high=0.6,
            number=0.54,
            source="pilots of this learner",
        ),
    ),
    controls=(
        Prediction(
            quantity="no memory: cuts that do not pay, share",
            low=0,
            high=0,
            no_effect=0.0,
            source="a cut nobody answers is the static best reply",
        ),
    ),
    does_not_show=(
        "The paper's whole grid of rates: one is changed at a time.",
        "Shocks that firms can see or that last: demand is drawn anew in every period.",
    ),
    seeds=200,
    quick_seeds=10,
    run=run,
)
