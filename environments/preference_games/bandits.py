"""Contextual bandits whose rewards are known, so that every method can be measured against truth.

The regularised problem is to maximise E_pi[R(x, y)] - beta KL(pi || reference) for each prompt.
Its solution is reference exp(R / beta) / Z and it is worth beta log Z; whatever else is played
falls short of that by exactly beta KL(pi || optimum).

Shapes: X prompts, K responses, F features; functions take any axes before K.
Units: rewards and `beta` in the same unit, divergences in nats.
"""

from dataclasses import dataclass

import numpy as np

from environments import checks
from environments.contract import Array, UnplayableError
from environments.preference_games.policies import (
    checked_policy,
    divergence,
    log_partition,
    log_policy,
    softmax,
)


def optimum(reward: Array, reference: Array, *, beta: float) -> Array:
    """The best policy reference exp(reward / beta) / Z, [..., K].

    Rafailov et al. 2023, arXiv:2305.18290, equation 4.
    """
    return softmax(log_policy(reference) + reward / beta)


def optimal_value(reward: Array, reference: Array, *, beta: float) -> Array:
    """What the best policy is worth: beta log Z, [...], in units of reward."""
    return beta * log_partition(log_policy(reference) + reward / beta)


def value(policy: Array, reward: Array, reference: Array, *, beta: float) -> Array:
    """Expected reward less beta KL(policy || reference), [...]."""
    return np.asarray((policy * reward).sum(axis=-1) - beta * divergence(policy, reference))


@dataclass(frozen=True, eq=False)
class Bandit:
    """Prompts, responses, what each response is worth, and the frozen reference policy.

    reward      [X, K]
    reference   [X, K]     positive
    beta                   how much a nat of divergence costs, in units of reward
    prompts     [X]        how often each prompt is asked; equally often if None
    features    [X, K, F]  what a policy that generalises may look at; None for a table
    """

    reward: Array
    reference: Array
    beta: float
    prompts: Array | None = None
    features: Array | None = None

    def __post_init__(self) -> None:
        """Refuse what is no bandit and keep arrays of numbers."""
        reward = checks.array(self.reward, "reward", shape=(None, None))
        reference = checked_policy(self.reference, "reference")
        if reference.shape != reward.shape:
            raise UnplayableError(
                f"reference has shape {reference.shape} and reward {reward.shape}: "
                "both are prompts x responses"
            )
        if (reference <= 0).any():
            raise UnplayableError(
                "reference never gives some response: the optimum needs full support; "
                "give every response a small probability"
            )
        count = len(reward)
        prompts = np.full(count, 1 / count) if self.prompts is None else self.prompts
        prompts = checked_policy(prompts, "prompts")
        if prompts.shape != (count,):
            raise UnplayableError(f"prompts has shape {prompts.shape}: give one share for {count}")
        object.__setattr__(self, "reward", reward)
        object.__setattr__(self, "reference", reference)
        object.__setattr__(self, "beta", checks.number(self.beta, "beta", above=0))
        object.__setattr__(self, "prompts", prompts)
        if self.features is not None:
            shape: tuple[int | None, ...] = (*reward.shape, None)
            object.__setattr__(
                self, "features", checks.array(self.features, "features", shape=shape)
            )

    def optimum(self) -> Array:
        """The best policy, [X, K]."""
        return optimum(self.reward, self.reference, beta=self.beta)

    def optimal_value(self) -> float:
        """What the best policy is worth, on average over prompts."""
        return self._mean(optimal_value(self.reward, self.reference, beta=self.beta))

    def value(self, policy: Array) -> float:
        """Expected reward of `policy` less the cost of its divergence, over prompts."""
        return self._mean(value(policy, self.reward, self.reference, beta=self.beta))

    def shortfall(self, policy: Array) -> float:
        """How much less than the optimum `policy` is worth: beta KL(policy || optimum)."""
        return self.beta * self._mean(divergence(policy, self.optimum()))

    def expected_reward(self, policy: Array) -> float:
        """Mean reward of `policy` over prompts, without any cost."""
        return self._mean((policy * self.reward).sum(axis=-1))

    def drift(self, policy: Array) -> float:
        """KL(policy || reference) over prompts, in nats."""
        return self._mean(divergence(policy, self.reference))

    def _mean(self, values: Array) -> float:
        return float((np.asarray(self.prompts) * values).sum())


def linear_bandit(
    rng: np.random.Generator,
    *,
    prompts: int,
    responses: int,
    features: int,
    beta: float,
    norm: float = 1.0,
    tilt: float = 0.0,
) -> Bandit:
    """Rewards that are linear in standard normal features, with a coefficient of length `norm`.

    The reference is exp(-tilt reward), normalised: uniform at 0, and the larger `tilt` the more it
    prefers what is worth little.
    """
    seen = rng.standard_normal((prompts, responses, features))
    direction = rng.standard_normal(features)
    reward = seen @ (norm * direction / np.sqrt((direction**2).sum()))
    return Bandit(reward, softmax(-tilt * reward), beta, features=seen)
