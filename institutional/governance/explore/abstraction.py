"""One agent's standing as one integer: just enough of the register to decide every later round.

Times become ages and every counter stops at the largest number that anything asks of it, so that
two standings share a code only if no guard, fine tier or declared property can ever tell them
apart. What does not matter (the age of a credit nobody holds, the rounds spent in a state that no
clock leaves) has one value. All of it is exact; nothing is rounded.

Shapes: S standings. Codes are [S] integers; registers hold S markets of one agent, [S, 1].
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from institutional.governance.controller import NEVER, Integers, Register
from institutional.governance.program import Check, Program
from institutional.governance.schema import Bounds, Fact, Graph, LeadsTo

NOW = 1 << 20
"""The round in which every decoded register is decided on: any number above all ages does."""
LARGEST_CODE = 1 << 62
UNLIMITED_CREDITS = 1023
"""Where a graph gives and spends credits without a cap, the balance is followed up to here."""


@dataclass(frozen=True)
class Abstraction:
    """How far each counter is followed; the fields are in the order of the register."""

    program: Program
    rounds: NDArray[np.int64]  # [states], largest age asked of in that state, at least 1
    clean: int
    earn_after: int  # period kept beyond `clean`
    credits: int
    decay: int  # 0 where ages of credits do not matter
    idle_credits_age: bool  # an empty balance has an age too: some edge gives credits
    offences: int
    streaks: tuple[int, ...]  # per norm
    cooldowns: tuple[int, ...]  # per move; 0 where none is needed
    exact: bool

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each digit of a code has."""
        return (
            len(self.program.states),
            int(self.rounds.max()),
            self.clean + self.earn_after,
            self.credits + 1,
            max(self.decay, 1),
            self.offences + 1,
            *(streak + 1 for streak in self.streaks),
            *(max(cooldown, 1) for cooldown in self.cooldowns),
        )

    @property
    def codes(self) -> int:
        """How many codes there are, reachable or not."""
        return math.prod(self.sizes)

    def encode(self, register: Register, next_round: int) -> Integers:
        """The codes [S] of `register` [S, 1] as it stands before `next_round`."""
        state = register.state[:, 0]
        age = np.minimum(next_round - register.entered[:, 0], self.rounds[state]) - 1
        clean = register.clean[:, 0]
        beyond = clean - self.clean
        clean = np.where(beyond > 0, self.clean + beyond % self.earn_after, clean)
        balance = np.minimum(register.credits[:, 0], self.credits)
        digits = [state, age, clean, balance, self._credit_age(register, balance, next_round)]
        digits.append(np.minimum(register.offences[:, 0], self.offences))
        for cap, streak in zip(self.streaks, register.streaks, strict=True):
            digits.append(np.minimum(streak[:, 0], cap))
        for cap, used in zip(self.cooldowns, register.used, strict=True):
            since = next_round - used[:, 0]  # 1 to cap - 1 is still cooling; digit 0 is free
            digits.append(np.where(since < cap, since, 0))
        code = np.zeros(len(state), dtype=np.int64)
        for digit, size in zip(digits, self.sizes, strict=True):
            if size > 1:
                code = code * size + digit
        return code

    def _credit_age(self, register: Register, balance: Integers, next_round: int) -> Integers:
        if not self.decay:
            return np.zeros_like(balance)
        age = np.minimum(next_round - register.credit_round[:, 0], self.decay) - 1
        if self.idle_credits_age:
            return np.asarray(age)
        return np.where(balance > 0, age, 0)

    def digits(self, codes: Integers) -> list[Integers]:
        """The digits of `codes`, in the order of `sizes`."""
        digits = []
        for size in reversed(self.sizes):
            if size > 1:
                codes, digit = np.divmod(codes, size)
            else:
                digit = np.zeros_like(codes)
            digits.append(digit)
        return digits[::-1]

    def decode(self, codes: Integers) -> Register:
        """A register [S, 1] that stands as `codes` say before round `NOW`."""
        digits = iter(self.digits(codes))
        state, age, clean, balance, credit_age, offences = (next(digits)[:, None] for _ in range(6))
        return Register(
            state=state,
            entered=NOW - 1 - age,
            clean=clean,
            credits=balance,
            credit_round=NOW - 1 - credit_age,
            offences=offences,
            streaks=tuple(next(digits)[:, None] for _ in self.streaks),
            used=tuple(
                np.where(since > 0, NOW - since, NEVER)
                for since in (next(digits)[:, None] for _ in self.cooldowns)
            ),
        )


