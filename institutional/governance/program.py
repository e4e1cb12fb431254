"""A governance graph compiled for one environment: names become indices, thresholds numbers.

The oracle and the controller read nothing else. Relative thresholds are resolved here, once, and
written into the ledger's first entry, so that a replay compares with the very same numbers.

Shapes: M markets, N agents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from institutional.errors import InstitutionalError
from institutional.governance.loading import LoadedGraph, check_environment, comparisons
from institutional.governance.schema import Comparison, Fine, Guard

Array = NDArray[np.float64]
Record = Mapping[str, Array]
Expression = tuple[Any, ...]
"""("probe", i), ("evidence", i), ("all", parts), ("any", parts) or ("not", part)."""


class Signal(Protocol):
    """What is needed of an environment's signal."""

    @property
    def function(self) -> Callable[..., Array]:
        """(now, before, **parameters) -> [M, N]."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """Its parameters with their defaults."""


class Reading(NamedTuple):
    """A signal with its parameters, as the graph uses it."""

    name: str
    function: Callable[[Record, Record], Array]


class Probe(NamedTuple):
    """A comparison: reading against threshold, often enough within a window."""

    reading: int
    operator: str
    threshold: Array  # [N], absolute
    at_least: int
    of: int


class Check(NamedTuple):
    """A guard: its kind, what it refers to (norm or evidence index, else -1) and its number."""

    kind: str
    subject: int
    number: int
    text: str


class FineRule(NamedTuple):
    """max(floor, rates[min(offences, last)] * max(0, reading))."""

    rates: Array
    reading: int
    floor: float


class Move(NamedTuple):
    """An edge, compiled."""

    id: str
    source: int
    target: int
    when: tuple[Check, ...]
    require: tuple[Check, ...]
    cooldown: int
    fine: FineRule | None
    credits: int


@dataclass(frozen=True)
class Program:
    """Everything that oracle and controller need to know."""

    loaded: LoadedGraph
    agents: tuple[str, ...]
    readings: tuple[Reading, ...]
    probes: tuple[Probe, ...]
    evidence: tuple[Expression, ...]
    norms: tuple[Expression, ...]
    moves: tuple[Move, ...]
    states: tuple[str, ...]
    initial: int
    suspended: NDArray[np.bool_]  # [states]
    cap: Array  # [states], share of the largest action
    earns_credit: NDArray[np.bool_]  # [states]

    @property
    def evidence_names(self) -> tuple[str, ...]:
        """Names in the order of `evidence`."""
        return tuple(self.loaded.graph.evidence)

    @property
    def norm_names(self) -> tuple[str, ...]:
        """Names in the order of `norms`."""
        return tuple(self.loaded.graph.norms)

    @property
    def restricts(self) -> bool:
        """Whether any state suspends or caps."""
        return bool(self.suspended.any() or (self.cap < 1).any())

    def thresholds(self) -> list[list[float]]:
        """The thresholds in force, one list over agents per comparison, in the graph's order."""
        return [probe.threshold.tolist() for probe in self.probes]


def compile_graph(
    loaded: LoadedGraph,
    *,
    agents: Sequence[str],
    signals: Mapping[str, Signal],
    references: Mapping[str, Record] | None = None,
    thresholds: Sequence[Sequence[float]] | None = None,
) -> Program:
    """Compile `loaded` for `agents` whose environment publishes `signals`.

    `references` maps benchmark names to the public record of one round there (M = 1); it resolves
    thresholds that are relative to a benchmark. `thresholds`, when given, are used as they are:
    the recorded ones of a run that is replayed, one list over agents per comparison.
    Raises InstitutionalError for a name the environment does not have, or a benchmark at which
    the signal is not positive, where a relative threshold means nothing.
    """
    graph = loaded.graph
    references = references or {}
    known = {name: list(signal.parameters) for name, signal in signals.items()}
    benchmarks = [c.relative_to for _, c in comparisons(graph) if c.relative_to]
    check_environment(
        loaded, signals=known, benchmarks=references if thresholds is None else benchmarks
    )
    build = _Builder(loaded, tuple(agents), signals, references, thresholds)
    states = tuple(graph.states)
    restrictions = [graph.states[name].restriction for name in states]
    credits_ = graph.restoration.credits
    return Program(
        loaded=loaded,
        agents=tuple(agents),
        evidence=tuple(
            build.expression(entry.when, ("evidence", name, "when"))
            for name, entry in graph.evidence.items()
        ),
        norms=tuple(build.expression(norm.breached_by, ()) for norm in graph.norms.values()),
        moves=tuple(
            Move(
                id=edge.id,
                source=states.index(edge.source),
                target=states.index(edge.target),
                when=tuple(build.check(guard) for guard in edge.when),
                require=tuple(build.check(guard) for guard in edge.require),
                cooldown=edge.cooldown,
                fine=build.fine(edge.sanction.fine),
                credits=edge.sanction.credits,
            )
            for edge in graph.edges
        ),
        readings=tuple(build.readings),
        probes=tuple(build.probes),
        states=states,
        initial=states.index(graph.initial),
        suspended=np.array([r.suspended for r in restrictions]),
        cap=np.array([r.cap for r in restrictions]),
        earns_credit=np.array([credits_ is not None and s in credits_.earned_in for s in states]),
    )


