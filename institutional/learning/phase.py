"""Fine size times chance of detection, against what learners then gain, and where that turns.

A firm that is caught with probability p in a round of collusion and then pays S expects to lose
p * S; it should stop where that reaches the rent, what the round of collusion gains it (Becker
1968, JPE 76(2); the graph's evidence must be of that round alone for the product to be exact).
Measured: the product at which mean Delta has fallen half the way from its ungoverned value to the
lowest of the diagram.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from environments.contract import Array
from institutional.experiments.report.style import INK, SOFT, styled
from institutional.governance.loading import LoadedGraph, parse_graph
from institutional.learning.cells import Done, Task, play
from institutional.learning.conduct import measures
from institutional.learning.plan import NOBODY, Phase, Plan, govern, with_parameters
from institutional.learning.summary import interval


class PhaseDiagram(NamedTuple):
    """Mean Delta over fine size and chance of detection."""

    table: pl.DataFrame  # a row per point: size (rents), chance, expected (rents), delta, ...
    market: str
    rent: float  # money per firm and round: joint monopoly less Nash
    ungoverned: float  # mean Delta of the same seeds without institution
    thresholds: dict[float, float]  # chance -> chance * size (rents) at which Delta has half fallen


def points(phase: Phase) -> int:
    """How many cells there are, the ungoverned one included."""
    return 1 + len(phase.sizes) * len(phase.chances)


def phase_diagram(plan: Plan, folder: Path, *, threads: int | None, done: Done) -> PhaseDiagram:
    """Play every point of the plan's `phase` that is not in `folder` yet."""
    phase, loaded = plan.specification.phase, plan.phase
    assert phase is not None  # noqa: S101 - the caller looked
    assert loaded is not None  # noqa: S101 - loaded with the plan
    setting = plan.markets[phase.market]
    benchmarks = setting.core.benchmarks()
    nash, monopoly = (
        float(setting.core.profits(benchmarks[name].record).mean())
        for name in ("nash", "joint_monopoly")
    )
    rent = monopoly - nash

    def measured(name: str, graph: LoadedGraph) -> dict[str, Array]:
        task = Task(name, setting, govern(setting, graph), phase.learner, {"arm": "phase"})
        played = play(task, phase.sessions, folder, threads=threads, done=done)
        found = measures(setting.core, task.governed, played)
        return {
            "delta": found["delta"],
            "delta_net": found["delta_net"],
            "fines": played.fines.mean(axis=1),
            "converged": played.converged.astype(np.float64),
        }

    free = measured("phase-none", parse_graph(NOBODY, "nobody"))
    rows: list[dict[str, float | None]] = []
    for chance in phase.chances:
        for size in phase.sizes:
            graph = with_parameters(loaded, fine=size * rent, audit_share=chance)
            found = measured(f"phase-{size:g}-{chance:g}", graph)
            low, high = interval(found["delta"])
            row: dict[str, float | None] = {
                "size": size,
                "chance": chance,
                "expected": size * chance,
                **{name: float(values.mean()) for name, values in found.items()},
                "delta_low": low,
                "delta_high": high,
            }
            rows.append(row)
    table = pl.DataFrame(rows, infer_schema_length=None)
    ungoverned = float(free["delta"].mean())
    return PhaseDiagram(table, phase.market, rent, ungoverned, thresholds(table, ungoverned))


def thresholds(table: pl.DataFrame, ungoverned: float) -> dict[float, float]:
    """Per chance, the expected fine at which Delta first has half fallen; absent where it has not.

    Between two sizes Delta is taken as linear in the logarithm of the size.
    """
    half = (ungoverned + float(table["delta"].to_numpy().min())) / 2
    found = {}
    for chance in table["chance"].unique().sort().to_list():
        group = table.filter(pl.col("chance") == chance).sort("size")
        sizes, deltas = np.log(group["size"].to_numpy()), group["delta"].to_numpy()
        fallen = np.flatnonzero(deltas <= half)
        if len(fallen) == 0 or fallen[0] == 0:
            continue  # the crossing lies outside the sizes that were tried
        at = fallen[0]
        share = (deltas[at - 1] - half) / (deltas[at - 1] - deltas[at])
        size = np.exp(sizes[at - 1] + share * (sizes[at] - sizes[at - 1]))
        found[float(chance)] = float(chance * size)
    return found


def draw(diagram: PhaseDiagram, stem: Path) -> None:
    """Write `stem`.svg and `stem`.png."""
    with styled():
        figure = figure_of(diagram)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(stem.with_suffix(".png"), dpi=160)


def figure_of(diagram: PhaseDiagram) -> Figure:
    """Mean Delta as shades with their numbers, and the line p * S = rent through them."""
    table = diagram.table.sort("chance", "size")
    sizes, chances = (np.unique(table[name].to_numpy()) for name in ("size", "chance"))
    delta = table["delta"].to_numpy().reshape(len(chances), len(sizes))
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    columns, lines = _edges(sizes), _edges(chances)
    shades = axes.pcolormesh(
        columns, lines, delta, cmap="cividis", vmin=min(0.0, delta.min()), vmax=1
    )
    figure.colorbar(shades, label="mean profit gain Δ before fines (0 Nash, 1 joint monopoly)")
    for line, chance in enumerate(chances):
        for column, size in enumerate(sizes):
            value = delta[line, column]
            colour = INK if value > 0.55 else "white"
            text = axes.text(size, chance, f"{value:.2f}", ha="center", va="center")
            text.set(color=colour, size=7, zorder=5)
    span = np.geomspace(columns[0], columns[-1], 200)
    axes.plot(span, 1 / span, color="white", linewidth=3.4)
    axes.plot(
        span, 1 / span, color="#d55e00", linewidth=1.8, label="p · S = rent of joint monopoly"
    )
    learnt = diagram.ungoverned
    if learnt > 0:
        label = f"p · S = rent that is learnt (Δ = {learnt:.2f})"
        axes.plot(span, learnt / span, color="#d55e00", linewidth=1.4, linestyle="--", label=label)
    if diagram.thresholds:
        turns = np.array(sorted((p, expected / p) for p, expected in diagram.thresholds.items()))
        axes.plot(
            turns[:, 1],
            turns[:, 0],
            "o",
            color="white",
            markeredgecolor=INK,
            markersize=6,
            label="measured: Δ half fallen",
        )
    axes.set(xscale="log", yscale="log", xlim=columns[[0, -1]], ylim=lines[[0, -1]])
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.set_yticks(chances, [f"{chance:g}" for chance in chances])
    axes.minorticks_off()
    axes.set_xlabel(f"fine S, in rents (one is {diagram.rent:.3g} money per firm and round)")
    axes.set_ylabel("chance p that a round of collusion is detected")
    axes.set_title(f"Learners in {diagram.market}: do larger or likelier fines deter?", loc="left")
    figure.legend(loc="outside lower center", ncols=2, labelcolor=SOFT)
    return figure


def _edges(values: Array) -> Array:
    """Borders between `values` on a logarithmic scale, one more than there are values."""
    logs = np.log(values)
    middle = (logs[1:] + logs[:-1]) / 2
    first, last = 2 * logs[0] - middle[0], 2 * logs[-1] - middle[-1]
    edges: Array = np.exp(np.concatenate([[first], middle, [last]]))
    return edges
