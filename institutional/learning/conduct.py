"""What learners came to do under an institution: one row per session, and a name for its conduct.

The name follows from numbers alone, in this order, over the rounds after learning:

suspended  some firm is suspended in at least a twentieth of them
competes   Delta before fines is below a quarter
pays       somebody is fined: fines are a cost of business
turns      there is evidence against different firms in different rounds, and nobody is fined
ignores    there is evidence in every round, and nobody is fined
pulses     there is evidence in some rounds, or a case now and then, and nobody is fined
parks      never is there evidence, though what the same seed learns ungoverned would be
unseen     never is there evidence, nor would there be of what the same seed learns ungoverned

"Evidence" of a round is a breach if the round were repeated for as long as windows look back:
signals of change see none in it. Windows that really closed are `cases`.

Shapes: E sessions, P plays.
"""

from typing import Any

import numpy as np

from environments.contract import Array, Core, Mask
from institutional.governance import oracle
from institutional.learning.cells import Played
from institutional.learning.plan import Cell
from institutional.learning.sessions import WATCHED
from institutional.learning.tables import GovernedGame

SUSPENDED = 0.05
COLLUSIVE = 0.25
CONDUCT = ("suspended", "competes", "pays", "turns", "ignores", "pulses", "parks", "unseen")
MEASURES = ("delta", "tier", "price", "consumer_surplus", "welfare")


def rows(
    cell: Cell, core: Core, governed: GovernedGame, played: Played, free: Played
) -> list[dict[str, Any]]:
    """One row per session of `cell`; `free` are the ungoverned sessions of the same seeds."""
    measured = measures(core, governed, played)
    thousand = 1000 / played.periods
    sanctions = _sanctions(governed)
    evident = _evident(governed)
    anybody = np.asarray(evident.any(axis=1))
    seen = played.visits @ anybody / WATCHED
    seen_one = (played.visits @ evident / WATCHED).max(axis=1)
    # What can be played unrestricted comes first in every table of the same market.
    seen_free = free.visits @ anybody[: free.visits.shape[1]] / WATCHED
    result = []
    for index in range(len(played.seeds)):
        row = {
            "market": cell.market,
            "institution": cell.institution,
            "arm": cell.arm,
            "seed": int(played.seeds[index]),
            "periods": int(played.periods[index]),
            "converged": bool(played.converged[index]),
            **{name: float(values[index]) for name, values in measured.items()},
            "fines": float(played.fines[index].mean()),
            "sanctions": float(played.moves[index][:, sanctions].sum() * 1000),
            "sanctions_learning": float(
                played.moves_learning[index][:, sanctions].sum() * thousand[index]
            ),
            "suspended": float(played.suspended[index].max()),
            "cases": float(played.cases[index].max()),
            "evident": float(seen[index]),
            "evident_one": float(seen_one[index]),
            "evident_ungoverned": float(seen_free[index]),
        }
        row["conduct"] = conduct(row) if cell.arm == "institution" else ""
        result.append(row)
    return result


def conduct(row: dict[str, Any]) -> str:
    """The name of what a session came to; see the module's rule."""
    if row["suspended"] >= SUSPENDED:
        return "suspended"
    if row["delta"] < COLLUSIVE:
        return "competes"
    if row["fines"] > 0:
        return "pays"
    if row["evident"] > row["evident_one"]:
        return "turns"
    if row["evident"] == 1:
        return "ignores"
    if row["evident"] > 0 or row["cases"] > 0:
        return "pulses"
    return "parks" if row["evident_ungoverned"] > 0 else "unseen"


def measures(core: Core, governed: GovernedGame, played: Played) -> dict[str, Array]:
    """The market's own measures, and `delta_net` after fines, [E] each; NaN where it has none."""
    # The order of rounds is not kept and does not matter: every measure here is a mean over them.
    plays = np.arange(played.visits.shape[1])
    rounds = np.stack([np.repeat(plays, visits) for visits in played.visits])
    history = {name: values[rounds] for name, values in governed.records.items()}
    found = core.measures(history, np.ones(rounds.shape, dtype=np.bool_))
    benchmarks = core.benchmarks()
    nash, monopoly = (
        core.profits(benchmarks[name].record).mean() for name in ("nash", "joint_monopoly")
    )
    net = (played.profit - played.fines).mean(axis=1)
    absent = np.full(len(rounds), np.nan)
    return {name: found.get(name, absent) for name in MEASURES} | {
        "delta_net": (net - nash) / (monopoly - nash)
    }


def _evident(governed: GovernedGame) -> Mask:
    """Whether a play, repeated, is a breach by each agent, [P, N]."""
    program, records = governed.program, governed.records
    past = [
        oracle.compared(probe, program.readings[probe.reading].function(records, records))
        for probe in program.probes
    ]
    found = np.zeros(governed.law.payoffs.shape, dtype=np.bool_)
    for breach in oracle.concluded(program, past)[1]:
        found |= breach
    return found


def _sanctions(governed: GovernedGame) -> list[int]:
    """The moves that warn, fine or restrict."""
    program, edges = governed.program, governed.program.loaded.graph.edges
    return [
        index
        for index, (move, edge) in enumerate(zip(program.moves, edges, strict=True))
        if move.fine is not None
        or edge.sanction.notice is not None
        or program.suspended[move.target]
        or program.cap[move.target] < 1
    ]
