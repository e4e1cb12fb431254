"""Two answers a prompt, rewards linear in their features, and labels that may be wrong.

What a policy can learn here is one direction, shared by all pairs: how long it is says how sure the
policy is, where it points says who wins. Needs torch: studies import this when they run.

Shapes: S seeds, N pairs, F features, W annotators of one seed; B = S N, the first seed's first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from torch import Tensor, nn

from agents.alignment.bandit import ArmPolicy
from agents.alignment.batch import Batch, single
from agents.alignment.method import Method
from agents.alignment.metrics import calibration_error
from agents.alignment.optimizers import Adam
from agents.alignment.train import Step, train
from environments.contract import Array
from environments.preference_games.bandits import linear_bandit
from environments.preference_games.labels import BradleyTerry, Pairs, Unreliable, label
from institutional.studies import alignment as lab

FEATURES = 8
NORM = 3.0  # of the true direction, in nats of log-odds
RATE = 0.05


class EachArm(nn.Module):
    """What `scores` makes of each answer's own features: [B, A, F] to [B, A]."""

    def __init__(self, scores: nn.Module) -> None:
        """`scores` maps features [B, F] to [B, 1]."""
        super().__init__()
        self.scores = scores

    def forward(self, features: Tensor) -> Tensor:
        """Scores of all answers."""
        found: Tensor = self.scores(features.flatten(0, 1))
        return found.reshape(features.shape[:2])


@dataclass(frozen=True, eq=False)
class World:
    """Pairs to learn from, pairs to be tested on, and the truth, of every seed.

    train, test   [S, N, 2, F] features     reward, test_reward   [S, N, 2]
    direction     [S, F]
    """

    seeds: Sequence[int]
    train: Array
    reward: Array
    test: Array
    test_reward: Array
    direction: Array

    @classmethod
    def of(cls, seeds: Sequence[int], *, pairs: int, tests: int = 2000) -> "World":
        """Standard normal features, and a direction of length NORM for each seed."""
        features, reward, directions = [], [], []
        for rng in lab.streams(seeds, "linear_pairs", "world"):
            bandit = linear_bandit(
                rng, prompts=pairs + tests, responses=2, features=FEATURES, beta=1.0, norm=NORM
            )
            seen = np.asarray(bandit.features)
            features.append(seen)
            reward.append(bandit.reward)
            flat = seen.reshape(-1, FEATURES), bandit.reward.ravel()
            directions.append(np.linalg.lstsq(*flat, rcond=None)[0])
        seen, worth = np.stack(features), np.stack(reward)
        return cls(
            seeds,
            seen[:, :pairs],
            worth[:, :pairs],
            seen[:, pairs:],
            worth[:, pairs:],
            np.stack(directions),
        )

    def labelled(self, *names: str | int, reliability: Sequence[float]) -> Batch:
        """Training pairs as annotators of this reliability label them, winner first, [B].

        Each pair is labelled by one of W annotators in turn, with ids of every seed's own. People
        answer by Bradley and Terry; an annotator turns that round unless it is reliable. The
        reference holds both answers as likely.
        """
        count, each = self.reward.shape[1], len(reliability)
        who = np.arange(count) % each
        parts = []
        for at, rng in enumerate(lab.streams(self.seeds, "linear_pairs", "labels", *names)):
            people = Unreliable(BradleyTerry(self.reward[at]), np.array(reliability))
            everyone = np.arange(count)
            asked = Pairs(everyone, np.zeros_like(everyone), np.ones_like(everyone), who)
            parts.append(label(rng, people, asked).winner)
        winner = torch.from_numpy(np.concatenate(parts))
        seed = np.arange(len(self.seeds)).repeat(count)
        return single(
            torch.stack([winner, 1 - winner], dim=1),
            prompts=torch.from_numpy(self.train.reshape(-1, 2, FEATURES)),
            annotators=torch.from_numpy(np.tile(who, len(self.seeds)) + each * seed),
            reference=torch.full((len(winner), 2), -np.log(2.0), dtype=torch.float64),
        )

    def learnt(self, row: Method, data: Batch, *, steps: int) -> tuple[Array, Step]:
        """Directions [S, F] that `row` learns from `data` in full batches, and the last step."""
        scores = lab.SideBySide(self.seeds, (FEATURES, 1), scale=0.0)
        policy = ArmPolicy(EachArm(scores))
        last = train(
            row,
            policy,
            repeat(data, steps),
            Adam(policy.parameters(), rate=RATE),
        )
        return scores.weights[0].detach().numpy()[:, :, 0], last

    def margins(self, directions: Array) -> Array:
        """How much each policy prefers the first answer of each test pair, [S, N] nats."""
        gaps = self.test[:, :, 0] - self.test[:, :, 1]
        return np.asarray(np.einsum("snf,sf->sn", gaps, directions))

    def accuracy(self, directions: Array) -> Array:
        """Share of test pairs whose better answer is preferred, [S]."""
        better = self.test_reward[:, :, 0] > self.test_reward[:, :, 1]
        return np.asarray(((self.margins(directions) > 0) == better).mean(axis=1))

    def miscalibration(self, directions: Array) -> Array:
        """Calibration error of what the policies hold of people's honest answers, [S]."""
        gap = self.test_reward[:, :, 0] - self.test_reward[:, :, 1]
        thrown = lab.drawn(
            self.seeds, "linear_pairs", "tests", draw=lambda rng: rng.random((gap.shape[1],))
        )
        came = thrown < _sigmoid(gap)
        pairs = zip(_sigmoid(self.margins(directions)), came, strict=True)
        return np.array([float(calibration_error(lab.tensor(p), lab.tensor(c))) for p, c in pairs])

    def spent(self, directions: Array) -> Array:
        """KL from the policies to the even reference over test prompts, [S] nats."""
        margin = self.margins(directions)
        first, second = -np.logaddexp(0, -margin), -np.logaddexp(0, margin)
        nats = np.exp(first) * first + np.exp(second) * second + np.log(2)
        return np.asarray(nats.mean(axis=1))


def length(directions: Array) -> Array:
    """Norm of each direction, [S]."""
    return np.asarray(np.sqrt((directions**2).sum(axis=1)))


def _sigmoid(gap: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0.0, -gap)))
