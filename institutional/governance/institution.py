"""An institution in session: the oracle's memory and the register, over M markets.

`judge` is one round of oracle and controller; `account` writes what happened in one market as
JSON-serialisable data, which is what the ledger keeps and a replay must reproduce to the byte.
"""

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from institutional.errors import InstitutionalError
from institutional.governance import controller, notices, oracle
from institutional.governance.controller import NO_MOVE, Integers, Ruling
from institutional.governance.oracle import Finding, Mask
from institutional.governance.program import Array, Move, Program, Record


class Institution:
    """Oracle, controller and register for `markets` markets in step.

    `lotteries`, a word below 2**53 per market, decide what the graph leaves to chance; without
    them the words are 0, 1, 2, ...
    """

    def __init__(
        self, program: Program, markets: int = 1, lotteries: Sequence[int] | None = None
    ) -> None:
        self.program = program
        words = range(markets) if lotteries is None else lotteries
        self._lotteries = np.array(list(words), dtype=np.uint64)
        self.round = 0
        self.register = controller.blank_register(program, markets)
        self._memory = oracle.blank_memory(program, markets)
        self._before: Record | None = None

    def picked(self, which: Sequence[int]) -> Self:
        """The institution over the markets `which` as they now are, in a session of its own.

        A repeat is a copy, and has the lot of the market that it copies.
        """
        index = np.array(which)
        apart = copy.copy(self)
        apart._lotteries = self._lotteries[index]  # noqa: SLF001 - its own
        apart.register = controller.picked(self.register, index)
        hits = tuple(each[index] for each in self._memory.hits)
        apart._memory = oracle.Memory(hits)  # noqa: SLF001 - its own
        if self._before is not None:
            before = {name: values[index] for name, values in self._before.items()}
            apart._before = before  # noqa: SLF001 - its own
        return apart

    def suspended(self) -> Mask:
        """Who may not act in the coming round, [M, N]."""
        return self.program.suspended[self.register.state]

    def cap(self) -> Array:
        """The largest permitted share of the largest action in the coming round, [M, N]."""
        return self.program.cap[self.register.state]

    def shown(self) -> tuple[Integers, Integers]:
        """Standings and credits as agents are told them, [M, N] each.

        A standing is a notice in numbers: without notices it reads as on the first day.
        """
        state, credits_ = self.register.state, self.register.credits
        if self.program.loaded.graph.send_notices:
            return state, credits_
        return np.full_like(state, self.program.initial), np.zeros_like(credits_)

    def judge(self, record: Record) -> Ruling:
        """Find and decide on the public record of the round just played.

        Raises InstitutionalError if a signal is not a finite number: nothing is decided on it.
        """
        before = record if self._before is None else self._before
        memory, finding = oracle.observe(
            self.program,
            self._memory,
            record,
            before,
            suspended=self.suspended(),
            round_=self.round,
            lotteries=self._lotteries,
        )
        # One sum shows whether any is not finite, for the price of one look at all of them.
        if finding.values and not np.isfinite(sum(finding.values)).all():
            self._refuse(finding)
        register, decisions = controller.decide(self.program, self.register, finding, self.round)
        ruling = Ruling(self.round, finding, decisions, register)
        self.register, self._memory, self._before = register, memory, record
        self.round += 1
        return ruling

    def _refuse(self, finding: Finding) -> None:
        for reading, values in zip(self.program.readings, finding.values, strict=True):
            if not np.isfinite(values).all():
                raise InstitutionalError(
                    f"round {self.round}: the signal {reading.name} is not a finite number\n"
                    "  the public record it is computed from is broken; nothing was decided"
                )


def account(program: Program, ruling: Ruling, market: int = 0) -> dict[str, Any]:
    """Return everything decided in one market and round as JSON-serialisable data."""
    finding, decisions, register = ruling.finding, ruling.decisions, ruling.register
    agents = program.agents
    cases, moves, refused = [], [], []
    for norm, breach in zip(program.norm_names, finding.breaches, strict=True):
        cases += [
            {
                "id": f"{norm}/{agents[seat]}/{ruling.round}",
                "agent": agents[seat],
                "norm": norm,
                "evidence": oracle.grounds(program, finding, market, seat),
            }
            for seat in np.flatnonzero(breach[market]).tolist()
        ]
    for seat, agent in enumerate(agents):
        for edge, codes in zip(program.moves, decisions.refused, strict=True):
            if codes is not None and codes[market, seat]:
                reason = controller.refusal_reason(edge, int(codes[market, seat]))
                refused.append({"agent": agent, "edge": edge.id, "reason": reason})
        chosen = int(decisions.move[market, seat])
        if chosen != NO_MOVE:
            edge = program.moves[chosen]
            move: dict[str, Any] = {
                "agent": agent,
                "edge": edge.id,
                "from": program.states[edge.source],
                "to": program.states[edge.target],
            }
            answered = [case["id"] for case in cases if _answers(program, edge, case, agent)]
            if answered:
                move["cases"] = answered
            if edge.fine is not None:
                move["fine"] = float(decisions.fines[market, seat])
            if edge.credits:
                move["credits"] = edge.credits
            moves.append(move)
    return {
        "round": ruling.round,
        "signals": {
            reading.name: values[market].tolist()
            for reading, values in zip(program.readings, finding.values, strict=True)
        },
        "counted": bool(finding.counted[market]),
        "cases": cases,
        "moves": moves,
        "refused": refused,
        "standings": [
            {
                "state": program.states[int(register.state[market, seat])],
                "since": int(register.entered[market, seat]),
                "clean": int(register.clean[market, seat]),
                "credits": int(register.credits[market, seat]),
                "offences": int(register.offences[market, seat]),
                "streaks": [int(streak[market, seat]) for streak in register.streaks],
            }
            for seat in range(len(agents))
        ],
        "notices": notices.render(program, ruling, market),
    }


def _answers(program: Program, edge: Move, case: dict[str, Any], agent: str) -> bool:
    norms = {program.norm_names[check.subject] for check in edge.when if check.kind == "case"}
    return case["agent"] == agent and case["norm"] in norms
