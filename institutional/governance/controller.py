"""The controller: findings, graph and register to moves. It enforces and never detects.

One pure function, `decide`. It can do nothing that no edge declares: per agent and round it tries
the edges that leave the agent's state in the order of the file, records each request that a gate
or a cool-down refuses, and applies the first that passes. Same inputs, same bytes out.

Shapes: M markets, N agents. Register arrays are [M, N] integers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from institutional.governance.oracle import Finding, Mask
from institutional.governance.program import Array, Check, Move, Program

Integers = NDArray[np.int64]

NO_MOVE = -1
NOT_REFUSED, COOLING = 0, 1
"""Refusal codes; `COOLING + k` for k >= 1 is the k-th gate of `require`."""
NEVER = -(1 << 40)


class Register(NamedTuple):
    """Every agent's legal standing."""

    state: Integers  # index into the program's states
    entered: Integers  # round in which the state was entered; -1 at the start
    clean: Integers  # counted rounds in a row without a case
    credits: Integers
    credit_round: Integers  # when the balance last changed by earning or decay
    offences: Integers  # fines, unless forgotten
    streaks: tuple[Integers, ...]  # per norm: counted rounds in a row with a case
    used: tuple[Integers, ...]  # per move: round of its last use by the agent


class Decisions(NamedTuple):
    """What was decided in one round."""

    move: Integers  # index into the program's moves, NO_MOVE where none
    refused: tuple[Integers | None, ...]  # per move: refusal codes, None where nobody was refused
    fines: Array  # money


class Ruling(NamedTuple):
    """One round's finding and decisions, and the register they lead to."""

    round: int
    finding: Finding
    decisions: Decisions
    register: Register


def blank_register(program: Program, markets: int) -> Register:
    """Everybody in the initial state with no past."""
    shape = (markets, len(program.agents))
    zeros = np.zeros(shape, dtype=np.int64)
    return Register(
        state=np.full(shape, program.initial),
        entered=zeros - 1,
        clean=zeros,
        credits=zeros,
        credit_round=zeros - 1,
        offences=zeros,
        streaks=tuple(zeros for _ in program.norms),
        used=tuple(zeros + NEVER for _ in program.moves),
    )


def picked(register: Register, which: Integers) -> Register:
    """The standings in the markets `which`, with or without repeats."""
    return Register._make(
        tuple(each[which] for each in part) if isinstance(part, tuple) else part[which]
        for part in register
    )


def decide(
    program: Program, register: Register, finding: Finding, round_: int
) -> tuple[Register, Decisions]:
    """Return the register after the round and what was decided in it."""
    register = _count(program, register, finding, round_)
    shape = register.state.shape
    move = np.full(shape, NO_MOVE)
    fines = np.zeros(shape)
    undecided = np.ones(shape, dtype=np.bool_)
    refused: list[Integers | None] = []
    used = list(register.used)
    state, entered = register.state, register.entered
    credits_, offences = register.credits, register.offences
    occupied = np.bincount(register.state.ravel(), minlength=len(program.states)).tolist()
    for index, edge in enumerate(program.moves):
        if not occupied[edge.source]:
            refused.append(None)
            continue
        requested = undecided & (register.state == edge.source)
        for check in edge.when:
            requested = requested & _holds(check, register, finding, round_)
        if not requested.any():
            refused.append(None)
            continue
        codes = _refusals(edge, used[index], register, finding, round_)
        if codes is None:
            refused.append(None)
            applied = requested
        else:
            codes = np.where(requested, codes, NOT_REFUSED)
            refused.append(codes if codes.any() else None)
            applied = requested & (codes == NOT_REFUSED)
        undecided = undecided & ~applied
        move = np.where(applied, index, move)
        state = np.where(applied, edge.target, state)
        entered = np.where(applied, round_, entered)
        if edge.cooldown:
            used[index] = np.where(applied, round_, used[index])
        if edge.credits:
            credits_ = np.where(applied, _balance(program, credits_ + edge.credits), credits_)
        if edge.fine is not None:
            rates = edge.fine.rates
            rate = rates[np.minimum(register.offences, len(rates) - 1)]
            base = np.maximum(finding.values[edge.fine.reading], 0.0)
            fines = np.where(applied, np.maximum(rate * base, edge.fine.floor), fines)
            offences = np.where(applied, register.offences + 1, offences)
    after = register._replace(
        state=state, entered=entered, credits=credits_, offences=offences, used=tuple(used)
    )
    return after, Decisions(move, tuple(refused), fines)


def _count(program: Program, register: Register, finding: Finding, round_: int) -> Register:
    """Bring streaks, clean rounds, credits and offences up to this round."""
    counted = finding.counted[:, None]
    streaks = tuple(
        np.where(counted, np.where(breach, streak + 1, 0), streak)
        for breach, streak in zip(finding.breaches, register.streaks, strict=True)
    )
    case = np.zeros(register.state.shape, dtype=np.bool_)
    for breach in finding.breaches:
        case = case | breach
    clean = np.where(counted, np.where(case, 0, register.clean + 1), register.clean)
    credits_, credit_round = register.credits, register.credit_round
    rules = program.loaded.graph.restoration
    if rules.credits is not None:
        lapses = (credits_ > 0) & (round_ - credit_round >= rules.credits.decay)
        earns = counted & (clean > 0) & (clean % rules.credits.earn_after == 0)
        earns = earns & program.earns_credit[register.state]
        credits_ = np.minimum(credits_ - lapses + earns, rules.credits.cap)
        credit_round = np.where(lapses | earns, round_, credit_round)
    offences = register.offences
    if rules.forget_offences_after is not None:
        offences = np.where(clean >= rules.forget_offences_after, 0, offences)
    return register._replace(
        streaks=streaks,
        clean=clean,
        credits=credits_,
        credit_round=credit_round,
        offences=offences,
    )


def _balance(program: Program, credits_: Integers) -> Integers:
    rules = program.loaded.graph.restoration.credits
    balance = np.maximum(credits_, 0)
    return balance if rules is None else np.minimum(balance, rules.cap)


def _holds(check: Check, register: Register, finding: Finding, round_: int) -> Mask:
    match check.kind:
        case "case":
            return finding.breaches[check.subject]
        case "evidence":
            return finding.evidence[check.subject]
        case "streak":
            return register.streaks[check.subject] >= check.number
        case "rounds_in_state":
            return round_ - register.entered >= check.number
        case "clean_rounds":
            return register.clean >= check.number
        case "credits":
            return register.credits >= check.number
        case "offences":
            return register.offences >= check.number
    raise AssertionError(check.kind)


def _refusals(
    edge: Move, used: Integers, register: Register, finding: Finding, round_: int
) -> Integers | None:
    """Why the edge is refused, [M, N]: the first reason in the order of the file; None if never."""
    if not edge.require and not edge.cooldown:
        return None
    codes = np.zeros(register.state.shape, dtype=np.int64)
    for number, check in reversed(list(enumerate(edge.require, start=1))):
        codes = np.where(_holds(check, register, finding, round_), codes, COOLING + number)
    if edge.cooldown:
        codes = np.where(round_ - used < edge.cooldown, COOLING, codes)
    return codes


def refusal_reason(edge: Move, code: int) -> str:
    """Say in words what refusal `code` of `edge` means."""
    if code == COOLING:
        return f"used less than {edge.cooldown} rounds ago"
    return f"needs {edge.require[code - COOLING - 1].text}"