class _Builder:
    """Collects readings and probes while the graph is walked."""

    def __init__(
        self,
        loaded: LoadedGraph,
        agents: tuple[str, ...],
        signals: Mapping[str, Signal],
        references: Mapping[str, Record],
        thresholds: Sequence[Sequence[float]] | None,
    ) -> None:
        self.loaded, self.agents, self.signals = loaded, agents, signals
        self.references, self.given = references, thresholds
        self.readings: list[Reading] = []
        self.probes: list[Probe] = []
        self._keys: list[tuple[str, tuple[tuple[str, float], ...]]] = []

    def expression(self, condition: Any, place: tuple[str | int, ...]) -> Expression:
        if isinstance(condition, str):
            return ("evidence", list(self.loaded.graph.evidence).index(condition))
        if isinstance(condition, Comparison):
            return ("probe", self._probe(condition, place))
        if hasattr(condition, "not_"):
            return ("not", self.expression(condition.not_, (*place, "not")))
        key = "all" if hasattr(condition, "all_") else "any"
        parts = getattr(condition, f"{key}_")
        return (
            key,
            tuple(self.expression(part, (*place, key, i)) for i, part in enumerate(parts)),
        )

    def check(self, guard: Guard) -> Check:
        graph = self.loaded.graph
        value = getattr(guard, guard.kind)
        match guard.kind:
            case "case":
                return Check("case", list(graph.norms).index(value), 0, f"a case under {value}")
            case "evidence":
                index = list(graph.evidence).index(value)
                return Check("evidence", index, 0, f"evidence {value}")
            case "streak":
                text = f"cases under {value.of} in {value.rounds} rounds in a row"
                return Check("streak", list(graph.norms).index(value.of), value.rounds, text)
            case kind:
                return Check(kind, -1, int(value), f"{kind.replace('_', ' ')} of at least {value}")

    def fine(self, fine: Fine | None) -> FineRule | None:
        if fine is None:
            return None
        return FineRule(np.array(fine.rates), self._reading(fine.of, {}), fine.floor)

    def _reading(self, name: str, given: Mapping[str, float]) -> int:
        signal = self.signals[name]
        parameters = {**signal.parameters, **given}
        key = (name, tuple(sorted(parameters.items())))
        if key not in self._keys:
            self._keys.append(key)
            function = partial(signal.function, **parameters) if parameters else signal.function
            shown = ",".join(f"{k}={v:g}" for k, v in sorted(given.items()))
            self.readings.append(Reading(f"{name}[{shown}]" if shown else name, function))
        return self._keys.index(key)

    def _probe(self, comparison: Comparison, place: tuple[str | int, ...]) -> int:
        reading = self._reading(comparison.signal, comparison.with_)
        if self.given is not None:
            if len(self.given) <= len(self.probes):
                raise InstitutionalError("the record holds fewer thresholds than the graph has")
            threshold = np.array(self.given[len(self.probes)], dtype=np.float64)
        else:
            threshold = self._threshold(comparison, reading, place)
        window = comparison.window
        self.probes.append(
            Probe(reading, comparison.operator, threshold, window.at_least, window.of)
        )
        return len(self.probes) - 1

    def _threshold(
        self, comparison: Comparison, reading: int, place: tuple[str | int, ...]
    ) -> Array:
        if comparison.relative_to is None:
            return np.full(len(self.agents), comparison.threshold)
        record = self.references[comparison.relative_to]
        base: Array = self.readings[reading].function(record, record)[0]
        if not (base > 0).all():
            raise self.loaded.document.problem(
                (*place, "relative_to"),
                f'"{comparison.signal}" is {base.min():g} at the benchmark '
                f'"{comparison.relative_to}" of this market, so nothing is relative to it\n'
                "  leave relative_to out and write the threshold as an absolute number",
            )
        threshold: Array = base * (1 + comparison.threshold)
        return threshold
