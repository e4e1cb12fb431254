"""From a YAML file to checked policy tests and the graph they are about."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from institutional.errors import InstitutionalError, suggestion
from institutional.governance.document import Document, Place, read_document
from institutional.governance.hypothetical import compile_on_paper, givable
from institutional.governance.loading import LoadedGraph, load_graph
from institutional.governance.policy_tests.schema import (
    FORMAT,
    Expectation,
    PolicyTest,
    PolicyTests,
)


@dataclass(frozen=True)
class LoadedTests:
    """Policy tests, the document they were read from, and the graph that is tested."""

    tests: PolicyTests
    document: Document
    graph: LoadedGraph


def load_tests(path: Path, graph: LoadedGraph | None = None) -> LoadedTests:
    """Read the policy tests at `path`; an error says where, what and what next.

    They are about the graph that the file names, unless another `graph` is given: that is how one
    file tests a revision of its institution.
    """
    return check_tests(read_document(path), graph)


def check_tests(document: Document, graph: LoadedGraph | None = None) -> LoadedTests:
    """Validate against the schema and check every name against the graph."""
    if not isinstance(document.values, dict):
        raise document.problem((), "policy tests are a mapping; this is something else")
    found = document.values.get("format")
    if found != FORMAT:
        raise document.problem(("format",), f'format is {found!r}; this version reads "{FORMAT}"')
    tests = document.validated(PolicyTests, document.values)
    if graph is None:
        file = Path(document.path).parent / tests.graph
        if not file.is_file():
            raise document.problem(
                ("graph",), f"{file} is not there; the path is relative to this file"
            )
        graph = load_graph(file)
    problems = list(_problems(tests, graph))
    if problems:
        raise InstitutionalError(
            "\n".join(str(document.problem(place, message)) for place, message in problems[:10])
        )
    return LoadedTests(tests, document, graph)


class _Names:
    """What a test may name."""

    def __init__(self, graph: LoadedGraph) -> None:
        program = compile_on_paper(graph, ["a"])
        self.states = program.states
        self.given = givable(graph.graph)
        self.norms = program.norm_names
        self.edges = [move.id for move in program.moves]
        self.signals = list(dict.fromkeys(r.name.split("[")[0] for r in program.readings))


def _problems(tests: PolicyTests, graph: LoadedGraph) -> Iterator[tuple[Place, str]]:
    names = _Names(graph)
    titles = [test.name for test in tests.tests]
    for index, test in enumerate(tests.tests):
        if test.name in titles[:index]:
            yield ("tests", index, "name"), "another test has this name: rename one"
        yield from _unknown_names(test, names, ("tests", index))


def _unknown_names(test: PolicyTest, names: _Names, place: Place) -> Iterator[tuple[Place, str]]:
    """Every name in `test` that refers to nothing."""
    agents = test.agents
    for number, round_ in enumerate(test.rounds):
        here = (*place, "rounds", number)
        for agent, found in round_.given.items():
            yield from _known((*here, "given", agent), "agent in this test", agent, agents)
            for index, name in enumerate(found):
                at = (*here, "given", agent, index)
                yield from _known(at, "evidence", name, names.given)
        for signal, values in round_.signals.items():
            at = (*here, "signals", signal)
            yield from _known(at, "signal in this graph", signal, names.signals)
            for agent in values:
                yield from _known((*at, agent), "agent in this test", agent, agents)
        for agent, expectation in round_.expect.items():
            at = (*here, "expect", agent)
            yield from _known(at, "agent in this test", agent, agents)
            yield from _unknown_in(expectation, names, at)


def _unknown_in(
    expectation: Expectation, names: _Names, place: Place
) -> Iterator[tuple[Place, str]]:
    written = expectation.written()
    if "state" in written:
        yield from _known((*place, "state"), "state", expectation.state, names.states)
    if expectation.move is not None:
        yield from _known((*place, "move"), "edge", expectation.move, names.edges)
    for step, edge in _steps(expectation.refused):
        yield from _known((*place, "refused", step), "edge", edge, names.edges)
    for index, norm in enumerate(expectation.cases):
        yield from _known((*place, "cases", index), "norm", norm, names.norms)


def _steps(refused: list[str] | dict[str, str]) -> Iterator[tuple[int | str, str]]:
    """Each refused edge with the step that leads to it in the document."""
    if isinstance(refused, dict):
        yield from ((edge, edge) for edge in refused)
    else:
        yield from enumerate(refused)


def _known(
    place: Place, kind: str, name: str, known: Collection[str]
) -> Iterator[tuple[Place, str]]:
    if name not in known:
        listed = ", ".join(known) or "none"
        message = f'there is no {kind} "{name}"\n  known here: {listed}.{suggestion(name, known)}'
        yield place, message
