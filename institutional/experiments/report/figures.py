"""The report's figures as SVG text: drawn without a display, the same bytes for the same data.

Nothing here computes a statistic: figures draw the numbers they are given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from institutional.experiments.report.html import Html
from institutional.experiments.report.style import (
    DASHES,
    GRID,
    INK,
    SOFT,
    as_svg,
    colour_of,
    legend_above,
    marker_of,
    regime_legend,
    shortened,
    styled,
)
from institutional.experiments.statistics import Array

WIDTH = 10.4  # inches; at 96 dots per inch, the page's width
MOST_LINES = 6

_TIER_COLOURS = ("#f1eef6", "#fdd49e", "#fc8d59", "#d7301f", "#7f0000")
_COUNTS = LinearSegmentedColormap.from_list("counts", ("#ffffff", "#a6cee3", "#0072b2", "#08306b"))


@dataclass(frozen=True)
class Line:
    """One regime in one panel: the mean over runs, and a band, at each x; [T] each."""

    regime: str
    x: Array
    mean: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Interval:
    """One row of a forest plot; an absent value leaves a gap with `note`."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    note: str = ""
    overall: bool = False


@dataclass(frozen=True)
class Spread:
    """The mean over runs of one regime in one row, with the range that holds most of them."""

    label: str
    regime: str
    mean: float
    low: float
    high: float


