"""Training a policy on many markets at once: play a run, estimate advantages, improve; repeat.

The two methods differ in a row of `METHODS`, not in the loop. A run that ends is cut off, not
final: the market would have gone on, so the value of what is seen last counts.

Shapes: T rounds of one run, B rows (every seat of every market), F features, A numbers in one
action.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from agents.checks import require_within, suggestion
from agents.contract import AgentError
from agents.policies import losses
from agents.policies.batch import Batch
from agents.policies.descent import descended, no_moments
from agents.policies.network import (
    BATCHES_STREAM,
    STEPS_STREAM,
    Weights,
    explored,
    fresh,
    generator,
    opinion,
)

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(log-probabilities now, then, advantages), [B] each -> [B]."""

VALUE_WEIGHT = 0.5


@dataclass(frozen=True, kw_only=True)
class Method:
    """What is minimised, and how often one run's samples may be used for it."""

    loss: Loss
    epochs: int
    minibatches: int
    decay: float  # of advantages: 1 trusts rewards alone


METHODS: Mapping[str, Method] = {
    "ppo": Method(
        loss=partial(losses.clipped_surrogate, clip=0.2), epochs=4, minibatches=4, decay=0.95
    ),
    "reinforce": Method(loss=losses.reinforce, epochs=1, minibatches=1, decay=1.0),
}


class Samples(NamedTuple):
    """One run as it was played, [T, B, ...]."""

    features: Tensor
    steps: Tensor
    log_probs: Tensor
    rewards: Tensor
    last_features: Tensor  # [B, F], after the last round


class Progress(NamedTuple):
    """How training stands after an update."""

    update: int
    reward: float  # mean over rounds and rows, in the batch's unit
    spread: float  # mean standard deviation of the steps


def train(
    batch: Batch,
    *,
    method: str = "ppo",
    updates: int,
    seed: int,
    hidden: int = 64,
    discount: float = 0.95,
    learning_rate: float = 1e-3,
    entropy: float = 0.0,
    device: str = "cpu",
    weights: Weights | None = None,
    report_progress: Callable[[Progress], None] = lambda _: None,
) -> Weights:
    """Weights after `updates` whole runs of `batch`, starting from `weights` or fresh ones.

    The learning rate falls linearly to zero. Equal seeds give equal weights on one CPU thread
    count and torch version. Raises AgentError for an unknown method, a setting out of range, a
    device that is not there, and for markets that give numbers that are not finite.
    """
    require_within("updates", updates, 1, 10**9)
    require_within("learning_rate", learning_rate, 0, 1)
    check_device(device)
    features, actions = batch.widths
    if weights is None:
        weights = fresh(features=features, actions=actions, hidden=hidden, seed=seed)
    learner = Improver(
        weights,
        method=method,
        seed=seed,
        discount=discount,
        learning_rate=learning_rate,
        entropy=entropy,
        device=device,
    )
    draws = generator(seed, STEPS_STREAM, device)
    for update in range(updates):
        learner.slow_down(1 - update / updates)
        samples = rollout(batch, learner.weights, draws)
        learner.improve(samples)
        report_progress(
            Progress(
                update + 1,
                float(samples.rewards.mean()),
                float(learner.weights["log_sds"].detach().exp().mean()),
            )
        )
    return {name: weight.detach().cpu() for name, weight in learner.weights.items()}


def check_device(device: str) -> None:
    """Raise AgentError unless torch can compute on `device`."""
    if device != "cpu" and not (device == "cuda" and torch.cuda.is_available()):
        raise AgentError(
            f'device "{device}" is not there\n  devices here: cpu'
            + (", cuda" if torch.cuda.is_available() else "; cuda needs a GPU and its torch build")
        )


def rollout(batch: Batch, weights: Weights, draws: torch.Generator) -> Samples:
    """Play one run with random steps."""
    seen, done, said, brought = [batch.reset()], [], [], []
    over = False
    with torch.no_grad():
        while not over:
            steps, log_probs = explored(opinion(weights, seen[-1]), draws)
            following, rewards, over = batch.step(steps)
            seen.append(following)
            done.append(steps)
            said.append(log_probs)
            brought.append(rewards)
    return Samples(
        torch.stack(seen[:-1]), torch.stack(done), torch.stack(said), torch.stack(brought), seen[-1]
    )


class Improver:
    """Weights, what the optimiser remembers, and one step of learning from samples."""

    def __init__(
        self,
        weights: Weights,
        *,
        method: str,
        seed: int,
        discount: float,
        learning_rate: float,
        entropy: float = 0.0,
        device: str = "cpu",
    ) -> None:
        if method not in METHODS:
            raise AgentError(
                f'no method "{method}"\n'
                f"  methods: {', '.join(METHODS)}.{suggestion(method, METHODS)}"
            )
        require_within("discount", discount, 0, 1)
        require_within("entropy", entropy, 0, 1)
        self.weights = {
            name: weight.detach().clone().to(device).requires_grad_()
            for name, weight in weights.items()
        }
        self._method, self._discount, self._entropy = METHODS[method], discount, entropy
        self._full_rate = self._rate = learning_rate
        self._moments = no_moments(self.weights)
        self._order = generator(seed, BATCHES_STREAM)

    def slow_down(self, share: float) -> None:
        """Learn at `share` of the rate given."""
        self._rate = share * self._full_rate

    def improve(self, samples: Samples) -> None:
        """Learn from one run; AgentError, and nothing learnt, if a number in it is not finite."""
        if not (samples.rewards.isfinite().all() and samples.features.isfinite().all()):
            raise AgentError(
                "the market gave a reward or an observation that is not a finite number\n"
                "  nothing was learnt from that run: look for the round in which it arises"
            )
        with torch.no_grad():
            values = opinion(self.weights, samples.features).values
            last = opinion(self.weights, samples.last_features).values
        estimates = losses.generalised_advantages(
            samples.rewards, values, last, discount=self._discount, decay=self._method.decay
        )
        flat = [
            part.flatten(0, 1)
            for part in (samples.features, samples.steps, samples.log_probs, *estimates)
        ]
        count = len(flat[0])
        for _ in range(self._method.epochs):
            order = torch.randperm(count, generator=self._order).to(flat[0].device)
            for chosen in order.chunk(self._method.minibatches):
                self._descend(*(part[chosen] for part in flat))

    def _descend(
        self, features: Tensor, steps: Tensor, then: Tensor, advantages: Tensor, returns: Tensor
    ) -> None:
        said = opinion(self.weights, features)
        log_probs = losses.normal_log_prob(steps, said.means, said.log_sds)
        # Only the advantages' differences matter; their scale is the market's and not ours.
        standard = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
        loss = (
            self._method.loss(log_probs, then, standard).mean()
            + VALUE_WEIGHT * losses.squared_error(said.values, returns).mean()
            - self._entropy * said.log_sds.sum()
        )
        self.weights, self._moments = descended(self.weights, self._moments, loss, rate=self._rate)
