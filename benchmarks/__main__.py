"""Every speed target of this project in one run: `python -m benchmarks` (or `make bench`).

Figures are the process's own CPU time, median of several repetitions taken in turn, so that
ratios hold on a busy machine; where a disk is waited for, they are ratios of wall time. Exits 1
if a target is missed.
"""

import sys

from benchmarks import (
    alignment,
    engine,
    environment,
    exploration,
    learning,
    ledger,
    logged_run,
    start_up,
)

TARGETS = [
    *engine.measure(),
    *environment.measure(),
    *logged_run.measure(),
    *ledger.measure(),
    *exploration.measure(),
    *learning.measure(),
    *alignment.measure(),
    *start_up.measure(),
]

if __name__ == "__main__":
    print(f"{'what':<62} {'measured':>14} {'target':>14}")
    for target in TARGETS:
        print(f"{target.what:<62} {target.shown:>14} {target.wanted:>14}  {target.verdict}")
    sys.exit(0 if all(target.met for target in TARGETS) else 1)
