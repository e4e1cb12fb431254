"""What two governance graphs do differently, and whether each change is stricter or milder.

The two contents are walked side by side, so that no difference is left out: no change of a place or
of a parameter exactly where the canonical digests are equal. A direction is that of the one change
alone, everything else held as it was; what it does through later edges or other rounds is the model
checker's business.

stricter, for an agent: evidence against it comes more easily, an edge that burdens fires more
easily, one that relieves fires less easily, a fine or restriction is greater, a way back longer.
milder: the reverse. other: neither, or it depends. An edge burdens if it fines or leads to a worse
standing (by restriction: suspended, then the cap; and by status: penalised, under review,
rehabilitated, clear), and relieves if it leads to a better one; where restriction and status
disagree it does neither.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from institutional.governance.draw import condition_words, edge_lines, number, sanction_words
from institutional.governance.loading import LoadedGraph, content, leaves
from institutional.governance.schema import OPERATORS, Edge, Graph, Sanction

STRICTER, MILDER, OTHER = "stricter", "milder", "other"
_RANK = {"clear": 0, "rehabilitated": 1, "under_review": 2, "penalised": 3}
_NAMED = ("states", "evidence", "norms", "edges", "properties")
_MOST_ATOMS = 10
"""Conditions of more comparisons and names are not compared by truth table."""
_HIGHER = {
    "cap": -1,
    "suspended": 1,
    "floor": 1,
    "earn_after": 1,
    "decay": -1,
    "forget_offences_after": 1,
    "audit_share": 1,
    "from_round": -1,
    "credits": -1,
}
"""Which way a higher number goes, for keys that mean one thing wherever they stand."""


@dataclass(frozen=True)
class Change:
    """One difference; `before` is None for what was added, `after` for what was removed."""

    place: str
    before: Any
    after: Any
    direction: str
    through: str | None = None  # the parameter(s) by which the value is written, `$name`

    def __str__(self) -> str:
        """One line."""
        through = f"  through {self.through}" if self.through else ""
        if self.before is None:
            return f"{self.place}: added: {_shown(self.after)}{through}"
        if self.after is None:
            return f"{self.place}: removed: {_shown(self.before)}{through}"
        return f"{self.place}: {_shown(self.before)} -> {_shown(self.after)}{through}"


@dataclass(frozen=True)
class ParameterChange:
    """A parameter of another value, added (`before` None) or removed, and where it is used."""

    name: str
    before: float | None
    after: float | None
    direction: str  # that of its uses, where they agree
    uses: tuple[str, ...]


@dataclass(frozen=True)
class GraphDifference:
    """Every difference in content between two graphs."""

    same_content: bool
    same_bytes: bool
    changes: tuple[Change, ...]
    parameters: tuple[ParameterChange, ...]

    def as_json(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)


def difference(old: LoadedGraph, new: LoadedGraph) -> GraphDifference:
    """Compare two graphs; nothing is found exactly where their canonical digests are equal."""
    walk = _Walk(old, new)
    a, b = content(old.graph), content(new.graph)
    found: list[Change] = []
    for key in sorted(a.keys() | b.keys(), key=list(a | b).index):
        if key != "parameters":
            found += walk.compare((key,), a.get(key), b.get(key))
    values = list(_parameters(old, new, a["parameters"], b["parameters"], found))
    notes = [
        change
        for name in a["parameters"].keys() & b["parameters"].keys()
        for change in walk.compare(
            ("parameters", name),
            {k: v for k, v in a["parameters"][name].items() if k != "value"},
            {k: v for k, v in b["parameters"][name].items() if k != "value"},
        )
    ]
    return GraphDifference(
        same_content=old.canonical_digest == new.canonical_digest,
        same_bytes=old.exact_digest == new.exact_digest,
        changes=(*found, *sorted(notes, key=lambda change: change.place)),
        parameters=tuple(values),
    )


class _Walk:
    """Two graphs walked side by side; edges and properties are matched by their ids."""

    def __init__(self, old: LoadedGraph, new: LoadedGraph) -> None:
        self.graphs = (old.graph, new.graph)
        self.written = (_references(old), _references(new))
        self.polarity = _polarities(old.graph)

    def compare(self, place: tuple[str, ...], a: Any, b: Any) -> Iterator[Change]:
        """The differences between values `a` and `b` at `place`, depth first."""
        if a == b:
            return
        if place in {("edges",), ("properties",)}:
            yield from self._by_id(place, a, b)
        elif len(place) == 3 and place[0] == "edges" and place[2] in {"when", "require"}:
            yield from self._guards(place, a, b)
        elif self._is_condition(place):
            yield from self._condition(place, a, b)
        elif place[-1] == "rates" and isinstance(a, list) and isinstance(b, list):
            yield from self._rates(place, a, b)
        elif isinstance(a, dict) and isinstance(b, dict):
            for key in list(a) + [key for key in b if key not in a]:
                yield from self.compare((*place, key), a.get(key), b.get(key))
        else:
            yield self._change(place, a, b, self._direction(place, a, b))

    def _by_id(self, place: tuple[str, ...], a: Any, b: Any) -> Iterator[Change]:
        old, new = ({entry["id"]: entry for entry in entries} for entries in (a, b))
        for name in list(old) + [name for name in new if name not in old]:
            yield from self.compare((*place, name), old.get(name), new.get(name))
        kept = [[name for name in each if name in old and name in new] for each in (old, new)]
        if kept[0] != kept[1]:
            yield Change(f"{place[0]}.order", kept[0], kept[1], OTHER)

    def _rates(self, place: tuple[str, ...], a: Any, b: Any) -> Iterator[Change]:
        """Tier by tier, or as a whole where the number of tiers differs; the last goes on."""
        longest = range(max(len(a), len(b)))
        rises = [_sign(b[min(i, len(b) - 1)] - a[min(i, len(a) - 1)]) for i in longest]
        if len(a) != len(b):
            yield self._change(place, a, b, _agreed([rise for rise in rises if rise]))
            return
        for index, rise in enumerate(rises):
            if rise:
                where = (*place[:-1], f"{place[-1]}[{index}]")
                yield self._change(where, a[index], b[index], _word(rise))

    def _is_condition(self, place: tuple[str, ...]) -> bool:
        return len(place) == 3 and (place[0], place[2]) in {
            ("evidence", "when"),
            ("norms", "breached_by"),
        }

    def _condition(self, place: tuple[str, ...], a: Any, b: Any) -> Iterator[Change]:
        """Comparison by comparison where the shape is the same, else as a whole."""
        if a is None or b is None:
            yield self._change(place, a, b, OTHER)
            return
        sign = self.polarity.get(place[1], 0) if place[0] == "evidence" else 1
        pairs = list(_matched(place, a, b, 1))
        if any(pair is None for pair in pairs):
            easier = sign * _weaker(a, b)
            models = [self._model(index, place) for index in (0, 1)]
            words = [condition_words(model) for model in models]
            if words[0] == words[1]:
                words = [json.dumps(a), json.dumps(b)]
            yield Change(_dotted(place), words[0], words[1], _word(easier))
            return
        for pair in pairs:
            if pair is not None:
                below, was, would, inner = pair
                yield from self._comparison(below, was, would, sign * inner)

    def _model(self, index: int, place: tuple[str, ...]) -> Any:
        graph = self.graphs[index]
        if place[0] == "norms":
            return graph.norms[place[1]].breached_by
        return graph.evidence[place[1]].when

    def _comparison(self, place: tuple[str, ...], a: Any, b: Any, sign: int) -> Iterator[Change]:
        """One comparison: `sign` says which way it goes when it holds more easily."""
        used = [next(o for o in OPERATORS if each[o] is not None) for each in (a, b)]
        for key in ("signal", "with", "relative_to"):
            if a[key] != b[key]:
                yield self._change((*place, key), a[key] or "none", b[key] or "none", OTHER)
        same_scale = all(a[key] == b[key] for key in ("signal", "with", "relative_to"))
        limits = [float(each[operator]) for each, operator in zip((a, b), used, strict=True)]
        if (used[0], limits[0]) != (used[1], limits[1]):
            way = sign * _easier(used, limits) if same_scale else 0
            if used[0] == used[1]:
                where: tuple[str, ...] = (*place, used[0])
                yield self._change(where, a[used[0]], b[used[1]], _word(way))
            else:
                shown = [f"{o} {number(v)}" for o, v in zip(used, limits, strict=True)]
                yield Change(f"{_dotted(place)}.operator", shown[0], shown[1], _word(way))
        if a["for"] != b["for"]:
            windows = [(each["for"]["at_least"], each["for"]["of"]) for each in (a, b)]
            shown = [f"{least} of {of} rounds" for least, of in windows]
            change = self._change(
                (*place, "for"), shown[0], shown[1], _word(sign * _shorter(*windows))
            )
            yield change

    def _guards(self, place: tuple[str, ...], a: Any, b: Any) -> Iterator[Change]:
        """Guards matched by what they look at; a higher number is harder to reach."""
        burden = self._burden(place[1])
        old, new = ({_looks_at(guard): guard for guard in guards} for guards in (a, b))
        if len(old) < len(a) or len(new) < len(b):  # the same guard twice
            yield Change(_dotted(place), json.dumps(a), json.dumps(b), OTHER)
            return
        gone, come = (
            [key for key in one if key not in two] for one, two in ((old, new), (new, old))
        )
        for was_at, now_at in zip(gone, come, strict=False):
            if was_at.split()[0] == now_at.split()[0]:  # the same kind looks at something else
                yield Change(_dotted(place), was_at, now_at, OTHER)
                del old[was_at], new[now_at]
        for key in list(old) + [key for key in new if key not in old]:
            was, would = (_asked(each.get(key)) for each in (old, new))
            if was != would:
                if isinstance(was, int) and isinstance(would, int):
                    harder = _sign(would - was)
                else:
                    harder = 1 if was is None else -1
                where, through = f"{_dotted(place)}.{key}", self._through(place, suffix=key)
                yield Change(where, was, would, _word(-burden * harder), through)
        kept = [[key for key in each if key in old and key in new] for each in (old, new)]
        if kept[0] != kept[1]:
            yield Change(f"{_dotted(place)}.order", kept[0], kept[1], OTHER)

    def _direction(self, place: tuple[str, ...], a: Any, b: Any) -> str:
        """The direction of a single value that is neither condition nor guard."""
        if place[0] == "edges":
            return self._edge_direction(place, a, b)
        if place[0] == "norms" and len(place) == 2:
            return STRICTER if a is None else MILDER
        if place == ("restoration", "credits"):
            return MILDER if a is None else STRICTER
        if place[-1] == "forget_offences_after" and None in {a, b}:
            return MILDER if a is None else STRICTER
        if place == ("restoration", "credits", "earned_in"):
            return _word(-(int(set(a) < set(b)) - int(set(b) < set(a))))
        if place == ("initial",):
            return _word(_worse((self.graphs[0], a), (self.graphs[1], b)))
        known = len(place) >= 3 and place[-2] in {"restriction", "credits"}
        known = known or place[0] in {"restoration", "detection"}
        if known and isinstance(a, int | float) and isinstance(b, int | float):
            return _word(_HIGHER.get(place[-1], 0) * _sign(b - a))
        return OTHER

    def _edge_direction(self, place: tuple[str, ...], a: Any, b: Any) -> str:
        if len(place) == 2:
            graph = self.graphs[0] if b is None else self.graphs[1]
            burden = _edge_burden(graph, place[1])
            # An edge that comes before one of the other kind may also take its place.
            if burden == 0 or any(
                _edge_burden(graph, later) >= 0 < burden or _edge_burden(graph, later) <= 0 > burden
                for later in _later(graph, place[1])
            ):
                return OTHER
            return _word(burden if a is None else -burden)
        key = place[-1]
        if key == "to":
            return _word(_worse((self.graphs[0], a), (self.graphs[1], b)))
        if key == "cooldown":
            return _word(-self._burden(place[1]) * _sign(b - a))
        if key == "fine" and None in (a, b):
            return STRICTER if a is None else MILDER
        if key in {"floor", "credits"}:
            return _word(_HIGHER[key] * _sign(b - a))
        return OTHER

    def _burden(self, edge: str) -> int:
        """Which way the edge goes, where both graphs agree on it."""
        both = {_edge_burden(graph, edge) for graph in self.graphs}
        return both.pop() if len(both) == 1 else 0

    def _change(self, place: tuple[str, ...], a: Any, b: Any, direction: str) -> Change:
        if len(place) == 2 and place[0] in _NAMED:  # added or removed as a whole
            a, b = (
                None if each is None else _summary(graph, place)
                for each, graph in zip((a, b), self.graphs, strict=True)
            )
        elif place[-1] == "fine" and place[-2] == "sanction":
            a, b = (
                each and sanction_words(Sanction.model_validate({"fine": each})) for each in (a, b)
            )
        return Change(_dotted(place), a, b, direction, self._through(place))

    def _through(self, place: tuple[str, ...], suffix: str = "") -> str | None:
        """The parameters that the value at `place` is written with, in either graph."""
        start = _dotted(place) + (f".{suffix}" if suffix else "")
        names = dict.fromkeys(
            name
            for written in self.written
            for use, name in written.items()
            if use == start or use.startswith((f"{start}.", f"{start}["))
        )
        return ", ".join(f"${name}" for name in names) or None


def _parameters(
    old: LoadedGraph,
    new: LoadedGraph,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    changes: Sequence[Change],
) -> Iterator[ParameterChange]:
    """Parameters whose value changed, with the direction of the changes they cause."""
    uses = [*_references(old).items(), *_references(new).items()]
    for name in list(a) + [name for name in b if name not in a]:
        was, would = (each[name]["value"] if name in each else None for each in (a, b))
        if was == would:
            continue
        used = tuple(dict.fromkeys(place for place, parameter in uses if parameter == name))
        caused = [c.direction for c in changes if f"${name}" in (c.through or "").split(", ")]
        agreed = caused[0] if caused and len(set(caused)) == 1 else OTHER
        yield ParameterChange(name, was, would, agreed, used)


def _references(loaded: LoadedGraph) -> dict[str, str]:
    """Where the document says `$name`: dotted place -> name, edges and guards by what they are."""
    found: dict[str, str] = {}

    def visit(value: Any, place: tuple[str, ...]) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                visit(inner, (*place, str(key)))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                if place in {("edges",), ("properties",)} and isinstance(inner, dict):
                    visit(inner, (*place, str(inner.get("id", index))))
                elif len(place) == 3 and place[0] == "edges" and isinstance(inner, dict):
                    streak = inner.get("streak")
                    key = f"streak {streak['of']}" if streak else next(iter(inner))
                    visit(inner[next(iter(inner))], (*place, key))
                else:
                    visit(inner, (*place[:-1], f"{place[-1]}[{index}]"))
        elif isinstance(value, str) and value.startswith("$"):
            found[_dotted(place)] = value[1:]

    visit(loaded.document.values, ())
    return found


def _polarities(graph: Graph) -> dict[str, int]:
    """For each evidence which way it goes when it holds more easily: 1 stricter, 0 unclear."""
    signs: dict[str, set[int]] = {name: set() for name in graph.evidence}
    for norm in graph.norms.values():
        for name, sign in _signed(norm.breached_by, 1):
            signs[name].add(sign)
    for edge in graph.edges:
        for guard in (*edge.when, *edge.require):
            if guard.evidence is not None:
                signs[guard.evidence].add(_edge_burden(graph, edge.id))
    for name in reversed(list(graph.evidence)):  # evidence is made of evidence above it
        own = signs[name].pop() if len(signs[name]) == 1 else 0
        signs[name] = {own}
        for inner, sign in _signed(graph.evidence[name].when, 1):
            signs[inner].add(own * sign)
    return {name: next(iter(found)) for name, found in signs.items()}


def _signed(condition: Any, sign: int) -> Iterator[tuple[str, int]]:
    """The names in a condition, each with -1 where it stands under an odd number of `not`."""
    for place, leaf in leaves(condition, ()):
        if isinstance(leaf, str):
            yield leaf, sign * (-1) ** sum(step == "not" for step in place)


def _worse(before: tuple[Graph, str], after: tuple[Graph, str]) -> int:
    """1 where the standing `after` is worse, -1 where better, 0 where neither or both."""
    old, new = (graph.states[state] for graph, state in (before, after))
    held = [(each.restriction.suspended, 1 - each.restriction.cap) for each in (old, new)]
    ways = {int(held[1] > held[0]) - int(held[1] < held[0])}
    ways.add(_sign(_RANK[new.status] - _RANK[old.status]))
    ways.discard(0)
    return ways.pop() if len(ways) == 1 else 0


def _edge_burden(graph: Graph, edge_id: str) -> int:
    """1 where the edge burdens the agent, -1 where it relieves it, 0 where neither."""
    edge = next((edge for edge in graph.edges if edge.id == edge_id), None)
    if edge is None:
        return 0
    if edge.sanction.fine is not None:
        return 1
    return _worse((graph, edge.source), (graph, edge.target))


def _later(graph: Graph, edge_id: str) -> list[str]:
    """The edges tried after `edge_id` in the same state."""
    ids = [edge.id for edge in graph.edges]
    own: Edge = graph.edges[ids.index(edge_id)]
    later = graph.edges[ids.index(edge_id) + 1 :]
    return [edge.id for edge in later if edge.source == own.source]


def _matched(
    place: tuple[str, ...], a: Any, b: Any, sign: int
) -> Iterator[tuple[tuple[str, ...], Any, Any, int] | None]:
    """Pairs of comparisons at the same place in two conditions; None where the shapes differ."""
    if isinstance(a, str) or isinstance(b, str):
        if a != b:
            yield None
    elif "signal" in a and "signal" in b:
        yield (place, a, b, sign)
    elif a.keys() != b.keys():
        yield None
    elif "not" in a:
        yield from _matched((*place, "not"), a["not"], b["not"], -sign)
    else:
        key = next(iter(a))
        if len(a[key]) != len(b[key]):
            yield None
            return
        for index, (was, would) in enumerate(zip(a[key], b[key], strict=True)):
            yield from _matched((*place, f"{key}[{index}]"), was, would, sign)


def _weaker(a: Any, b: Any) -> int:
    """1 if `b` holds wherever `a` does and somewhere else, -1 for the reverse, 0 if neither.

    By truth table over comparisons and names, each taken to be independent of the others.
    """
    atoms = sorted({*_atoms(a), *_atoms(b)})
    if len(atoms) > _MOST_ATOMS:
        return 0
    rows = (
        dict(zip(atoms, row, strict=True))
        for row in itertools.product((False, True), repeat=len(atoms))
    )
    outcomes = {(_true(a, row), _true(b, row)) for row in rows}
    return int((False, True) in outcomes) - int((True, False) in outcomes)


def _atoms(condition: Any) -> set[str]:
    return {json.dumps(leaf, sort_keys=True) for leaf in _ends(condition)}


def _ends(condition: Any) -> Iterator[Any]:
    if isinstance(condition, str) or "signal" in condition:
        yield condition
    elif "not" in condition:
        yield from _ends(condition["not"])
    else:
        for part in next(iter(condition.values())):
            yield from _ends(part)


def _true(condition: Any, row: Mapping[str, bool]) -> bool:
    if isinstance(condition, str) or "signal" in condition:
        return row[json.dumps(condition, sort_keys=True)]
    if "not" in condition:
        return not _true(condition["not"], row)
    parts = [_true(part, row) for part in next(iter(condition.values()))]
    return all(parts) if "all" in condition else any(parts)


def _easier(operators: Sequence[str], limits: Sequence[float]) -> int:
    """1 if the second comparison holds more easily than the first, -1 if less, 0 if unclear."""
    upward = [operator in {"above", "at_least"} for operator in operators]
    if upward[0] != upward[1]:
        return 0
    move = _sign(limits[0] - limits[1]) if upward[0] else _sign(limits[1] - limits[0])
    inclusive = [operator in {"at_least", "at_most"} for operator in operators]
    return move or int(inclusive[1]) - int(inclusive[0])


def _shorter(a: tuple[int, int], b: tuple[int, int]) -> int:
    """1 if window `b` is met wherever `a` is, -1 for the reverse, 0 if neither.

    The present round counts in both, and of k rounds among the last n at least k - (n - m) lie
    among the last m.
    """

    def implies(one: tuple[int, int], two: tuple[int, int]) -> bool:
        return two[0] <= max(1, one[0] - max(0, one[1] - two[1]))

    return int(implies(a, b)) - int(implies(b, a))


def _looks_at(guard: Mapping[str, Any]) -> str:
    """What a guard looks at, without its number."""
    kind = next(key for key, value in guard.items() if value is not None)
    value = guard[kind]
    if kind == "streak":
        return f"streak {value['of']}"
    return f"{kind} {value}" if kind in {"case", "evidence"} else kind


def _asked(guard: Mapping[str, Any] | None) -> int | str | None:
    """The number of a guard, words for a case or evidence, None for no guard."""
    if guard is None:
        return None
    value = next(value for value in guard.values() if value is not None)
    if isinstance(value, dict):
        value = value["rounds"]
    return value if isinstance(value, int) else "asked for"


def _summary(graph: Graph, place: tuple[str, ...]) -> str:
    """What was added or removed, in words."""
    kind, name = place
    if kind == "edges":
        edge = next(edge for edge in graph.edges if edge.id == name)
        return f"{edge.source} -> {edge.target}; {'; '.join(edge_lines(edge)[1:])}"
    if kind == "evidence":
        return condition_words(graph.evidence[name].when)
    if kind == "norms":
        return condition_words(graph.norms[name].breached_by)
    if kind == "states":
        return graph.states[name].meaning
    return name


def _dotted(place: Sequence[str]) -> str:
    return ".".join(place)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)


def _sign(value: float) -> int:
    return int(value > 0) - int(value < 0)


def _word(sign: int) -> str:
    return {1: STRICTER, -1: MILDER}.get(sign, OTHER)


def _agreed(signs: Sequence[int]) -> str:
    return _word(signs[0]) if signs and len(set(signs)) == 1 else OTHER
