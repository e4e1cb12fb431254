"""Where everything stands in the picture of a governance graph; `draw_svg` writes it down.

States stand in one row, milder to the left. Moves that answer a case run above the row, the others
below, each on a lane of its own where it would meet another; a move from a state to itself bows
into the gap on the state's right. Labels sit on the lanes, where no line rises or falls.
That labels touch neither boxes nor one another holds by construction, for every graph.

Units: px. x grows to the right, y downwards; the row of states is centred on y = 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from institutional.governance.draw import answers_a_case, edge_lines, restriction_words
from institutional.governance.draw_labels import (
    LINE,
    NAME,
    PADDING,
    TEXT,
    Block,
    fitted,
    text_width,
)
from institutional.governance.draw_order import severity_order
from institutional.governance.schema import Edge, Graph

_WIDTH = 1100.0
_MARGIN, _START = 20.0, 34.0
_GAPS = (84.0, 240.0)
_LABEL, _BESIDE = 172, 136  # widest labels on a lane and beside a loop
_CORNER = 12.0
_LOOP, _BOW = 26.0, 11.0  # how far a loop reaches out of its box, and half its height there
_AIR, _CLEAR = 6.0, 5.0  # between labels, and between a label and a passing line


class Rect(NamedTuple):
    """An upright rectangle by its top left corner."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: "Rect") -> bool:
        """Whether the two share any area."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


class Label(NamedTuple):
    """A block of text and its white rectangle."""

    text: Block
    rect: Rect


class Box(NamedTuple):
    """A state."""

    state: str
    lines: tuple[str, ...]  # name, status, restriction if any
    rect: Rect


class Route(NamedTuple):
    """A move: its line from start to arrow tip, and its label."""

    edge: str
    path: str  # SVG path data
    tip: tuple[float, float, float]  # x, y, direction in degrees (0 points right, 90 down)
    restores: bool
    label: Label


@dataclass(frozen=True)
class Layout:
    """The picture without its legend: extent, boxes in order of the row, routes in file order."""

    extent: Rect
    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]


class _Arch(NamedTuple):
    """A move between two different states, with its left and right foot."""

    number: int  # in the file
    edge: Edge
    left: float
    right: float


def layout(graph: Graph, notes: Mapping[str, str] | None = None) -> Layout:
    """Place every state and edge of `graph`; `notes` adds a last line to an edge's label."""
    notes = notes or {}
    texts = [[*edge_lines(e), *([notes[e.id]] if e.id in notes else [])] for e in graph.edges]
    words = [word for lines in texts for line in lines for word in line.split(" ")]
    widest = max((text_width(word, size=TEXT, bold=True) for word in words), default=0.0)
    # Usually the labels find room in the gaps that fill the page. In wider gaps they always do.
    tight = _Row(graph, texts, least_gap=0.0).place()
    placed = tight or _Row(graph, texts, least_gap=widest + 2 * PADDING + 2 * _CLEAR).place()
    if placed is None:
        raise AssertionError("by now every label fits into every gap")
    return placed


