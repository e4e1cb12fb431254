"""A governance graph as a self-contained SVG picture, the same bytes every time.

`draw_layout` decides where everything stands. Scripts, fonts and links are left out on purpose:
the picture must look the same in a paper, a report and an auditor's offline browser.
"""

from collections.abc import Mapping
from math import sqrt
from xml.sax.saxutils import escape, quoteattr

from institutional.errors import InstitutionalError, suggestion
from institutional.governance.draw import (
    ESCALATION,
    RESTORATION,
    STATUS_COLOURS,
    answers_a_case,
    edge_lines,
)
from institutional.governance.draw_labels import LINE, NAME, TEXT, text_width
from institutional.governance.draw_layout import Box, Label, Layout, Rect, Route, layout
from institutional.governance.schema import Graph

_INK, _FAINT = "#1a1a1a", "#a0a0a0"
_LEGEND = 40.0
_THIN, _THICK = 1.4, 5.0


def as_svg(
    graph: Graph,
    taken: Mapping[str, int] | None = None,
    refused: Mapping[str, int] | None = None,
) -> str:
    """The picture of `graph`, optionally with how often each edge was taken and refused.

    The counts are per edge id; an edge left out of `taken` was not taken. Raises
    InstitutionalError for a count of an edge that the graph does not have.
    """
    ids = [edge.id for edge in graph.edges]
    for name in [*(taken or {}), *(refused or {})]:
        if name not in ids:
            known = ", ".join(ids) or "none"
            raise InstitutionalError(
                f'counts name the edge "{name}", which the graph "{graph.name}" does not have\n'
                f"  edges here: {known}.{suggestion(name, ids)}"
            )
    notes = _notes(ids, taken, refused)
    placed = layout(graph, notes)
    most = max((taken or {}).values(), default=0)
    widths = {
        name: _THIN + (_THICK - _THIN) * sqrt((taken or {}).get(name, 0) / most) if most else _THIN
        for name in ids
    }
    idle = {name for name in ids if taken is not None and not taken.get(name)}
    body = [
        _start(placed, graph.initial),
        *(_line(route, widths[route.edge], faint=route.edge in idle) for route in placed.routes),
        *(_state(graph, box) for box in placed.boxes),
        *(_label(route.label) for route in placed.routes),
    ]
    x, y, width, height = placed.extent
    legend, legend_width = _legend(y + height + _LEGEND / 2, counted=taken is not None)
    width, height = max(width, legend_width), height + _LEGEND
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="{x:.1f} {y:.1f} {width:.1f} {height:.1f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" font-size="{TEXT:g}">'
    )
    about = [f"<title>{escape(graph.title)}</title>", f"<desc>{escape(_description(graph))}</desc>"]
    paper = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="#fff"/>'
    return "\n".join([head, *about, paper, *body, legend, "</svg>"]) + "\n"


def _notes(
    ids: list[str], taken: Mapping[str, int] | None, refused: Mapping[str, int] | None
) -> dict[str, str]:
    notes = {}
    for name in ids:
        parts = []
        if taken is not None:
            parts.append(f"×{taken[name]}" if taken.get(name) else "not taken")
        if refused and refused.get(name):
            parts.append(f"refused {refused[name]}")
        if parts:
            notes[name] = ", ".join(parts)
    return notes


def _description(graph: Graph) -> str:
    """The picture for those who cannot see it."""
    states = ", ".join(f"{n} ({s.status.replace('_', ' ')})" for n, s in graph.states.items())
    moves = [
        f"{'; '.join(edge_lines(edge))}: from {edge.source} to {edge.target}"
        f"{'' if answers_a_case(edge) else ', restoring'}"
        for edge in graph.edges
    ]
    return f"States: {states}. Starts in {graph.initial}. " + "".join(f"{m}. " for m in moves)


def _start(placed: Layout, initial: str) -> str:
    rect = next(box.rect for box in placed.boxes if box.state == initial)
    return (
        f'<circle cx="{rect.x - 22:.1f}" cy="0" r="4" fill="{_INK}"/>'
        f'<path d="M{rect.x - 18:.1f},0 H{rect.x - 6:.1f}" stroke="{_INK}" stroke-width="{_THIN}"/>'
        + _arrow((rect.x, 0.0, 0.0), _INK)
    )


def _arrow(tip: tuple[float, float, float], colour: str) -> str:
    x, y, turn = tip
    place = f"translate({x:.1f},{y:.1f}) rotate({turn:g})"
    return f'<path d="M0,0 L-9,-4.5 L-9,4.5 Z" transform="{place}" fill="{colour}"/>'


def _line(route: Route, width: float, *, faint: bool) -> str:
    colour = _FAINT if faint else RESTORATION if route.restores else ESCALATION
    dashes = ' stroke-dasharray="6 4"' if route.restores else ""
    return (
        f"<g data-edge={quoteattr(route.edge)}>"
        f'<path d="{route.path}" fill="none" stroke="{colour}" '
        f'stroke-width="{width:.2f}"{dashes}/>{_arrow(route.tip, colour)}</g>'
    )


def _state(graph: Graph, box: Box) -> str:
    state = graph.states[box.state]
    fill, line = STATUS_COLOURS[state.status]
    rect = box.rect
    first = rect.y + (rect.height - LINE * len(box.lines)) / 2 + LINE * 0.8
    middle = rect.x + rect.width / 2
    texts = [_text(box.lines[0], middle, first - 1, size=NAME, bold=True)]
    texts += [_text(text, middle, first + LINE * i) for i, text in enumerate(box.lines) if i]
    return (
        f"<g data-state={quoteattr(box.state)}><title>{escape(state.meaning)}</title>"
        f"{_rectangle(rect, fill, line)}{''.join(texts)}</g>"
    )


def _rectangle(rect: Rect, fill: str, line: str) -> str:
    return (
        f'<rect x="{rect.x:.1f}" y="{rect.y:.1f}" width="{rect.width:.1f}" '
        f'height="{rect.height:.1f}" rx="10" fill="{fill}" stroke="{line}" stroke-width="1.6"/>'
    )


def _text(text: str, x: float, y: float, *, size: float = TEXT, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    large = f' font-size="{size:g}"' if size != TEXT else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" fill="{_INK}"{large}{weight}>'
        f"{escape(text)}</text>"
    )


def _label(label: Label) -> str:
    x, y, width, height = label.rect
    white = f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="#fff"/>'
    texts = [
        _text(text, x + width / 2, y + LINE * (i + 0.9), bold=i < label.text.bold)
        for i, text in enumerate(label.text.lines)
    ]
    return f"<g>{white}{''.join(texts)}</g>"


def _legend(y: float, *, counted: bool) -> tuple[str, float]:
    """The legend around height `y`, and how far to the right it reaches."""
    x, parts = 20.0, []
    for text, colour, dashes in (
        ("escalation: answers a case", ESCALATION, ""),
        ("restoration: answers no case", RESTORATION, ' stroke-dasharray="6 4"'),
    ):
        parts.append(
            f'<path d="M{x:.1f},{y:.1f} h34" stroke="{colour}" stroke-width="{_THIN}"{dashes}/>'
            + _arrow((x + 42, y, 0.0), colour)
            + _left(text, x + 50, y + 4)
        )
        x += 50 + text_width(text, size=TEXT) + 20
    if counted:
        text = "thicker: taken more often; grey: never taken"
        parts.append(_left(text, x, y + 4))
        x += text_width(text, size=TEXT) + 20
    return f'<g data-legend="">{"".join(parts)}</g>', x


def _left(text: str, x: float, y: float) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{_INK}">{escape(text)}</text>'
