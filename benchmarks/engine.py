"""The governed array engine: Cournot step, signals and controller over thousands of markets."""

from pathlib import Path

import numpy as np

from benchmarks.timing import Target, medians
from environments import presets
from environments.market import Markets
from institutional.governance.institution import Institution
from institutional.governance.loading import load_graph
from institutional.governance.program import compile_graph

MARKETS, ROUNDS = 4096, 50
GRAPH = Path(__file__).parents[1] / "governance_graphs/cournot.yaml"


def measure() -> list[Target]:
    """Market-rounds per second per core, bare and governed, at 4,096 markets.

    Quantities wander between Nash and division, so that warnings, fines, suspensions and returns
    all occur: an institution with nothing to do would flatter the figure.
    """
    core = presets.make("lin2024", rounds=ROUNDS)
    points = core.benchmarks()
    program = compile_graph(
        load_graph(GRAPH),
        agents=core.agents,
        signals=core.signals,
        references={name: point.record for name, point in points.items()},
    )
    rng = np.random.default_rng(0)
    share = rng.uniform(0, 1, size=(MARKETS, 1, 1))
    nash, division = points["nash"].actions, points["market_division"].actions
    paths = [np.clip(share + rng.normal(0, 0.2, size=(MARKETS, 1, 1)), 0, 1) for _ in range(ROUNDS)]
    actions = [nash + path * (division - nash) for path in paths]
    seen: dict[str, int] = {}

    def bare() -> None:
        markets = Markets(core, range(MARKETS))
        for joint in actions:
            markets.step(joint)

    def governed() -> None:
        markets = Markets(core, range(MARKETS))
        institution = Institution(program, MARKETS)
        for joint in actions:
            allowed = core.restrict(joint, institution.suspended(), institution.cap())
            ruling = institution.judge(markets.step(allowed))
            seen["fines"] = seen.get("fines", 0) + int((ruling.decisions.fines > 0).sum())
            seen["out"] = seen.get("out", 0) + int(institution.suspended().sum())

    bare_s, governed_s = medians(bare, governed)
    rate = MARKETS * ROUNDS / governed_s
    return [
        Target("bare Cournot step, market-rounds/s", f"{MARKETS * ROUNDS / bare_s / 1e6:.2f} M"),
        Target(
            "governed Cournot step, market-rounds/s", f"{rate / 1e6:.2f} M", ">= 1 M", rate >= 1e6
        ),
        Target("  governed over bare", f"{governed_s / bare_s:.2f} x"),
        Target(
            "  fined, suspended firm-rounds in that run",
            f"{seen['fines'] // 8}, {seen['out'] // 8}",
        ),
    ]
