"""Why an agent was moved, or was not: from signals through windows, evidence and norm to the edge.

Nothing here decides. The rounds are judged by the oracle and the controller themselves (`derive`),
and their rulings are taken apart: every number that a comparison, a window, a guard or a fine
looked at is written beside it. `words` says it as text, `Explanation.as_json` as data.

Rounds are numbered as in the ledger, from 0. Shapes: one market, so masks are [1, N].
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from institutional.errors import InstitutionalError, suggestion
from institutional.governance import controller, oracle
from institutional.governance.controller import NO_MOVE, Decisions, Register, Ruling
from institutional.governance.draw import comparison_words, condition_words, guard_words, number
from institutional.governance.hypothetical import finding_of
from institutional.governance.loading import comparisons, leaves
from institutional.governance.oracle import Finding, Mask
from institutional.governance.program import Check, Move, Program, Record
from institutional.governance.schema import Guard

_COMPARE = {
    "above": operator.gt,
    "at_least": operator.ge,
    "below": operator.lt,
    "at_most": operator.le,
}


@dataclass(frozen=True)
class Measurement:
    """A comparison in one round: the value, the threshold in force, and the window behind it."""

    signal: str
    value: float
    operator: str
    threshold: float
    words: str  # as the graph has it
    past: bool  # past the threshold in this round
    window: tuple[int, ...]  # the last counted rounds that the window sees, this one included
    hits: tuple[int, ...]  # those of them that were past the threshold
    at_least: int
    holds: bool


@dataclass(frozen=True)
class EvidenceFact:
    """One evidence: whether it holds, and the measurements it rests on (none when given)."""

    name: str
    holds: bool
    condition: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class NormFact:
    """One norm: whether there is a case, and which of the evidence it names holds."""

    name: str
    case: bool
    condition: str
    evidence: Mapping[str, bool]  # empty where cases fall by lot
    unseen: bool  # breached, but nobody looked at the agent in this round


@dataclass(frozen=True)
class GuardFact:
    """A guard: what it asks, whether it holds, and how far; `has` is None where nothing counts."""

    words: str
    holds: bool
    has: int | None
    needs: int | None


@dataclass(frozen=True)
class EdgeFact:
    """An edge that leaves the agent's state.

    outcome: applied; refused (a gate or the cool-down); unrequested (a guard does not hold);
    untried (an earlier edge was applied).
    """

    id: str
    target: str
    outcome: str
    reason: str
    when: tuple[GuardFact, ...]
    require: tuple[GuardFact, ...]
    cooldown: int
    last_used: int | None  # None: never


@dataclass(frozen=True)
class FineFact:
    """The arithmetic of a fine: max(floor, rate * base)."""

    offences: int  # before this one
    tier: int  # from 1
    tiers: int
    rate: float
    signal: str
    value: float
    floor: float
    fine: float


@dataclass(frozen=True)
class Standing:
    """What the guards look at: the agent's counters in the round, before any move."""

    state: str
    since: int  # -1: from the start
    clean: int
    credits: int
    offences: int
    streaks: Mapping[str, int]


@dataclass(frozen=True)
class Explanation:
    """Everything that led to an agent's move in one round, or to none."""

    agent: str
    found_of: str  # whose conduct is held against the agent; itself, unless the graph says next
    round: int
    basis: str  # "record" or "given"
    counted: bool
    suspended: tuple[str, ...]  # who was suspended during the round
    signals: Mapping[str, float]
    evidence: tuple[EvidenceFact, ...]
    norms: tuple[NormFact, ...]
    standing: Standing
    edges: tuple[EdgeFact, ...]
    applied: str | None
    state_after: str
    fine: FineFact | None
    credits: int  # given (positive) or spent (negative) by the move
    notice: str | None

    def as_json(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)


@dataclass(frozen=True)
class WhyNot:
    """The first thing that kept an edge from being applied.

    kind: happened, other_state, unmet, refused or earlier_edge.
    """

    edge: str
    kind: str
    words: str

    def as_json(self) -> dict[str, Any]:
        """As JSON-serialisable data."""
        return asdict(self)


