"""Annotators: who prefers what, how reliably, and labels drawn from them.

A population says how likely each of its annotators is to take the left of two responses; `label`
draws from that, with a generator of the caller's. Populations wrap each other: noise is a
population made of another.

Shapes: B pairs, X prompts, K responses, W annotators (workers), G groups, D dimensions.
Units: rewards in nats of log-odds, as in Bradley and Terry 1952.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from environments import checks
from environments.contract import Array, UnplayableError
from environments.preference_games.games import checked_preference

Ids = NDArray[np.int64]


class Pairs(NamedTuple):
    """Questions: which of two responses to a prompt does an annotator prefer? [B] each."""

    prompt: Ids
    left: Ids
    right: Ids
    annotator: Ids


class Comparisons(NamedTuple):
    """Answers: the response that was preferred and the one that was not, [B] each."""

    prompt: Ids
    winner: Ids
    loser: Ids
    annotator: Ids


class Population(Protocol):
    """Annotators with known preferences."""

    @property
    def annotators(self) -> int | None:
        """How many there are, W; None where all are alike and any id will do."""

    def prefers_left(self, pairs: Pairs) -> Array:
        """The probability that the left response is preferred, [B]."""


def draw_pairs(
    rng: np.random.Generator,
    behaviour: Array,
    *,
    count: int,
    annotators: int = 1,
    prompts: Array | None = None,
) -> Pairs:
    """Draw `count` pairs of different responses to a prompt from `behaviour` [X, K].

    The right response is drawn like the left one, but never the same. Prompts are drawn by
    `prompts` [X], uniformly if None, and annotators uniformly.
    """
    if ((behaviour > 0).sum(axis=1) <= 1).any():
        raise UnplayableError(
            "behaviour gives a prompt one response only: a pair needs two; spread it out"
        )
    prompt = rng.choice(len(behaviour), size=count, p=prompts)
    shares = behaviour[prompt]
    left = _drawn(rng, shares)
    others = shares.copy()
    others[np.arange(count), left] = 0.0
    right = _drawn(rng, others)
    return Pairs(prompt, left, right, rng.integers(annotators, size=count))


def every_pair(*, prompts: int, responses: int, annotators: int = 1) -> Pairs:
    """Every unordered pair of responses to every prompt, put once to every annotator."""
    left, right = np.triu_indices(responses, k=1)
    each = len(left)
    return Pairs(
        np.repeat(np.arange(prompts), each * annotators),
        np.tile(np.repeat(left, annotators), prompts),
        np.tile(np.repeat(right, annotators), prompts),
        np.tile(np.arange(annotators), each * prompts),
    )


def label(rng: np.random.Generator, population: Population, pairs: Pairs) -> Comparisons:
    """Ask the annotators; raises `UnplayableError` for an annotator that does not exist."""
    known = population.annotators
    if known is not None and ((pairs.annotator < 0) | (pairs.annotator >= known)).any():
        beyond = pairs.annotator[(pairs.annotator < 0) | (pairs.annotator >= known)]
        raise UnplayableError(
            f"annotator {beyond[0]} does not exist: there are {known}, counted from 0"
        )
    takes_left = rng.random(len(pairs.left)) < population.prefers_left(pairs)
    return Comparisons(
        pairs.prompt,
        np.where(takes_left, pairs.left, pairs.right),
        np.where(takes_left, pairs.right, pairs.left),
        pairs.annotator,
    )


def preference_of(population: Population, *, prompts: int, responses: int) -> Array:
    """How often people on average take response i over j, [X, K, K]: the truth behind labels."""
    count = 1 if population.annotators is None else population.annotators
    prompt, left, right, who = (
        grid.ravel() for grid in np.indices((prompts, responses, responses, count), dtype=np.int64)
    )
    taken = population.prefers_left(Pairs(prompt, left, right, who))
    shares = taken.reshape(prompts, responses, responses, count).mean(axis=3)
    diagonal = np.arange(responses)
    shares[:, diagonal, diagonal] = 0.5
    return np.asarray(shares)


@dataclass(frozen=True, eq=False)
class BradleyTerry:
    """Everybody takes i over j with s((R_i - R_j) / temperature), for `reward` [X, K].

    At temperature 0 the better is always taken and ties are even.
    """

    reward: Array
    temperature: float = 1.0
    annotators: None = None

    def prefers_left(self, pairs: Pairs) -> Array:
        """The probability that the left response is preferred, [B]."""
        prompt, left, right, _ = pairs
        return _by_gap(self.reward[prompt, left] - self.reward[prompt, right], self.temperature)


@dataclass(frozen=True, eq=False)
class Stated:
    """Everybody takes i over j with `preference` [X, K, K], which may be cyclic."""

    preference: Array
    annotators: None = None

    def __post_init__(self) -> None:
        """Refuse what is no table of win rates."""
        object.__setattr__(self, "preference", checked_preference(self.preference))

    def prefers_left(self, pairs: Pairs) -> Array:
        """The probability that the left response is preferred, [B]."""
        return np.asarray(self.preference[pairs.prompt, pairs.left, pairs.right])


@dataclass(frozen=True, eq=False)
class Unreliable:
    """`people` whose answer is turned round unless they are reliable.

    reliability [W] is how often each annotator says what it prefers; one number [1] holds for all.
    """

    people: Population
    reliability: Array

    def __post_init__(self) -> None:
        """Refuse what is no probability, and a number of reliabilities that fits nobody."""
        reliability = checks.array(np.atleast_1d(self.reliability), "reliability", shape=(None,))
        if (reliability < 0).any() or (reliability > 1).any():
            raise UnplayableError(
                f"reliability is {reliability.tolist()}: give probabilities between 0 and 1"
            )
        if len(reliability) > 1 and self.people.annotators not in (None, len(reliability)):
            raise UnplayableError(
                f"there are {self.people.annotators} annotators and {len(reliability)} "
                "reliabilities: give one for each, or one for all"
            )
        object.__setattr__(self, "reliability", reliability)

    @property
    def annotators(self) -> int | None:
        """How many there are, W; None where all are alike."""
        return len(self.reliability) if len(self.reliability) > 1 else self.people.annotators

    def prefers_left(self, pairs: Pairs) -> Array:
        """The probability that the left response is preferred, [B]."""
        clean = self.people.prefers_left(pairs)
        who = pairs.annotator if len(self.reliability) > 1 else np.zeros_like(pairs.annotator)
        kept = self.reliability[who]
        return np.asarray(kept * clean + (1 - kept) * (1 - clean))


@dataclass(frozen=True, eq=False)
class Camps:
    """Bradley-Terry by group: annotator w judges by `rewards` [G, X, K] of its group `member` [W].

    Chakraborty et al. 2024, arXiv:2402.08925.
    """

    rewards: Array
    member: Ids

    @property
    def annotators(self) -> int:
        """How many there are, W."""
        return len(self.member)

    def prefers_left(self, pairs: Pairs) -> Array:
        """The probability that the left response is preferred, [B]."""
        prompt, left, right, who = pairs
        rewards = self.rewards[self.member[who]]
        rows = np.arange(len(prompt))
        return _by_gap(rewards[rows, prompt, left] - rewards[rows, prompt, right], 1.0)


@dataclass(frozen=True, eq=False)
class IdealPoints:
    """Everybody prefers what lies near an ideal of one's own.

    items [X, K, D]   ideals [W, D]   sharpness: nats of log-odds per unit of distance; infinite
    for annotators who always take the nearer one.

    Chen et al. 2024, arXiv:2406.08469: the left is preferred when its distance is smaller.
    """

    items: Array
    ideals: Array
    sharpness: float = 1.0

    @property
    def annotators(self) -> int:
        """How many there are, W."""
        return len(self.ideals)

    def prefers_left(self, pairs: Pairs) -> Array:
        """The probability that the left response is preferred, [B]."""
        prompt, left, right, who = pairs
        ideal = self.ideals[who]
        nearer = _distance(self.items[prompt, right], ideal) - _distance(
            self.items[prompt, left], ideal
        )
        return _by_gap(nearer, 1 / self.sharpness)


def ideals_of(weights: Array, prototypes: Array) -> Array:
    """Ideal points [W, D] that mix prototypes [P, D] by each annotator's weights [W, P]."""
    return np.asarray(weights @ prototypes)


