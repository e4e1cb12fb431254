"""Panels that the studies of pricing share. Nothing here computes a statistic."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from environments.contract import Array
from institutional.experiments.report.style import GRID, INK, REGIME_COLOURS, SOFT

WIDTH = 10.4  # inches
_STYLES = ("-", "--", ":")
_DOTS = ("o", "D", "^", "s")


def panels(
    columns: int, *, height: float = 3.1, widths: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure with a row of `columns` panels."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    grid = figure.subplots(1, columns, squeeze=False, width_ratios=widths)
    for axes in grid.flat:
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, list(grid.flat)


def distribution(axes: Axes, arms: Mapping[str, Array], *, band: tuple[float, float]) -> None:
    """Histograms of Delta, each arm a line, over the band that was predicted for the first mean."""
    bins = np.linspace(-0.2, 1.05, 51)
    axes.axvspan(*band, color=GRID, zorder=0)
    for place, (name, values) in enumerate(arms.items()):
        share = np.histogram(np.clip(values, bins[0], bins[-1]), bins)[0] / len(values)
        axes.stairs(
            share,
            bins,
            color=REGIME_COLOURS[place],
            linestyle=_STYLES[place % 3],
            label=name,
            linewidth=1.4,
        )
    axes.set_xlabel("profit gain Δ (0 Nash, 1 joint monopoly)")
    axes.set_ylabel("share of sessions")
    axes.set_title("Where sessions settle; shaded: predicted mean", loc="left")
    axes.legend(loc="upper left")


def cut(
    axes: Axes,
    paths: Mapping[str, tuple[Array, Array]],
    *,
    references: Mapping[str, float],
    what: str,
    shown: int = 20,
) -> None:
    """Mean `what` of the firm that is forced to cut, and of the others, around that period."""
    for place, (name, (own, others)) in enumerate(paths.items()):
        colour = REGIME_COLOURS[place]
        periods = np.arange(-1, shown)
        note = f" ({name})" if name else ""
        for values, style, who in ((own, "-", "forced firm"), (others, "--", "other firm")):
            axes.plot(
                periods,
                values[: len(periods)],
                color=colour,
                linestyle=style,
                marker="o",
                markersize=2.6,
                linewidth=1.3,
                label=f"{who}{note}",
            )
    for name, value in references.items():
        axes.axhline(value, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axes.annotate(
            name,
            (1, value),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            ha="right",
            textcoords="offset points",
            color=SOFT,
            fontsize=7.8,
        )
    axes.axvline(0, color=GRID, linewidth=1.0, zorder=0)
    axes.margins(y=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("periods since one firm was forced to its best reply")
    axes.set_ylabel(f"mean {what}")
    axes.set_title("A forced deviation and its answer", loc="left")
    axes.legend(loc="center right", bbox_to_anchor=(1, 0.42))


def lengths(axes: Axes, values: Array, *, most: int = 20) -> None:
    """How long play stays off the cycle after a cut."""
    share = np.bincount(np.minimum(values.astype(np.int64), most), minlength=most + 1)
    axes.bar(range(most + 1), share / len(values), color=REGIME_COLOURS[0], width=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel(f"periods before play is back ({most}: or more)")
    axes.set_ylabel("share of cuts")
    axes.set_title("Length of the punishment", loc="left")


def scatter(
    axes: Axes, arms: Mapping[str, tuple[Array, Array]], *, labels: tuple[str, str]
) -> None:
    """A dot per session, a colour and a shape per arm."""
    for place, (name, (x, y)) in enumerate(arms.items()):
        axes.plot(
            x, y, _DOTS[place], color=REGIME_COLOURS[place], markersize=4, alpha=0.7, label=name
        )
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.legend(loc="best")


def logarithmic(axes: Axes, *which: Literal["x", "y"]) -> None:
    """Logarithmic axes, with plain numbers at powers of ten: figures do not parse formulas."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def curves(
    axes: Axes, x: Sequence[float] | Array, arms: Mapping[str, Array], *, labels: tuple[str, str]
) -> None:
    """Each arm's mean over seeds [T, S] against `x` [T], the middle half of seeds behind it."""
    for place, (name, values) in enumerate(arms.items()):
        colour, style = REGIME_COLOURS[place % len(REGIME_COLOURS)], _STYLES[place % 3]
        low, high = np.quantile(values, (0.25, 0.75), axis=1)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(x, values.mean(axis=1), color=colour, linestyle=style, linewidth=1.4, label=name)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.legend(loc="best")


def forest(
    axes: Axes,
    rows: Sequence[tuple[str, float, float, float]],
    *,
    references: Sequence[float | None],
    label: str,
) -> None:
    """One row per cell: its mean and interval, and a tick where a source puts it."""
    for y, ((_, value, low, high), reference) in enumerate(zip(rows, references, strict=True)):
        axes.plot([low, high], [y, y], color=REGIME_COLOURS[1], linewidth=1.6, clip_on=False)
        axes.plot(value, y, "o", color=REGIME_COLOURS[1], markersize=4.5, clip_on=False)
        if reference is not None:
            axes.plot(reference, y, marker="|", color=INK, markersize=12, markeredgewidth=1.4)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