@dataclass(frozen=True)
class Session:
    """One round as derived: who was suspended in it, the register before it, and the ruling."""

    suspended: Mask  # [1, N]
    before: Register
    ruling: Ruling


def derive(
    program: Program,
    records: Sequence[Record],
    suspended: Sequence[Mask] | None = None,
    *,
    lottery: int = 0,
) -> list[Session]:
    """Judge `records` (M = 1 each) one after the other under `program`.

    `suspended` says for each round who was suspended when the record was made; whom the derived
    register suspends counts as well. Under a run's own graph the two are the same. `lottery` is the
    run's recorded word that decides what the graph leaves to chance.
    """
    memory = oracle.blank_memory(program, 1)
    register = controller.blank_register(program, 1)
    words = np.array([lottery], dtype=np.uint64)
    sessions = []
    for round_, record in enumerate(records):
        shut: Mask = program.suspended[register.state]
        if suspended is not None:
            shut = shut | suspended[round_]
        before = records[max(round_ - 1, 0)]
        memory, finding = oracle.observe(
            program, memory, record, before, suspended=shut, round_=round_, lotteries=words
        )
        if not all(np.isfinite(values).all() for values in finding.values):
            raise InstitutionalError(f"round {round_}: a signal is not a finite number")
        after, decisions = controller.decide(program, register, finding, round_)
        sessions.append(Session(shut, register, Ruling(round_, finding, decisions, after)))
        register = after
    return sessions


def explain(
    program: Program,
    records: Sequence[Record],
    suspended: Sequence[Mask] | None,
    agent: str,
    round_: int,
    *,
    lottery: int = 0,
) -> Explanation:
    """Explain what was done to `agent` in `round_` of the public `records` (see `derive`).

    Raises InstitutionalError for an agent or a round that is not there.
    """
    seat = _seat(program, agent)
    if not 0 <= round_ < len(records):
        last = len(records) - 1
        raise InstitutionalError(f"there is no round {round_}: the record has rounds 0 to {last}")
    upto = records[: round_ + 1]
    return taken_apart(program, derive(program, upto, suspended, lottery=lottery), seat)


def taken_apart(program: Program, sessions: Sequence[Session], seat: int) -> Explanation:
    """Explain the last of `sessions` for the agent in `seat`."""
    last = sessions[-1]
    return _explanation(program, last, seat, _measured(program, sessions, seat), "record")


def explain_given(
    program: Program,
    agent: str,
    evidence: Iterable[str],
    *,
    state: str | None = None,
    signals: Mapping[str, float] | None = None,
    rounds_in_state: int = 1,
    clean_rounds: int = 0,
    credits_: int = 0,
    offences: int = 0,
    streak: int = 0,
) -> Explanation:
    """Explain what would be done to `agent` on `evidence` given by name.

    The counters are those before the round, so a `streak` of 4 and a case make 5. The cool-downs
    have passed, and nobody else matters.
    """
    seat = _seat(program, agent)
    name = program.states[program.initial] if state is None else state
    if name not in program.states:
        raise InstitutionalError(
            f'there is no state "{name}"\n  states here: {", ".join(program.states)}.'
            f"{suggestion(name, program.states)}"
        )
    round_ = rounds_in_state - 1
    blank = controller.blank_register(program, 1)
    before = blank._replace(
        state=np.full_like(blank.state, program.states.index(name)),
        clean=blank.clean + clean_rounds,
        credits=blank.credits + credits_,
        credit_round=blank.credit_round + rounds_in_state,  # a given balance is fresh
        offences=blank.offences + offences,
        streaks=tuple(old + streak for old in blank.streaks),
    )
    shut = np.zeros((1, len(program.agents)), dtype=np.bool_)
    shut[0, seat] = program.suspended[program.states.index(name)]
    by_agent = {key: {agent: value} for key, value in (signals or {}).items()}
    source, acting = program.agents[oracle.found_of(program, seat)], program.loaded.graph.detection
    finding = finding_of(program, {source: evidence}, by_agent, shut, round_=acting.from_round)
    after, decisions = controller.decide(program, before, finding, round_)
    session = Session(shut, before, Ruling(round_, finding, decisions, after))
    return _explanation(program, session, seat, None, "given")


