"""From a YAML file to a checked governance graph, with line and column in every error.

Checked here: the schema, every name (states, evidence, norms, edges, parameters, and signals and
benchmarks once an environment is given). Not here: whether the graph is wise.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785

from institutional.errors import InstitutionalError, suggestion
from institutional.governance import schema
from institutional.governance.alteration import altered, is_alteration
from institutional.governance.document import Document, Place, parse_document, read_document
from institutional.governance.schema import Comparison, Edge, Graph

_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True)
class LoadedGraph:
    """A graph, the document it was read from, and the two digests that identify it."""

    graph: Graph
    document: Document

    @property
    def canonical_digest(self) -> str:
        """SHA-256 of the canonical content (RFC 8785), in hex: the identity of the institution.

        Parameters enter by their values where they are used; comments and layout do not.
        """
        # What is left at its default is left out: a key that a later version adds to the schema
        # leaves the identity of earlier graphs alone.
        said = self.graph.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return hashlib.sha256(rfc8785.dumps(said)).hexdigest()

    def certain(self, use: str) -> None:
        """Raise where the graph detects in a way that `use` does not reckon with.

        What it reckons with is an agent's own conduct, from the first round on.
        """
        plain, said = schema.Detection(), self.graph.detection
        for key in ("attribution", "by_lot", "from_round"):
            if getattr(said, key) != getattr(plain, key):
                raise self.document.problem(
                    ("detection", key),
                    f"{use} does not reckon with detection.{key}\n"
                    "  leave it out, or play ordinary runs",
                )

    @property
    def exact_digest(self) -> str:
        """SHA-256 of the exact bytes, in hex: the identity of the file."""
        return hashlib.sha256(self.document.raw).hexdigest()


def content(graph: Graph) -> dict[str, Any]:
    """The graph as JSON-serialisable data, all defaults written out."""
    return graph.model_dump(mode="json", by_alias=True)


def load_graph(path: Path) -> LoadedGraph:
    """Read the governance graph at `path`; an error says where, what and what next.

    A file that alters another graph is read as the graph it makes of it.
    """
    document = read_document(path)
    return check_document(altered(document) if is_alteration(document) else document)


def parse_graph(raw: bytes, path: str) -> LoadedGraph:
    """Read a governance graph from its exact bytes; `path` is only for messages."""
    return check_document(parse_document(raw, path))


def check_document(document: Document) -> LoadedGraph:
    """Resolve parameters, validate against the schema and check every name."""
    if not isinstance(document.values, dict):
        raise document.problem((), "a governance graph is a mapping; this is something else")
    found = document.values.get("format")
    if found != schema.FORMAT:
        raise document.problem(
            ("format",), f'format is {found!r}; this version reads "{schema.FORMAT}"'
        )
    values = _resolve(document.values, (), _parameters(document), document)
    graph = document.validated(Graph, values)
    problems = list(_unknown_names(graph))
    if problems:
        raise InstitutionalError(
            "\n".join(str(document.problem(place, message)) for place, message in problems[:10])
        )
    return LoadedGraph(graph, document)


def check_environment(
    loaded: LoadedGraph, *, signals: Mapping[str, Iterable[str]], benchmarks: Iterable[str]
) -> None:
    """Raise unless every signal, signal parameter and benchmark that the graph names exists.

    `signals` maps each signal of the environment to the names of its parameters.
    """
    graph, benchmarks = loaded.graph, list(benchmarks)
    problems: list[tuple[Place, str]] = []
    for place, comparison in comparisons(graph):
        if comparison.signal not in signals:
            problems.append(
                _missing((*place, "signal"), "signal", comparison.signal, signals.keys())
            )
            continue
        problems.extend(
            _missing((*place, "with", name), "parameter of the signal", name, known)
            for known in [list(signals[comparison.signal])]
            for name in comparison.with_
            if name not in known
        )
        if comparison.relative_to is not None and comparison.relative_to not in benchmarks:
            problems.append(
                _missing((*place, "relative_to"), "benchmark", comparison.relative_to, benchmarks)
            )
    for index, edge in enumerate(graph.edges):
        fine = edge.sanction.fine
        if fine is not None and fine.of not in signals:
            place = ("edges", index, "sanction", "fine", "of")
            problems.append(_missing(place, "signal", fine.of, signals.keys()))
    if problems:
        raise InstitutionalError(
            "\n".join(str(loaded.document.problem(p, message)) for p, message in problems[:10])
        )


def comparisons(graph: Graph) -> Iterator[tuple[Place, Comparison]]:
    """Every comparison of the graph's evidence with its place, in the order of the file."""
    for name, evidence in graph.evidence.items():
        for place, leaf in leaves(evidence.when, ("evidence", name, "when")):
            if isinstance(leaf, Comparison):
                yield place, leaf


