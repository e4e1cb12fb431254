"""What an agent reads of its own legal standing."""

import numpy as np

from agents.contract import Briefing, Observation


def own_standing(observation: Observation) -> int:
    """The index of one's own legal state; an observation under an institution always has it."""
    return int(np.asarray(observation["standing"]).item())


def own_status(briefing: Briefing, observation: Observation) -> str:
    """One's own status word; `clear` for ever where there is no institution."""
    if briefing.graph is None:
        return "clear"
    return briefing.graph.status(own_standing(observation))