def why_not(program: Program, explanation: Explanation, edge_id: str) -> WhyNot:
    """Say why the edge `edge_id` was not applied: the first condition that stood in its way."""
    edges = {edge.id: edge for edge in program.moves}
    if edge_id not in edges:
        raise InstitutionalError(
            f'there is no edge "{edge_id}"\n  edges here: {", ".join(edges)}.'
            f"{suggestion(edge_id, edges)}"
        )
    found = next((edge for edge in explanation.edges if edge.id == edge_id), None)
    if found is None:
        source, state = program.states[edges[edge_id].source], explanation.standing.state
        words = f"{edge_id} leaves {source}; {explanation.agent} was {state}"
        return WhyNot(edge_id, "other_state", words)
    if found.outcome == "applied":
        return WhyNot(edge_id, "happened", f"{edge_id} was applied")
    unmet = next((guard for guard in found.when if not guard.holds), None)
    if unmet is not None:
        words = f"{edge_id} asks for {_guard_line(unmet)}"
        why = _no_case(explanation, unmet)
        return WhyNot(edge_id, "unmet", f"{words}{why}")
    if found.outcome == "refused":
        return WhyNot(edge_id, "refused", f"{edge_id} was requested and refused: {found.reason}")
    words = f"{edge_id} would have been requested, but {explanation.applied} comes first"
    return WhyNot(edge_id, "earlier_edge", words)


def _no_case(explanation: Explanation, guard: GuardFact) -> str:
    """Which evidence a missing case lacks."""
    norm = next((n for n in explanation.norms if guard.words == f"case {n.name}"), None)
    if norm is None:
        return ""
    if not explanation.counted:
        return "; the round was not counted"
    if norm.unseen:
        return "; the norm was breached, but the agent was not looked at in this round"
    lacking = [name for name, holds in norm.evidence.items() if not holds]
    return f"; not in evidence: {', '.join(lacking)}" if lacking else ""


def _explanation(
    program: Program,
    session: Session,
    seat: int,
    measured: Mapping[str, tuple[Measurement, ...]] | None,
    basis: str,
) -> Explanation:
    graph, ruling, agents = program.loaded.graph, session.ruling, program.agents
    finding, chosen = ruling.finding, int(ruling.decisions.move[0, seat])
    counted = _counted(program, session)
    edge = None if chosen == NO_MOVE else program.moves[chosen]
    notice = None if edge is None else graph.edges[chosen].sanction.notice
    return Explanation(
        agent=agents[seat],
        found_of=agents[oracle.found_of(program, seat)],
        round=ruling.round,
        basis=basis,
        counted=bool(finding.counted[0]),
        suspended=tuple(a for a, out in zip(agents, session.suspended[0], strict=True) if out),
        signals={
            reading.name: float(values[0, seat])
            for reading, values in zip(program.readings, finding.values, strict=True)
        },
        evidence=tuple(
            EvidenceFact(
                name,
                bool(true[0, seat]),
                condition_words(graph.evidence[name].when),
                () if measured is None else measured[name],
            )
            for name, true in zip(program.evidence_names, finding.evidence, strict=True)
        ),
        norms=tuple(_norm(program, finding, index, seat) for index in range(len(program.norms))),
        standing=_standing(program, counted, seat),
        edges=_edges(program, session, counted, seat),
        applied=None if edge is None else edge.id,
        state_after=program.states[int(ruling.register.state[0, seat])],
        fine=None if edge is None else _fine(program, edge, ruling, counted, seat),
        credits=0 if edge is None else edge.credits,
        notice=notice,
    )