def confounded(reward: Array, covariate: Array, *, weight: float) -> Array:
    """The reward [..., K] people seem to have if they also like a covariate, such as length.

    `weight` nats of log-odds per unit of `covariate` [..., K]. Whoever is judged by `reward` and
    trained on labels by this learns the covariate.
    """
    return np.asarray(reward + weight * covariate)


def weighted(rewards: Array, weights: Array) -> Array:
    """One reward [X, K] from several, [X, K, D], by what matters for each prompt, [X, D]."""
    return np.asarray((rewards * weights[:, np.newaxis, :]).sum(axis=2))


def draw_order(rng: np.random.Generator, reward: Array) -> Ids:
    """A ranking of the responses, best first, [..., K], by Plackett and Luce.

    Without replacement, each next one with probability proportional to exp(reward).
    """
    order: Ids = np.argsort(-(reward + rng.gumbel(size=reward.shape)), axis=-1)
    return order


def _by_gap(gap: Array, temperature: float) -> Array:
    """s(gap / temperature), exact at temperature 0, [B]."""
    if temperature == 0:
        return np.asarray((np.sign(gap) + 1) / 2)
    return np.asarray(1 / (1 + np.exp(-np.clip(gap / temperature, -700.0, 700.0))))


def _distance(items: Array, ideals: Array) -> Array:
    return np.asarray(np.sqrt(((items - ideals) ** 2).sum(axis=-1)))


def _drawn(rng: np.random.Generator, shares: Array) -> Ids:
    """One index for each row of weights [B, K], by the inverse of the cumulated weights."""
    edges = shares.cumsum(axis=1)
    drawn: Ids = (rng.random((len(shares), 1)) * edges[:, -1:] >= edges).sum(axis=1)
    return drawn
