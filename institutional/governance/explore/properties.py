"""What every institution should keep, what its author claims, and histories that break it.

Each rule looks at one `System` and returns at most a few `Fault`s: a way from the start, written
as steps, that shows the fault. Nothing here knows how a standing is encoded or decided on.

    M01 restorable       from every standing some continuation leads to a state of status clear
    M02 case first       no sanction in a round without a case
    M03 answered once    no second sanction for a case that was already answered by one
    M04 no weaker        the next fine, offences not forgotten, is no smaller for the same conduct
    M05 suspension ends  no evidence whatever keeps an agent suspended for ever
    M06 within earnings  fines of `WINDOW` rounds never exceed what the fined signal was worth
    M07 declared         the author's own `properties`

A sanction is a fine, a suspension of who was not suspended, or a tighter cap; a cap that comes
with probation (status rehabilitated) is a way back and none.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from institutional.governance.document import Place
from institutional.governance.explore.abstraction import counter_values
from institutional.governance.explore.predicates import holds
from institutional.governance.explore.search import (
    UNREACHED,
    Mask,
    Step,
    Ways,
    can_lead_to,
    endless_fairly,
    heaviest,
    lasso,
    runs,
    shortest,
    starting,
)
from institutional.governance.explore.society import System
from institutional.governance.explore.table import Table, fining
from institutional.governance.program import Move, Program
from institutional.governance.schema import Property

WINDOW = 10
"""Rounds over which fines are added up."""


class Fault(NamedTuple):
    """A broken rule and the steps that show it."""

    rule: str
    severity: str
    place: Place
    message: str
    remedy: str
    steps: list[Step]
    repeats_from: int | None = None


Rule = Callable[[System], Iterator[Fault]]


def _start(system: System) -> Ways:
    return shortest(system.successor, starting(len(system.successor), system.start))


def _nearest(ways: Ways, bad: Mask) -> list[Step] | None:
    """The shortest way from the start that ends with one of the `bad` steps, [P, J]."""
    nodes = np.flatnonzero(bad.any(axis=1) & ways.reached)
    if not len(nodes):
        return None
    node = int(nodes[np.argmin(ways.depth[nodes])])
    return [*ways.to(node), (node, int(np.argmax(bad[node])))]


def sanctioning(program: Program) -> Mask:
    """Whether each move is a sanction, [moves + 1]; the last entry answers for no move."""
    return np.array([*(_sanctions(program, move) for move in program.moves), False])


def _sanctions(program: Program, move: Move) -> bool:
    suspends = program.suspended[move.target] and not program.suspended[move.source]
    tighter = program.cap[move.target] < program.cap[move.source]
    status = program.loaded.graph.states[program.states[move.target]].status
    return bool(move.fine or suspends or (tighter and status != "rehabilitated"))


def restorable(system: System) -> Iterator[Fault]:
    """M01."""
    table, ways = system.table, _start(system)
    program = table.program
    states = program.loaded.graph.states
    clear = np.array([states[name].status == "clear" for name in program.states])
    targets = system.nodes(clear[table.states()]) | system.unknown
    stuck = ways.reached & ~can_lead_to(system.successor, targets, system.own_choice)
    nodes = np.flatnonzero(stuck)
    if len(nodes):
        node = int(nodes[np.argmin(ways.depth[nodes])])
        name = program.states[table.states()[system.standing[node]]]
        yield Fault(
            "M01",
            "error",
            ("states", name),
            f'from "{name}" no conduct leads back to a state of status clear',
            "add an edge that good conduct or time alone can take",
            ways.to(node),
        )


def case_first(system: System) -> Iterator[Fault]:
    """M02."""
    table, ways = system.table, _start(system)
    bad = sanctioning(table.program)[table.move] & ~table.cases()
    for index, move in enumerate(table.program.moves):
        steps = _nearest(ways, system.steps(bad & (table.move == index)))
        if steps is not None:
            yield Fault(
                "M02",
                "error",
                ("edges", index),
                f'"{move.id}" sanctions in a round without a case against the agent',
                "add a guard `case:` to its when",
                steps,
            )


def answered_once(system: System) -> Iterator[Fault]:
    """M03."""
    table, ways = system.table, _start(system)
    sanction = sanctioning(table.program)[table.move]
    quiet = system.steps(~sanction & ~table.cases())
    again = system.steps(sanction & ~table.cases())
    steps = _after(system, ways, system.steps(sanction), quiet, again)
    if steps is not None:
        index = _move_of(system, steps[-1])
        move = table.program.moves[index]
        yield Fault(
            "M03",
            "error",
            ("edges", index),
            f'"{move.id}" sanctions once more for a case that was already answered',
            "add a guard `case:` to its when",
            steps,
        )


def no_weaker(system: System) -> Iterator[Fault]:
    """M04."""
    table, ways = system.table, _start(system)
    program = table.program
    fined = fining(program)[table.move]
    remembered = counter_values(table.abstraction, table.codes)["offences"] > 0
    quiet = system.steps(~fined & remembered[table.successor])
    profiles: dict[tuple[int, float, float], Mask] = {}
    for index, move in enumerate(program.moves):
        if move.fine is None:
            continue
        for tier, rate in enumerate(move.fine.rates.tolist()):
            last = tier == len(move.fine.rates) - 1
            here = (table.tier >= tier) if last else (table.tier == tier)
            key = (move.fine.reading, rate, move.fine.floor)
            here = here & (table.move == index)
            profiles[key] = profiles.get(key, np.zeros_like(here)) | here
    for (reading, rate, floor), first in profiles.items():
        weaker = np.zeros_like(fined)
        for (other, other_rate, other_floor), here in profiles.items():
            if other == reading and (other_rate < rate or other_floor < floor):
                weaker |= here & (table.tier >= 1)
        if not weaker.any():
            continue
        steps = _after(system, ways, system.steps(first), quiet, system.steps(weaker))
        if steps is not None:
            index = _move_of(system, steps[-1])
            yield Fault(
                "M04",
                "warning",
                ("edges", index, "sanction", "fine"),
                f'"{program.moves[index].id}" fines less than an earlier fine (rate {rate:g}, '
                f"floor {floor:g}) although no offence was forgotten",
                "let rates and floors rise with the offences, alike on every edge that fines",
                steps,
            )


def suspension_ends(system: System) -> Iterator[Fault]:
    """M05."""
    table, ways = system.table, _start(system)
    own = system.nodes(table.own)
    staying = _staying(system, own)
    endless = runs(system.successor, staying).endless & own & ways.reached
    nodes = np.flatnonzero(endless)
    if len(nodes):
        node = int(nodes[np.argmin(ways.depth[nodes])])
        circle, back = lasso(system.successor, node, endless, staying)
        way = ways.to(node)
        name = table.program.states[table.states()[system.standing[node]]]
        yield Fault(
            "M05",
            "error",
            ("states", name),
            f'a suspension in "{name}" need never end',
            "add an edge that `rounds_in_state` alone can take, before any other",
            [*way, *circle],
            len(way) + back,
        )


def _staying(system: System, own: Mask) -> Mask:
    known = system.successor >= 0
    return own[:, None] & own[system.successor] & known


def within_earnings(system: System) -> Iterator[Fault]:
    """M06."""
    table, ways = system.table, _start(system)
    shares = system.steps(np.ones_like(table.cases())) * _shares(system)
    best = np.where(ways.reached, heaviest(system.successor, shares, WINDOW), 0.0)
    if best.max(initial=0.0) > WINDOW + 1e-9:
        nodes = np.flatnonzero(best == best.max())
        node = int(nodes[np.argmin(ways.depth[nodes])])
        steps = ways.to(node)
        dearest = -1
        for left in range(WINDOW, 0, -1):
            onward = heaviest(system.successor, shares, left - 1)
            known = np.where(system.successor[node] >= 0, onward[system.successor[node]], 0.0)
            column = int(np.argmax(np.where(system.column[node] >= 0, shares[node] + known, -1)))
            if shares[node, column] > 1 and dearest < 0:
                dearest = _move_of(system, (node, column))
            steps.append((node, column))
            if system.successor[node, column] < 0:
                break
            node = int(system.successor[node, column])
        yield Fault(
            "M06",
            "note",
            ("edges", dearest, "sanction", "fine", "rates"),
            f"the fines of {WINDOW} rounds can take {best.max():g} times a round's worth of the "
            "fined signal: more than everything it was worth",
            "keep rates at or below 1",
            steps,
        )


def _shares(system: System) -> np.ndarray:
    """The rate of the fine in each step, [P, J]; 0 without one."""
    table = system.table
    rates = np.zeros(table.move.shape)
    for index, move in enumerate(table.program.moves):
        if move.fine is not None:
            tiers = np.clip(table.tier, 0, len(move.fine.rates) - 1)
            rates = np.where(table.move == index, move.fine.rates[tiers], rates)
    lifted: np.ndarray = rates[system.standing[:, None], system.column]
    return lifted


def declared(system: System) -> Iterator[Fault]:
    """M07."""
    for index, claim in enumerate(system.table.program.loaded.graph.properties):
        yield from _declared(system, claim, index)


def _declared(system: System, claim: Property, index: int) -> Iterator[Fault]:
    table, ways = system.table, _start(system)
    known = system.successor >= 0

    def lifted(predicate: Any) -> Mask:
        return system.steps(holds(table, predicate)) & known

    if claim.leads_to is not None:
        yield from _inevitable(system, ways, claim, index)
        return
    if claim.eventually is not None:
        targets = (lifted(claim.eventually) & system.own_choice).any(axis=1) | system.unknown
        lost = np.flatnonzero(
            ways.reached & ~can_lead_to(system.successor, targets, system.own_choice)
        )
        if len(lost):
            node = int(lost[np.argmin(ways.depth[lost])])
            yield _broken(claim, index, "eventually", "nothing leads there any more", ways.to(node))
        return
    if claim.never is not None:
        bad, key, says = lifted(claim.never), "never", "it happens"
    else:
        bad, key, says = known & ~lifted(claim.always), "always", "it fails"
    steps = _nearest(ways, bad)
    if steps is not None:
        yield _broken(claim, index, key, says, steps)


def _inevitable(system: System, ways: Ways, claim: Property, index: int) -> Iterator[Fault]:
    if claim.leads_to is None:
        raise AssertionError(claim)
    table, known = system.table, system.successor >= 0
    avoiding = known & ~system.steps(holds(table, claim.leads_to.to))
    endless = endless_fairly(system.successor, avoiding, system.recurring)
    begins = system.steps(holds(table, claim.leads_to.from_)) & avoiding
    steps = _nearest(ways, begins & endless[system.successor])
    if steps is not None:
        node = int(system.successor[steps[-1]])
        circle, back = lasso(system.successor, node, endless, avoiding)
        fault = _broken(claim, index, "leads_to", "it can be put off for ever", [*steps, *circle])
        yield fault._replace(repeats_from=len(steps) + back)


def _broken(claim: Property, index: int, key: str, says: str, steps: list[Step]) -> Fault:
    return Fault(
        "M07",
        "error",
        ("properties", index, key),
        f'the property "{claim.id}" does not hold ({says}): {claim.meaning}',
        "follow the rounds of the counterexample and change the edge or the claim",
        steps,
    )


RULES: dict[str, Rule] = {
    "M01": restorable,
    "M02": case_first,
    "M03": answered_once,
    "M04": no_weaker,
    "M05": suspension_ends,
    "M06": within_earnings,
    "M07": declared,
}


def _after(system: System, ways: Ways, first: Mask, quiet: Mask, last: Mask) -> list[Step] | None:
    """A way with one of `first`, then `quiet` steps, then one of `last`; the shortest."""
    begins = first & ways.reached[:, None] & (system.successor >= 0)
    if not begins.any() or not last.any():
        return None
    node, column = np.nonzero(begins)
    order = np.argsort(-ways.depth[node], kind="stable")  # the nearest is written last
    node, column = node[order], column[order]
    after = system.successor[node, column]
    delays = np.full(len(system.successor), UNREACHED, dtype=np.int32)
    delays[after] = ways.depth[node] + 1
    how = np.full((len(delays), 2), -1)
    how[after, 0], how[after, 1] = node, column
    tail = _nearest(shortest(system.successor, delays, quiet), last)
    if tail is None:
        return None
    source, step = (int(value) for value in how[tail[0][0]])
    return [*ways.to(source), (source, step), *tail]


def _move_of(system: System, step: Step) -> int:
    node, column = step
    return int(system.table.move[system.standing[node], system.column[node, column]])


class Facts(NamedTuple):
    """What the exploration measured beside the rules; lower bounds where it is bounded."""

    longest_suspension: int | None  # rounds in a row; None where one need not end, 0 without any
    fines_per_window: int  # the most fines of one agent in any WINDOW rounds
    shares_per_window: float  # the largest sum of their rates
    unused_edges: tuple[str, ...]  # known only where it is exact
    unreached_states: tuple[str, ...]


def facts_about(system: System) -> Facts:
    """Measure `system`; exact where the system is."""
    table: Table = system.table
    program = table.program
    ways = _start(system)
    own = system.nodes(table.own) & ways.reached
    stay = runs(system.successor, _staying(system, own))
    fined = system.steps(fining(program)[table.move]).astype(np.float64)
    present = system.column >= 0
    most = heaviest(system.successor, fined, WINDOW)[ways.reached]
    dearest = heaviest(system.successor, _shares(system) * present, WINDOW)[ways.reached]
    reached_steps = present & ways.reached[:, None]
    moves = table.move[system.standing[:, None], system.column][reached_steps]
    states = table.states()[system.standing[ways.reached]]
    suspension: int | None = stay.longest + 1 if own.any() else 0
    unused = [m.id for i, m in enumerate(program.moves) if i not in moves]
    unreached = [n for i, n in enumerate(program.states) if i not in states]
    return Facts(
        longest_suspension=None if (stay.endless & own).any() else suspension,
        fines_per_window=int(most.max(initial=0)),
        shares_per_window=float(dearest.max(initial=0)),
        unused_edges=tuple(unused) if system.exact else (),
        unreached_states=tuple(unreached) if system.exact else (),
    )