def _counted(program: Program, session: Session) -> Register:
    """The register that the guards saw: counters brought up to the round, nobody moved yet.

    It is what the controller returns for a program without edges.
    """
    ruling = session.ruling
    register, _ = controller.decide(
        replace(program, moves=()), session.before._replace(used=()), ruling.finding, ruling.round
    )
    return register


def _standing(program: Program, counted: Register, seat: int) -> Standing:
    return Standing(
        state=program.states[int(counted.state[0, seat])],
        since=int(counted.entered[0, seat]),
        clean=int(counted.clean[0, seat]),
        credits=int(counted.credits[0, seat]),
        offences=int(counted.offences[0, seat]),
        streaks={
            name: int(streak[0, seat])
            for name, streak in zip(program.norm_names, counted.streaks, strict=True)
        },
    )


def _measured(
    program: Program, sessions: Sequence[Session], seat: int
) -> dict[str, tuple[Measurement, ...]]:
    """The measurements of each evidence against `seat` in the last of `sessions`."""
    seat = oracle.found_of(program, seat)
    counting = [s.ruling for s in sessions if s.ruling.finding.counted[0]]
    now = sessions[-1].ruling
    result: dict[str, list[Measurement]] = {name: [] for name in program.evidence_names}
    for (place, comparison), probe in zip(
        comparisons(program.loaded.graph), program.probes, strict=True
    ):
        threshold = float(probe.threshold[seat])
        compare = _COMPARE[probe.operator]
        value = float(now.finding.values[probe.reading][0, seat])
        window = counting[-probe.of :]
        hits = tuple(
            ruling.round
            for ruling in window
            if compare(float(ruling.finding.values[probe.reading][0, seat]), threshold)
        )
        past = bool(compare(value, threshold))
        counted = bool(now.finding.counted[0])
        result[str(place[1])].append(
            Measurement(
                signal=program.readings[probe.reading].name,
                value=value,
                operator=probe.operator,
                threshold=threshold,
                words=comparison_words(comparison),
                past=past,
                window=tuple(ruling.round for ruling in window),
                hits=hits,
                at_least=probe.at_least,
                holds=counted and past and len(hits) >= probe.at_least,
            )
        )
    return {name: tuple(found) for name, found in result.items()}


def _norm(program: Program, finding: Finding, index: int, seat: int) -> NormFact:
    name = program.norm_names[index]
    condition = program.loaded.graph.norms[name].breached_by
    chance = program.loaded.graph.detection.by_lot
    if chance is not None:
        words = f"by lot with a chance of {number(chance)}, whatever the evidence"
        return NormFact(name, bool(finding.breaches[index][0, seat]), words, {}, unseen=False)
    names = dict.fromkeys(str(leaf) for _, leaf in leaves(condition, ()))
    held = {n: finding.evidence[program.evidence_names.index(n)] for n in names}
    case = bool(finding.breaches[index][0, seat])
    breached = oracle.truth(program.norms[index], [], list(finding.evidence))[0, seat]
    return NormFact(
        name=name,
        case=case,
        condition=condition_words(condition),
        evidence={n: bool(true[0, seat]) for n, true in held.items()},
        unseen=bool(finding.counted[0]) and bool(breached) and not case,
    )


def _edges(
    program: Program, session: Session, counted: Register, seat: int
) -> tuple[EdgeFact, ...]:
    """The edges that leave the agent's state, in the order of the file."""
    ruling, chosen = session.ruling, int(session.ruling.decisions.move[0, seat])
    result = []
    for index, edge in enumerate(program.moves):
        if edge.source != int(counted.state[0, seat]):
            continue
        written = program.loaded.graph.edges[index]
        when, require = (
            tuple(
                _guard(guard, check, counted, ruling, seat)
                for guard, check in zip(guards, checks, strict=True)
            )
            for guards, checks in ((written.when, edge.when), (written.require, edge.require))
        )
        outcome, reason = _outcome(program, ruling.decisions, index, chosen, when=when, seat=seat)
        used = int(session.before.used[index][0, seat])
        result.append(
            EdgeFact(
                id=edge.id,
                target=program.states[edge.target],
                outcome=outcome,
                reason=reason,
                when=when,
                require=require,
                cooldown=edge.cooldown,
                last_used=used if edge.cooldown and used >= 0 else None,
            )
        )
    return tuple(result)


