"""What a calculation says of the same attack: the dynamic programme of `graph deter`.

It knows every plan at full scale and parked at its quiet share, and plays them as well as can be:
nobody who keeps to them gains more in a run of that length. Who plays other quantities can.
"""

from dataclasses import dataclass

from institutional.deterrence.account import DISCOUNT, evasion
from institutional.deterrence.plan import best_of_rounds
from institutional.deterrence.product import explore
from institutional.redteam.target import Target


@dataclass(frozen=True)
class Bound:
    """The most that the target's plans bring, in money per round and agent above honest play."""

    of_rounds: float  # in a run of the market's length
    for_ever: float  # in the cycle that a patient cartel settles in, as `graph deter` reports it
    standings: int
    bounded: bool  # the search was cut off: then these are no bounds


def bound(target: Target) -> Bound | str:
    """The programme's best, or why there is none for this target."""
    if not target.whole:
        return "the programme is for whole cartels"
    if target.random:
        return "the programme is for markets without shocks and audits without lots"
    product = explore(target.program, target.core, target.plans)
    found = evasion(product, list(target.plans), nash=target.honest, discount=DISCOUNT)
    return Bound(
        of_rounds=best_of_rounds(product, target.core.rounds) - target.honest,
        for_ever=found.gain,
        standings=len(product.reward),
        bounded=product.bounded,
    )
