"""What changed between two institutions, and which way, one change at a time."""

import json
from pathlib import Path

import pytest
from small_graph import YAML, small

from institutional.governance.difference import difference
from institutional.governance.loading import load_graph

FOLDER = Path(__file__).parents[2] / "governance_graphs"
GRAPHS = {path.stem: load_graph(path) for path in sorted(FOLDER.glob("*.yaml"))}


def changes(*replacements, base=YAML):
    """The differences after replacing texts in the small graph."""
    text = base
    for old, new in replacements:
        assert old.encode() in text
        text = text.replace(old.encode(), new.encode())
    return difference(small(base), small(text))


def only(*replacements, base=YAML):
    (change,) = changes(*replacements, base=base).changes
    return change


def test_comments_and_layout_change_the_bytes_only():
    found = changes(("name: small", "# a comment\nname:   small"))

    assert (found.same_content, found.same_bytes) == (True, False)
    assert (found.changes, found.parameters) == ((), ())


def test_a_graph_is_the_same_as_itself():
    found = changes()

    assert (found.same_content, found.same_bytes, found.changes) == (True, True, ())


DIRECTIONS = [
    # thresholds and windows of evidence that makes a case
    ("above: $limit", "above: 6", "evidence.high.when.above", "milder"),
    ("above: $limit", "above: 4", "evidence.high.when.above", "stricter"),
    ("above: $limit", "at_least: 5", "evidence.high.when.operator", "stricter"),
    ("above: $limit", "below: 5", "evidence.high.when.operator", "other"),
    ("at_least: 2, of: 3", "at_least: 1, of: 2", "evidence.high.when.for", "stricter"),
    ("at_least: 2, of: 3", "at_least: 2, of: 4", "evidence.high.when.for", "stricter"),
    ("at_least: 2, of: 3", "at_least: 3, of: 3", "evidence.high.when.for", "milder"),
    ("at_least: 2, of: 3", "at_least: 3, of: 9", "evidence.high.when.for", "other"),
    # probation is a better status under a worse restriction: what opens it has no direction
    ("at_most: 2}", "at_most: 3}", "evidence.calm.when.at_most", "other"),
    # norms: a wider condition is stricter
    (
        "breached_by: high",
        "breached_by: {all: [high, calm]}",
        "norms.N1.breached_by",
        "milder",
    ),
    (
        "breached_by: high",
        "breached_by: {any: [high, calm]}",
        "norms.N1.breached_by",
        "stricter",
    ),
    ("breached_by: high", "breached_by: calm", "norms.N1.breached_by", "other"),
    # edges
    ("rounds: 4}", "rounds: 5}", "edges.suspend.require.streak N1", "milder"),
    ("{offences: 2}", "{offences: 1}", "edges.suspend.require.offences", "stricter"),
    (", {offences: 2}]", "]", "edges.suspend.require.offences", "stricter"),
    ("cooldown: 2", "cooldown: 3", "edges.fine_again.cooldown", "milder"),
    ("rounds_in_state: 2}", "rounds_in_state: 5}", "edges.return.when.rounds_in_state", "stricter"),
    ("clean_rounds: 1}", "clean_rounds: 0}", "edges.end.when.clean_rounds", "milder"),
    ("credits: -1}", "credits: -2}", "edges.redeem.sanction.credits", "stricter"),
    (
        "id: return, from: out, to: active",
        "id: return, from: out, to: fined",
        "edges.return.to",
        "stricter",
    ),
    # states and what is remembered
    ("{cap: 0.5}", "{cap: 0.4}", "states.probation.restriction.cap", "stricter"),
    ("{suspended: true}", "{suspended: false}", "states.out.restriction.suspended", "milder"),
    ("earn_after: 2", "earn_after: 3", "restoration.credits.earn_after", "stricter"),
    ("cap: 2, decay", "cap: 3, decay", "restoration.credits.cap", "milder"),
    ("decay: 4", "decay: 5", "restoration.credits.decay", "milder"),
    ("earned_in: [fined]", "earned_in: [fined, out]", "restoration.credits.earned_in", "milder"),
    ("after: 6", "after: 7", "restoration.forget_offences_after", "stricter"),
    ("  forget_offences_after: 6\n", "", "restoration.forget_offences_after", "stricter"),
    # words
    ("notice: Come down.", "notice: Please.", "edges.warn.sanction.notice", "other"),
    ("meaning: warned", "meaning: told", "states.warned.meaning", "other"),
]


@pytest.mark.parametrize(("old", "new", "place", "direction"), DIRECTIONS)
def test_a_change_has_a_place_and_a_direction(old, new, place, direction):
    change = only((old, new))

    assert (change.place, change.direction) == (place, direction)


