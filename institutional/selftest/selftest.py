"""Every attack tried on a copy of one's own run, and what would have been noticed.

    rows = selftest(Path("runs/cartel/07"), trust=Path("operator.pub").read_text())

An attack is caught if the audit of the attacked copy says anything graver than UNANCHORED: proof,
doubt, or that something is missing. Integrity and completeness are asked, conformance is not: a
decision planted by whoever holds the key is for the replay to find. What only the holder of the
run's key can do is tried if that key is given; otherwise its row says that it was not.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from institutional.ledger import canonical, wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.note import SigningKey
from institutional.ledger.verdict import Word
from institutional.selftest.attacks import ATTACKS, Attack, Mutant
from institutional.selftest.forging import CHECKPOINT, LOG, Files, forged_log, is_entry, records_of
from institutional.selftest.trial import Outcome, Trial

ANCHORS = "a kept head, witnesses, an anchored index or a time stamp"
_UNNOTICED = {Word.VERIFIED, Word.UNANCHORED}


class Row(NamedTuple):
    """One attack: how many variants were tried, and how many were caught without and with a head.

    `needs` says what is needed from outside for those that nothing local catches.
    """

    attack: str
    says: str
    tried: int
    alone: int
    anchored: int
    words: tuple[str, ...]
    checks: tuple[str, ...]
    needs: str

    @property
    def caught(self) -> bool:
        """Whether every variant is caught once an anchor is there."""
        return self.anchored == self.tried


def selftest(
    run: Path, trust: str, *, scratch: Path, spread: int = 12, key: SigningKey | None = None
) -> list[Row]:
    """Attack a copy of `run` below `scratch`, `spread` variants of each kind, and judge them.

    `trust` is the auditor's key or policy; `key` the first key of the run, for what only its holder
    can do. Raises LedgerError for a run that is not sound to begin with.
    """
    trial = Trial(run, scratch / "run", trust=trust)
    try:
        if trial.untouched.word not in _UNNOTICED:
            first = trial.untouched.findings[0]
            raise LedgerError(
                f"{run}: {trial.untouched.word} before any attack: {first.id}: {first.reason}\n"
                "  only a run that is closed and sound can show what an attack changes"
            )
        rows = [_row(attack, _judged(attack, trial, spread)) for attack in ATTACKS]
        return [*rows, _second_history(trial, key, spread)]
    finally:
        trial.close()


def rewritten(files: Files, key: SigningKey, spread: int) -> Iterator[Mutant]:
    """One number recorded otherwise and everything signed again by the run's own key."""
    records = records_of(files[LOG])
    places = [n for n, record in enumerate(records) if is_entry(record)][1:-1]
    for place in places[:: max(1, len(places) // spread)]:
        entry = json.loads(records[place])
        if entry["kind"] == wal.ROTATE:
            continue
        entry["body"] = {**entry["body"], "round": -1}
        changed = [*records[:place], canonical.encode(entry) + b"\n", *records[place + 1 :]]
        log = forged_log(b"".join(changed), key)
        yield Mutant(f"entry {entry['seq']}", {LOG: log, CHECKPOINT: records_of(log)[-1]})


def _judged(attack: Attack, trial: Trial, spread: int) -> list[Outcome]:
    return [trial.judge(mutant) for mutant in attack.mutants(trial.files, spread)]


def _second_history(trial: Trial, key: SigningKey | None, spread: int) -> Row:
    attack = "second-history"
    says = "signs another history with the run's own key"
    if key is None:
        return Row(attack, says, 0, 0, 0, (), (), f"{ANCHORS} (not tried: it takes the run's key)")
    found = [trial.judge(mutant) for mutant in rewritten(trial.files, key, spread)]
    return _row(Attack(attack, says, lambda *_: iter(())), found)


def _row(attack: Attack, found: list[Outcome]) -> Row:
    alone = sum(outcome.alone not in _UNNOTICED for outcome in found)
    anchored = sum(outcome.anchored not in _UNNOTICED for outcome in found)
    words = Counter(str(outcome.alone) for outcome in found)
    checks = Counter(check for outcome in found for check in outcome.caught_by)
    return Row(
        attack.name,
        attack.says,
        len(found),
        alone,
        anchored,
        tuple(f"{count} {word}" for word, count in words.most_common()),
        tuple(check for check, _ in checks.most_common()),
        "" if alone == len(found) else ANCHORS,
    )
