"""A calibration as one SVG: how evidence separates, and how late the institution is.

Nothing here computes a statistic. Colours, sizes and the way to SVG are the report's.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from institutional.calibration.calibrate import Calibration, Conduct, Judged
from institutional.experiments.report.style import (
    GRID,
    INK,
    REGIME_COLOURS,
    SOFT,
    as_svg,
    legend_above,
    shortened,
    styled,
)

WIDTH = 10.4
_COLUMNS = 4
_PANEL, _ROW = 2.55, 0.19  # inches
_TOP, _BETWEEN, _BOTTOM = 0.98, 0.84, 0.45
# Curves often lie on each other: a wide line under a narrow one, under a broken one, is still seen.
_LINES: tuple[tuple[Any, float], ...] = (
    ("-", 4.2),
    ("-", 1.5),
    ((0, (4, 2.5)), 2.0),
    ((0, (1, 1.6)), 2.0),
)
_CASE, _SANCTION = "#8b949e", INK


def drawn(found: Calibration) -> str:
    """Receiver operating characteristics per evidence; below, rounds to detection per scenario."""
    judged = [one for one in found.comparisons if one.accuses]
    offences = list(dict.fromkeys(c.kind for c in found.conducts if not c.innocent))
    sides = [[c for c in found.conducts if c.innocent is side] for side in (True, False)]
    rows = max(1, -(-len(judged) // _COLUMNS))
    panels = rows * _PANEL
    listed = _ROW * max(map(len, sides))
    height = _TOP + panels + _BETWEEN + listed + _BOTTOM
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        upper = figure.add_gridspec(
            rows,
            _COLUMNS,
            left=0.055,
            right=0.985,
            top=1 - _TOP / height,
            bottom=1 - (_TOP + panels - 0.42) / height,
            wspace=0.22,
            hspace=0.78,
        )
        for place, one in enumerate(judged):
            axes = figure.add_subplot(upper[divmod(place, _COLUMNS)])
            _draw_curves(axes, one, offences)
            if place % _COLUMNS == 0:
                axes.set_ylabel("true-positive rate")
        for left, side, title in zip((0.165, 0.625), sides, ("Innocent", "Offending"), strict=True):
            tall = _ROW * len(side) / height
            top = (_BOTTOM + listed) / height
            axes = figure.add_axes((left, top - tall, 0.27, tall))
            _draw_detection(axes, side, rounds=found.rounds)
            axes.set_title(title, loc="left", pad=5)
            axes.set_title("punished", loc="right", pad=5, x=1.02, ha="left", fontsize=7.8)
        _legends(figure, offences, height, (_BOTTOM + listed + 0.34) / height)
        return str(as_svg(figure, "calibration", _words(found))) + "\n"


def _draw_curves(axes: Axes, one: Judged, offences: Sequence[str]) -> None:
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.0, zorder=1)
    for place, kind in enumerate(offences):
        style, width = _LINES[place % len(_LINES)]
        colour = REGIME_COLOURS[place % len(REGIME_COLOURS)]
        x, y = one.curve_by_offence[kind]
        axes.plot(
            x, y, color=colour, linestyle=style, linewidth=width, clip_on=False, zorder=2 + place
        )
    pooled = one.with_planner
    axes.plot(pooled.false_positives, pooled.true_positives, color=INK, linewidth=0.9, zorder=8)
    for place, kind in enumerate(offences):
        x_now, y_now = one.point_by_offence[kind]
        axes.plot(
            x_now,
            y_now,
            marker="o",
            markersize=7.4 - 1.4 * place,
            color=REGIME_COLOURS[place % len(REGIME_COLOURS)],
            markeredgecolor="white",
            markeredgewidth=0.6,
            clip_on=False,
            zorder=9 + place,
        )
    lines = (
        (one.evidence, INK, 8.8),
        (shortened(one.text, 38), INK, 7.8),
        (f"AUC {one.without_planner.auc:.2f}, with planner {pooled.auc:.2f}", SOFT, 7.8),
    )
    for line, (text, colour, size) in enumerate(lines):
        axes.annotate(
            text,
            (0, 1),
            xytext=(0, 30 - 11 * line),
            xycoords="axes fraction",
            textcoords="offset points",
            color=colour,
            fontsize=size,
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.set_xlabel("false-positive rate", labelpad=1)


def _draw_detection(axes: Axes, side: Sequence[Conduct], *, rounds: int) -> None:
    for y, conduct in enumerate(side):
        for spread, colour, marker, shift in (
            (conduct.to_case, _CASE, "o", -0.16),
            (conduct.to_sanction, _SANCTION, "D", 0.16),
        ):
            if spread is None:
                continue
            axes.plot([spread.low, spread.high], [y + shift] * 2, color=colour, linewidth=1.3)
            axes.plot(spread.median, y + shift, marker=marker, color=colour, markersize=3.4)
        axes.text(
            1.02,
            y,
            _share(conduct),
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7.4,
            color=INK if conduct.sanctioned else SOFT,
        )
    axes.set_yticks(range(len(side)), [shortened(c.scenario, 28) for c in side])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(side) - 0.5, -0.5)
    axes.set_xlim(0, rounds)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="both", color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("round")


def _share(conduct: Conduct) -> str:
    if conduct.interval is None:
        return f"{conduct.sanctioned:.0%}"
    low, high = conduct.interval
    return f"{conduct.sanctioned:.0%}  ({100 * low:.0f} to {100 * high:.0f})"


def _legends(figure: Figure, offences: Sequence[str], height: float, below: float) -> None:
    curves = [
        Line2D(
            [], [], color=REGIME_COLOURS[place % 6], linestyle=style, linewidth=width, label=kind
        )
        for place, kind in enumerate(offences)
        for style, width in [_LINES[place % len(_LINES)]]
    ]
    pooled = Line2D([], [], color=INK, linewidth=0.9, label="all, planner counted as innocent")
    now = Line2D([], [], color=SOFT, linestyle="", marker="o", label="present threshold")
    legend_above(figure, [*curves, pooled, now], height, left=0.05)
    rounds = [
        Line2D([], [], color=colour, marker=marker, markersize=3.6, linewidth=1.3, label=label)
        for colour, marker, label in (
            (_CASE, "o", "first case"),
            (_SANCTION, "D", "first fine or suspension (median and middle half of those detected)"),
        )
    ]
    figure.legend(
        handles=rounds,
        loc="lower left",
        bbox_to_anchor=(0.05, below),
        ncols=2,
        borderaxespad=0,
        handlelength=2.2,
        columnspacing=1.6,
    )


def _words(found: Calibration) -> str:
    pooled = found.pooled()
    return (
        f"Calibration of graph {found.graph} on {found.environment}: "
        f"{pooled['false_positive']:.0%} of innocent runs punished, "
        f"{pooled['false_positive_with_planner']:.0%} with the efficient planner among them, "
        f"{pooled['false_negative']:.0%} of offending runs not punished"
    )
