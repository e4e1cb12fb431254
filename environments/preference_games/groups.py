"""Groups that want different things: what each gets, and the policy that is fairest to all.

The fairest policy maximises min_g E_pi[R_g] - beta KL(pi || reference). It is the optimum for a
mixture of the groups' rewards, and the mixture is the one that makes that optimum worth least.

Shapes: G groups, X prompts, K responses. Source: Chakraborty et al. 2024, arXiv:2402.08925.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from environments import checks
from environments.contract import Array, UnplayableError
from environments.preference_games.bandits import Bandit, optimum
from environments.preference_games.policies import checked_policy

ROUNDING = 1e-12


class Fairest(NamedTuple):
    """A policy, the mixture of groups it is best for, and the proof that none is fairer."""

    policy: Array  # [X, K]
    mixture: Array  # [G]
    gap: float  # how much fairer any policy could be, at most; units of reward


@dataclass(frozen=True, eq=False)
class Groups:
    """Groups of people with rewards of their own under one reference policy.

    rewards [G, X, K]   reference [X, K]   sizes [G] shares of the population, equal if None
    """

    rewards: Array
    reference: Array
    beta: float
    sizes: Array | None = None

    def __post_init__(self) -> None:
        """Refuse what is no population; what a `Bandit` refuses is refused here, too."""
        rewards = checks.array(self.rewards, "rewards", shape=(None, None, None))
        count = len(rewards)
        sizes = np.full(count, 1 / count) if self.sizes is None else self.sizes
        sizes = checked_policy(sizes, "sizes")
        if sizes.shape != (count,):
            raise UnplayableError(f"sizes has shape {sizes.shape}: give one share for {count}")
        whole = Bandit(rewards[0], self.reference, self.beta)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "reference", whole.reference)
        object.__setattr__(self, "sizes", sizes)

    def utilities(self, policy: Array) -> Array:
        """What each group gets of `policy` [X, K], on average over prompts, [G]."""
        return np.asarray((self.rewards * policy).sum(axis=2).mean(axis=1))

    def mixed(self, mixture: Array) -> Array:
        """The best policy [X, K] for one reward, the groups' weighted by `mixture` [G]."""
        reward = (mixture[:, np.newaxis, np.newaxis] * self.rewards).sum(axis=0)
        return optimum(reward, self.reference, beta=self.beta)

    def pooled(self) -> Array:
        """The best policy for the mean reward over people: what one reward model aims at."""
        return self.mixed(np.asarray(self.sizes))

    def fairest(self, *, tolerance: float = 1e-10, most_steps: int = 200_000) -> Fairest:
        """The policy whose worst-off group does best, to within `tolerance`.

        Multiplicative weights on the mixture: groups that get more count less. The gap is what the
        mixture gets above the worst-off group, which bounds what any other policy could add.
        """
        spread = float(np.ptp(self.rewards, axis=0).max())
        pace = self.beta / max(spread**2, ROUNDING)
        log_mixture = np.zeros(len(self.rewards))
        for _ in range(most_steps):
            mixture = np.exp(log_mixture - log_mixture.max())
            mixture /= mixture.sum()
            policy = self.mixed(mixture)
            gets = self.utilities(policy)
            gap = float((mixture * gets).sum() - gets.min())
            if gap <= tolerance:
                return Fairest(policy, mixture, gap)
            log_mixture = log_mixture - pace * gets
        raise UnplayableError(
            f"after {most_steps} steps the gap is {gap:.1e}, not {tolerance:.1e}: "
            "allow a larger tolerance or a larger beta"
        )
