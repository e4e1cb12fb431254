"""What vectorised training of network policies costs: `python -m benchmarks.policies`.

Prints one JSON document per line. With `--device cuda` every measurement is made on the CPU and on
the GPU, and the ratio is printed. Torch and numpy suffice for the markets in tensors.

Two kinds of market: the real one, governed, stepped in numpy on the host; and a bare one written in
tensors, which shows what the loop alone can do where nothing has to leave the device.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

from agents.policies.batch import Batch, FromArrays, Step
from agents.policies.network import STEPS_STREAM, fresh, generator
from agents.policies.reach import Reach
from agents.policies.train import Improver, rollout

GRAPH = Path(__file__).parents[1] / "governance_graphs/cournot.yaml"
ROUNDS, REPEATS = 25, 3
ENOUGH_S = 6.0
"""No repetition starts after this."""
CASES = (  # market, markets, hidden units
    ("governed", 64, 64),
    ("governed", 1024, 64),
    ("tensors", 1024, 64),
    ("tensors", 1024, 256),
    ("tensors", 4096, 256),
)


class TensorCournot:
    """Price 100 - Q/2 for each of two goods, unit costs 40 and 50, on one device."""

    widths = (4, 2)

    def __init__(self, markets: int, device: str) -> None:
        self._markets = markets
        self._costs = torch.tensor([[40.0, 50.0], [50.0, 40.0]], device=device)
        self._nash = torch.tensor([[140 / 3, 80 / 3], [80 / 3, 140 / 3]], device=device)
        self._round = 0

    def reset(self) -> torch.Tensor:
        """Nothing was played yet."""
        self._round = 0
        return torch.zeros(2 * self._markets, 4, device=self._costs.device)

    def step(self, steps: torch.Tensor) -> Step:
        """Settle, and show everybody's quantities."""
        self._round += 1
        quantities = (self._nash + 25 * steps.view(-1, 2, 2)).clamp(0, 100)
        prices = (100 - quantities.sum(dim=1) / 2).clamp(min=0)
        profits = ((prices.unsqueeze(1) - self._costs) * quantities).sum(dim=2)
        seen = (quantities / 100).view(-1, 1, 4).expand(-1, 2, 4).reshape(-1, 4)
        return Step(seen, (profits.flatten() - 1444.4) / 355.6, over=self._round == ROUNDS)


def governed(markets: int, device: str) -> Batch:
    """Lin's market under the paper's graph, attacked by the whole cartel."""
    # A GPU machine may have torch and numpy alone: then this kind of market is left out.
    from environments import presets  # noqa: PLC0415
    from institutional.episode import Table  # noqa: PLC0415
    from institutional.governance.loading import load_graph  # noqa: PLC0415
    from institutional.redteam.market import (  # noqa: PLC0415
        AdversaryView,
        GovernedMarkets,
        Scale,
    )

    table = Table(presets.make("lin2024", rounds=ROUNDS), load_graph(GRAPH))
    assert table.program is not None
    briefing = table.briefing(0)
    view = AdversaryView(
        GovernedMarkets(table, table.program, markets=markets, seed=0),
        briefing=briefing,
        seats=[0, 1],
        others=briefing.benchmarks["nash"],
        hand=Reach.of(briefing, [0, 1]),
        memory=8,
        scale=Scale(1444.4, 355.6),
    )
    return FromArrays(view, device=device)


MARKETS = {"governed": governed, "tensors": TensorCournot}


def measure(kind: str, markets: int, hidden: int, device: str) -> dict[str, float]:
    """Seconds of one run played and of one improvement on it, medians after a warm-up."""
    batch = MARKETS[kind](markets, device)
    features, actions = batch.widths
    learner = Improver(
        fresh(features=features, actions=actions, hidden=hidden, seed=0),
        method="ppo",
        seed=0,
        discount=0.95,
        learning_rate=1e-3,
        device=device,
    )
    draws = generator(0, STEPS_STREAM, device)
    played, improved = [], []
    begun = now(device)
    while len(played) < 2 or (len(played) <= REPEATS and now(device) - begun < ENOUGH_S):
        start = now(device)
        samples = rollout(batch, learner.weights, draws)
        middle = now(device)
        learner.improve(samples)
        played.append(middle - start)
        improved.append(now(device) - middle)
    return {"play_s": statistics.median(played[1:]), "improve_s": statistics.median(improved[1:])}


def now(device: str) -> float:
    """Wall seconds, after everything asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Measure every size on every device asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = parser.parse_args().device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU that this torch can use")
    devices = ("cpu", "cuda") if device == "cuda" else ("cpu",)
    about = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
    }
    print(json.dumps(about), flush=True)
    for kind, markets, hidden in CASES:
        case = {"market": kind, "markets": markets, "hidden": hidden}
        try:
            MARKETS[kind](1, "cpu")
        except ModuleNotFoundError as error:
            print(json.dumps(case | {"left_out": str(error)}), flush=True)
            continue
        totals = {}
        for where in devices:
            found = measure(kind, markets, hidden, where)
            totals[where] = sum(found.values())
            rate = {"market_rounds_per_s": round(markets * ROUNDS / totals[where])}
            print(json.dumps(case | {"device": where} | found | rate), flush=True)
        if device == "cuda":
            print(json.dumps(case | {"gpu_over_cpu": totals["cpu"] / totals["cuda"]}), flush=True)


if __name__ == "__main__":
    main()
