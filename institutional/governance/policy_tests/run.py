"""Policy tests run: the real controller over the evidence that each test gives.

Deterministic and without a market; every test starts from a blank register. A test ends at the
first round that is not as expected, because what follows from a wrong round says nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from institutional.governance.document import Document, Place
from institutional.governance.hypothetical import PaperSession, compile_on_paper
from institutional.governance.institution import account
from institutional.governance.policy_tests import coverage as cover
from institutional.governance.policy_tests.coverage import Coverage
from institutional.governance.policy_tests.loading import LoadedTests
from institutional.governance.policy_tests.schema import PolicyTest, Round

FINE_TOLERANCE = 1e-9
"""Relative; a fine worked out by hand differs from the controller's by rounding alone."""


@dataclass(frozen=True)
class Mismatch:
    """One expectation that does not hold, and its place in the file."""

    where: str  # path:line:column
    round: int  # counted from 0 within the test, as in the account
    agent: str
    key: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        """Say where, what was expected and what was found."""
        return (
            f"{self.where}: round {self.round}, {self.agent}: {self.key}\n"
            f"  expected: {_shown(self.expected)}\n  found:    {_shown(self.found)}"
        )


@dataclass(frozen=True)
class Outcome:
    """How one test went; `account` is the whole round that was not as expected."""

    name: str
    where: str
    rounds: int  # held
    mismatches: tuple[Mismatch, ...] = ()
    account: Mapping[str, Any] | None = None

    @property
    def passed(self) -> bool:
        """Whether every expectation held."""
        return not self.mismatches


@dataclass(frozen=True)
class TestReport:
    """How all tests of a file went, and what they exercised."""

    outcomes: tuple[Outcome, ...]
    coverage: Coverage

    __test__ = False  # the name is not an invitation to pytest

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The tests that did not pass."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)


def run_tests(loaded: LoadedTests) -> TestReport:
    """Run every test of the file, each from a blank register."""
    coverage = cover.nothing_of(compile_on_paper(loaded.graph, ["a"]))
    outcomes = []
    for index, test in enumerate(loaded.tests.tests):
        session = _Session(loaded, test, ("tests", index))
        outcomes.append(session.play())
        coverage = coverage.having(session.exercised)
    return TestReport(tuple(outcomes), coverage)


class _Session:
    """One test in session."""

    def __init__(self, loaded: LoadedTests, test: PolicyTest, place: Place) -> None:
        self.document: Document = loaded.document
        self.test, self.place = test, place
        self.paper = PaperSession(compile_on_paper(loaded.graph, test.agents))
        self.exercised: set[cover.Item] = set()

    def play(self) -> Outcome:
        where = self.document.where(self.place)
        for number, round_ in enumerate(self.test.rounds):
            seen = self._hold(round_)
            for _ in range(round_.repeat - 1):
                seen = self._hold(round_)
            mismatches = tuple(self._mismatches(round_, seen, (*self.place, "rounds", number)))
            if mismatches:
                return Outcome(self.test.name, where, self.paper.round, mismatches, seen)
        return Outcome(self.test.name, where, self.paper.round)

    def _hold(self, round_: Round) -> dict[str, Any]:
        paper, program = self.paper, self.paper.program
        finding = paper.found(round_.given, round_.signals)
        seen = account(program, paper.rule(finding))
        self.exercised.update(cover.decided(seen))
        if seen["counted"]:  # in an ignored round evidence is withheld, not false
            self.exercised.update(
                ("evidence", cover.evidence(name, holds=holds))
                for name, held in zip(program.evidence_names, finding.evidence, strict=True)
                for holds in set(held[0].tolist())
            )
        return seen

    def _mismatches(self, round_: Round, seen: dict[str, Any], place: Place) -> list[Mismatch]:
        result = []
        for agent, expectation in round_.expect.items():
            seat = self.test.agents.index(agent)
            found = {**_found(seen, agent, seat), **self._restriction(seat)}
            for key, expected in expectation.written().items():
                if not _agrees(key, expected, found[key]):
                    where = self.document.where((*place, "expect", agent, key))
                    result.append(Mismatch(where, seen["round"], agent, key, expected, found[key]))
        return result

    def _restriction(self, seat: int) -> dict[str, Any]:
        """What holds for one agent in the coming round."""
        program, state = self.paper.program, int(self.paper.register.state[0, seat])
        return {"suspended": bool(program.suspended[state]), "cap": float(program.cap[state])}


def _found(seen: Mapping[str, Any], agent: str, seat: int) -> dict[str, Any]:
    """What an expectation may speak about, for one agent."""
    standing = seen["standings"][seat]
    move: Mapping[str, Any] = next((m for m in seen["moves"] if m["agent"] == agent), {})
    return {
        "state": standing["state"],
        "move": move.get("edge"),
        "fine": move.get("fine"),
        "refused": {r["edge"]: r["reason"] for r in seen["refused"] if r["agent"] == agent},
        "cases": [case["norm"] for case in seen["cases"] if case["agent"] == agent],
        "credits": standing["credits"],
        "offences": standing["offences"],
        "clean": standing["clean"],
        "notice": seen["notices"].get(agent),
    }


def _agrees(key: str, expected: Any, found: Any) -> bool:
    match key:
        case "fine" if expected is not None and found is not None:
            return math.isclose(expected, found, rel_tol=FINE_TOLERANCE)
        case "refused":
            reasons = expected if isinstance(expected, dict) else dict.fromkeys(expected, "")
            same = sorted(expected) == sorted(found)
            return same and all(part in found[edge] for edge, part in reasons.items())
        case "cases":
            return sorted(expected) == sorted(found)
        case "notice" if expected:
            return found is not None and all(text in found for text in expected)
        case "notice":
            return found is None
    return bool(expected == found)


def _shown(value: Any) -> str:
    """A value as an author would write it."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "; ".join(f"{edge} ({reason})" for edge, reason in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, str):
        return value.replace("\n", "\n            ")
    return repr(value)
