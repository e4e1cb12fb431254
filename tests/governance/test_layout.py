"""The formatter keeps comments and meaning, and knows when nothing is to be done."""

from importlib.resources import files
from pathlib import Path

import pytest
from small_graph import YAML, small

from institutional.governance.layout import formatted
from institutional.governance.loading import load_graph, parse_graph

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
