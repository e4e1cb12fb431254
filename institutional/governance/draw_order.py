"""In which order the states of a governance graph stand in its picture: milder to the left."""

from collections.abc import Sequence

from institutional.governance.draw import answers_a_case
from institutional.governance.schema import Edge, Graph


def severity_order(graph: Graph) -> list[str]:
    """The states in one row: the initial one first, escalation to the right, ways back short.

    States enter in the order in which cases lead to them, each where the moves among those
    already placed become shortest; a move against its direction counts as a detour.
    """
    waiting = list(graph.states)
    order: list[str] = []
    reached = [graph.initial]
    while waiting:
        state = next((name for name in reached if name in waiting), waiting[0])
        waiting.remove(state)
        reached += [e.target for e in graph.edges if e.source == state and answers_a_case(e)]
        known = {*order, state}
        edges = [e for e in graph.edges if e.source in known and e.target in known]
        rows = [[*order[:at], state, *order[at:]] for at in range(len(order), 0, -1)]
        order = min(rows, key=lambda row: _detour(row, edges)) if rows else [state]
    return order


def _detour(row: Sequence[str], edges: Sequence[Edge]) -> int:
    at = {state: position for position, state in enumerate(row)}
    total = 0
    for edge in edges:
        step = at[edge.target] - at[edge.source]
        forwards = step > 0 if answers_a_case(edge) else step < 0
        total += abs(step) + (0 if forwards or step == 0 else len(row))
    return total
