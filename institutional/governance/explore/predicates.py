"""Declared predicates as masks over the steps of a table.

A predicate speaks of one round of one agent: the case, evidence and move of that round, and the
standing and counters after it. `rounds_in_state` is 0 in the round of entering.

Shapes: S standings, I columns; masks are [S, I].
"""

from typing import Any

import numpy as np

from institutional.errors import suggestion
from institutional.governance.document import Place
from institutional.governance.explore.abstraction import counter_values
from institutional.governance.explore.search import Mask
from institutional.governance.explore.table import Table
from institutional.governance.loading import LoadedGraph, leaves
from institutional.governance.schema import Fact


def holds(table: Table, predicate: Any) -> Mask:
    """In which steps `predicate` holds; in none that was not followed."""
    return _holds(table, predicate) & (table.successor >= 0)


def _holds(table: Table, predicate: Any) -> Mask:
    if isinstance(predicate, Fact):
        return _fact(table, predicate)
    if hasattr(predicate, "not_"):
        return ~_holds(table, predicate.not_)
    if hasattr(predicate, "all_"):
        return np.asarray(np.logical_and.reduce([_holds(table, p) for p in predicate.all_]))
    return np.asarray(np.logical_or.reduce([_holds(table, p) for p in predicate.any_]))


def _fact(table: Table, fact: Fact) -> Mask:
    program = table.program
    after = counter_values(table.abstraction, table.codes)
    match fact.kind:
        case "state":
            wanted = [program.states.index(name) for name in fact.state or []]
            result = np.isin(after["state"], wanted)[table.successor]
        case "status":
            states, statuses = program.loaded.graph.states, fact.status or []
            wanted = [i for i, s in enumerate(program.states) if states[s].status in statuses]
            result = np.isin(after["state"], wanted)[table.successor]
        case "move":
            wanted = [i for i, move in enumerate(program.moves) if move.id in (fact.move or [])]
            result = np.isin(table.move, wanted)
        case "case":
            norm = program.norm_names.index(str(fact.case))
            result = table.counted() & table.widened(table.inputs.breaches[:, norm])
        case "evidence":
            name = program.evidence_names.index(str(fact.evidence))
            result = table.counted() & table.widened(table.inputs.evidence[:, name])
        case kind:
            bounds = getattr(fact, kind)
            value = after[kind]
            inside = np.ones(len(value), dtype=np.bool_)
            if bounds.at_least is not None:
                inside &= value >= bounds.at_least
            if bounds.at_most is not None:
                inside &= value <= bounds.at_most
            result = inside[table.successor]
    return np.asarray(result)


def check_names(loaded: LoadedGraph) -> None:
    """Raise InstitutionalError at the first name in `properties` that refers to nothing."""
    graph = loaded.graph
    known: dict[str, list[str]] = {
        "state": list(graph.states),
        "move": [edge.id for edge in graph.edges],
        "case": list(graph.norms),
        "evidence": list(graph.evidence),
    }
    kinds = {"state": "state", "move": "edge", "case": "norm", "evidence": "evidence"}
    ids: list[str] = []
    for index, claim in enumerate(graph.properties):
        place: Place = ("properties", index)
        if claim.id in ids:
            message = f'two properties are called "{claim.id}": rename one'
            raise loaded.document.problem((*place, "id"), message)
        ids.append(claim.id)
        for name in ("never", "always", "eventually"):
            if (predicate := getattr(claim, name)) is not None:
                facts = list(leaves(predicate, (*place, name)))
                break
        else:
            if claim.leads_to is None:
                raise AssertionError(claim)
            facts = [
                *leaves(claim.leads_to.from_, (*place, "leads_to", "from")),
                *leaves(claim.leads_to.to, (*place, "leads_to", "to")),
            ]
        for where, fact in facts:
            given = getattr(fact, fact.kind)
            names = given if isinstance(given, list) else [given]
            for word in names:
                if fact.kind in known and word not in known[fact.kind]:
                    listed = ", ".join(known[fact.kind]) or "none"
                    raise loaded.document.problem(
                        (*where, fact.kind),
                        f'there is no {kinds[fact.kind]} "{word}"\n'
                        f"  known here: {listed}.{suggestion(word, known[fact.kind])}",
                    )