def test_evidence_that_opens_a_way_back_goes_the_other_way():
    """Without its cap, probation is better than being fined: more calm is milder."""
    free = YAML.replace(b", restriction: {cap: 0.5}", b"")

    assert only(("at_most: 2}", "at_most: 3}"), base=free).direction == "milder"
    assert only(("at_most: 2}", "at_most: 1}"), base=free).direction == "stricter"


def test_evidence_under_not_goes_the_other_way():
    """A norm breached by not being calm: calm more often is milder, with no other use of it."""
    base = YAML.replace(b"breached_by: high", b"breached_by: {not: calm}")
    base = base.replace(b"    require: [{evidence: calm}]\n", b"")

    assert only(("at_most: 2}", "at_most: 3}"), base=base).direction == "milder"


def test_fewer_audits_are_milder():
    """Everybody is looked at unless the graph says otherwise."""
    fewer = difference(small(), small(YAML + b"detection: {audit_share: 0.5}\n"))
    (change,) = fewer.changes

    assert str(change) == "detection.audit_share: 1 -> 0.5"
    assert change.direction == "milder"


def test_a_lower_fine_is_milder_and_named_tier_by_tier():
    found = changes(("rates: [0.5, 1.0]", "rates: [0.25, 1.0]")).changes

    assert [str(change) for change in found] == [
        "edges.fine.sanction.fine.rates[0]: 0.5 -> 0.25",
        "edges.fine_again.sanction.fine.rates[0]: 0.5 -> 0.25",
    ]
    assert {change.direction for change in found} == {"milder"}


def test_a_longer_ladder_of_fines_goes_on_where_the_shorter_one_stays():
    found = changes(("rates: [0.5, 1.0]", "rates: [0.5, 1.0, 2.0]")).changes

    assert {change.direction for change in found} == {"stricter"}


def test_a_parameter_is_told_with_its_uses_and_their_direction():
    found = changes(("value: 5", "value: 7"))

    (change,) = found.changes
    assert (change.place, change.through) == ("evidence.high.when.above", "$limit")
    (parameter,) = found.parameters
    assert (parameter.name, parameter.before, parameter.after) == ("limit", 5, 7)
    assert (parameter.direction, parameter.uses) == ("milder", ("evidence.high.when.above",))


def test_the_same_number_written_otherwise_is_no_change():
    """`$limit` is 5: parameters enter by their values."""
    assert changes(("above: $limit", "above: 5")).same_content


def test_an_added_and_a_removed_edge_are_told_as_a_whole():
    line = "  - {id: end, from: probation, to: active, when: [{clean_rounds: 1}]}\n"
    found = only((line, ""))

    assert str(found) == "edges.end: removed: probation -> active; 1+ clean rounds"
    assert found.direction == "stricter"
    shorter = YAML.replace(line.encode(), b"")
    assert only(("restoration:\n", f"{line}restoration:\n"), base=shorter).direction == "milder"


def test_a_burden_put_before_another_has_no_direction_of_its_own():
    """Another answer to the case, tried before the fine, may also spare the fine."""
    added = "  - {id: scold, from: warned, to: out, when: [{case: N1}]}\n  - id: fine\n"
    edges = changes(("  - id: fine\n", added), ("or_else: [warn,", "or_else: [scold, warn,"))

    directions = {change.place: change.direction for change in edges.changes}
    assert directions["edges.scold"] == "other"


def test_the_order_of_edges_is_content():
    first = "  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 3}]}\n"
    second = "  - {id: return, from: out, to: active, when: [{rounds_in_state: 2}]}\n"
    found = only((first + second, second + first))

    assert (found.place, found.direction) == ("edges.order", "other")


@pytest.mark.parametrize("name", GRAPHS)
def test_between_shipped_graphs_nothing_is_found_only_where_digests_are_equal(name):
    for other, graph in GRAPHS.items():
        found = difference(GRAPHS[name], graph)

        assert found.same_content == (name == other)
        assert bool(found.changes) == (name != other)
        json.dumps(found.as_json())


@pytest.mark.parametrize("name", GRAPHS)
def test_the_reverse_comparison_has_the_reverse_directions(name):
    turned = {"stricter": "milder", "milder": "stricter", "other": "other"}
    one, other = GRAPHS["cournot"], GRAPHS[name]
    there = {c.place: c.direction for c in difference(one, other).changes if c.before is not None}
    back = {c.place: c.direction for c in difference(other, one).changes if c.after is not None}

    for place in there.keys() & back.keys():
        assert turned[there[place]] == back[place], place