def _outcome(
    program: Program,
    decisions: Decisions,
    index: int,
    chosen: int,
    *,
    when: tuple[GuardFact, ...],
    seat: int,
) -> tuple[str, str]:
    if index == chosen:
        return "applied", "every guard holds and no earlier edge was applied"
    if NO_MOVE != chosen < index:
        return "untried", f"{program.moves[chosen].id} was applied first"
    codes = decisions.refused[index]
    if codes is not None and codes[0, seat]:
        return "refused", controller.refusal_reason(program.moves[index], int(codes[0, seat]))
    unmet = next(guard for guard in when if not guard.holds)
    return "unrequested", f"no {unmet.words}" if unmet.needs is None else f"not {unmet.words}"


def _guard(guard: Guard, check: Check, counted: Register, ruling: Ruling, seat: int) -> GuardFact:
    """Read one guard's number off the register that the controller saw."""
    words = guard_words(guard)
    if check.kind in {"case", "evidence"}:
        finding = ruling.finding
        held = finding.breaches if check.kind == "case" else finding.evidence
        return GuardFact(words, bool(held[check.subject][0, seat]), None, None)
    array = {
        "rounds_in_state": ruling.round - counted.entered,
        "clean_rounds": counted.clean,
        "credits": counted.credits,
        "offences": counted.offences,
        "streak": counted.streaks[check.subject] if check.kind == "streak" else counted.clean,
    }[check.kind]
    has = int(array[0, seat])
    return GuardFact(words, has >= check.number, has, check.number)


def _fine(
    program: Program, edge: Move, ruling: Ruling, counted: Register, seat: int
) -> FineFact | None:
    rule = edge.fine
    if rule is None:
        return None
    offences = int(counted.offences[0, seat])
    tier = min(offences, len(rule.rates) - 1)
    return FineFact(
        offences=offences,
        tier=tier + 1,
        tiers=len(rule.rates),
        rate=float(rule.rates[tier]),
        signal=program.readings[rule.reading].name,
        value=float(ruling.finding.values[rule.reading][0, seat]),
        floor=rule.floor,
        fine=float(ruling.decisions.fines[0, seat]),
    )


def _seat(program: Program, agent: str) -> int:
    if agent not in program.agents:
        raise InstitutionalError(
            f'there is no agent "{agent}"\n  agents here: {", ".join(program.agents)}.'
            f"{suggestion(agent, program.agents)}"
        )
    return program.agents.index(agent)


def words(explanation: Explanation) -> str:
    """The explanation as text for a terminal."""
    e = explanation
    if e.applied is None:
        refused = [edge.id for edge in e.edges if edge.outcome == "refused"]
        moved = f"stays {e.state_after}"
        moved += f"; refused: {', '.join(refused)}" if refused else "; no move"
    else:
        moved = f"{e.applied}, from {e.standing.state} to {e.state_after}"
    when = f"round {e.round}" if e.basis == "record" else "on the evidence given"
    lines = [f"{e.agent}, {when}: {moved}"]
    if not e.counted:
        suspended = f"suspended in this round: {', '.join(e.suspended)}"
        silent = "the institution does not act yet"
        lines.append(f"  Not counted: {suspended if e.suspended else silent}.")
    against = "" if e.found_of == e.agent else f" found of {e.found_of}, held against {e.agent}"
    lines += [
        "",
        f"EVIDENCE{against}",
        *(line for fact in e.evidence for line in _evidence_lines(fact)),
    ]
    lines += ["", "NORMS", *(line for norm in e.norms for line in _norm_lines(norm))]
    s = e.standing
    since = "the start" if s.since < 0 else f"round {s.since}"
    streaks = ", ".join(f"streak {name} {count}" for name, count in s.streaks.items())
    lines += [
        "",
        f"STANDING {s.state} since {since}",
        f"  {s.clean} clean rounds, {s.credits} credits, {s.offences} offences, {streaks}",
        "",
        f"EDGES from {s.state}, in the order of the file",
        *(line for edge in e.edges for line in _edge_lines(edge, e.round)),
    ]
    if e.applied is not None:
        lines += ["", "SANCTION", *_sanction_lines(e)]
    return "\n".join(lines)


