"""The model checker on a graph with about a million standings."""

import time
from pathlib import Path

from benchmarks.timing import Target
from institutional.governance.explore.findings import check
from institutional.governance.loading import parse_graph

GRAPH = Path(__file__).parents[1] / "governance_graphs/cournot.yaml"
LONGER = {
    "suspension_streak: {value: 5": "suspension_streak: {value: 60",
    "credit_decay: {value: 10": "credit_decay: {value: 90",
    "record_cleared_after: {value: 10": "record_cleared_after: {value: 90",
    "fine_cooldown: {value: 2": "fine_cooldown: {value: 14",
    "warning_expiry: {value: 5": "warning_expiry: {value: 90",
}


def measure() -> list[Target]:
    """CPU seconds of the paper's graph with longer counters, explored to the limit and checked."""
    text = GRAPH.read_text()
    for old, new in LONGER.items():
        assert old in text
        text = text.replace(old, new)
    loaded = parse_graph(text.encode(), "longer.yaml")
    start = time.process_time()
    exploration = check(loaded)
    taken = time.process_time() - start
    standings = len(exploration.table.codes)
    scaled = taken * 1e6 / standings
    return [
        Target(f"model check of {standings:,} standings, CPU s", f"{taken:.1f}"),
        Target("  of a million, in proportion, CPU s", f"{scaled:.1f}", "<= 10", scaled <= 10),
    ]
