"""Every standing a coordinated cartel can bring about, and what each plan earns there.

The real oracle and controller are run over the markets axis, one market per standing and plan. A
standing is everything that decides the future: the register, the oracle's windows and the last
public record. Ages and counters are kept only as far as a guard, a rate or a decay can tell them
apart, windows only as far as they reach; both abstractions are exact.

Shapes: S standings, P plans, F standings of one step, N agents, A numbers in one action.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environments.contract import Core
from environments.shocks import quiet
from institutional.errors import InstitutionalError
from institutional.governance import controller, oracle
from institutional.governance.controller import Integers, Register
from institutional.governance.oracle import Memory
from institutional.governance.program import Array, Move, Program, Record

LIMIT = 200_000
"""Standings explored at most; beyond, the account is `bounded`."""

_NOW = 1 << 30
"""The round in which every step is taken: guards read ages, never the round itself."""
_FIRST = -1
"""The last record before the first round: there is none."""

_BITS = 30
"""A window is kept in words of this many bits, in 32-bit rows."""

Plans = Mapping[str, Array]
"""Joint actions [N, A] by name."""


@dataclass(frozen=True)
class Product:
    """The reachable standings; index 0 is good standing before the first round."""

    plans: tuple[str, ...]
    following: Integers  # [S, P]: the standing that follows
    reward: Array  # [S, P]: mean over agents, profit of the round less fines
    fined: Array  # [S, P]: mean over agents, fines of the round
    state: Integers  # [S, N]: index into the program's states
    bounded: bool  # whether standings were left out: those keep paying what Nash play pays


def explore(program: Program, core: Core, plans: Plans, *, limit: int = LIMIT) -> Product:
    """Follow every plan from every standing until nothing new appears.

    Beyond `limit`, standings are taken to pay what the first of `plans` pays where nothing governs.
    Raises InstitutionalError where there are too many agents to number their standings.
    """
    combinations = len(plans) * len(program.states) ** len(program.agents)
    if combinations >= 1 << 62:
        raise InstitutionalError(
            f"{len(program.agents)} agents in {len(program.states)} states are too many to search\n"
            "  name an environment with fewer agents"
        )
    step = _Step(program, core, list(plans.values()))
    known = {step.start.tobytes(): 0}
    rows = [step.start[None]]
    following, reward, fined = [], [], []
    frontier, expanded = rows[0], 0
    while len(frontier) and len(known) <= limit:
        after, earned, fines = step(frontier)
        ids = np.empty(after.shape[:2], dtype=np.int64)
        new = []
        for place, row in enumerate(after.reshape(-1, after.shape[-1])):
            key, fresh = row.tobytes(), len(known)
            ids.flat[place] = found = known.setdefault(key, fresh)
            if found == fresh:
                new.append(key)
        following.append(ids)
        reward.append(earned)
        fined.append(fines)
        expanded += len(frontier)
        frontier = np.frombuffer(b"".join(new), dtype=after.dtype).reshape(-1, after.shape[-1])
        rows.append(frontier)
    left_out = len(frontier)
    agents = len(program.agents)
    everything = np.concatenate(rows)
    if left_out:
        own = np.arange(expanded, expanded + left_out)
        following.append(np.repeat(own[:, None], len(plans), axis=1))
        reward.append(np.full((left_out, len(plans)), step.unrestricted))
        fined.append(np.zeros((left_out, len(plans))))
    return Product(
        plans=tuple(plans),
        following=np.concatenate(following),
        reward=np.concatenate(reward),
        fined=np.concatenate(fined),
        state=everything[:, :agents].astype(np.int64),
        bounded=left_out > 0,
    )


class _Step:
    """One round of the institution from given standings, as rows of small integers."""

    def __init__(self, program: Program, core: Core, actions: Sequence[Array]) -> None:
        self._program, self._core = program, core
        self._actions = np.stack(actions)
        self._caps = _Caps.of(program)
        self._records: list[Record] = []
        self._profits: list[Array] = []
        self._numbers: dict[bytes, int] = {}
        self._settled: dict[int, int] = {}
        self._quiet = quiet(core)
        self._library: Record = {}
        agents = len(program.agents)
        clear = np.zeros((1, agents), dtype=np.bool_)
        nash = self._settle(self._actions[:1], clear, np.ones((1, agents)))
        self.unrestricted = float(core.profits(nash).mean())
        blank = controller.blank_register(program, 1)
        # The first round is number 0; here it is `_NOW`, one round after everything began.
        blank = blank._replace(
            entered=blank.entered + _NOW,
            credit_round=blank.credit_round + _NOW,
        )
        memory = oracle.blank_memory(program, 1)
        start = self._encode(blank, memory, np.array([_FIRST]), _NOW)
        self.start: NDArray[np.int32] = start[0]

    def __call__(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.int32], Array, Array]:
        """The standings after each plan [F, P, K], rewards and fines [F, P]."""
        program, plans = self._program, len(self._actions)
        rows = np.repeat(rows, plans, axis=0)
        register, memory, last = self._decode(rows)
        now = self._play(np.tile(np.arange(plans), len(rows) // plans), register.state)
        last = np.where(last == _FIRST, now, last)
        suspended = program.suspended[register.state]
        memory, finding = oracle.observe(
            program,
            memory,
            self._recorded(now),
            self._recorded(last),
            suspended=suspended,
            round_=_NOW,
            lotteries=np.zeros(len(suspended), dtype=np.uint64),
        )
        register, decisions = controller.decide(program, register, finding, _NOW)
        after = self._encode(register, memory, now, _NOW + 1)
        profits = np.stack(self._profits)[now]
        fines = decisions.fines.mean(axis=1).reshape(-1, plans)
        earned = profits.mean(axis=1).reshape(-1, plans) - fines
        return after.reshape(*earned.shape, -1), earned, fines

    def _recorded(self, numbers: Integers) -> Record:
        return {name: values[numbers] for name, values in self._library.items()}

    def _play(self, plan: Integers, state: Integers) -> Integers:
        """Number of the public record of each market's round; the same record, the same number."""
        program = self._program
        code = plan.copy()
        for seat in range(state.shape[1]):
            code = code * len(program.states) + state[:, seat]
        codes, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        numbers = [
            self._number(int(c), int(plan[f]), state[f : f + 1])
            for c, f in zip(codes, first, strict=True)
        ]
        return np.array(numbers)[inverse]

    def _number(self, code: int, plan: int, state: Integers) -> int:
        if code not in self._settled:
            program = self._program
            record = self._settle(
                self._actions[plan : plan + 1], program.suspended[state], program.cap[state]
            )
            key = b"".join(np.ascontiguousarray(values).tobytes() for values in record.values())
            if key not in self._numbers:
                self._numbers[key] = len(self._records)
                self._records.append(record)
                self._profits.append(self._core.profits(record)[0])
                self._library = {
                    name: np.concatenate([r[name] for r in self._records]) for name in record
                }
            self._settled[code] = self._numbers[key]
        return self._settled[code]

    def _settle(self, actions: Array, suspended: oracle.Mask, cap: Array) -> Record:
        return self._core.settle(self._core.restrict(actions, suspended, cap), self._quiet)

    def _encode(
        self, register: Register, memory: Memory, last: Integers, coming: int
    ) -> NDArray[np.int32]:
        """Standings as rows [F, K], ages counted in the `coming` round."""
        caps = self._caps
        state = register.state
        credit_age = np.minimum(coming - register.credit_round, caps.credit_age)
        if not caps.grants:
            credit_age = np.where(register.credits > 0, credit_age, 0)
        clean = register.clean
        over = caps.clean + (clean - caps.clean) % caps.period
        parts = [
            state,
            np.minimum(coming - register.entered, caps.age[state]),
            np.where(clean >= caps.clean, over, clean),
            register.credits,
            credit_age,
            np.minimum(register.offences, caps.offences),
            *(np.minimum(s, c) for s, c in zip(register.streaks, caps.streaks, strict=True)),
            *(np.minimum(coming - u, c) for u, c in zip(register.used, caps.used, strict=True)),
        ]
        for hits, mask in zip(memory.hits, caps.windows, strict=True):
            kept = hits & np.uint64(mask)
            parts.extend(
                ((kept >> np.uint64(k)) & np.uint64((1 << _BITS) - 1))
                for k in range(0, caps.bits, _BITS)
            )
        parts.append(last[:, None])
        return np.concatenate(parts, axis=1, dtype=np.int32, casting="unsafe")

    def _decode(self, rows: NDArray[np.int32]) -> tuple[Register, Memory, Integers]:
        """Undo `_encode` for a round `_NOW`."""
        program, caps = self._program, self._caps
        agents = len(program.agents)
        wide = rows[:, :-1].astype(np.int64).reshape(len(rows), -1, agents)
        part = iter(np.ascontiguousarray(wide.transpose(1, 0, 2)))
        state, age, clean, credits_, credit_age, offences = (next(part) for _ in range(6))
        register = Register(
            state=state,
            entered=_NOW - age,
            clean=clean,
            credits=credits_,
            credit_round=_NOW - credit_age,
            offences=offences,
            streaks=tuple(next(part) for _ in program.norms),
            used=tuple(_NOW - next(part) for _ in program.moves),
        )
        hits = []
        for _ in program.probes:
            word = np.zeros((len(rows), agents), dtype=np.uint64)
            for k in range(0, caps.bits, _BITS):
                word |= next(part).astype(np.uint64) << np.uint64(k)
            hits.append(word)
        return register, Memory(tuple(hits)), rows[:, -1].astype(np.int64)


