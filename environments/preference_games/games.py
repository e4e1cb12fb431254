"""Preference games: two policies propose, a judge compares, and the better one wins.

A preference P [..., K, K] says how often the judge takes response i over response j; P + P' = 1.
It need not follow from any reward: P may be cyclic. The regularised game of Munos et al. is

    J(pi, pi') = P(pi > pi') - 1/2 - tau KL(pi || reference) + tau KL(pi' || reference)

antisymmetric, so that both sides of its only equilibrium play the same policy and J is zero there.
`tau` = 0 is the game without a reference, whose equilibrium is the maximal lottery.

Shapes: any games or prompts before K responses. Units: payoffs are probabilities of winning.
Sources: Munos et al. 2023, arXiv:2312.00886; Calandriello et al. 2024, arXiv:2403.08635.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from environments import checks
from environments.contract import Array, UnplayableError
from environments.preference_games.policies import (
    checked_policy,
    divergence,
    log_policy,
    softmax,
)

LARGEST_LOTTERY = 12
"""Responses up to which all supports of a maximal lottery are tried."""
ROUNDING = 1e-12
NEWTON_STEPS = 1000


def win_rate(policy: Array, opponent: Array, preference: Array) -> Array:
    """How often a draw from `policy` is preferred to one from `opponent`, [...]."""
    return np.asarray((policy * advantage(opponent, preference)).sum(axis=-1) + 0.5)


def advantage(opponent: Array, preference: Array) -> Array:
    """How often each response beats a draw from `opponent`, less 1/2: [..., K]."""
    return np.asarray(((preference - 0.5) * opponent[..., np.newaxis, :]).sum(axis=-1))


def payoff(
    policy: Array, opponent: Array, preference: Array, reference: Array, *, tau: float
) -> Array:
    """J(policy, opponent), [...]: the win rate less 1/2 and the divergences' difference."""
    won = win_rate(policy, opponent, preference) - 0.5
    if tau == 0:
        return won
    spent = divergence(policy, reference) - divergence(opponent, reference)
    return np.asarray(won - tau * spent)


def best_reply(opponent: Array, preference: Array, reference: Array, *, tau: float) -> Array:
    """The policy of greatest J against `opponent`, [..., K]; for `tau` = 0 over all that tie."""
    worth = advantage(opponent, preference)
    if tau > 0:
        return softmax(log_policy(reference) + worth / tau)
    best = (worth >= worth.max(axis=-1, keepdims=True)).astype(np.float64)
    return np.asarray(best / best.sum(axis=-1, keepdims=True))


def duality_gap(policy: Array, preference: Array, reference: Array, *, tau: float) -> Array:
    """How much a best reply wins against `policy`: max J(., policy) - J(policy, policy), [...].

    Zero at the equilibrium alone. For `tau` > 0 computed as tau KL(policy || best reply), which is
    the same number and cannot be negative.
    """
    if tau == 0:
        worth = advantage(policy, preference)
        return np.asarray(worth.max(axis=-1) - (policy * worth).sum(axis=-1))
    return tau * divergence(policy, best_reply(policy, preference, reference, tau=tau))


def pair_gap(
    policy: Array, opponent: Array, preference: Array, reference: Array, *, tau: float
) -> Array:
    """The gap of two policies that differ: max J(., opponent) - min J(policy, .), [...]."""
    return duality_gap(policy, preference, reference, tau=tau) + duality_gap(
        opponent, preference, reference, tau=tau
    )


class Solution(NamedTuple):
    """An equilibrium and the proof that it is one."""

    policy: Array  # [..., K]
    gap: Array  # [...], its duality gap
    steps: int


def regularised_nash(
    preference: Array,
    reference: Array,
    *,
    tau: float,
    tolerance: float = 1e-12,
    most_steps: int = 200_000,
) -> Solution:
    """The regularised Nash policy of every game: each probability within `tolerance` of the reply.

    An equilibrium is its own best reply; the gap that is returned proves how nearly it is one.

    Mirror descent with an extra step: reply to where the opponent is about to be, staying near
    where one is and, by `tau`, near the reference. Every step shrinks the distance to the
    equilibrium by 1 / (1 + tau), so small `tau` takes long; raises `UnplayableError` if
    `most_steps` do not suffice.
    """
    anchor = log_policy(reference)
    shape = np.broadcast_shapes(anchor.shape, preference.shape[:-1])
    scores = np.broadcast_to(anchor, shape)
    policy = softmax(scores)
    for steps in range(most_steps + 1):
        reply = best_reply(policy, preference, reference, tau=tau)
        off = float(np.abs(policy - reply).max())
        if off <= tolerance:
            return Solution(policy, tau * divergence(policy, reply), steps)
        ahead = softmax(_moved(scores, anchor, policy, preference, tau))
        scores = _moved(scores, anchor, ahead, preference, tau)
        policy = softmax(scores)
    raise UnplayableError(
        f"after {most_steps} steps the policy is {off:.1e} from its best reply, not "
        f"{tolerance:.1e}: tau is {tau:g}; take a larger one, or more steps"
    )


def _moved(scores: Array, anchor: Array, opponent: Array, preference: Array, tau: float) -> Array:
    moved = (scores + advantage(opponent, preference) + tau * anchor) / (1 + tau)
    return np.asarray(moved - moved.max(axis=-1, keepdims=True))