def trajectories(
    key: str,
    panels: Mapping[str, Sequence[Line]],
    *,
    regimes: Sequence[str],
    benchmarks: Mapping[str, float],
    label: str,
    description: str,
) -> Html:
    """Small multiples over pairings: a line per regime, at most six, and dotted benchmarks."""
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    height = 0.75 + 1.62 * rows
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        limits = _limits([line for lines in panels.values() for line in lines], benchmarks)
        for index, (axes, pairing) in enumerate(zip(grid.flat, panels, strict=False)):
            for line in panels[pairing]:
                _draw_line(axes, line, regimes.index(line.regime))
            for value in benchmarks.values():
                axes.axhline(value, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
            if index % columns == columns - 1 or index == len(panels) - 1:
                _label_benchmarks(axes, benchmarks, limits)
            axes.set_title(shortened(pairing, 30), loc="left", pad=4)
            axes.set_ylim(*limits)
            axes.margins(x=0.01)
            axes.grid(axis="y", color=GRID, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            if index + columns >= len(panels):
                axes.set_xlabel("round")
                axes.tick_params(labelbottom=True)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        figure.supylabel(label, fontsize=8.8, x=0.006)
        drawn = {line.regime for lines in panels.values() for line in lines}
        regime_legend(figure, [r for r in regimes if r in drawn], regimes, height)
        figure.subplots_adjust(
            left=0.062,
            right=0.915,
            top=1 - 0.55 / height,
            bottom=0.42 / height,
            hspace=0.34,
            wspace=0.09,
        )
        return as_svg(figure, key, description)


def forest(
    key: str, measures: Mapping[str, Sequence[Interval]], *, title: str, description: str
) -> Html:
    """Differences with their intervals: one panel per measure, one row per pairing."""
    rows = len(next(iter(measures.values())))
    height = 0.85 + 0.235 * rows
    labels = next(iter(measures.values()))
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, (name, intervals) in zip(grid, measures.items(), strict=True):
            axes.axvline(0, color=INK, linewidth=0.8)
            for y, one in enumerate(intervals):
                _draw_interval(axes, y, one)
            axes.set_title(name, loc="left", fontsize=8.5, pad=5)
            axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=2))
            axes.grid(axis="x", color=GRID, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.margins(x=0.08)
            axes.set_ylim(rows - 0.4, -0.6)
            _rule_below_overall(axes, intervals)
        grid[0].set_yticks(range(rows), [shortened(one.label, 26) for one in labels])
        for tick, one in zip(grid[0].get_yticklabels(), labels, strict=True):
            tick.set_color(INK)
            tick.set_fontweight("bold" if one.overall else "normal")
        figure.supxlabel(title, fontsize=8.8, y=0.06 / height)
        figure.subplots_adjust(
            left=0.165, right=0.99, top=1 - 0.32 / height, bottom=0.52 / height, wspace=0.12
        )
        return as_svg(figure, key, description)


def tier_shares(
    key: str,
    shares: Mapping[tuple[str, str], Sequence[float]],
    *,
    tiers: Sequence[str],
    description: str,
) -> Html:
    """Stacked bars of the share of runs in each tier; one bar per (pairing, regime)."""
    bars = len(shares)
    groups = len({pairing for pairing, _ in shares})
    height = 0.85 + 0.2 * bars + 0.11 * groups
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.subplots()
        y, places, previous = 0.0, [], None
        for (pairing, regime), values in shares.items():
            if pairing != previous:
                y += 0.55 if previous is not None else 0.0
                axes.text(-0.35, y, shortened(pairing, 28), ha="left", va="center", fontsize=8.4)
            _stack(axes, y, values)
            places.append((y, regime))
            previous = pairing
            y += 1.0
        axes.set_yticks([place for place, _ in places], [shortened(r, 20) for _, r in places])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(y - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.set_xlabel("share of runs, per cent")
        handles = [
            Patch(facecolor=colour, edgecolor="#8b949e", linewidth=0.5, label=name)
            for colour, name in zip(_TIER_COLOURS, tiers, strict=True)
        ]
        legend_above(figure, handles, height, left=0.26)
        figure.subplots_adjust(left=0.265, right=0.985, top=1 - 0.36 / height, bottom=0.44 / height)
        return as_svg(figure, key, description)


def spreads(
    key: str,
    measures: Mapping[str, Sequence[Spread]],
    *,
    regimes: Sequence[str],
    benchmarks: Mapping[str, Mapping[str, float]],
    description: str,
) -> Html:
    """Dots per pairing and regime on the measure's own scale, with dotted benchmarks."""
    labels = list(dict.fromkeys(s.label for of in measures.values() for s in of))
    drawn = [r for r in regimes if any(s.regime == r for of in measures.values() for s in of)]
    step = 0.62 / max(len(drawn), 1)
    height = 1.05 + max(0.26, 0.1 * len(drawn)) * len(labels)
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        grid = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
        for axes, (name, of) in zip(grid, measures.items(), strict=True):
            for spread in of:
                place = drawn.index(spread.regime)
                y = labels.index(spread.label) + (place - (len(drawn) - 1) / 2) * step
                colour = colour_of(regimes.index(spread.regime))
                axes.plot([spread.low, spread.high], [y, y], color=colour, linewidth=1.1)
                axes.plot(spread.mean, y, marker_of(regimes, spread.regime), color=colour, ms=3.8)
            points = benchmarks.get(name, {})
            axes.update_datalim([(value, 0) for value in points.values()])
            axes.autoscale_view(scaley=False)
            _mark_benchmarks_above(axes, points)
            axes.set_xlabel(name)
            axes.set_ylim(len(labels) - 0.4, -0.6)
            axes.grid(axis="x", color=GRID, linewidth=0.6)
            axes.hlines(
                np.arange(len(labels) - 1) + 0.5,
                0,
                1,
                color=GRID,
                linewidth=0.5,
                transform=axes.get_yaxis_transform(),
            )
            axes.set_axisbelow(True)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)
            axes.xaxis.set_major_locator(MaxNLocator(5))
        grid[0].set_yticks(range(len(labels)), [shortened(label, 26) for label in labels])
        for tick in grid[0].get_yticklabels():
            tick.set_color(INK)
        regime_legend(figure, drawn, regimes, height, dots=True)
        figure.subplots_adjust(
            left=0.165, right=0.985, top=1 - 0.62 / height, bottom=0.42 / height, wspace=0.06
        )
        return as_svg(figure, key, description)


def sanctions(
    key: str,
    counts: Array,
    *,
    edges: Sequence[str],
    starts: Array,
    width: int,
    fines: Array,
    suspended: Array,
    description: str,
) -> Html:
    """When each edge was taken: counts [edges, T] as shades, with fines and suspension above.

    `starts` [T] are the first rounds of the bins, `width` rounds each; `fines` [T] is money per
    run and round, `suspended` [T] the share of runs with an agent suspended.
    """
    height = 2.35 + 0.22 * len(edges)
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        share, heat = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [1.25, 0.22 * len(edges)]}
        )
        borders = np.append(starts, starts[-1] + width) - 0.5
        share.stairs(fines, borders, fill=True, color="#0072b2", alpha=0.25, linewidth=0)
        share.stairs(fines, borders, color="#0072b2", linewidth=1.2)
        share.set_ylabel("fines, money\nper run and round", color="#0072b2")
        share.set_ylim(0, max(float(fines.max()) * 1.1, 1e-9))
        share.yaxis.set_major_locator(MaxNLocator(4))
        other = share.twinx()
        other.stairs(100 * suspended, borders, color="#d55e00", linewidth=1.2)
        other.set_ylim(0, max(100 * float(suspended.max()) * 1.1, 1.0))
        other.set_ylabel("runs with a\nsuspension, %", color="#d55e00")
        other.yaxis.set_major_locator(MaxNLocator(4))
        other.spines["right"].set_visible(True)
        mesh = heat.pcolormesh(
            borders,
            np.arange(len(edges) + 1) - 0.5,
            counts,
            cmap=_COUNTS,
            vmin=0,
            vmax=max(float(counts.max()), 1.0),
            linewidth=0,
        )
        heat.set_yticks(range(len(edges)), [shortened(edge, 26) for edge in edges])
        heat.set_ylim(len(edges) - 0.5, -0.5)
        for y, total in enumerate(counts.sum(axis=1)):
            heat.text(
                1.012,
                y,
                f"{int(total):,}",
                transform=heat.get_yaxis_transform(),
                va="center",
                fontsize=7.8,
            )
        heat.text(
            1.012, -0.85, "total", transform=heat.get_yaxis_transform(), color=SOFT, fontsize=7.8
        )
        heat.set_xlabel("round" if width == 1 else f"round, in bins of {width}")
        heat.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        heat.tick_params(axis="y", length=0, labelcolor=INK)
        figure.subplots_adjust(
            left=0.165, right=0.855, top=1 - 0.12 / height, bottom=0.44 / height, hspace=0.24
        )
        box = heat.get_position()
        bar = figure.add_axes((0.935, box.y0, 0.011, box.height))
        figure.colorbar(mesh, cax=bar, label="moves per bin" if width > 1 else "moves per round")
        bar.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        return as_svg(figure, key, description)


