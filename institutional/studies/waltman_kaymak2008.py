"""Q-learners without memory sell less than Nash in a Cournot market, and nothing defends it.

The older result, and the standing warning: quantities below Nash are not collusion by themselves.
These firms cannot see each other, so they cannot punish; the deviation test calls what they do
spurious. A variant that remembers one round and looks ahead shows what memory changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from agents.q_learning.conduct import on_path
from agents.q_learning.schedule import Boltzmann, Learner
from environments import presets
from environments.contract import Array
from institutional.studies import drawing
from institutional.studies.learning import Trained, World, trained
from institutional.studies.study import Outcome, Prediction, Study, estimate, stacked

PAPER = "Waltman and Kaymak 2008, JEDC 32(10):3275-3293, doi:10.1016/j.jedc.2008.01.003"
PERIODS = 1_000_000


@dataclass(frozen=True)
class Cell:
    """One line of the design, and the total quantity that pilots found."""

    name: str
    pilot: float
    firms: int = 2
    alpha: float = 0.5
    discount: float = 0.0
    memory: int = 0
    step: int = 1
    most: int = 40

    @property
    def nash(self) -> float:
        """Total quantity at Nash, 36 n / (n + 1)."""
        return 36 * self.firms / (self.firms + 1)


MAIN = Cell("two firms", 20.9)
CELLS = (
    Cell("two firms, alpha 0.05", 22.9, alpha=0.05),
    Cell("two firms, alpha 0.25", 21.4, alpha=0.25),
    MAIN,
    Cell("two firms, alpha 1", 21.1, alpha=1.0),
    Cell("three firms", 20.8, firms=3),
    Cell("four firms, 0 to 16 each", 20.6, firms=4, most=16),
    Cell("six firms, even numbers to 10", 22.8, firms=6, step=2, most=10),
    Cell("two firms, looking ahead", 20.5, discount=0.9),
    Cell("two firms, looking ahead and back", 20.0, discount=0.9, memory=1),
)
SPREAD = 1.0
"""Half a band, in units of the total; pilots had 8 to 12 runs a cell."""


def learner(cell: Cell, *, periods: int = PERIODS) -> Learner:
    """Boltzmann choice at temperature 1000 x 0.99999^t for a fixed number of periods."""
    return Learner(
        alpha=cell.alpha,
        discount=cell.discount,
        memory=cell.memory,
        exploration=Boltzmann(temperature=1000.0, decay=0.99999),
        initial=0.0,
        stable=periods,
        most_periods=periods,
    )


def run(seeds: Sequence[int], *, cells: Sequence[Cell] = CELLS, periods: int = PERIODS) -> Outcome:
    """Train every cell of the design on the same seeds."""
    found: dict[Cell, Trained] = {}
    for cell in cells:
        core = presets.make("waltman_kaymak2008", firms=cell.firms)
        grid = np.arange(0.0, cell.most + 1, cell.step)[:, np.newaxis]
        world = World.of(core, grids=[grid] * cell.firms)
        found[cell] = trained(world, learner(cell, periods=periods), seeds)
    totals = {cell: total(arm) for cell, arm in found.items()}
    main = found[MAIN]
    return Outcome(
        measured={
            **{f"{cell.name}: total quantity": values for cell, values in totals.items()},
            **{
                f"{cell.name}: total below Nash": cell.nash - values
                for cell, values in totals.items()
            },
            "two firms: rivals' quantity after a cut, change": main.answers(),
            **{
                f"{cell.name}: genuine collusion, share": arm.genuine for cell, arm in found.items()
            },
            "two firms: cuts that do not pay, share": main.unprofitable(),
            "two firms: Delta": main.delta,
        },
        table=stacked(
            arm.columns(cell.name, seeds) | {"total_quantity": totals[cell]}
            for cell, arm in found.items()
        ),
        draw=lambda: drawn(totals),
        caption="Total quantity of Q-learners in each cell, beside monopoly, Nash and the pilots",
    )


def total(arm: Trained) -> Array:
    """The firms' total quantity where play has settled, [S]."""
    return on_path(arm.learned, arm.cycle, arm.world.record["quantities"][:, :, 0].sum(axis=1))


def drawn(totals: dict[Cell, Array]) -> Figure:
    """Total quantities by cell, beside Nash and what pilots found."""
    figure, (axes,) = drawing.panels(1, height=3.3)
    means = [(cell.name, *estimate(values)[:3]) for cell, values in totals.items()]
    drawing.forest(
        axes,
        means,
        references=[cell.pilot for cell in totals],
        label="total quantity (dot: mean and 95 % interval; bar: pilots; diamond: Nash)",
    )
    for y, cell in enumerate(totals):
        axes.plot(cell.nash, y, "D", color="#8b949e", markersize=4)
    axes.axvline(18, color="#59636e", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set_title("Between monopoly (dotted, 18) and Nash", loc="left")
    return figure


STUDY = Study(
    name="waltman_kaymak2008",
    paper=PAPER,
    claim="Q-learning Cournot firms end up between Nash and monopoly, usually, and seldom all the"
    " way, without punishment or communication.",
    miniature="Price 40 - Q, cost 4, integer quantities 0 to 40, Boltzmann choice at temperature"
    " 1000 x 0.99999^t, one state (but in the last cell), values from 0, a million periods;"
    " measured is the play that the final values lead to. The million periods and the look-ahead"
    " are recalled of the paper, the rest follows a public port.",
    predictions=(
        *(
            Prediction(
                quantity=f"{cell.name}: total quantity",
                low=cell.pilot - SPREAD,
                high=cell.pilot + SPREAD,
                number=cell.pilot,
                source="pilots of 8 to 12 runs, last 1,000 of a million periods",
            )
            for cell in CELLS
        ),
        Prediction(
            quantity=f"{MAIN.name}: total below Nash",
            low=0.5,
            high=6.0,
            no_effect=0.0,
            source="abstract: usually collusive, rarely fully; monopoly is 6 below",
        ),
    ),
    controls=(
        Prediction(
            quantity="two firms: rivals' quantity after a cut, change",
            low=0,
            high=0,
            no_effect=0.0,
            source="without memory there is no answer",
        ),
        Prediction(
            quantity="two firms: genuine collusion, share",
            low=0,
            high=0,
            no_effect=0.0,
            source="Calvano et al. 2023: without punishment it is spurious",
        ),
    ),
    does_not_show=(
        "Collusion as conduct: no firm here could notice or punish a deviation.",
        "What the paper's own parameters give where only its ports are public.",
        "Four and six firms on all 41 quantities: their joint actions would not fit into a table.",
        "Convergence: play ends when the temperature is low, not when values have settled.",
    ),
    seeds=20,
    quick_seeds=5,
    run=run,
)