def abstraction_of(program: Program) -> Abstraction:
    """Derive how far each counter must be followed from the graph's own numbers."""
    graph = program.loaded.graph
    facts = list(facts_of(predicates_of(graph)))
    checks = [check for move in program.moves for check in (*move.when, *move.require)]
    rounds = np.full(len(program.states), max(1, 1 + _asked_of(facts, "rounds_in_state")))
    for move in program.moves:
        asked = _asked((*move.when, *move.require), "rounds_in_state")
        rounds[move.source] = max(rounds[move.source], asked)
    rules = graph.restoration
    forget = rules.forget_offences_after or 0
    tiers = [len(move.fine.rates) - 1 for move in program.moves if move.fine is not None]
    offences = max([_asked(checks, "offences"), _asked_of(facts, "offences"), *tiers])
    clean = max(_asked(checks, "clean_rounds"), _asked_of(facts, "clean_rounds"))
    clean = max(clean, forget if offences else 0)
    wanted = max(_asked(checks, "credits"), _asked_of(facts, "credits"))
    spends = any(move.credits < 0 for move in program.moves)
    earns = rules.credits is not None and wanted > 0
    if not wanted:
        credits_ = 0
    elif rules.credits is not None:
        credits_ = rules.credits.cap
    else:
        credits_ = UNLIMITED_CREDITS if spends else wanted
    gives = any(move.credits > 0 for move in program.moves)
    return Abstraction(
        program=program,
        rounds=rounds,
        clean=clean,
        earn_after=rules.credits.earn_after if earns and rules.credits else 1,
        credits=credits_,
        decay=rules.credits.decay if earns and rules.credits else 0,
        idle_credits_age=gives,
        offences=offences,
        streaks=tuple(
            max([c.number for c in checks if c.kind == "streak" and c.subject == norm], default=0)
            for norm in range(len(program.norms))
        ),
        cooldowns=tuple(move.cooldown if move.cooldown > 1 else 0 for move in program.moves),
        exact=not (spends and wanted and rules.credits is None and gives),
    )


def _asked(checks: Iterable[Check], kind: str) -> int:
    return max([check.number for check in checks if check.kind == kind], default=0)


def _asked_of(facts: Iterable[Fact], kind: str) -> int:
    """The largest count that tells standings apart: one more than an `at_most`."""
    largest = 0
    for fact in facts:
        bounds: Bounds | None = getattr(fact, kind)
        if bounds is not None:
            above = -1 if bounds.at_most is None else bounds.at_most
            largest = max(largest, bounds.at_least or 0, above + 1)
    return largest


def predicates_of(graph: Graph) -> Iterator[Any]:
    """The predicates of the graph's declared properties."""
    for claim in graph.properties:
        for given in (claim.never, claim.always, claim.eventually, claim.leads_to):
            if isinstance(given, LeadsTo):
                yield from (given.from_, given.to)
            elif given is not None:
                yield given


def facts_of(predicates: Iterable[Any]) -> Iterator[Fact]:
    """The facts at the ends of `predicates`."""
    for predicate in predicates:
        if isinstance(predicate, Fact):
            yield predicate
        elif hasattr(predicate, "not_"):
            yield from facts_of([predicate.not_])
        else:
            yield from facts_of(getattr(predicate, "all_", None) or predicate.any_)


def counter_values(abstraction: Abstraction, codes: Integers) -> Mapping[str, Integers]:
    """What `Fact` can ask of standings after a round: state index and counters, [S] each."""
    state, age, clean, balance, _, offences, *_ = abstraction.digits(codes)
    return {
        "state": state,
        "rounds_in_state": age,  # the digit is (next round - entered) - 1: 0 on entering
        "clean_rounds": clean,
        "credits": balance,
        "offences": offences,
    }
