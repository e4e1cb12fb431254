"""What the PettingZoo view costs beyond the leanest two-agent environment one can write."""

from typing import Any

import numpy as np
from pettingzoo import ParallelEnv

from benchmarks.timing import Target, medians
from environments import presets
from environments.market import Market

STEPS = 2000


class Lean(ParallelEnv[str, Any, Any]):
    """The same firms and goods with nothing checked, nothing published, no spaces, no shocks.

    `settle` maps stacked actions [1, 2, 2] to prices, quantities and profits.
    """

    def __init__(self, settle: Any) -> None:
        self.possible_agents = ["firm_1", "firm_2"]
        self.agents = self.possible_agents
        self.settle = settle

    def reset(self, seed: int | None = None, options: Any = None) -> Any:  # noqa: ARG002
        """Nothing to reset."""
        return {}, {}

    def step(self, actions: dict[str, Any]) -> Any:
        """Settle, and build the five dictionaries."""
        record = self.settle(np.array([[actions["firm_1"], actions["firm_2"]]]))
        first, second = record["profits"][0].tolist()
        return (
            {"firm_1": record, "firm_2": record},
            {"firm_1": first, "firm_2": second},
            {"firm_1": False, "firm_2": False},
            {"firm_1": False, "firm_2": False},
            {"firm_1": {}, "firm_2": {}},
        )


COSTS = np.array([[40.0, 50.0], [50.0, 40.0]])


def by_hand(quantities: Any) -> dict[str, Any]:
    """The arithmetic of this one market, written out: price 100 - Q/2."""
    prices = np.maximum(100.0 - 0.5 * quantities.sum(axis=1), 0.0)
    profits = ((prices[:, np.newaxis] - COSTS) * quantities).sum(axis=2)
    return {"prices": prices, "quantities": quantities, "profits": profits}


def measure() -> list[Target]:
    """Microseconds per round of three environments.

    The target is on what the environment adds to the market's arithmetic, so the leanest one
    settles by the same array core; against arithmetic written for this one market by hand the
    ratio also holds the price of a core that serves any number of firms, goods and markets.
    """
    core = presets.make("lin2024", rounds=STEPS)
    quiet = core.shocks(0)[:1]
    market = Market(core)
    lean = Lean(lambda quantities: core.settle(quantities, quiet))
    hand = Lean(by_hand)
    actions = {"firm_1": np.array([46.0, 26.0]), "firm_2": np.array([26.0, 46.0])}

    def play(env: Any) -> Any:
        def rounds() -> None:
            env.reset(seed=0)
            for _ in range(STEPS):
                env.step(actions)

        return rounds

    ours_s, lean_s, hand_s = medians(play(market), play(lean), play(hand))
    ratio = ours_s / lean_s
    return [
        Target(
            "leanest PettingZoo environment, same core, us/round", f"{lean_s / STEPS * 1e6:.1f}"
        ),
        Target("our PettingZoo environment, us/round", f"{ours_s / STEPS * 1e6:.1f}"),
        Target("  ours over leanest", f"{ratio:.2f} x", "<= 2 x", ratio <= 2),
        Target("  ours over one with arithmetic by hand", f"{ours_s / hand_s:.2f} x"),
    ]
