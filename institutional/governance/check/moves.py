"""Lint of edges: whether they can fire, and in what company.

Everything here is decided from guards and numbers, without playing: what is said to be impossible
is impossible. What is possible on paper may still not be; that is the model checker's part.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from institutional.governance.check.findings import Rule
from institutional.governance.check.subject import (
    Hit,
    Lint,
    Subject,
    about,
    cases,
    number,
    rounds,
    runs_on,
    ungated,
)
from institutional.governance.document import Place
from institutional.governance.schema import Edge, Guard

TIME = {"rounds_in_state"}
MOST_NAMED = 3


class _Asked(NamedTuple):
    """A guard and where it stands."""

    guard: Guard
    place: Place


def _asked(edge: Edge, index: int) -> list[_Asked]:
    """All guards that must hold for `edge` to be applied."""
    return [
        _Asked(guard, ("edges", index, key, n, guard.kind))
        for key, guards in (("when", edge.when), ("require", edge.require))
        for n, guard in enumerate(guards)
    ]


def _contradiction(subject: Subject, state: str, asked: Sequence[_Asked]) -> Hit | None:
    """Why the guards cannot all hold for an agent in `state`, if it can be known from them."""
    graph = subject.graph
    on_conduct = [a for a in asked if a.guard.kind in {"case", "streak"} and number(a.guard)]
    unseen = subject.unseen(state)
    for guard, place in asked:
        least = number(guard)
        match guard.kind:
            case "credits" if least > subject.most_credits:
                return Hit(
                    place,
                    f"nobody ever has {least} credits: the most is {subject.most_credits:g}",
                    "ask for fewer, or raise cap or decay under restoration",
                )
            case "offences" if least and not any(e.sanction.fine for e in graph.edges):
                return Hit(
                    place,
                    f"nobody ever has {least} offences: offences are fines, and no edge fines",
                    "fine on an earlier edge, or ask for something else",
                )
            case "clean_rounds" if least and on_conduct:
                return Hit(
                    place,
                    f"a round with a case is not clean, and this edge asks for both: "
                    f"{on_conduct[0].guard.kind} and clean_rounds",
                    "drop one of the two, or make two edges",
                )
            case "clean_rounds" if least and unseen and _entered_on_cases(subject, state):
                return Hit(
                    place,
                    f'no round in "{state}" counts as clean: rounds with a suspension are ignored',
                    "use rounds_in_state here",
                )
            case "case" | "evidence" if unseen:
                return Hit(
                    place,
                    f'nothing is found against anybody in "{state}": rounds with a suspension '
                    "are ignored",
                    "use rounds_in_state here, or count such rounds under detection",
                )
    return _forgotten(subject, asked) or _impossible(subject, asked)


def _forgotten(subject: Subject, asked: Sequence[_Asked]) -> Hit | None:
    forget = subject.graph.restoration.forget_offences_after
    clean = max((number(a.guard) for a in asked if a.guard.kind == "clean_rounds"), default=0)
    if forget is None or clean < forget:
        return None
    for guard, place in asked:
        if guard.kind == "offences" and number(guard):
            return Hit(
                place,
                f"after {clean} clean rounds there are no offences: they are forgotten after "
                f"{forget}",
                "ask for fewer clean rounds, or forget later",
            )
    return None


def _impossible(subject: Subject, asked: Sequence[_Asked]) -> Hit | None:
    """Cases and evidence that contradict each other, each possible alone."""
    found = [(about(guard), place) for guard, place in asked if guard.case or guard.evidence]
    if subject.together.possible({name for name, _ in found}):
        return None
    return Hit(
        found[-1][1],
        "the evidence this edge asks for can never hold in one round",
        "drop one of the guards, or make two edges",
    )


def _entered_on_cases(subject: Subject, state: str) -> bool:
    """Whether nobody has clean rounds on entering `state`: with a case, or at the very start."""
    entering = [edge for edge in subject.graph.edges if edge.target == state]
    asks = (any(g.case or (g.streak and number(g)) for g in e.when) for e in entering)
    return all(asks)


def _implied(weak: Guard, strong: Iterable[Guard]) -> bool:
    """Whether `weak` holds whenever all of `strong` do."""
    always = weak.kind not in {"case", "evidence"} and number(weak) <= (weak.kind in TIME)
    return always or any(about(g) == about(weak) and number(g) >= number(weak) for g in strong)


def _shadow(subject: Subject, index: int) -> Hit | None:
    later = subject.graph.edges[index]
    strong = [*later.when, *later.require]
    for earlier in subject.graph.edges[:index]:
        if earlier.source == later.source and ungated(earlier):  # noqa: SIM102 - two thoughts
            if all(_implied(guard, strong) for guard in earlier.when):
                return Hit(
                    ("edges", index, "id"),
                    f'"{later.id}" never fires: whenever it could, "{earlier.id}" above it does',
                    f'move it above "{earlier.id}", or give "{earlier.id}" a further guard',
                )
    return None


def _expiries(subject: Subject, state: str) -> list[tuple[int, int]]:
    """(rounds, edge index) of the edges that take everybody out of `state` on time alone."""
    return sorted(
        (max(1, *map(number, edge.when)), index)  # nobody leaves in the round of entering
        for index, edge in enumerate(subject.graph.edges)
        if edge.source == state and runs_on(edge, TIME)
    )


def _overtaken(subject: Subject, index: int) -> Hit | None:
    edge = subject.graph.edges[index]
    waits = TIME | ({"clean_rounds"} if _entered_on_cases(subject, edge.source) else set())
    asked = [a for a in _asked(edge, index) if a.guard.kind in waits]
    for stay, other in _expiries(subject, edge.source):
        for guard, place in asked:
            late = number(guard) > stay or (number(guard) == stay and other < index)
            if other != index and late:
                expiry = subject.graph.edges[other].id
                return Hit(
                    place,
                    f'"{edge.id}" never fires: it asks for {rounds(number(guard))}, and "{expiry}" '
                    f'ends every stay in "{edge.source}" after {stay}',
                    f'ask for fewer rounds than "{expiry}", or let that one wait longer',
                )
    return None


def _never(subject: Subject) -> dict[int, tuple[str, Hit]]:
    """Edge index -> which rule says that the edge never fires, and why; the first reason only."""
    found = {}
    for index, edge in enumerate(subject.graph.edges):
        reasons = (
            ("L10", _contradiction(subject, edge.source, _asked(edge, index))),
            ("L11", _shadow(subject, index)),
            ("L12", _overtaken(subject, index)),
        )
        why = next(((rule, hit) for rule, hit in reasons if hit is not None), None)
        if why is not None:
            found[index] = why
    return found


def contradictory(subject: Subject) -> Iterator[Hit]:
    """Edges whose guards exclude each other."""
    yield from (hit for rule, hit in _never(subject).values() if rule == "L10")


def shadowed(subject: Subject) -> Iterator[Hit]:
    """Edges before which another always fires."""
    yield from (hit for rule, hit in _never(subject).values() if rule == "L11")


def overtaken(subject: Subject) -> Iterator[Hit]:
    """Edges that wait longer than anybody stays."""
    yield from (hit for rule, hit in _never(subject).values() if rule == "L12")


def vacuous(subject: Subject) -> Iterator[Hit]:
    """Guards that ask for at least nothing."""
    for index, edge in enumerate(subject.graph.edges):
        for guard, place in _asked(edge, index):
            if number(guard) == 0:
                yield Hit(
                    place,
                    f'{guard.kind} of at least 0 always holds, so "{edge.id}" asks for nothing '
                    "by it",
                    "ask for at least 1, or remove the guard",
                )


def waiting(subject: Subject) -> Iterator[Hit]:
    """Edges that may be due in the same round as one above them."""
    never, edges = _never(subject), subject.graph.edges
    for index, later in enumerate(edges):
        if index in never:
            continue
        before = (
            f'"{earlier.id}"'
            for other, earlier in enumerate(edges[:index])
            if earlier.source == later.source
            and other not in never
            and not _exclude(subject, other, index)
        )
        first = list(islice(before, MOST_NAMED))
        if first:
            others = " or another" if next(before, None) else ""
            yield Hit(
                ("edges", index, "id"),
                f'"{later.id}" waits while {" or ".join(first)}{others} fires: both can be due '
                "in one round, and the order of the file decides",
                "nothing to do if this is the order you want",
            )


def _exclude(subject: Subject, one: int, other: int) -> bool:
    edges = subject.graph.edges
    asked = [*_asked(edges[one], one), *_asked(edges[other], other)]
    return _contradiction(subject, edges[one].source, asked) is not None


def long_cooldowns(subject: Subject) -> Iterator[Hit]:
    """Cool-downs that outlast every stay in the state they are used in."""
    for index, edge in enumerate(subject.graph.edges):
        stay, expiry = next(iter(_expiries(subject, edge.source)), (edge.cooldown, 0))
        if edge.cooldown > stay:
            answered = " and its case goes unanswered" if cases(edge) else ""
            yield Hit(
                ("edges", index, "cooldown"),
                f'"{edge.id}" cools down for {rounds(edge.cooldown)}, but '
                f'"{subject.graph.edges[expiry].id}" ends every stay in "{edge.source}" after '
                f"{stay}: on a second stay it may be refused throughout{answered}",
                f"make the cool-down {rounds(stay)} or shorter, or the stay longer",
            )


LINTS = (
    Lint(
        Rule(
            "L10",
            "error",
            "edge whose guards exclude each other",
            "edges:\n  - {id: pardon, from: fined, to: active, when: [{case: P2}, "
            "{clean_rounds: 2}]}",
            "The edge is read, drawn and hashed like any other and never does anything.",
        ),
        contradictory,
    ),
    Lint(
        Rule(
            "L11",
            "error",
            "edge shadowed by one above it",
            "edges:\n  - {id: warn, from: active, to: warned, when: [{case: P2}]}\n"
            "  - {id: expel, from: active, to: out, when: [{case: P2}, {offences: 3}]}",
            "Edges are tried in the order of the file and the first that passes is applied: the "
            "particular belongs above the general.",
        ),
        shadowed,
    ),
    Lint(
        Rule(
            "L12",
            "error",
            "edge that waits longer than anybody stays",
            "edges:\n  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 3}]}\n"
            "  - {id: expel, from: warned, to: out, when: [{case: P2}, {rounds_in_state: 5}]}",
            "An edge on time alone ends every stay; nobody is still there for the slower one.",
        ),
        overtaken,
    ),
    Lint(
        Rule(
            "L13",
            "warning",
            "guard that always holds",
            "require: [{offences: 0}]",
            'Numbers in guards mean "at least", so 0 asks for nothing; it does not mean "none".',
        ),
        vacuous,
    ),
    Lint(
        Rule(
            "L14",
            "info",
            "edge that waits for one above it",
            "edges:\n  - {id: fine, from: warned, to: fined, when: [{case: P2}]}\n"
            "  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 5}]}",
            "Two edges can be due at once and there is no ambiguity: the upper one fires. This "
            "only says so, for the author to nod at.",
        ),
        waiting,
    ),
    Lint(
        Rule(
            "L15",
            "warning",
            "cool-down longer than the stay",
            "edges:\n  - {id: fine, from: warned, to: fined, when: [{case: P2}], cooldown: 9}\n"
            "  - {id: lapse, from: warned, to: active, when: [{rounds_in_state: 3}]}",
            "An agent can come back, be refused the sanction until its stay ends, and know it.",
        ),
        long_cooldowns,
    ),
)