def leaves(condition: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    """What `all`, `any` and `not` join in `condition`, with places.

    Comparisons and names in a condition of evidence, facts in a property's predicate.
    """
    if hasattr(condition, "not_"):
        yield from leaves(condition.not_, (*place, "not"))
        return
    key = next((key for key in ("all", "any") if hasattr(condition, f"{key}_")), None)
    if key is None:
        yield place, condition
        return
    for index, part in enumerate(getattr(condition, f"{key}_")):
        yield from leaves(part, (*place, key, index))


def _parameters(document: Document) -> dict[str, Any]:
    declared = document.values.get("parameters") or {}
    if not isinstance(declared, dict):
        raise document.problem(("parameters",), "parameters is a mapping of names to numbers")
    return {
        name: entry.get("value") if isinstance(entry, dict) else entry
        for name, entry in declared.items()
    }


def _resolve(value: Any, place: Place, parameters: dict[str, Any], document: Document) -> Any:
    """Replace each `$name` by the value of that parameter."""
    if isinstance(value, dict):
        return {k: _resolve(v, (*place, k), parameters, document) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, (*place, i), parameters, document) for i, v in enumerate(value)]
    if isinstance(value, str) and value.startswith("$"):
        match = _REFERENCE.fullmatch(value)
        if match is None or match[1] not in parameters:
            name = value[1:]
            raise document.problem(
                place,
                f'"{value}" is not a parameter of this graph\n  parameters here: '
                f"{', '.join(parameters) or 'none'}.{suggestion(name, parameters)}",
            )
        return _whole(parameters[match[1]])
    return value


def _whole(value: Any) -> Any:
    """A parameter may be written 5 or 5.0; counts need the integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _missing(place: Place, kind: str, name: str, known: Iterable[str]) -> tuple[Place, str]:
    known = list(known)
    listed = ", ".join(known) or "none"
    return place, f'there is no {kind} "{name}"\n  known here: {listed}.{suggestion(name, known)}'


def _unknown_names(graph: Graph) -> Iterator[tuple[Place, str]]:
    """Every name in `graph` that refers to nothing."""
    states, norms, evidence = graph.states, graph.norms, graph.evidence
    if graph.initial not in states:
        yield _missing(("initial",), "state", graph.initial, states)
    earlier: list[str] = []
    for name, entry in evidence.items():
        for place, leaf in leaves(entry.when, ("evidence", name, "when")):
            if isinstance(leaf, str) and leaf not in earlier:
                yield _missing(place, "evidence defined above this one", leaf, earlier)
        earlier.append(name)
    ids = [edge.id for edge in graph.edges]
    for name, norm in norms.items():
        for place, leaf in leaves(norm.breached_by, ("norms", name, "breached_by")):
            if isinstance(leaf, Comparison):
                yield place, "a norm is breached by evidence: define the comparison there"
            elif leaf not in evidence:
                yield _missing(place, "evidence", leaf, evidence)
        for index, edge_id in enumerate(norm.or_else):
            if edge_id not in ids:
                yield _missing(("norms", name, "or_else", index), "edge", edge_id, ids)
    for state in graph.restoration.credits.earned_in if graph.restoration.credits else []:
        if state not in states:
            yield _missing(("restoration", "credits", "earned_in"), "state", state, states)
    for index, edge in enumerate(graph.edges):
        place = ("edges", index)
        if graph.detection.from_round and edge.source == graph.initial and _timed(edge):
            yield (*place, "when"), f'edge "{edge.id}" could fire before from_round, in silence'
        if edge.id in ids[:index]:
            yield (*place, "id"), f'two edges are called "{edge.id}": rename one'
        for key, state in (("from", edge.source), ("to", edge.target)):
            if state not in states:
                problem = f'edge "{edge.id}" {"leaves" if key == "from" else "leads to"} '
                problem += f'"{state}", which is not a state\n  states here: {", ".join(states)}.'
                yield (*place, key), problem + suggestion(state, states)
        yield from _unknown_in_guards(graph, index)


def _timed(edge: Edge) -> bool:
    """Whether `edge` may fire for an agent of whom nothing has been found and nothing counted."""
    return all(
        guard.kind == "rounds_in_state"
        or (guard.streak.rounds == 0 if guard.streak else getattr(guard, guard.kind) == 0)
        for guard in edge.when
    )


def _unknown_in_guards(graph: Graph, index: int) -> Iterator[tuple[Place, str]]:
    edge = graph.edges[index]
    for key, guards in (("when", edge.when), ("require", edge.require)):
        for number, guard in enumerate(guards):
            place = ("edges", index, key, number, guard.kind)
            norm = guard.case or (guard.streak.of if guard.streak else None)
            if norm is not None and norm not in graph.norms:
                yield _missing(place, "norm", norm, graph.norms)
            if guard.evidence is not None and guard.evidence not in graph.evidence:
                yield _missing(place, "evidence", guard.evidence, graph.evidence)
            if guard.case in graph.norms and edge.id not in graph.norms[guard.case].or_else:
                problem = f'edge "{edge.id}" answers a case under {guard.case}, whose or_else '
                yield place, problem + "does not name it: add it there"
