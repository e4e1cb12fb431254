"""Forty-two broken versions of the paper's graph: `graph check` or its policy tests see them."""

from pathlib import Path

import pytest
from mutants import MUTANTS, mutant

from environments import presets
from institutional.governance.check import findings, lint, model
from institutional.governance.explore.findings import check as explored
from institutional.governance.loading import LoadedGraph, load_graph, parse_graph
from institutional.governance.policy_tests.loading import load_tests
from institutional.governance.policy_tests.run import run_tests
from institutional.governance.program import compile_graph

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "governance_graphs/tests/cournot.yaml"
FEWEST_CAUGHT = 38

# Survivors, each with the reason why nothing on paper can see it. None at present.
SURVIVORS: dict[str, str] = {}


def found_in(loaded: LoadedGraph) -> set[tuple[str, str]]:
    """(rule, message) of everything above a remark that is not explained in the file."""
    core = presets.make("lin2024")
    points = {name: point.record for name, point in core.benchmarks().items()}
    program = compile_graph(loaded, agents=core.agents, signals=core.signals, references=points)
    found = lint.lint(loaded, signals=core.signals, thresholds=program.thresholds())
    found += model.findings_of(loaded, explored(loaded))
    rules = findings.registry(findings.RULES, lint.RULES, model.RULES)
    stands, _ = findings.silence(findings.ordered(found), loaded.document, rules=rules)
    return {(f.rule, f.message) for f in stands if f.severity != "info"}


def caught(name: str) -> bool:
    """Whether `graph check` or the graph's own policy tests object to a mutant."""
    loaded = parse_graph(mutant(name), "mutant.yaml")
    if found_in(loaded):
        return True
    return bool(run_tests(load_tests(TESTS, loaded)).failed)


def test_the_graph_itself_is_clean_and_passes():
    loaded = load_graph(ROOT / "governance_graphs/cournot.yaml")

    assert found_in(loaded) == set()
    assert not run_tests(load_tests(TESTS, loaded)).failed


def test_there_are_at_least_forty_mutants():
    assert len(MUTANTS) >= 40
    assert len(MUTANTS) - len(SURVIVORS) >= FEWEST_CAUGHT


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_graph_is_caught_or_its_survival_is_explained(name):
    assert caught(name) is (name not in SURVIVORS), SURVIVORS.get(name, "nobody noticed")
