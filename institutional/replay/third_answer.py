"""Conformance as the third answer of an audit's verdict, and its rules beside the ledger's."""

from pathlib import Path

from institutional.errors import InstitutionalError
from institutional.ledger.rules import RULES as LEDGER_RULES
from institutional.ledger.rules import Question, Rule
from institutional.ledger.verdict import Check, Outcome, Verdict, Word
from institutional.replay.conformance import CHECKS, conform, exhibits

_OTHERWISE = (
    "REPLAY MISMATCH: the bytes are the operator's, but this does not follow from the recorded "
    "evidence under the declared graph; `institutional audit replay` shows both sides. CANNOT "
    "DECIDE: what is needed to derive it is missing or cannot be read."
)
RULES = (
    *LEDGER_RULES,
    *(Rule(name, Question.CONFORMANCE, says, _OTHERWISE) for name, says in CHECKS.items()),
)
"""Every rule of a whole audit, in the order of its report."""

_SOUND = {Word.VERIFIED, Word.UNANCHORED, Word.INCOMPLETE}


def answered(verdict: Verdict, run: Path) -> Verdict:
    """Return `verdict` with the answer on conformance of the run in the folder `run`.

    Asked only of a log that holds: decisions that follow from bytes nobody signed say nothing.
    """
    if verdict.word not in _SOUND or not verdict.size:
        reason = "not asked: the log itself does not hold"
        return verdict.joined(_all(Outcome.SKIPPED, reason))
    try:
        found = conform(exhibits(run))
    except InstitutionalError as error:
        reason = " ".join(str(error).split())
        return verdict.joined(_all(Outcome.SKIPPED, reason, Word.CANNOT_DECIDE))
    return verdict.joined(
        Check(
            id=check.id,
            question=Question.CONFORMANCE,
            outcome=check.outcome,
            reason=check.reason,
            word=check.word,
            seq=check.seq,
            expected=check.expected,
            found=check.found,
        )
        for check in found.checks
    )


def _all(outcome: Outcome, reason: str, word: Word | None = None) -> list[Check]:
    return [Check(name, Question.CONFORMANCE, outcome, reason, word) for name in CHECKS]
