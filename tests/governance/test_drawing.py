"""Drawing a governance graph: everything is there, readable, and the same every time."""

import itertools
import random
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from institutional.errors import InstitutionalError
from institutional.governance.draw import as_mermaid, as_text, condition_words
from institutional.governance.draw_labels import TEXT, fitted, text_width, wrapped
from institutional.governance.draw_layout import Layout, Rect, layout
from institutional.governance.draw_order import severity_order
from institutional.governance.draw_svg import as_svg
from institutional.governance.loading import load_graph
from institutional.governance.schema import Comparison, Graph

GRAPHS = Path(__file__).parents[2] / "governance_graphs"
SHIPPED = ("cournot", "bertrand")
SVG = "{http://www.w3.org/2000/svg}"

RESTORING = {
    "cournot": {"clean_exit", "redeem", "warning_expires", "suspension_ends", "probation_ends"},
    "bertrand": {"clean_warning", "clean_fine"},
}


def shipped(name: str) -> Graph:
    return load_graph(GRAPHS / f"{name}.yaml").graph


def made(states, edges, **more) -> Graph:
    """A graph with `edges` of (id, from, to, answers a case); the first state is the initial."""
    return Graph.model_validate(
        {
            "format": "institutional.graph/1",
            "name": "made",
            "title": "made",
            "source": "test",
            "environment": "none",
            "initial": states[0],
            "states": {name: {"status": "clear", "meaning": "m"} for name in states},
            "edges": [
                {
                    "id": name,
                    "from": source,
                    "to": target,
                    "when": [{"case": "N"} if answers else {"clean_rounds": 3}],
                }
                for name, source, target, answers in edges
            ],
            **more,
        }
    )


def some_graph(seed: int) -> Graph:
    draw = random.Random(seed)  # noqa: S311
    states = [f"state_{i}" + "x" * draw.choice([0, 0, 20]) for i in range(draw.randint(1, 9))]
    edges = [
        (
            f"edge_{i}" + "y" * draw.choice([0, 0, 0, 40]),
            draw.choice(states),
            draw.choice(states),
            draw.random() < 0.6,
        )
        for i in range(draw.randint(0, 24))
    ]
    return made(states, edges)


def collisions(placed: Layout) -> list[tuple[str, str]]:
    """Pairs of boxes and labels that share area."""
    named = [(box.state, box.rect) for box in placed.boxes]
    named += [(route.edge, route.label.rect) for route in placed.routes]
    return [(a, b) for (a, r), (b, s) in itertools.combinations(named, 2) if r.overlaps(s)]


