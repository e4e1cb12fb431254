"""What an audit found, in words, as JSON and as an exit code.

Three questions are answered apart: integrity (were these bytes signed as they are?), completeness
(is this all, and the only history?), conformance (does what was decided follow from the record?).
Same input, same bytes: no clock, no host name. Text from a log is printed escaped, so that a
hostile log cannot write to the auditor's terminal.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from institutional.ledger.auditing.rules import Question

SCHEMA = "https://institutional.dev/verdict/v2"


class Word(IntEnum):
    """The verdict; its value is the exit code."""

    VERIFIED = 0
    INVALID = 1
    CANNOT_DECIDE = 2
    UNANCHORED = 3
    INCOMPLETE = 4
    DIVERGED = 5
    REPLAY_MISMATCH = 6

    def __str__(self) -> str:
        return self.name.replace("_", " ")


# Proof of wrong-doing first; then what could not be asked; then what is merely missing.
_GRAVEST_FIRST = (
    Word.DIVERGED,
    Word.INVALID,
    Word.REPLAY_MISMATCH,
    Word.CANNOT_DECIDE,
    Word.INCOMPLETE,
    Word.UNANCHORED,
)


class Outcome(StrEnum):
    """How one check ended; skipped is never pass."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not-applicable"


class Check(NamedTuple):
    """One check: its rule's id, how it ended and why, and where the first bad thing stands."""

    id: str
    question: Question
    outcome: Outcome
    reason: str
    word: Word | None = None
    seq: int | None = None
    offset: int | None = None
    expected: str | None = None
    found: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything that is known of this check."""
        return {k: v for k, v in self._asdict().items() if v is not None} | (
            {"word": str(self.word)} if self.word is not None else {}
        )


class Verdict(NamedTuple):
    """The graded answer of an audit, and every check behind it."""

    checks: tuple[Check, ...]
    key: str = "none"
    key_source: str = ""
    origin: str = "unknown"
    run: str = "unknown"
    size: int = 0
    epochs: int = 0
    root: str = ""
    head: str = ""
    anchor: str = "none"
    evidence: tuple[str, ...] = ()

    @property
    def word(self) -> Word:
        """The gravest word that any check calls for."""
        return gravest(check.word for check in self.checks)

    @property
    def exit_code(self) -> int:
        """The verdict as a number for scripts; 0 only for an anchored, complete and sound log."""
        return int(self.word)

    @property
    def findings(self) -> tuple[Check, ...]:
        """The checks that call for something graver than VERIFIED."""
        return tuple(check for check in self.checks if check.word is not None)

    def of(self, question: Question) -> tuple[Check, ...]:
        """The checks that answer `question`."""
        return tuple(check for check in self.checks if check.question == question)

    def answer(self, question: Question) -> str:
        """The word for one question; NOT ASKED without a check, NOT APPLICABLE if none applies."""
        checks = self.of(question)
        outcomes = {check.outcome for check in checks}
        word = gravest(check.word for check in checks)
        if word != Word.VERIFIED or Outcome.PASS in outcomes:
            return str(word)
        if Outcome.SKIPPED in outcomes or not outcomes:
            return "NOT ASKED"
        return "NOT APPLICABLE"

    def joined(self, checks: Iterable[Check]) -> "Verdict":
        """This verdict with further checks, such as those of conformance."""
        return self._replace(checks=(*self.checks, *checks))

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {
            "schema": SCHEMA,
            "verdict": str(self.word),
            "exit_code": self.exit_code,
            **{str(question): self.answer(question) for question in Question},
            "run": self.run,
            "origin": self.origin,
            "key": self.key,
            "key_source": self.key_source,
            "size": self.size,
            "epochs": self.epochs,
            "root": self.root,
            "anchor": self.anchor,
            "checks": [check.as_json() for check in self.checks],
            "evidence": list(self.evidence),
        }

    def __str__(self) -> str:
        epochs = f" in {self.epochs} epochs" if self.epochs > 1 else ""
        lines = [
            f"run           {self.run}",
            f"origin        {self.origin}",
            f"key           {self.key} (from {self.key_source})",
            f"log           {self.size} signed entries{epochs}, root {self.root or 'none'}",
            f"anchor        {self.anchor}",
            *(f"{question:<13} {self._summary(question)}" for question in Question),
            f"verdict       {self.word}",
        ]
        for check in self.findings:
            lines.append(f"- {check.word}: {check.id}: {check.reason}")
            if check.expected is not None:
                lines.append(f"    expected {check.expected}")
                lines.append(f"    found    {check.found}")
        return "\n".join(lines)

    def _summary(self, question: Question) -> str:
        checks = self.of(question)
        counts = {o: sum(check.outcome == o for check in checks) for o in Outcome}
        told = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n)
        answer = self.answer(question)
        return f"{answer:<15} {told}".rstrip()


def gravest(words: Iterable[Word | None]) -> Word:
    """The gravest of `words`; VERIFIED where none is called for."""
    called = set(words)
    return next((word for word in _GRAVEST_FIRST if word in called), Word.VERIFIED)