def _draw_line(axes: Axes, line: Line, place: int) -> None:
    colour = colour_of(place)
    axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
    # The first regime is drawn wider, below: it still shows where another takes the same course.
    width = 2.6 if place == 0 else 1.25
    axes.plot(line.x, line.mean, color=colour, linewidth=width, linestyle=DASHES[place % 6])


def _draw_interval(axes: Axes, y: int, one: Interval) -> None:
    if one.value is None:
        axes.text(
            0.5,
            y,
            one.note,
            transform=axes.get_yaxis_transform(),
            ha="center",
            va="center",
            color=SOFT,
            fontsize=7.2,
            style="italic",
        )
        return
    colour = INK if one.overall else colour_of(1)
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [y, y], color=colour, linewidth=1.5 if one.overall else 1.2)
    axes.plot(one.value, y, "D" if one.overall else "o", color=colour, ms=4.6 if one.overall else 4)


def _rule_below_overall(axes: Axes, intervals: Sequence[Interval]) -> None:
    count = sum(one.overall for one in intervals)
    if 0 < count < len(intervals):
        axes.axhline(count - 0.5, color="#8b949e", linewidth=0.7)


def _stack(axes: Axes, y: float, values: Sequence[float]) -> None:
    left = 0.0
    for tier, share in enumerate(values):
        if share <= 0:
            continue
        axes.barh(
            y,
            share,
            left=left,
            height=0.84,
            color=_TIER_COLOURS[tier],
            edgecolor="white",
            linewidth=0.6,
        )
        if share >= 0.05:
            axes.text(
                left + share / 2,
                y,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if tier >= 3 else INK,
            )
        left += share


def _limits(lines: Sequence[Line], benchmarks: Mapping[str, float]) -> tuple[float, float]:
    """Limits of a shared axis: every mean and benchmark, and nearly all of the bands."""
    values = np.concatenate([line.mean for line in lines] + [np.array(list(benchmarks.values()))])
    lows = np.concatenate([line.low for line in lines])
    highs = np.concatenate([line.high for line in lines])
    low = min(float(values.min()), float(np.quantile(lows, 0.02)))
    high = max(float(values.max()), float(np.quantile(highs, 0.98)))
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _label_benchmarks(
    axes: Axes, benchmarks: Mapping[str, float], limits: tuple[float, float]
) -> None:
    """Names at the right end of their lines, pushed apart where two would overlap."""
    nearest = 0.1 * (limits[1] - limits[0])
    previous = -np.inf
    for name, value in sorted(benchmarks.items(), key=lambda item: item[1]):
        place = max(value, previous + nearest)
        axes.text(
            1.02,
            place,
            name,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7.4,
            color=SOFT,
        )
        previous = place


def _mark_benchmarks_above(axes: Axes, benchmarks: Mapping[str, float]) -> None:
    """Vertical dotted lines, named above the panel; the axis must have its final limits."""
    low, high = axes.get_xlim()
    previous, row = -np.inf, 0
    for name, value in sorted(benchmarks.items(), key=lambda item: item[1]):
        axes.axvline(value, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        place = (value - low) / (high - low)
        row = 1 - row if place - previous < 0.35 else 0  # neighbours would overlap in one row
        previous = place
        axes.annotate(
            name,
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + 9 * row),
            textcoords="offset points",
            ha="left" if place < 0.25 else "right" if place > 0.75 else "center",
            fontsize=7.4,
            color=SOFT,
        )
