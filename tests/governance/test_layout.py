"""The formatter keeps comments and meaning, and knows when nothing is to be done."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from small_graph import YAML, small

from institutional.governance.check import findings, lint, model
from institutional.governance.layout import formatted
from institutional.governance.loading import load_graph, parse_graph
from institutional.governance.schema import json_schema

ROOT = Path(__file__).parents[2]
STARTER = files("institutional.governance").joinpath("starter.yaml").read_bytes()


@pytest.mark.parametrize("path", sorted((ROOT / "governance_graphs").glob("*.yaml")), ids=str)
def test_every_shipped_graph_is_in_the_houses_layout(path):
    assert formatted(load_graph(path)) == path.read_bytes()


def test_the_starter_is_in_the_houses_layout():
    assert formatted(parse_graph(STARTER, "starter.yaml")) == STARTER


def test_spacing_changes_and_comments_and_meaning_stay():
    untidy = YAML.replace(b"initial: active", b"initial:    active   # where everyone starts\n\n\n")
    untidy = untidy.replace(b"    breached_by", b"    # what makes a case\n    breached_by")

    tidy = formatted(small(untidy))

    assert b"initial: active" in tidy
    assert b"# where everyone starts" in tidy
    assert b"    # what makes a case\n" in tidy
    assert small(tidy).canonical_digest == small(untidy).canonical_digest
    assert formatted(small(tidy)) == tidy


def test_the_shipped_schema_and_rules_are_what_the_commands_print():
    rules = findings.registry(findings.RULES, lint.RULES, model.RULES)
    schema = json.loads((ROOT / "governance_graphs/schema.json").read_text())

    assert schema == json_schema()
    assert (ROOT / "governance_graphs/RULES.md").read_text() == findings.as_markdown(rules.values())


@pytest.mark.parametrize("path", sorted((ROOT / "governance_graphs").glob("*.yaml")), ids=str)
def test_every_shipped_graph_names_the_schema_and_is_in_the_calibration(path):
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n")
    assert f"| `{path.stem}` |" in (ROOT / "governance_graphs/CALIBRATION.md").read_text()