def segments(path: str) -> list[Rect]:
    """The straight parts of an arch as thin rectangles; a loop has none."""
    found = re.fullmatch(
        r"M(\S+),(\S+) V(\S+) Q\S+,(\S+) (\S+),\S+ H(\S+) Q\S+ (\S+),\S+ V(\S+)", path
    )
    if found is None:
        return []
    start, leaves, turn, middle, first, last, end, enters = map(float, found.groups())
    upright = [(start, *sorted((leaves, turn))), (end, *sorted((turn, enters)))]
    left, right = sorted((first, last))
    return [
        *(Rect(x, low, 0.1, high - low) for x, low, high in upright),
        Rect(left, middle, right - left, 0.1),
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_text_names_every_state_edge_norm_and_evidence(name):
    graph, text = shipped(name), as_text(shipped(name))

    for state in graph.states:
        assert re.search(rf"^  {state} ", text, re.MULTILINE)
    for edge in graph.edges:
        assert text.count(f"    {edge.id} -> {edge.target}") == 1
    for other in (*graph.norms, *graph.evidence):
        assert text.count(f"\n  {other}: ") == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_text_fits_a_terminal_of_a_hundred_columns(name):
    lines = as_text(shipped(name)).splitlines()

    assert max(map(len, lines)) <= 100
    assert not any(line != line.rstrip() for line in lines)


def test_text_keeps_the_order_of_the_file_within_a_state():
    text = as_text(shipped("cournot"))

    order = [text.index(f"    {e} -> ") for e in ("suspend", "fine_again", "clean_exit", "redeem")]
    assert order == sorted(order)
    assert text.index("from fined") < order[0]
    assert order[-1] < text.index("from suspended")


def test_text_says_gate_cooldown_sanction_and_or_else():
    text = as_text(shipped("cournot"))

    assert "require  case P2, 5+ rounds in a row and 3+ offences" in text
    assert "cooldown 2 rounds between two uses by the same agent" in text
    assert "sanction fine 35/75/100% of profit, at least 200" in text
    assert "every firm must not coordinate output with a rival" in text
    assert "or else: warn, fine, suspend, fine_again" in text
    assert "(high_hhi and specialisation) or (synchronous_move and variance_collapse)" in text


def test_a_relative_threshold_is_put_as_a_multiple_of_the_benchmark():
    """An excess of one half is one and a half times the value there."""
    comparison = Comparison.model_validate(
        {"signal": "hhi", "above": 0.5, "relative_to": "nash", "for": {"at_least": 3, "of": 5}}
    )

    expected = "hhi above 1.5 times its value at nash, now and in at least 3 of the last 5 rounds"
    assert condition_words(comparison) == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_mermaid_has_each_state_and_edge_once(name):
    graph, source = shipped(name), as_mermaid(shipped(name))

    for state, entry in graph.states.items():
        assert source.count(f'  s_{state}(["<b>{state}</b>') == 1
        assert re.search(rf"^  s_{state}\(\[.*:::{entry.status}$", source, re.MULTILINE)
    for edge in graph.edges:
        assert source.count(f'"{edge.id}<br/>') == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_mermaid_dashes_the_restorative_edges_and_no_others(name):
    """Lines are dotted by their arrow, and coloured by their number among all links."""
    source = as_mermaid(shipped(name))
    links, dotted = [], set()
    for line in source.splitlines():
        found = re.search(r'"(\w+)<br/>', line)
        arrows = re.findall(r"-->|---|-\.->|-\.-(?!>)", line)
        links += [found[1] if found else "start"] * len(arrows)
        dotted |= {found[1] for arrow in arrows if found and "." in arrow}

    styled = re.search(r"linkStyle (\S+)", source)
    assert dotted == RESTORING[name]
    assert {links[int(i)] for i in styled[1].split(",")} == RESTORING[name]


def test_a_loop_counts_as_two_links_in_mermaid():
    """Link 0 starts, 1 and 2 are the loop, so the way back is 3."""
    graph = made(["a", "b"], [("again", "a", "a", True), ("back", "b", "a", False)])

    assert "linkStyle 3 " in as_mermaid(graph)


@pytest.mark.parametrize("name", SHIPPED)
def test_svg_has_each_state_and_edge_once(name):
    graph, root = shipped(name), ET.fromstring(as_svg(shipped(name)))  # noqa: S314
    texts = [text.text for text in root.iter(f"{SVG}text")]

    drawn = [g.get("data-state") for g in root.iter(f"{SVG}g") if g.get("data-state")]
    moves = [g.get("data-edge") for g in root.iter(f"{SVG}g") if g.get("data-edge")]
    assert sorted(drawn) == sorted(graph.states)
    assert moves == [edge.id for edge in graph.edges]
    for named in (*graph.states, *moves):
        assert texts.count(named) == 1


@pytest.mark.parametrize("name", SHIPPED)
def test_svg_dashes_the_restorative_edges_and_no_others(name):
    root = ET.fromstring(as_svg(shipped(name)))  # noqa: S314

    dashed = {
        g.get("data-edge")
        for g in root.iter(f"{SVG}g")
        if g.get("data-edge") and g.find(f"{SVG}path").get("stroke-dasharray")
    }
    assert dashed == RESTORING[name]


def test_svg_draws_escalation_above_the_states_and_restoration_below():
    for route in layout(shipped("cournot")).routes:
        if route.edge != "fine_again":
            assert (route.label.rect.y > 0) == (route.edge in RESTORING["cournot"])


def test_svg_is_the_same_every_time_and_needs_nothing_from_outside():
    svg = as_svg(shipped("cournot"))

    assert svg == as_svg(shipped("cournot"))
    assert "href" not in svg
    assert "<script" not in svg
    assert svg.count("http") == svg.count("http://www.w3.org/2000/svg") == 1


def test_svg_escapes_the_authors_text():
    graph = made(["a"], [], title='</title><script>alert("&")</script>')

    root = ET.fromstring(as_svg(graph))  # noqa: S314
    assert root.find(f"{SVG}title").text == '</title><script>alert("&")</script>'
    assert root.find(f".//{SVG}script") is None


@pytest.mark.parametrize("name", SHIPPED)
def test_no_label_touches_another_or_a_state(name):
    assert collisions(layout(shipped(name))) == []


@pytest.mark.parametrize("seed", range(60))
def test_no_label_touches_another_a_state_or_a_foreign_line_in_any_graph(seed):
    placed = layout(some_graph(seed))

    assert collisions(placed) == []
    lines = [(route.edge, s) for route in placed.routes for s in segments(route.path)]
    for route in placed.routes:
        assert not [e for e, s in lines if e != route.edge and s.overlaps(route.label.rect)]
    for box in placed.boxes:
        assert not [e for e, line in lines if line.overlaps(box.rect)]


@pytest.mark.parametrize("seed", range(20))
def test_everything_lies_within_the_picture(seed):
    placed = layout(some_graph(seed))
    frame = placed.extent

    for rect in [b.rect for b in placed.boxes] + [r.label.rect for r in placed.routes]:
        assert frame.x <= rect.x
        assert rect.x + rect.width <= frame.x + frame.width
        assert frame.y <= rect.y
        assert rect.y + rect.height <= frame.y + frame.height


def test_states_stand_in_the_order_of_severity():
    expected = ["active", "warning", "credited", "fined", "suspended"]

    assert severity_order(shipped("cournot")) == expected
    assert severity_order(shipped("bertrand")) == ["active", "warning", "fined"]


def test_the_initial_state_stands_first_wherever_the_file_has_it():
    graph = made(
        ["worst", "good", "bad"], [("a", "good", "bad", True), ("b", "bad", "worst", True)]
    )
    graph = graph.model_copy(update={"initial": "good"})

    assert severity_order(graph) == ["good", "bad", "worst"]


def test_counts_are_written_at_the_edges_and_set_the_widths():
    svg = as_svg(shipped("bertrand"), {"warn": 12, "fine": 3}, {"warn": 4})
    root = ET.fromstring(svg)  # noqa: S314
    texts = [text.text for text in root.iter(f"{SVG}text")]

    assert "×12, refused 4" in texts
    assert "×3" in texts
    assert texts.count("not taken") == 3
    widths = {
        g.get("data-edge"): g.find(f"{SVG}path").get("stroke-width")
        for g in root.iter(f"{SVG}g")
        if g.get("data-edge")
    }
    # Between 1.4 and 5.0 with the square root of the share of the most taken: 12 of 12, 3 of 12.
    assert widths["warn"] == "5.00"
    assert widths["fine"] == "3.20"
    assert widths["fine_again"] == "1.40"


def test_refusals_alone_grey_nothing():
    svg = as_svg(shipped("bertrand"), None, {"fine": 2})

    assert "refused 2" in svg
    assert "not taken" not in svg


def test_counts_keep_labels_apart():
    graph = shipped("cournot")
    notes = {edge.id: "×123456, refused 123456" for edge in graph.edges}

    assert collisions(layout(graph, notes)) == []


def test_a_count_of_an_unknown_edge_is_an_error_that_names_the_nearest():
    with pytest.raises(InstitutionalError, match='Did you mean "fine_again"'):
        as_svg(shipped("cournot"), {"fine_agian": 1})


def test_lines_are_broken_evenly_and_words_never():
    text = "needs evidence recovered"

    assert wrapped(text, 1000) == [text]
    assert wrapped(text, 1) == text.split()
    assert fitted(["an_id", "case P2"], 200).bold == 1


@pytest.mark.parametrize("bold", [False, True])
def test_widths_are_no_smaller_than_in_a_wide_font(bold):
    """DejaVu Sans is the widest sans-serif in common use; two per cent are lost in no label."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    graph = shipped("cournot")
    for route in layout(graph).routes:
        for line in route.label.text.lines:
            real = TextPath((0, 0), line, size=TEXT, prop=font).get_extents().width
            assert text_width(line, size=TEXT, bold=bold) > 0.98 * real
