"""The checks of one audit as they are made."""

from collections.abc import Sequence

from institutional.ledger.auditing.rules import Rule
from institutional.ledger.auditing.survey import Flaw
from institutional.ledger.auditing.verdict import Check, Outcome, Word


class StopError(Exception):
    """Nothing further can be checked."""


class Findings:
    """What was found so far, one check per rule; a finding is never taken back."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = {rule.id: rule for rule in rules}
        self._checks: dict[str, Check] = {}

    def __contains__(self, rule: str) -> bool:
        return rule in self._checks

    def passed(self, rule: str, reason: str) -> None:
        """The rule holds."""
        self._note(rule, Outcome.PASS, reason)

    def skip(self, rule: str, reason: str, word: Word | None = None) -> None:
        """The rule was not looked at, or could not be."""
        self._note(rule, Outcome.SKIPPED, reason, word)

    def does_not_apply(self, rule: str, reason: str) -> None:
        """There is nothing here that the rule speaks of."""
        self._note(rule, Outcome.NOT_APPLICABLE, reason)

    def fail(self, rule: str, reason: str, word: Word, flaw: Flaw | None = None) -> None:
        """The rule does not hold; `flaw` says where, if it has a place."""
        if flaw is None:
            self._note(rule, Outcome.FAIL, reason, word)
            return
        where = f"byte {flaw.offset}: {reason}"
        reason = where if flaw.seq is None else f"entry {flaw.seq}, {where}"
        self._note(rule, Outcome.FAIL, reason, word)
        self._checks[rule] = self._checks[rule]._replace(
            seq=flaw.seq, offset=flaw.offset, expected=flaw.expected, found=flaw.found
        )

    def checks(self) -> tuple[Check, ...]:
        """One check for every rule, in their order; those never reached are skipped."""
        for rule in self._rules.keys() - self._checks.keys():
            self.skip(rule, "not reached")
        return tuple(self._checks[rule] for rule in self._rules)

    def _note(self, rule: str, outcome: Outcome, reason: str, word: Word | None = None) -> None:
        if word is None and rule in self._checks and self._checks[rule].word is not None:
            return
        self._checks[rule] = Check(rule, self._rules[rule].question, outcome, reason, word)
