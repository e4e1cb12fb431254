"""A bandit in which one comparison, of the thousand there are, says the opposite of the truth.

One arm is hardly ever compared. In `bad`, it is the worst and was once lucky against the best; in
`good`, it is the best and was once unlucky against the worst of the others. What a method makes of
that one comparison is what overoptimisation is about. Needs torch: studies import it as they run.

Shapes: S seeds, A arms, T moments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch

from agents.alignment.batch import Batch
from agents.alignment.method import Method
from agents.alignment.optimizers import Adam, Descent
from agents.alignment.references import frozen
from agents.alignment.train import steps
from environments.contract import Array
from environments.preference_games.labels import BradleyTerry, draw_pairs, label
from environments.preference_games.policies import divergence
from institutional.studies import alignment as lab

ARMS = 20
PAIRS = 1000
TERRIBLE = -2.5  # the worst arm's reward; the others' are standard normal
RATE = 0.05
MOMENTS = (0, 10, 20, 30, 40, 50, 70, 100, 140, 200, 300, 500, 1000, 1500)


class Curves(NamedTuple):
    """What a method's policy is worth as it learns, [T, S] each."""

    reward: Array  # E[r]
    rare: Array  # probability of the arm that was hardly compared
    nats: Array  # KL from the reference


@dataclass(frozen=True, eq=False)
class World:
    """Rewards [S, A], counts [S, A, A] of i having beaten j, and the arm hardly compared [S]."""

    reward: Array
    counts: Array
    rare: Array

    @classmethod
    def bad(cls, seeds: Sequence[int], *, lucky: bool = True) -> "World":
        """Arm 0 is terrible, never compared, but for once, with the best, if `lucky`."""
        reward = lab.drawn(
            seeds, "lucky_arm", "rewards", draw=lambda rng: rng.standard_normal((ARMS,))
        )
        reward[:, 0] = TERRIBLE
        counts = _counted(seeds, reward, np.zeros(len(seeds), dtype=np.int64))
        if lucky:
            counts[np.arange(len(seeds)), 0, reward.argmax(axis=1)] += 1
        return cls(reward, counts, np.zeros(len(seeds), dtype=np.int64))

    @classmethod
    def good(cls, seeds: Sequence[int]) -> "World":
        """The best arm is never compared, but for once, when it lost to the worst of the others."""
        reward = cls.bad(seeds).reward
        best, worst = reward.argmax(axis=1), reward[:, 1:].argmin(axis=1) + 1
        counts = _counted(seeds, reward, best)
        counts[np.arange(len(seeds)), worst, best] += 1
        return cls(reward, counts, best)

    def data(self) -> Batch:
        """Every ordered pair as often as it was seen, with a row of its own.

        In full batches equal pairs are always treated alike, so one row for them is exact.
        """
        count = len(self.reward)
        meetings = lab.every_meeting_of(ARMS, count)
        weights = lab.tensor(self.counts.reshape(-1))
        seen = replace(meetings, weights=weights).picked(weights > 0)
        rows = torch.arange(len(seen.responses))
        reference = torch.full((len(rows), 2, 1), -np.log(ARMS), dtype=torch.float64)
        return replace(seen, rows=rows, reference=reference)

    def curves(
        self, row: Method, *, moments: Sequence[int] = MOMENTS, plain_rate: float | None = None
    ) -> Curves:
        """What `row` makes of the data from a uniform reference, by Adam.

        A `plain_rate` asks for plain descent: Adam takes steps of one size however seldom an arm
        was compared, plain descent smaller ones the rarer it was.
        """
        count = len(self.reward)
        even = np.full((count, ARMS), 1 / ARMS)
        policy = lab.table(even)
        optimizer = (
            Adam(policy.parameters(), rate=RATE)
            if plain_rate is None
            else Descent(policy.parameters(), rate=plain_rate * count)
        )
        learning = steps(
            row,
            policy,
            repeat(self.data()),
            optimizer,
            reference=frozen(policy),
        )
        seen = lab.watched(learning, lambda: lab.rows(policy, count), after=moments)
        return Curves(
            np.stack([(now * self.reward).sum(axis=1) for now in seen]),
            np.stack([now[np.arange(count), self.rare] for now in seen]),
            np.stack([divergence(now, even) for now in seen]),
        )


def _counted(seeds: Sequence[int], reward: Array, avoided: Array) -> Array:
    """How often each arm beat each other in PAIRS comparisons without the arm `avoided`."""
    counts = np.zeros((len(seeds), ARMS, ARMS))
    for at, rng in enumerate(lab.streams(seeds, "lucky_arm", "labels")):
        behaviour = np.full((1, ARMS), 1 / (ARMS - 1))
        behaviour[0, avoided[at]] = 0.0
        pairs = draw_pairs(rng, behaviour, count=PAIRS)
        answers = label(rng, BradleyTerry(reward[at : at + 1]), pairs)
        np.add.at(counts[at], (answers.winner, answers.loser), 1)
    return counts
