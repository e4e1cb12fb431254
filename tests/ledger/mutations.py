"""Attacks a real run in every way there is and counts what the audit says.

    python tests/ledger/mutations.py        every byte flipped, every pair swapped; some minutes
    python tests/ledger/mutations.py 300    at most 300 of each kind

The run is audited with the operator's key and a remembered head, where only VERIFIED is acceptance,
and again with the key alone, where UNANCHORED is. Exits 1 if anything was accepted, or raised.
"""

import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from institutional.ledger.verdict import Word
from institutional.selftest.attacks import ATTACKS
from institutional.selftest.trial import Outcome, Trial

RUNS = Path(__file__).parents[2] / "runs"
EXAMPLE = RUNS / "example" / "institutional-divider_forgiving-0000"
TRUST = (RUNS / "keys" / "example.pub").read_text()
ALL = 10**9
SPREAD = {"insert": 1000, "truncate": 5000}  # of each file; all else is taken whole


def outcomes(name: str, *, spread: int, part: int = 0, parts: int = 1) -> Iterator[Outcome]:
    """Judge the mutants of the attack called `name`, or every `parts`-th of them from `part` on."""
    attack = next(attack for attack in ATTACKS if attack.name == name)
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(EXAMPLE, Path(scratch) / "run", trust=TRUST)
        for number, mutant in enumerate(attack.mutants(trial.files, spread)):
            if number % parts == part:
                yield trial.judge(mutant)


def accepted(outcome: Outcome) -> bool:
    """Whether the audit noticed nothing: with the anchor, or without."""
    return outcome.anchored == Word.VERIFIED or outcome.alone in {Word.VERIFIED, Word.UNANCHORED}


def table(found: dict[str, list[Outcome]]) -> Iterable[str]:
    """The lines of a report: per attack the verdicts, and which checks called for them."""
    for attack in ATTACKS:
        seen = found[attack.name]
        words = Counter(outcome.anchored for outcome in seen)
        alone = Counter(outcome.alone for outcome in seen)
        checks = Counter(check for outcome in seen for check in outcome.caught_by)
        yield f"{attack.name}: the attacker {attack.says}; {len(seen)} mutants"
        yield "  with a remembered head  " + _counted(words)
        yield "  without                 " + _counted(alone)
        yield "  caught by               " + _counted(checks)


def _counted(counter: Counter) -> str:
    return ", ".join(f"{count} {name!s}" for name, count in counter.most_common())


def _part(job: tuple[str, int, int, int]) -> tuple[str, list[Outcome]]:
    name, spread, part, parts = job
    return name, list(outcomes(name, spread=spread, part=part, parts=parts))


def main() -> None:
    """Run the campaign on every core, print the table and exit 1 if a mutant was accepted."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else ALL
    spread = {attack.name: min(most, SPREAD.get(attack.name, ALL)) for attack in ATTACKS}
    started = time.monotonic()
    jobs = [(name, count, part, 8) for name, count in spread.items() for part in range(8)]
    found: dict[str, list[Outcome]] = defaultdict(list)
    with ProcessPoolExecutor() as pool:
        for name, seen in pool.map(_part, jobs):
            found[name] += seen
    print(*table(found), sep="\n")
    passed = [(name, o) for name, seen in found.items() for o in seen if accepted(o)]
    total = sum(map(len, found.values()))
    print(f"{total} mutants in {time.monotonic() - started:.0f} s; {len(passed)} accepted")
    for name, outcome in passed[:20]:
        print(f"  {name}: {outcome.mutant}: {outcome.anchored}, without anchor {outcome.alone}")
    sys.exit(1 if passed else 0)


if __name__ == "__main__":
    main()
