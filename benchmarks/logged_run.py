"""A governed, logged run of 50 rounds, beyond what its fsyncs take.

Wall time less the time spent in fdatasync and fsync, which the ledger counts.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.timing import Target
from environments import presets
from institutional import episode
from institutional.governance.loading import load_graph
from institutional.ledger import keys
from institutional.ledger.log import Ledger

GRAPH = Path(__file__).parents[1] / "governance_graphs/cournot.yaml"


def measure() -> list[Target]:
    """Milliseconds of a run as experiments make it, and of one with a durable commit every round.

    The second is slower also between its fsyncs: each one lets the caches go cold.
    """
    return [*_measured(commit_every=50, target=50.0), *_measured(commit_every=1, target=None)]


def _measured(*, commit_every: int, target: float | None) -> list[Target]:
    core = presets.make("lin2024")
    table = episode.Table(core, load_graph(GRAPH))
    seats = [episode.Seat("divider_forgiving")] * 2
    beyond, syncs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        operator = keys.operator_key(Path(scratch) / "keys")
        for index in range(12):
            origin = f"institutional/run/benchmark/{index}"
            folder = Path(scratch) / str(index)
            start = time.perf_counter()
            with Ledger.create(
                folder, origin=origin, run=str(index), key=keys.run_key(operator, origin)
            ) as ledger:
                ledger.append("open", {"manifest": "0" * 64, "graph": None})
                ledger.commit()

                def after_round(round_: int, ledger: Ledger = ledger) -> None:
                    if (round_ + 1) % commit_every == 0:
                        ledger.commit()

                table.play(
                    table.seat(seats), seed=index, journal=ledger.append, after_round=after_round
                )
                ledger.close({"status": "complete"})
            beyond.append(time.perf_counter() - start - ledger.sync_seconds)
            syncs.append(ledger.sync_seconds)
    shown = median(beyond[2:]) * 1e3
    often = "every round" if commit_every == 1 else f"every {commit_every} rounds"
    return [
        Target(
            f"governed, logged 50 rounds, commit {often}: fsyncs, ms", f"{median(syncs) * 1e3:.0f}"
        ),
        Target(
            "  beyond its fsyncs, ms",
            f"{shown:.1f}",
            "-" if target is None else f"< {target:.0f}",
            None if target is None else shown < target,
        ),
    ]