@dataclass(frozen=True)
class _Caps:
    """How far each counter can be told apart by anything in the program."""

    age: Integers  # [states]
    clean: int
    period: int  # clean rounds beyond `clean` matter up to this period
    credit_age: int
    grants: bool  # whether a move gives credits, which leaves their age as it is
    offences: int
    streaks: tuple[int, ...]
    used: tuple[int, ...]
    windows: tuple[int, ...]  # per probe: the bits that a coming round can still see
    bits: int

    @classmethod
    def of(cls, program: Program) -> "_Caps":
        moves, rules = program.moves, program.loaded.graph.restoration
        earn = rules.credits

        def most(kind: str, among: Sequence[Move] = moves, subject: int | None = None) -> int:
            numbers = [
                check.number
                for move in among
                for check in (*move.when, *move.require)
                if check.kind == kind and subject in (None, check.subject)
            ]
            return max(numbers, default=0)

        tiers = [len(m.fine.rates) - 1 for m in moves if m.fine is not None]
        windows = [(1 << (p.of - 1)) - 1 if p.at_least > 1 else 0 for p in program.probes]
        return cls(
            age=np.array(
                [
                    max(1, most("rounds_in_state", [m for m in moves if m.source == state]))
                    for state in range(len(program.states))
                ]
            ),
            clean=max(1, most("clean_rounds"), rules.forget_offences_after or 0),
            period=earn.earn_after if earn else 1,
            credit_age=earn.decay if earn else 0,
            grants=any(move.credits > 0 for move in moves),
            offences=max([most("offences"), *tiers], default=0),
            streaks=tuple(most("streak", subject=norm) for norm in range(len(program.norms))),
            used=tuple(move.cooldown for move in moves),
            windows=tuple(windows),
            bits=max((w.bit_length() for w in windows), default=0),
        )
