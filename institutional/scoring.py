"""What a run is scored by, from what its journal gave back and nothing else.

The one place where records and rulings become the numbers that are published of a run: the run
itself and whoever checks it afterwards call the same pure functions. Nothing is played here.

Shapes: T rounds, N agents.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from environments.contract import Array, Core, Mask, Record
from institutional.governance.journal import as_arrays
from institutional.governance.program import Program

Bodies = Sequence[Mapping[str, Any]]
"""Bodies of round or ruling entries, in order."""

ENFORCEMENT = (
    "cases",
    "warnings",
    "fines",
    "fine_total",
    "suspensions",
    "credits",
    "refused",
    "sanctioned_agents",
    "sanctioned_rounds",
)
"""What the institution did in a run; null where there is none."""

MEASURED_PER_ROUND = ("price", "delta", "consumer_surplus", "welfare", "profit")
"""Of these, the ones that the environment measures: where nothing is sold there is no price."""


def scores(
    core: Core, program: Program | None, rounds: Bodies, rulings: Bodies, *, valid: bool
) -> dict[str, float | int | None]:
    """Every measure and every count of a run by name; None for what is not a finite number.

    A run that is not valid has counts and no measures.
    """
    if not valid:
        return dict.fromkeys(measure_names(core)) | enforcement(program, rulings)
    found = measured(core, program, rounds, rulings)
    return {k: v if np.isfinite(v) else None for k, v in found.items()} | enforcement(
        program, rulings
    )


def measured(
    core: Core, program: Program | None, rounds: Bodies, rulings: Bodies
) -> dict[str, float]:
    """Run-level measures of a finished run; `*_net` are after fines."""
    history = stacked(core, rounds)
    found = core.measures(history, unsuspended(program, rulings, len(rounds)))
    benchmarks = core.benchmarks()
    nash, cartel = (
        float(core.profits(benchmarks[name].record).mean()) for name in ("nash", "joint_monopoly")
    )
    net = float(net_rewards(core, rounds, rulings).mean())
    result = {name: float(values[0]) for name, values in found.items()}
    return result | {"profit_net": net, "delta_net": (net - nash) / (cartel - nash)}


def measure_names(core: Core) -> list[str]:
    """What `measured` returns, by name."""
    record = {n: v[:, None] for n, v in core.benchmarks()["nash"].record.items()}
    names = core.measures(record, np.ones((1, 1), dtype=np.bool_))
    return [*names, "profit_net", "delta_net"]


def enforcement(program: Program | None, rulings: Bodies) -> dict[str, float | int | None]:
    """What the institution did in a run, counted; None everywhere where there was none."""
    if program is None:
        return dict.fromkeys(ENFORCEMENT)
    states = program.loaded.graph.states
    moves = [(r["round"], move) for r in rulings for move in r["moves"]]
    harsh = [
        (round_, move["agent"])
        for round_, move in moves
        if move.get("fine", 0) > 0 or states[move["to"]].restriction.suspended
    ]
    counted = (
        sum(len(r["cases"]) for r in rulings),
        sum(states[m["to"]].status == "under_review" and m["from"] != m["to"] for _, m in moves),
        sum("fine" in m for _, m in moves),
        sum(m.get("fine", 0.0) for _, m in moves),
        sum(states[m["to"]].restriction.suspended for _, m in moves),
        sum(m.get("credits", 0) < 0 for _, m in moves),
        sum(len(r["refused"]) for r in rulings),
        len({agent for _, agent in harsh}),
        len({round_ for round_, _ in harsh}),
    )
    return dict(zip(ENFORCEMENT, counted, strict=True))


def per_round(
    core: Core, program: Program | None, rounds: Bodies, rulings: Bodies
) -> dict[str, list[Any]]:
    """The table of rounds, column -> one value per round; at least one round is needed."""
    # Each round is scored as a run of its own: the axes of markets and rounds change places.
    history = {name: np.swapaxes(values, 0, 1) for name, values in stacked(core, rounds).items()}
    each = core.measures(history, np.ones((len(rounds), 1), dtype=np.bool_))
    told = rulings or [{"moves": [], "refused": [], "cases": []}] * len(rounds)
    active = unsuspended(program, rulings, len(rounds))[0]
    return {
        "round": list(range(len(rounds))),
        **{name: each[name].tolist() for name in MEASURED_PER_ROUND if name in each},
        "fines": [float(sum(m.get("fine", 0.0) for m in r["moves"])) for r in told],
        "suspended": [int(not free) for free in active],
        "cases": [len(r["cases"]) for r in told],
        "moves": [[m["edge"] for m in r["moves"]] for r in told],
        "refused": [len(r["refused"]) for r in told],
    }


def stacked(core: Core, rounds: Bodies) -> Record:
    """The records of one run as arrays [1, T, ...]."""
    each = [as_arrays(body["record"]) for body in rounds]
    return {name: np.stack([r[name] for r in each], axis=1) for name in core.fields}


def unsuspended(program: Program | None, rulings: Bodies, rounds: int) -> Mask:
    """Rounds in which nobody was suspended, [1, T]."""
    if program is None:
        return np.ones((1, rounds), dtype=np.bool_)
    states = dict(zip(program.states, program.suspended.tolist(), strict=True))
    idle = [any(states[s["state"]] for s in ruling["standings"]) for ruling in rulings]
    before_first = bool(program.suspended[program.initial])
    return ~np.array([[before_first, *idle[:-1]]][:rounds])


def net_rewards(core: Core, rounds: Bodies, rulings: Bodies) -> Array:
    """Each agent's reward less its fine, [T, N], in money."""
    seats = {agent: seat for seat, agent in enumerate(core.agents)}
    fines = np.zeros((len(rounds), len(seats)))
    for ruling in rulings:
        for move in ruling["moves"]:
            fines[ruling["round"], seats[move["agent"]]] = move.get("fine", 0.0)
    return core.profits({n: v[0] for n, v in stacked(core, rounds).items()}) - fines
