"""The model checker as a whole: from a loaded graph to violations with counterexamples.

A rule is tried first on one agent among any number of others, where every history of every market
is contained: what holds there holds everywhere. What fails there is looked for with one agent, then
with two; the first that shows it gives the counterexample. A fault that neither shows is reported
as a note without a trace, because the wide view may have invented it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

from institutional.governance.document import Place
from institutional.governance.explore.predicates import check_names
from institutional.governance.explore.properties import RULES, Facts, Fault, facts_about
from institutional.governance.explore.society import System, alone, among_others, pair
from institutional.governance.explore.table import LIMIT, Table, explore
from institutional.governance.explore.trace import Trace, replay
from institutional.governance.hypothetical import compile_on_paper
from institutional.governance.loading import LoadedGraph

PAIR_LIMIT = 200_000
"""Pairs are only followed to find a counterexample, and those are near the start."""


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold, where in the document, and rounds that show it."""

    rule: str
    severity: str  # error, warning or note
    place: Place
    message: str
    remedy: str
    trace: Trace | None


@dataclass(frozen=True)
class Exploration:
    """Everything the model checker found out about one graph."""

    loaded: LoadedGraph
    table: Table
    violations: tuple[Violation, ...]

    @property
    def extent(self) -> str:
        """`exact`, or `bounded: k` when only k standings were followed."""
        return self.table.extent

    @cached_property
    def facts(self) -> Facts | None:
        """Measures of one agent among any number of others; None where nothing was followed."""
        return facts_about(among_others(self.table)) if len(self.table.codes) else None


def check(loaded: LoadedGraph, *, limit: int = LIMIT, pair_limit: int = PAIR_LIMIT) -> Exploration:
    """Explore `loaded` and try every rule and every declared property.

    Raises InstitutionalError where a property names something that is not there.
    """
    check_names(loaded)
    table = explore(compile_on_paper(loaded, ["a"]), limit=limit)
    violations: list[Violation] = []
    if len(table.codes):
        violations = _violations(loaded, table, pair_limit)
    if not table.exact:
        violations.append(
            Violation(
                "M00",
                "note",
                (),
                f"the exploration is {table.extent} standings: what lies beyond was not checked",
                "fewer or smaller counters: cool-downs, streaks, rounds in a state, credits",
                None,
            )
        )
    return Exploration(loaded, table, tuple(violations))


def findings_of(loaded: LoadedGraph) -> list[Violation]:
    """Every violation of `loaded`, most basic rule first."""
    return list(check(loaded).violations)


def _violations(loaded: LoadedGraph, table: Table, pair_limit: int) -> list[Violation]:
    wide = among_others(table)
    suspects = [(name, list(rule(wide))) for name, rule in RULES.items()]
    suspects = [(name, faults) for name, faults in suspects if faults]
    if not suspects:
        return []
    views: list[Callable[[], System]] = [lambda: alone(table)]
    if table.elsewhere:
        views.append(cache(lambda: pair(table, limit=pair_limit)))
    result: list[Violation] = []
    for name, faults in suspects:
        shown: dict[Place, Violation] = {}
        for view in views:
            if _all_shown(name, faults, shown):
                break
            system = view()
            for fault in RULES[name](system):
                shown.setdefault(fault.place, _shown(loaded, system, fault))
        result.extend(shown.values())
        if not _all_shown(name, faults, shown):
            result.extend(_unshown(fault) for fault in faults if fault.place not in shown)
    return result


def _all_shown(rule: str, faults: list[Fault], shown: dict[Place, Violation]) -> bool:
    """Whether there is a counterexample to each claim and edge, or one to a rule as a whole."""
    if rule in {"M02", "M07"}:
        return all(fault.place in shown for fault in faults)
    return bool(shown)


def _shown(loaded: LoadedGraph, system: System, fault: Fault) -> Violation:
    given = system.given(fault.steps)
    trace = replay(loaded, given, fault.repeats_from) if given else None
    return Violation(fault.rule, fault.severity, fault.place, fault.message, fault.remedy, trace)


def _unshown(fault: Fault) -> Violation:
    message = f"{fault.message}: not with one agent and not seen with two, perhaps with more"
    return Violation(fault.rule, "note", fault.place, message, fault.remedy, None)
