"""What a proposal is worth: compared with the others' by a judge, or by a reward of its own.

Shapes: X prompts, K responses, N proposals. A policy is [X, K].
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from environments import checks
from environments.contract import Array
from environments.preference_games.bandits import Bandit, optimum
from environments.preference_games.games import Game, advantage, win_rate
from environments.preference_games.labels import Ids


class Judge(Protocol):
    """Whoever says what proposals are worth, and knows what would be best."""

    @property
    def reference(self) -> Array:
        """The frozen reference policy, [X, K]."""

    def rewards(self, prompt: int, proposals: Ids) -> Array:
        """What each of the N proposals to this prompt is worth, [N]."""

    def expected(self, policy: Array, *, agents: int) -> Array:
        """The mean reward, by prompt, of each of N agents who all draw from `policy`, [X]."""

    def best(self) -> Array:
        """The policy [X, K] that is best under the cost of leaving the reference."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Every proposal is compared with every other; alone, with a draw from the reference.

    The reward is the probability of being preferred, less 1/2, so the rewards of two add to zero.
    `game` holds one preference for each prompt, [X, K, K].
    """

    game: Game

    def __post_init__(self) -> None:
        """Refuse a game without an axis of prompts."""
        checks.array(self.game.preference, "preference", shape=(None, None, None))
        checks.array(self.game.reference, "reference", shape=self.game.preference.shape[:2])

    @property
    def reference(self) -> Array:
        """The frozen reference policy, [X, K]."""
        return self.game.reference

    def rewards(self, prompt: int, proposals: Ids) -> Array:
        """The mean probability of being preferred, less 1/2, [N]."""
        preference = self.game.preference[prompt]
        if len(proposals) == 1:
            return advantage(self.reference[prompt], preference)[proposals]
        margins = preference[np.ix_(proposals, proposals)] - 0.5  # nobody gains over itself
        return np.asarray(margins.sum(axis=1) / (len(proposals) - 1))

    def expected(self, policy: Array, *, agents: int) -> Array:
        """Zero where agents meet their like; alone, the margin over the reference, [X]."""
        if agents > 1:
            return np.zeros(len(policy))
        return win_rate(policy, self.reference, self.game.preference) - 0.5

    def best(self) -> Array:
        """The regularised Nash policy, [X, K]."""
        return self.game.nash()


@dataclass(frozen=True, eq=False)
class Rewarded:
    """Every proposal has the reward of its response, whatever the others propose: a bandit."""

    bandit: Bandit

    @property
    def reference(self) -> Array:
        """The frozen reference policy, [X, K]."""
        return self.bandit.reference

    def rewards(self, prompt: int, proposals: Ids) -> Array:
        """The reward of each proposal, [N]."""
        return np.asarray(self.bandit.reward[prompt, proposals])

    def expected(self, policy: Array, *, agents: int) -> Array:  # noqa: ARG002 - part of the contract
        """Mean reward by prompt, [X]."""
        return np.asarray((policy * self.bandit.reward).sum(axis=1))

    def best(self) -> Array:
        """The KL-regularised optimum, [X, K]."""
        return optimum(self.bandit.reward, self.bandit.reference, beta=self.bandit.beta)
