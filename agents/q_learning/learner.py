"""A tabular Q-learner that plays repeated markets through the common interface.

The same learner as the compiled one of `agents.q_learning.sessions`, round by round: same seed,
same words (`chance`), same actions, same values to the last bit. This one plays under anything.

Shapes: N agents, A numbers in one action, K grid points, S states.
"""

import math

import numpy as np

from agents.checks import require_within
from agents.contract import Array, Briefing, Observation
from agents.q_learning import chance
from agents.q_learning.game import check_fits, from_briefing, nearest, starting_values
from agents.q_learning.schedule import Boltzmann, EpsilonGreedy, Learner

LEFT_TO_CHANCE = 0.01  # share of random choices when `exploration_rounds` are over


class QLearner:
    """Learns the value of each grid action, given the last `memory` joint actions.

    `levels` points per number between Nash and `plan`, `stretch` beyond both; rate `alpha`.
    Explores epsilon-greedily with epsilon = exp(-beta t); with beta 0 it is chosen so that one
    choice in a hundred is random after `exploration_rounds`, 1 000 against the paper's millions.
    With a positive `temperature` it explores by Boltzmann's rule, cooled by `cooling` each round.
    """

    def __init__(
        self,
        briefing: Briefing,
        *,
        levels: int = 5,
        memory: int = 1,
        alpha: float = 0.15,
        discount: float = 0.95,
        exploration_rounds: int = 1000,
        beta: float = 0.0,
        temperature: float = 0.0,
        cooling: float = 0.99999,
        plan: str = "joint_monopoly",
        stretch: float = 0.1,
    ) -> None:
        require_within("levels", levels, 2, 1000)
        require_within("exploration_rounds", exploration_rounds, 1, math.inf)
        require_within("beta", beta, 0, math.inf)
        require_within("temperature", temperature, 0, math.inf)
        require_within("stretch", stretch, 0, math.inf)
        self.learner = Learner(
            alpha=alpha,
            discount=discount,
            memory=memory,
            exploration=Boltzmann(temperature, cooling)
            if temperature
            else EpsilonGreedy(beta or -math.log(LEFT_TO_CHANCE) / exploration_rounds),
        )
        self.game = from_briefing(briefing, levels=levels, plan=plan, stretch=stretch)
        check_fits(self.game, memory)
        self._seat = briefing.seat
        self._field = briefing.action_field
        self._first = starting_values(self.game, self._seat, initial=None, discount=discount)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget everything learnt; all exploration to come derives from `seed`."""
        self._seed = seed
        self._round = 0
        self._level = self.learner.exploration.start
        self._before = 0  # the state before the last joint action was seen
        self.values = np.tile(self._first, (self.game.states(self.learner.memory), 1))  # [S, K]

    def act(self, observation: Observation) -> Array:
        """Return a grid action, [A]: see `schedule` for how it is drawn."""
        state = self._before = self.state(observation)
        word = chance.draw(self._seed, self._round)
        exploration = self.learner.exploration
        if isinstance(exploration, Boltzmann):
            index = _softly(self.values[state], word, self._level)
        elif word >> 32 < int(self._level):
            index = (word & 0xFFFFFFFF) * self.values.shape[1] >> 32
        else:
            index = int(self.values[state].argmax())
        self._round += 1
        self._level = max(self._level * exploration.decay, exploration.floor)
        action: Array = self.game.actions[self._seat][index].copy()
        return action

    def learn(
        self,
        observation: Observation,  # noqa: ARG002 - `act` has seen it
        action: Array,
        reward: float,
        following: Observation,
    ) -> None:
        """Move the value of `action` towards the reward plus the discounted best to come.

        An action off the grid (a trembling hand, a cap) teaches about the nearest grid point.
        """
        state, chosen = self._before, nearest(self.game.actions[self._seat], action)
        target = reward + self.learner.discount * self.values[self.state(following)].max()
        self.values[state, chosen] += self.learner.alpha * (target - self.values[state, chosen])

    def state(self, observation: Observation) -> int:
        """The state once the joint action of `observation` is remembered as the newest.

        Actions count as the nearest grid points; what is older than `memory` rounds is forgotten.
        """
        joint = 0
        for grid, action in zip(self.game.actions, observation[self._field], strict=True):
            joint = joint * len(grid) + nearest(grid, action)
        return self.game.following(self._before, joint, self.learner.memory)


def _softly(values: Array, word: int, temperature: float) -> int:
    """An action by Boltzmann's rule; see `schedule.Boltzmann`."""
    best = values.max()
    weights = [_weight(float(value - best), temperature) for value in values]
    whole = 0.0
    for weight in weights:
        whole += weight
    share = (word >> 11) * 2.0**-53 * whole
    running = 0.0
    for index, weight in enumerate(weights):
        running += weight
        if running > share:
            return index
    return len(weights) - 1


def _weight(below: float, temperature: float) -> float:
    return math.exp(below / temperature)
