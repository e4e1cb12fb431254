"""Which single parameter of a graph, changed a little, takes the gain out of evasion.

Real numbers are multiplied, counts moved by one or two. A change that makes no valid graph is left
out, and one that punishes Nash play is no remedy. Parking is not asked about: a plan that stops
short of a threshold is only met by the threshold, wherever it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from environments.contract import Core
from institutional.deterrence import market
from institutional.deterrence.account import Account, evasion, is_spared, matters, permanent
from institutional.deterrence.market import COMPLY
from institutional.deterrence.product import explore
from institutional.errors import InstitutionalError
from institutional.governance.loading import LoadedGraph, check_document
from institutional.governance.program import compile_graph

FACTORS = (0.5, 0.8, 1.25, 2.0)
STEPS = (-2, -1, 1, 2)


class Change(NamedTuple):
    """One parameter at another value, and what evasion brings then, per round and agent."""

    parameter: str
    before: float
    after: float
    gain: float  # with every plan at full scale
    noticed_gain: float  # with those plans alone that the graph as it stands notices
    spares_nash: bool  # whether Nash play still keeps its profit
    bounded: bool  # whether the search left standings out: then nothing is called removed
    removes: bool  # whether Nash play is spared and `gain` is negligible
    removes_noticed: bool  # the same of `noticed_gain`


def changes(loaded: LoadedGraph, core: Core, account: Account) -> list[Change]:
    """Try every single change of a parameter in use, in the order of the file.

    Empty where the account itself is bounded: each change would take as long and say as little.
    """
    if account.bounded:
        return []
    nash = core.benchmarks()[COMPLY].actions
    plans = {COMPLY: nash} | {plan: account.actions[plan] for plan in account.quiet_shares}
    rent = account.largest_rent
    found = []
    for name, before, after, changed in _variants(loaded):
        try:
            gain, noticed, spared, bounded = _gains(changed, core, account, list(plans))
        except InstitutionalError:  # a benchmark at which nothing can be relative any more
            continue
        found.append(
            Change(
                name,
                before,
                after,
                gain,
                noticed,
                spares_nash=spared,
                bounded=bounded,
                removes=spared and not bounded and not matters(gain, rent),
                removes_noticed=spared and not bounded and not matters(noticed, rent),
            )
        )
    return found


def _gains(
    loaded: LoadedGraph, core: Core, account: Account, plans: Sequence[str]
) -> tuple[float, float, bool, bool]:
    points = core.benchmarks()
    program = compile_graph(
        loaded,
        agents=core.agents,
        signals=core.signals,
        references={name: point.record for name, point in points.items()},
    )
    product = explore(program, core, {plan: account.actions[plan] for plan in plans})
    nash = float(market.profits(core, points[COMPLY].actions).mean())
    everything, noticed = (
        evasion(product, allowed, nash=nash, discount=account.discount).gain
        for allowed in (plans, [COMPLY, *account.noticed])
    )
    compliance = permanent(product, COMPLY, nash=nash, discount=account.discount)
    return everything, noticed, is_spared(compliance, nash), product.bounded


def _variants(loaded: LoadedGraph) -> Iterator[tuple[str, float, float, LoadedGraph]]:
    """Every change that gives a valid graph other than the one given."""
    for name, parameter in loaded.graph.parameters.items():
        before = parameter.value
        if _with(loaded, name, before + 0.5) is None:
            values = [before + step for step in STEPS]
        else:
            values = [before * factor for factor in FACTORS]
        for after in values:
            changed = _with(loaded, name, after)
            if changed is not None and changed.canonical_digest != loaded.canonical_digest:
                yield name, before, after, changed


def _with(loaded: LoadedGraph, name: str, value: float) -> LoadedGraph | None:
    """The graph with one parameter at another value; None where that is no graph."""
    values: dict[str, Any] = dict(loaded.document.values)
    parameters = dict(values["parameters"])
    parameters[name] = {**parameters[name], "value": value}
    try:
        return check_document(replace(loaded.document, values={**values, "parameters": parameters}))
    except InstitutionalError:
        return None
