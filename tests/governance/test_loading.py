"""What an author may get wrong, and the message with its place."""

from pathlib import Path

import pytest
from small_graph import SIGNALS, YAML, record, small

from environments.contract import Signal
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph
from institutional.governance.program import compile_graph
from institutional.governance.schema import Graph, json_schema

ROOT = Path(__file__).parents[2]
GRAPHS = sorted((ROOT / "governance_graphs").glob("*.yaml"))


def message(old: bytes, new: bytes) -> str:
    """The error for the small graph with its first `old` replaced by `new`."""
    assert old in YAML
    with pytest.raises(InstitutionalError) as caught:
        small(YAML.replace(old, new, 1))
    return str(caught.value)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_every_shipped_graph_is_well_formed(path):
    assert load_graph(path).graph.name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        (b"to: out\n", b"to: outt\n", ":41:5", '"outt", which is not a state'),
        (b"initial: active", b"initail: active", ":9:1", 'Did you mean "initial"?'),
        (b"initial: active", b"initial: activ", ":9:1", 'there is no state "activ"'),
        (b"at_most: 2", b"at_most: 2, at_most: 3", ":22:39", 'duplicate key "at_most"'),
        (b"above: $limit", b"above: $limti", ":19:27", 'Did you mean "limit"?'),
        (b"above: $limit", b'above: "5"', ":19:27", "valid number"),
        (b"above: $limit", b"above: [5]", ":19:27", "valid number"),
        (b"above: $limit", b"above: .inf", ":19:34", ".inf"),
        (b"above: $limit", b"above: $limit, below: 1", ":19:5", "exactly one of above"),
        (b"at_least: 2, of: 3", b"at_least: 4, of: 3", ":19:42", "can never happen"),
        (b"breached_by: high", b"breached_by: hihg", ":31:5", 'Did you mean "high"?'),
        (b"case: N1", b"case: N2", ":33:", 'there is no norm "N2"'),
        (b"or_else: [warn,", b"or_else: [", ":33:", "whose or_else does not name it"),
        (b"evidence: calm", b"evidence: clam", ":54:16", 'Did you mean "calm"?'),
        (b"status: clear", b"status: &a clear", ":11:20", "anchors"),
        (b"status: clear", b"status: !!python/name:os.system x", ":11:20", "tag"),
        (b"suspended: true", b"suspended: yes", ":14:", "valid boolean"),
        (b"format: institutional.graph/1", b"format: graph/9", ":2:1", "graph/9"),
        (b"initial: active", b"initial: [active", ":", "not valid YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_the_remedy(old, new, place, says):
    text = message(old, new)

    assert text.startswith("small.yaml" + place)
    assert says in text


def test_an_unknown_signal_is_told_with_those_that_exist():
    with pytest.raises(InstitutionalError, match=r'small.yaml:19:12: there is no signal "level"'):
        compile_graph(small(), agents=("ann",), signals={"levle": SIGNALS["level"]})


def test_an_unknown_benchmark_is_told_with_those_that_exist():
    relative = YAML.replace(b"above: $limit", b"above: $limit, relative_to: nahs")
    with pytest.raises(InstitutionalError, match=r'no benchmark "nahs"\n.*Did you mean "nash"'):
        compile_graph(small(relative), agents=("ann",), signals=SIGNALS, references={"nash": {}})


def test_nothing_is_relative_to_a_benchmark_of_zero():
    relative = YAML.replace(b"above: $limit", b"above: $limit, relative_to: nash")
    zero = {"nash": record(0)}
    with pytest.raises(InstitutionalError, match="absolute number"):
        compile_graph(small(relative), agents=("ann",), signals=SIGNALS, references=zero)


def test_layout_and_comments_change_the_exact_digest_only():
    commented = small(YAML + b"# a remark\n")

    assert commented.canonical_digest == small().canonical_digest
    assert commented.exact_digest != small().exact_digest


def test_another_threshold_is_another_institution():
    stricter = small(YAML.replace(b"value: 5", b"value: 4"))

    assert stricter.canonical_digest != small().canonical_digest


@pytest.mark.parametrize("hostile", [b"[" * 5000, b"a: " * 5000, b"\xff\xfe", b"", b"x" * 300_000])
def test_hostile_documents_end_in_one_message(hostile):
    with pytest.raises(InstitutionalError):
        small(hostile)


def test_the_json_schema_accepts_a_parameter_where_a_number_is():
    schema = json_schema()
    above = schema["$defs"]["Comparison"]["properties"]["above"]

    assert any(option.get("pattern", "").startswith("^\\$") for option in above["anyOf"])


def test_the_schema_knows_every_key_of_the_models():
    assert set(json_schema()["properties"]) == set(Graph.model_fields)


def test_a_signal_has_only_the_parameters_it_has():
    strange = YAML.replace(b"signal: level, above", b"signal: level, with: {x: 1}, above")
    with pytest.raises(InstitutionalError, match='no parameter of the signal "x"'):
        compile_graph(small(strange), agents=("ann",), signals={"level": _with(window=3.0)})


def _with(**parameters: float) -> Signal:
    return Signal(SIGNALS["level"].function, "level", 0, 10, "a level", parameters)
