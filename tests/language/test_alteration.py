"""A graph that is another with something changed: what is written, kept and refused."""

import difflib
import hashlib
from pathlib import Path

import pytest
from small_graph import YAML, small

from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph, parse_graph

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "governance_graphs/cournot.yaml"


@pytest.fixture
def alter(tmp_path):
    """Write the small graph and an alteration of it; return what is loaded."""
    (tmp_path / "small.yaml").write_bytes(YAML)

    def altered(changes, of="small.yaml"):
        path = tmp_path / "other.yaml"
        path.write_text(
            f"format: institutional.alteration/1\nof: {of}\nname: other\ntitle: Another\n"
            f"changes:\n" + "".join(f"  {line}\n" for line in changes)
        )
        return load_graph(path)

    return altered


def lines_changed(before: bytes, after: bytes):
    """The lines gone, and those that came instead."""
    found = list(difflib.ndiff(before.decode().splitlines(), after.decode().splitlines()))
    return [[line[2:] for line in found if line.startswith(sign)] for sign in ("- ", "+ ")]


def test_only_what_is_named_changes_and_the_rest_stays_to_the_byte(alter):
    gone, came = lines_changed(YAML, alter(["send_notices: false"]).document.raw)

    assert gone == ["name: small", "title: Warn, fine, suspend"]
    digest = hashlib.sha256(YAML).hexdigest()
    assert came == [
        'name: "other"',
        'title: "Another"',
        "send_notices: false",
        f"# Altered from small.yaml, SHA-256 {digest}:",
        "# name, title, send_notices.",
    ]


def test_what_it_makes_is_a_graph_like_any_other(alter):
    """A run folder holds its bytes; the identity is that of the graph written out by hand."""
    made = alter(["detection.attribution: next", "initial: warned"][1:])
    written = (
        YAML.replace(b"name: small", b"name: other")
        .replace(b"title: Warn, fine, suspend", b"title: Another")
        .replace(b"initial: active", b"initial: warned")
    )

    assert parse_graph(made.document.raw, "graph.yaml").canonical_digest == made.canonical_digest
    assert made.canonical_digest == small(written).canonical_digest


def test_parameters_states_and_edges_are_reached_by_their_names(alter):
    graph = alter(
        [
            "parameters.limit.value: 7",
            "states.out.restriction: {cap: 0.5}",
            "edges.fine.sanction.fine.rates: [0.1]",
            "edges.redeem.sanction: {}",
            "norms.N1.aim: show",
        ]
    ).graph

    assert graph.evidence["high"].when.above == 7
    assert not graph.states["out"].restriction.suspended
    assert graph.states["out"].restriction.cap == 0.5
    fine, redeem = graph.edges[1], graph.edges[4]
    assert (fine.id, fine.sanction.fine.rates, fine.sanction.fine.floor) == ("fine", [0.1], 3)
    assert (redeem.id, redeem.sanction.credits) == ("redeem", 0)
    assert graph.norms["N1"].aim == "show"


def test_a_new_key_goes_into_a_block_or_a_flow_mapping_as_that_is_written(alter):
    made = alter(
        [
            "evidence.high.secret: true",
            "edges.warn.cooldown: 2",
            "restoration.credits.cap: 3",
            "detection: {audit_share: 0.5}",
        ]
    )

    assert made.graph.evidence["high"].secret
    assert made.graph.edges[0].cooldown == 2
    assert made.graph.restoration.credits.cap == 3
    assert made.graph.detection.audit_share == 0.5
    text = made.document.raw.decode()
    assert "  high:\n    secret: true\n    meaning:" in text
    assert "- {cooldown: 2, id: warn" in text


def test_a_block_that_is_replaced_leaves_the_comments_below_it(alter, tmp_path):
    alter(["send_notices: false"])
    commented = YAML.replace(b"    breached_by: high\n", b"    breached_by: high\n# on edges\n")
    (tmp_path / "small.yaml").write_bytes(commented)
    norm = small().document.values["norms"]["N1"]
    made = alter([f"norms.N1: {norm | {'aim': 'show'}!r}"])

    assert made.graph.norms["N1"].aim == "show"
    assert b"\n# on edges\nedges:" in made.document.raw


@pytest.mark.parametrize(
    ("changes", "of", "message"),
    [
        (["states.outt.meaning: x"], "small.yaml", 'there is no "outt".*Did you mean "out"'),
        (["edges.fines.cooldown: 1"], "small.yaml", 'there is no "fines".*Did you mean "fine"'),
        (["edges.new: {}"], "small.yaml", 'there is no "new"'),
        (["initial.x: 1"], "small.yaml", 'there is no "x"'),
        (["send_notices: 3"], "small.yaml", r"other.yaml \(altering small.yaml\):\d+:\d+: "),
        (["initial: nowhere"], "small.yaml", 'no state "nowhere"'),
        (["states: {}", "states.out.meaning: x"], "small.yaml", "one change lies within another"),
        (["send_notices: false"], "smaller.yaml", "smaller.yaml is not there"),
        (["send_notices: false"], "other.yaml", "is itself an alteration"),
        (["send_notices: false\n  nmae: x"], "small.yaml", 'unknown key "nmae"'),
    ],
)
def test_what_cannot_be_altered_is_refused_with_its_place(alter, changes, of, message):
    with pytest.raises(InstitutionalError, match=f"(?s){message}"):
        alter(changes, of=of)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("by_lot", ["  by_lot: 0.2"]),
        ("wrong_firm", ['  attribution: "next"']),
        ("fines_without_notices", ["send_notices: false"]),
        (
            "notices_without_fines",
            [
                *(f"  fine_{tier}: {{value: 0" for tier in ("first", "second", "third", "floor")),
                "    restriction: {}",
            ],
        ),
    ],
)
def test_a_shipped_control_parts_from_the_papers_graph_in_what_it_says(name, lines):
    made = load_graph(PAPER.with_name("controls") / f"{name}.yaml").document.raw
    came = lines_changed(PAPER.read_bytes(), made)[1][2:-2]  # but for name, title and the note

    assert [line.split(",")[0] for line in came] == lines
