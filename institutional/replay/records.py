"""The public record of each round derived again: what the market answers to what was played.

Everything but the actions themselves follows from them, the environment and the shocks of the
run's seed. This is not a matter of bits: normal deviates and exponentials may differ in the last
ones between machines and versions of the array library, so numbers are compared within
`tolerance.RELATIVE` of the largest in their field.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from environments import presets
from environments.contract import Array, Core
from institutional.errors import InstitutionalError
from institutional.replay.rulings import Difference, Entry
from institutional.replay.tolerance import RELATIVE
from institutional.seeds import environment_seed

MAX_SHOCKS = 1 << 22
"""Most random numbers that are drawn again."""


def shocks_of(core: Core, seed: int) -> Array:
    """The path of shocks of the run of `seed`, [T, K]; raises where it is too long to draw."""
    # How many there are in a round is known only from drawing one.
    width = presets.from_config({**core.config(), "rounds": 1}).shocks(0).shape[1]
    if core.rounds * width > MAX_SHOCKS:
        raise InstitutionalError(
            f"{core.rounds} rounds with {width} shocks each are more than are drawn again here"
        )
    return core.shocks(environment_seed(seed))


def unlike_record(core: Core, shocks: Array, rounds: Sequence[Entry]) -> Difference | None:
    """Return the first number that the market would not have published, None if there is none.

    `rounds` are the first of a run, their numbers shaped as a replay has found them; `shocks`
    [T, K] begin with the round of the first of them.
    """
    if not rounds:
        return None
    records = [entry.body["record"] for entry in rounds]
    actions = _stacked(records, core.action_field)
    with np.errstate(all="ignore"):
        derived = core.settle(actions, shocks[: len(rounds)])
        off = {
            name: _unlike(_stacked(records, name), np.asarray(derived[name]))
            for name in core.fields
            if name != core.action_field
        }
    amiss = np.array([bad.reshape(len(rounds), -1).any(axis=1) for bad in off.values()])
    if not amiss.any():
        return None
    first = int(np.flatnonzero(amiss.any(axis=0))[0])
    name = next(name for name, bad in off.items() if bad[first].any())
    index = tuple(int(i) for i in np.argwhere(off[name][first])[0])
    entry = rounds[first]
    return Difference(
        seq=entry.seq,
        round=entry.body["round"],
        path=f"record.{name}" + "".join(f"[{i}]" for i in index),
        recorded=_at(records[first][name], index),
        derived=float(derived[name][(first, *index)]),
        rule="records",
    )


def _stacked(records: Sequence[Mapping[str, Any]], name: str) -> Array:
    return np.array([record[name] for record in records], dtype=np.float64)


def _unlike(recorded: Array, derived: Array) -> Any:
    """Which numbers [T, ...] differ by more than the tolerance of their round."""
    scale = np.abs(derived).reshape(len(derived), -1).max(axis=1)
    allowed = RELATIVE * np.maximum(scale, 1.0).reshape(-1, *[1] * (derived.ndim - 1))
    # Written so that a NaN on either side differs.
    return ~(np.abs(recorded - derived) <= allowed)


def _at(value: Any, index: tuple[int, ...]) -> Any:
    for step in index:
        value = value[step]
    return value
