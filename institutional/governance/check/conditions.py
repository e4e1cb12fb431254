"""Whether conditions can hold together: truth tables over comparisons, with their intervals.

Two comparisons of the same signal (same parameters, same benchmark) are about one number: above 5
excludes below 3. A window only matters where a comparison fails: without one, failing means that
the opposite holds now. Comparisons of different signals are taken to be independent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from institutional.governance.loading import leaves
from institutional.governance.schema import Comparison, Graph

Named = tuple[str, str | None]
"""("case", norm) or ("evidence", name)."""

MOST_COMPARISONS = 10
MOST_NAMES = 40
"""Tables over more are not written: such conditions are taken to be possible and avoidable."""

_OPPOSITE = {"above": "at_most", "at_least": "below", "below": "at_least", "at_most": "above"}


class _Limit(NamedTuple):
    """One comparison that holds now, as an interval of one number."""

    number: tuple[Any, ...]
    operator: str
    threshold: float


class Together:
    """Which cases and evidence can occur in one round; what was worked out is remembered."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._numbers: dict[Named, frozenset[Any] | None] = {}
        self._answers: dict[frozenset[Named], bool] = {}

    def possible(self, named: Iterable[Named]) -> bool:
        """False if all of `named` exclude each other although each is possible alone."""
        named = frozenset(named)
        if named not in self._answers:
            self._answers[named] = self._possible(named)
        return self._answers[named]

    def _possible(self, named: frozenset[Named]) -> bool:
        found = [self._about(name) for name in named]
        numbers = [about for about in found if about is not None]
        if len(numbers) < len(found):
            return True  # too many comparisons to look at
        if sum(map(len, numbers)) == len(frozenset().union(*numbers)):
            return True  # nothing is asked of one number twice
        conditions = [self._condition(name) for name in named]
        alone = all(possible(self.graph, [condition]) for condition in conditions)
        return not alone or possible(self.graph, conditions)

    def _condition(self, named: Named) -> Any:
        kind, name = named
        return self.graph.norms[str(name)].breached_by if kind == "case" else name

    def _about(self, named: Named) -> frozenset[Any] | None:
        """The numbers that a case or an evidence is decided from; None if they are too many."""
        if named not in self._numbers:
            needed = _needed(self.graph, [self._condition(named)])
            self._numbers[named] = None if needed is None else frozenset(map(_number, needed[1]))
        return self._numbers[named]


def possible(graph: Graph, conditions: Sequence[Any]) -> bool:
    """Whether all `conditions` (evidence names included) can hold for one agent in one round."""
    return any(all(row) for row in _table(graph, conditions))


def avoidable(graph: Graph, conditions: Sequence[Any]) -> bool:
    """Whether not all `conditions` hold in every round, whatever happens."""
    return not all(all(row) for row in _table(graph, conditions))


def _table(graph: Graph, conditions: Sequence[Any]) -> Iterator[list[bool]]:
    """The truth of each condition, for every consistent truth of the comparisons in them."""
    needed = _needed(graph, conditions)
    if needed is None:
        yield [True] * len(conditions)
        yield [False] * len(conditions)
        return
    names, atoms = needed
    for truth in product((True, False), repeat=len(atoms)):
        limits = [_limit(a, holds=h) for a, h in zip(atoms, truth, strict=True)]
        if _consistent([limit for limit in limits if limit is not None]):
            known: dict[str, bool] = {}
            for name in names:
                known[name] = _holds(graph.evidence[name].when, known, atoms, truth)
            yield [_holds(condition, known, atoms, truth) for condition in conditions]


def _needed(graph: Graph, conditions: Sequence[Any]) -> tuple[list[str], list[Comparison]] | None:
    """The evidence, in the order of the file, and the comparisons that decide `conditions`.

    None where there are too many. No recursion through names: evidence may name the one above it
    twice, and that one likewise.
    """
    names: set[str] = set()
    atoms: list[Comparison] = []
    waiting = list(conditions)
    while waiting:
        for _, leaf in leaves(waiting.pop(), ()):
            if isinstance(leaf, str):
                if leaf not in names:
                    names.add(leaf)
                    waiting.append(graph.evidence[leaf].when)
            elif leaf not in atoms:
                atoms.append(leaf)
        if len(names) > MOST_NAMES or len(atoms) > MOST_COMPARISONS:
            return None
    return [name for name in graph.evidence if name in names], atoms


def _holds(
    condition: Any,
    known: Mapping[str, bool],
    atoms: Sequence[Comparison],
    truth: Sequence[bool],
) -> bool:
    if isinstance(condition, str):
        return known[condition]
    if isinstance(condition, Comparison):
        return truth[atoms.index(condition)]
    if hasattr(condition, "not_"):
        return not _holds(condition.not_, known, atoms, truth)
    parts = condition.all_ if hasattr(condition, "all_") else condition.any_
    found = [_holds(part, known, atoms, truth) for part in parts]
    return all(found) if hasattr(condition, "all_") else any(found)


def _limit(atom: Comparison, *, holds: bool) -> _Limit | None:
    """What an atom that holds or fails says of its number now; None if nothing."""
    if not holds and atom.window.at_least > 1:
        return None
    return _Limit(
        _number(atom), atom.operator if holds else _OPPOSITE[atom.operator], atom.threshold
    )


def _number(atom: Comparison) -> tuple[Any, ...]:
    """What a comparison is about, less its threshold and window."""
    return (atom.signal, tuple(sorted(atom.with_.items())), atom.relative_to)


def _consistent(limits: Sequence[_Limit]) -> bool:
    """Whether for each number there is a value within all of its limits."""
    by_number: Mapping[tuple[Any, ...], list[_Limit]] = {limit.number: [] for limit in limits}
    for limit in limits:
        by_number[limit.number].append(limit)
    return all(_overlap(group) for group in by_number.values())


def _overlap(limits: Sequence[_Limit]) -> bool:
    infinity = float("inf")
    # A strict bound is tighter than a weak one at the same threshold.
    low = max(
        (
            (v.threshold, v.operator == "above")
            for v in limits
            if v.operator in {"above", "at_least"}
        ),
        default=(-infinity, False),
    )
    high = min(
        (
            (v.threshold, v.operator != "below")
            for v in limits
            if v.operator in {"below", "at_most"}
        ),
        default=(infinity, True),
    )
    return low[0] < high[0] or (low[0] == high[0] and not low[1] and high[1])