def maximal_lottery(preference: Array) -> Array:
    """The policy [K] that no response beats on average: the equilibrium for `tau` = 0.

    Exact for one game of at most a dozen responses: every support is tried, small ones first.
    Fishburn 1984, Review of Economic Studies 51(4).
    """
    count = len(preference)
    if count > LARGEST_LOTTERY:
        raise UnplayableError(
            f"{count} responses have too many supports to try: at most {LARGEST_LOTTERY}, "
            "or take regularised_nash with a small tau"
        )
    margin = preference - 0.5
    for size in range(1, count + 1):
        for support in itertools.combinations(range(count), size):
            inside = list(support)
            rows = np.vstack([margin[np.ix_(inside, inside)], np.ones(size)])
            goal = np.append(np.zeros(size), 1.0)
            shares = np.linalg.lstsq(rows, goal, rcond=None)[0]
            lottery = np.zeros(count)
            lottery[inside] = shares
            solved = np.abs(rows @ shares - goal).max() <= ROUNDING
            if solved and shares.min() >= -ROUNDING and (margin @ lottery).max() <= ROUNDING:
                lottery = np.maximum(lottery, 0.0)
                return np.asarray(lottery / lottery.sum())
    raise UnplayableError("no lottery holds to rounding: the preference is nearly degenerate")


def bradley_terry(reward: Array) -> Array:
    """The preference [..., K, K] of a judge with rewards [..., K]: s(R_i - R_j)."""
    gap = reward[..., :, np.newaxis] - reward[..., np.newaxis, :]
    return np.asarray(1 / (1 + np.exp(-np.clip(gap, -700.0, 700.0))))


def fitted_rewards(preference: Array, weights: Array | None = None) -> Array:
    """The rewards [K], of mean zero, of which unlimited labels by `preference` are most likely.

    What a Bradley-Terry reward model learns from pairs that are drawn with `weights` [K, K],
    uniform if None. Newton's method on a concave likelihood; finite where every response wins, be
    it over others, against every other (Ford 1957, American Mathematical Monthly 64(8)).
    """
    count = len(preference)
    drawn = np.ones((count, count)) if weights is None else weights + weights.T
    drawn = drawn * (1 - np.eye(count))
    beats = np.eye(count) + (drawn * preference > 0)
    if (np.linalg.matrix_power(beats, count) == 0).any():
        raise UnplayableError(
            "no finite rewards fit: some responses never win against the others; "
            "bring all preferences inside 0 to 1 and draw every response"
        )
    rewards = np.zeros(count)
    for _ in range(NEWTON_STEPS):
        believed = bradley_terry(rewards)
        slope = (drawn * (preference - believed)).sum(axis=1)
        if np.abs(slope).max() <= ROUNDING * drawn.sum():
            return np.asarray(rewards - rewards.mean())
        curve = drawn * believed * (1 - believed)
        bend = np.diag(curve.sum(axis=1)) - curve
        step = np.linalg.lstsq(bend, slope, rcond=None)[0]
        rewards = rewards + step / max(1.0, float(np.abs(step).max()))
    raise UnplayableError(
        f"the rewards that fit were not found in {NEWTON_STEPS} steps: preferences or weights "
        "are nearly 0; bring them nearer to each other"
    )


@dataclass(frozen=True, eq=False)
class Game:
    """One preference game or many: who beats whom, the reference, and what a nat costs.

    preference [..., K, K]   reference [..., K]   tau >= 0, in units of win probability
    """

    preference: Array
    reference: Array
    tau: float

    def __post_init__(self) -> None:
        """Refuse what is no game."""
        preference = checked_preference(self.preference)
        reference = checked_policy(self.reference, "reference")
        if reference.shape[-1] != preference.shape[-1] or (reference <= 0).any():
            raise UnplayableError(
                f"reference has shape {reference.shape} for {preference.shape[-1]} responses: "
                "give every response a positive probability"
            )
        object.__setattr__(self, "preference", preference)
        object.__setattr__(self, "reference", reference)
        object.__setattr__(self, "tau", checks.number(self.tau, "tau", low=0))

    def payoff(self, policy: Array, opponent: Array) -> Array:
        """J(policy, opponent), [...]."""
        return payoff(policy, opponent, self.preference, self.reference, tau=self.tau)

    def best_reply(self, opponent: Array) -> Array:
        """The policy of greatest payoff against `opponent`, [..., K]."""
        return best_reply(opponent, self.preference, self.reference, tau=self.tau)

    def gap(self, policy: Array) -> Array:
        """The duality gap of `policy`, [...]."""
        return duality_gap(policy, self.preference, self.reference, tau=self.tau)

    def nash(self) -> Array:
        """The equilibrium, [..., K], to about 1e-12."""
        if self.tau > 0:
            return regularised_nash(self.preference, self.reference, tau=self.tau).policy
        count = self.preference.shape[-1]
        each = [maximal_lottery(game) for game in self.preference.reshape(-1, count, count)]
        return np.array(each).reshape(self.preference.shape[:-1])


def checked_preference(value: Array) -> Array:
    """Return `value` as a preference [..., K, K]; raises `UnplayableError` if it is none."""
    preference = np.asarray(value, dtype=np.float64)
    square = preference.ndim >= 2 and preference.shape[-1] == preference.shape[-2]
    if not square or preference.size == 0:
        raise UnplayableError(f"preference has shape {preference.shape}: give ... x K x K numbers")
    both = preference + np.swapaxes(preference, -1, -2)
    inside = (preference >= 0).all() and (preference <= 1).all()
    if not inside or np.abs(both - 1).max() > ROUNDING:
        raise UnplayableError(
            "preference is no table of win rates: entries lie in 0 to 1, and i over j and "
            "j over i add up to 1 (1/2 on the diagonal)"
        )
    return preference