def fine_words(fine: FineFact) -> str:
    """The arithmetic of a fine: `0.35 x 1800 = 630, floor 200: 630`."""
    base = number(fine.value) if fine.value >= 0 else f"0 ({number(fine.value)} counts as 0)"
    product = number(fine.rate * max(fine.value, 0.0))
    floor = f", floor {number(fine.floor)}" if fine.floor else ""
    return f"{number(fine.rate)} x {base} = {product}{floor}: {number(fine.fine)}"


def measured_words(m: Measurement) -> str:
    """A comparison with its numbers: `hhi 0.92 is above 0.75; past it in 2 rounds (3, 4) ...`."""
    verdict = "" if m.past else "not "
    line = f"{m.signal} {m.value:.6g} is {verdict}{m.operator.replace('_', ' ')} {m.threshold:.6g}"
    if m.at_least > 1:
        hits = ", ".join(map(str, m.hits)) or "none"
        seen = ", ".join(map(str, m.window)) or "none"
        line += f"; past it in {len(m.hits)} rounds ({hits}) of {seen}; needs {m.at_least}"
    return line


def _evidence_lines(fact: EvidenceFact) -> list[str]:
    lines = [f"  {_yes(fact.holds)}  {fact.name}: {fact.condition}"]
    return lines + [f"         {measured_words(m)}" for m in fact.measurements]


def _norm_lines(norm: NormFact) -> list[str]:
    held = ", ".join(f"{name} {_yes(holds).strip()}" for name, holds in norm.evidence.items())
    unseen = "; breached, but the agent was not looked at" if norm.unseen else ""
    lines = [f"  {_yes(norm.case)}  case {norm.name}: {norm.condition}"]
    return [*lines, f"         {held}{unseen}"] if norm.evidence else lines


def _edge_lines(edge: EdgeFact, round_: int) -> list[str]:
    lines = [f"  {edge.id} -> {edge.target}: {edge.outcome} ({edge.reason})"]
    for title, guards in (("when", edge.when), ("require", edge.require)):
        lines += [f"    {title:<8} {_yes(guard.holds)}  {_guard_line(guard)}" for guard in guards]
    if edge.cooldown:
        passed = edge.last_used is None or round_ - edge.last_used >= edge.cooldown
        used = "never used" if edge.last_used is None else f"last used in round {edge.last_used}"
        lines.append(f"    cooldown {_yes(passed)}  {edge.cooldown} rounds apart; {used}")
    return lines


def _guard_line(guard: GuardFact) -> str:
    return guard.words if guard.needs is None else f"{guard.words}: {guard.has} of {guard.needs}"


def _sanction_lines(explanation: Explanation) -> list[str]:
    fine, lines = explanation.fine, []
    if fine is not None:
        tier = f"tier {fine.tier} of {fine.tiers}, {fine.offences} offences before"
        lines.append(f"  fine on {fine.signal} ({tier}): {fine_words(fine)}")
    if explanation.credits:
        lines.append(f"  credits {explanation.credits:+d}")
    if explanation.notice:
        lines.append(f"  notice: {explanation.notice}")
    return lines or ["  none beyond the new state"]


def _yes(holds: bool) -> str:  # noqa: FBT001 - a word for a truth value
    return "yes" if holds else "no "
