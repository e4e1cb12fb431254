"""How the report's figures look: colours, sizes, legends, and the way to SVG text.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; a regime differs from the
next in line style too. Text stays text, so that it can be searched and read aloud.
"""

import html
import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from institutional.experiments.report.html import Html, inline_svg

REGIME_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#b58900")
DASHES: tuple[Any, ...] = ("-", "-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (7, 2)))
_MARKERS = ("o", "D", "s", "^", "v", "P")
INK, SOFT, GRID = "#1f2328", "#59636e", "#e3e7eb"

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "institutional",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",  # shipped with matplotlib, so sizes are the same everywhere
    "font.size": 8.5,
    "axes.titlesize": 8.8,
    "axes.labelsize": 8.5,
    "axes.edgecolor": "#8b949e",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 7.8,
    "ytick.labelsize": 7.8,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def styled() -> AbstractContextManager[None]:
    """Draw with the report's settings, whatever the user's own matplotlibrc says."""
    return matplotlib.style.context(["default", SETTINGS])


def as_svg(figure: Figure, key: str, description: str) -> Html:
    """Return the figure's SVG, named for readers who do not see it, in the page's typeface."""
    buffer = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    FigureCanvasSVG(figure).print_svg(buffer, metadata=nothing)  # type: ignore[no-untyped-call]
    svg = inline_svg(buffer.getvalue(), prefix=key)
    svg_text = svg.replace(
        "font-family: 'DejaVu Sans'", "font-family: Helvetica, Arial, sans-serif"
    )
    svg_text = re.sub(r"<metadata>.*?</metadata>\s*", "", svg_text, flags=re.DOTALL)
    svg_text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg_text, count=1)
    svg_text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg_text, count=1)
    named = f'<svg role="img" aria-label="{html.escape(description)}"'
    return Html(svg_text.replace("<svg", named, 1))


def regime_legend(
    figure: Figure,
    drawn: Sequence[str],
    regimes: Sequence[str],
    height: float,
    *,
    dots: bool = False,
) -> None:
    """Name the regimes that were drawn, above the panels."""
    handles = [
        Line2D(
            [],
            [],
            color=colour_of(place),
            linewidth=1.6,
            linestyle=DASHES[place % 6],
            marker=marker_of(regimes, name) if dots else "",
            markersize=4,
            label=name,
        )
        for name in drawn
        for place in [regimes.index(name)]
    ]
    legend_above(figure, handles, height, left=0.055)


def legend_above(figure: Figure, handles: Sequence[Any], height: float, *, left: float) -> None:
    """One row of `handles` along the figure's upper edge."""
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(left, 1 - 0.02 / height),
        ncols=len(handles),
        borderaxespad=0,
        handlelength=2.2,
        columnspacing=1.6,
    )


def colour_of(place: int) -> str:
    """Return the colour of the regime at `place` in the experiment's order."""
    return REGIME_COLOURS[place % len(REGIME_COLOURS)]


def marker_of(regimes: Sequence[str], regime: str) -> str:
    """Return the marker of `regime`."""
    return _MARKERS[regimes.index(regime) % len(_MARKERS)]


def shortened(text: str, most: int) -> str:
    """Return `text`, cut with an ellipsis to at most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