class _Row:
    """The row of boxes for one choice of gaps, and the lanes above and below it."""

    def __init__(self, graph: Graph, texts: Sequence[Sequence[str]], *, least_gap: float) -> None:
        self.graph, self.texts = graph, texts
        self.order = severity_order(graph)
        self.at = {state: position for position, state in enumerate(self.order)}
        self.loop_edges = [
            [i for i, e in enumerate(graph.edges) if e.source == e.target == state]
            for state in self.order
        ]
        self.loops = [[fitted(texts[i], _BESIDE) for i in loops] for loops in self.loop_edges]
        self.ends = {s: (self._ends(s, up=True), self._ends(s, up=False)) for s in self.order}
        self.boxes = self._boxes(least_gap)

    def place(self) -> Layout | None:
        """The layout, or None if some label found no room."""
        routes: dict[int, Route] = {}
        reach = [box.rect.height / 2 for box in self.boxes]
        for position, loops in enumerate(self.loops):
            routes |= self._looped(position)
            reach.append(_stacked(loops) / 2)
        bounds = []
        for up in (True, False):
            placed = self._lanes(max(reach) + 16, up=up)
            if placed is None:
                return None
            routes |= placed[0]
            bounds.append(placed[1])
        top, bottom = bounds
        right = max(
            [box.rect.x + box.rect.width for box in self.boxes]
            + [r.label.rect.x + r.label.rect.width for r in routes.values()]
        )
        extent = Rect(0, -top, right + _MARGIN, top + bottom)
        ordered = tuple(routes[i] for i in range(len(self.graph.edges)))
        return Layout(extent, tuple(self.boxes), ordered)

    def _ends(self, state: str, *, up: bool) -> list[int]:
        """The edges at one side of a box from left to right, so that nested arches stay nested."""
        here = [
            i
            for i, e in enumerate(self.graph.edges)
            if e.source != e.target and state in (e.source, e.target) and answers_a_case(e) == up
        ]
        here.sort(key=self._span)
        leftward = [i for i in here if min(self._positions(i)) < self.at[state]]
        return leftward + [i for i in reversed(here) if i not in leftward]

    def _positions(self, index: int) -> tuple[int, int]:
        edge = self.graph.edges[index]
        return self.at[edge.source], self.at[edge.target]

    def _span(self, index: int) -> tuple[int, int]:
        """Short arches lie inside long ones; of equal ones the first in the file does."""
        first, second = self._positions(index)
        return abs(first - second), index

    def _boxes(self, least_gap: float) -> list[Box]:
        texts, widths = [], []
        for name in self.order:
            state = self.graph.states[name]
            limit = restriction_words(state.restriction)
            lines = (name, state.status.replace("_", " "), *([limit] if limit else []))
            wide = max(text_width(line, size=TEXT) for line in lines[1:])
            wide = max(wide, text_width(name, size=NAME, bold=True))
            ports = max(len(side) for side in self.ends[name])
            texts.append(lines)
            widths.append(max(104.0, wide + 22, 14.0 * (ports + 1)))
        height = 22 + LINE * max(len(lines) for lines in texts)
        # A gap with loops is as wide as their labels; the others share what is left of the page.
        beside = [max((_LOOP + 10 + t.width for t in loops), default=0.0) for loops in self.loops]
        room = _WIDTH - _START - _MARGIN - sum(widths) - sum(beside)
        free = sum(not wide for wide in beside[:-1])
        gap = max(min(max(room / max(1, free), _GAPS[0]), _GAPS[1]), least_gap)
        boxes, x = [], _START
        for name, lines, width, loops, wide in zip(
            self.order, texts, widths, self.loops, beside, strict=True
        ):
            # Where there are several loops, each starts beside its own label.
            stack = _stacked(loops) if len(loops) > 1 else 0.0
            tall = max(height, stack)
            boxes.append(Box(name, lines, Rect(x, -tall / 2, width, tall)))
            x += width + max(least_gap, wide or gap)
        return boxes

    def _looped(self, position: int) -> dict[int, Route]:
        """Routes of the moves from a state to itself, stacked at its right."""
        rect = self.boxes[position].rect
        side, loops = rect.x + rect.width, self.loops[position]
        routes, y = {}, -_stacked(loops) / 2
        for number, text in zip(self.loop_edges[position], loops, strict=True):
            label = Label(text, Rect(side + _LOOP + 4, y + _AIR / 2, text.width, text.height))
            middle = y + (text.height + _AIR) / 2
            far = side + _LOOP * 4 / 3
            path = (
                f"M{side:.1f},{middle - _BOW:.1f} C{far:.1f},{middle - 1.6 * _BOW:.1f} "
                f"{far:.1f},{middle + 1.6 * _BOW:.1f} {side + 5:.1f},{middle + _BOW:.1f}"
            )
            edge = self.graph.edges[number]
            tip = (side, middle + _BOW, 180.0)
            routes[number] = Route(edge.id, path, tip, not answers_a_case(edge), label)
            y += text.height + _AIR
        return routes

    def _arches(self, *, up: bool) -> list[_Arch]:
        """The arches of one side, inner ones first."""
        feet: dict[tuple[int, str], float] = {}
        for box in self.boxes:
            ends = self.ends[box.state][0 if up else 1]
            for number, index in enumerate(ends, 1):
                feet[index, box.state] = box.rect.x + box.rect.width * number / (len(ends) + 1)
        arches = []
        for index in sorted({index for index, _ in feet}, key=self._span):
            edge = self.graph.edges[index]
            left, right = sorted((feet[index, edge.source], feet[index, edge.target]))
            arches.append(_Arch(index, edge, left, right))
        return arches

    def _lanes(self, start: float, *, up: bool) -> tuple[dict[int, Route], float] | None:
        """Routes of one side, and how far from the row it reaches."""
        arches = self._arches(up=up)
        lanes: list[int] = []
        labels: list[tuple[Block, float]] = []
        for position, arch in enumerate(arches):
            met = [
                lanes[i]
                for i, other in enumerate(arches[:position])
                if other.left < arch.right + _AIR and arch.left < other.right + _AIR
            ]
            lanes.append(1 + max(met, default=-1))
            feet = [foot for other in arches[position + 1 :] for foot in (other.left, other.right)]
            found = self._label(arch, feet)
            if found is None:
                return None
            labels.append(found)
        heights = [0.0] * (1 + max(lanes, default=-1))
        for lane, (text, _) in zip(lanes, labels, strict=True):
            heights[lane] = max(heights[lane], text.height)
        sign = -1.0 if up else 1.0
        middles, y = [], start
        for height in heights:
            middles.append(sign * (y + height / 2))
            y += height + _AIR + 2
        routes = {}
        for arch, lane, (text, x) in zip(arches, lanes, labels, strict=True):
            middle = middles[lane]
            label = Label(text, Rect(x, middle - text.height / 2, text.width, text.height))
            routes[arch.number] = self._arch(arch, middle, sign, label)
        return routes, y

    def _label(self, arch: _Arch, feet: Sequence[float]) -> tuple[Block, float] | None:
        """A label and its left edge, where no line of an outer arch passes; None without room.

        The widest wrapping with room wins, and of its places the one nearest the middle.
        """
        left, right = arch.left + _CORNER, arch.right - _CORNER
        middle = (left + right) / 2
        walls = sorted([left, right, *(foot for foot in feet if left < foot < right)])
        for wish in (*range(_LABEL, 96, -12), 0):
            text = fitted(self.texts[arch.number], wish)
            places = [
                min(max(middle - text.width / 2, low + _CLEAR), high - _CLEAR - text.width)
                for low, high in pairwise(walls)
                if high - low >= text.width + 2 * _CLEAR
            ]
            if places:
                return text, min(places, key=lambda x: abs(x + text.width / 2 - middle))
        return None

    def _arch(self, arch: _Arch, middle: float, sign: float, label: Label) -> Route:
        edge = arch.edge
        goes_right = self.at[edge.source] < self.at[edge.target]
        start, end = (arch.left, arch.right) if goes_right else (arch.right, arch.left)
        side = 1.0 if goes_right else -1.0
        turn = middle - sign * _CORNER
        leaves, enters = (
            sign * self.boxes[self.at[state]].rect.height / 2
            for state in (edge.source, edge.target)
        )
        path = (
            f"M{start:.1f},{leaves:.1f} V{turn:.1f} "
            f"Q{start:.1f},{middle:.1f} {start + side * _CORNER:.1f},{middle:.1f} "
            f"H{end - side * _CORNER:.1f} Q{end:.1f},{middle:.1f} {end:.1f},{turn:.1f} "
            f"V{enters + sign * 5:.1f}"
        )
        tip = (end, enters, -90.0 * sign)
        return Route(edge.id, path, tip, not answers_a_case(edge), label)


def _stacked(loops: Sequence[Block]) -> float:
    return sum(text.height + _AIR for text in loops)
