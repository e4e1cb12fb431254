"""A policy over levels in one seat of one market."""

from pathlib import Path

import numpy as np
import torch

from agents.checks import require_within
from agents.contract import AgentError, Array, Briefing, Observation
from agents.policies.level_saving import Habit, Origin, Shape, load
from agents.policies.levels import Grid, chosen
from agents.policies.looking import Look, as_shown
from agents.policies.network import STEPS_STREAM, generator

LEVELS, HIDDEN = 11, 32


def habit_for(briefing: Briefing, file: str) -> Habit:
    """The policy in `file`, or without one an untrained policy of this market."""
    agents, actions = briefing.low.shape
    if not file:
        shape = Shape(agents=agents, actions=actions, levels=LEVELS, hidden=HIDDEN, hold=1)
        origin = Origin(method="", seed=0, environment={}, graph="", seats="", others="")
        return Habit(shape, shape.untrained(0), briefing.low, briefing.high, origin)
    habit = load(Path(file))
    for count, here in (("agents", agents), ("actions", actions)):
        trained = getattr(habit.shape, count)
        if trained != here:
            raise AgentError(
                f"{file}: trained for {trained} {count}, and here are {here}\n"
                "  play it in a market of the kind it was trained in"
            )
    if not (np.array_equal(habit.low, briefing.low) and np.array_equal(habit.high, briefing.high)):
        raise AgentError(
            f"{file}: trained for actions between {habit.low.tolist()} and {habit.high.tolist()}, "
            f"and here they lie between {briefing.low.tolist()} and {briefing.high.tolist()}\n"
            "  play it in a market of the kind it was trained in"
        )
    return habit


class LevelPlayer:
    """Plays the likeliest levels, or draws them at a `temperature`; untrained, any alike.

    A choice is kept for as many rounds as in training.
    """

    def __init__(self, briefing: Briefing, *, file: str = "", temperature: float = 0.0) -> None:
        require_within("temperature", temperature, 0, 1000)
        self._briefing, self._temperature = briefing, temperature
        seat = [briefing.seat]
        self._habit = habit_for(briefing, file)
        self._look = Look(briefing, seat)
        self._grid = Grid(
            briefing.low[seat], briefing.high[seat], briefing.capacity, self._habit.shape.levels
        )
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the last run; what is left to chance derives from `seed`."""
        self._draws = generator(seed, STEPS_STREAM)
        self._kept = 0
        self._action: Array = self._grid.low[0]

    def act(self, observation: Observation) -> Array:
        """Return the action kept, or chosen anew, [A]."""
        if self._kept == 0:
            features = torch.from_numpy(self._look(as_shown(self._briefing, observation)))
            with torch.no_grad():
                said = self._habit.policy.seen(features)
            tokens = chosen(said, self._draws, temperature=self._temperature)
            self._action = self._grid.actions(tokens.numpy()[:, np.newaxis])[0, 0]
        self._kept = (self._kept + 1) % self._habit.shape.hold
        return self._action
