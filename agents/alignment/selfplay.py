"""Exact self-play in preference games over arms: tabular updates, and the gap they should close.

The game: two players choose distributions over A arms; the first wins with probability
pi P pi', and each pays tau times its KL to the reference. Updates see the whole matrix; their
sampled counterparts are losses (`pair_losses.inpo`, `mnpo`, `online_ipo`, `nash_md`).

Shapes: log-probabilities [..., A], preferences P [..., A, A] with P[i, j] = P(i beats j) and
P + P^T = 1; leading axes are games in step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from agents.alignment.metrics import kl, tilted
from agents.alignment.references import geometric


class Game(NamedTuple):
    """What is played."""

    preferences: Tensor  # [..., A, A]
    reference: Tensor  # [..., A] log-probabilities
    tau: float  # price of a nat from the reference


class Played(NamedTuple):
    """Where a player stands."""

    policy: Tensor  # [..., A] log-probabilities
    past: tuple[Tensor, ...] = ()  # earlier policies, the latest first


Update = Callable[[Game, Played, float], Tensor]
"""(game, player, step size eta) -> the next policy, [..., A] log-probabilities."""


def wins(preferences: Tensor, opponent: Tensor) -> Tensor:
    """P pi: how often each arm beats the opponent, [..., A]."""
    return (preferences @ opponent.exp().unsqueeze(-1)).squeeze(-1)


def mirror_step(
    base: Tensor, gains: Tensor, reference: Tensor, *, eta: float, tau: float
) -> Tensor:
    """base^(1 - eta tau) ref^(eta tau) exp(eta gains), normalised, [..., A] log-probabilities."""
    return ((1 - eta * tau) * base + eta * tau * reference + eta * gains).log_softmax(dim=-1)


def inpo(game: Game, player: Played, eta: float) -> Tensor:
    """Mirror descent against oneself.

    INPO 2024, arXiv:2407.00617, the exact update.
    """
    gains = wins(game.preferences, player.policy)
    return mirror_step(player.policy, gains, game.reference, eta=eta, tau=game.tau)


def nash_md(game: Game, player: Played, eta: float) -> Tensor:
    """Mirror descent from, and against, the geometric mixture with the reference.

    Munos et al. 2023, arXiv:2312.00886, Nash-MD with mixture share eta tau.
    """
    mixed = geometric(player.policy, game.reference, share=eta * game.tau)
    return (mixed + eta * wins(game.preferences, mixed)).log_softmax(dim=-1)


def onpo(game: Game, player: Played, eta: float) -> Tensor:
    """Optimistic: 2 u_t - u_{t-1} in place of u_t, which foresees that the opponent moves too.

    ONPO (arXiv id not in our sources), K-med: optimistic mirror descent.
    """
    before = player.past[0] if player.past else player.policy
    gains = 2 * wins(game.preferences, player.policy) - wins(game.preferences, before)
    return mirror_step(player.policy, gains, game.reference, eta=eta, tau=game.tau)


def egpo(game: Game, player: Played, eta: float) -> Tensor:
    """Extragradient: a half step, then the full step from where one was against the half step.

    EGPO (arXiv id not in our sources), K-med.
    """
    gains = wins(game.preferences, player.policy)
    half = mirror_step(player.policy, gains, game.reference, eta=eta, tau=game.tau)
    gains = wins(game.preferences, half)
    return mirror_step(player.policy, gains, game.reference, eta=eta, tau=game.tau)


def mnpo(game: Game, player: Played, eta: float) -> Tensor:
    """Mirror descent from, and against, the average of present and remembered policies.

    Wu et al. 2025, arXiv:2509.23102, base measure and gains averaged.
    """
    policies = torch.stack([player.policy, *player.past])
    gains = wins(game.preferences, policies).mean(dim=0)
    return mirror_step(policies.mean(dim=0), gains, game.reference, eta=eta, tau=game.tau)


def self_play(game: Game, player: Played, eta: float) -> Tensor:
    """Multiplicative weights without regularisation, the control: its last iterate circles."""
    gains = wins(game.preferences, player.policy)
    return (player.policy + eta * gains).log_softmax(dim=-1)


@dataclass(frozen=True, kw_only=True)
class Exact:
    """An update and how many earlier policies it looks at."""

    update: Update
    remembers: int = 0


EXACT = {
    "inpo": Exact(update=inpo),
    "nash_md": Exact(update=nash_md),
    "onpo": Exact(update=onpo, remembers=1),
    "egpo": Exact(update=egpo),
    "mnpo": Exact(update=mnpo, remembers=1),
    "self_play": Exact(update=self_play),
}


def iterated(game: Game, exact: Exact, *, eta: float) -> Iterator[Tensor]:
    """The policies that follow the reference one after the other, without end."""
    player = Played(game.reference)
    while True:
        after = exact.update(game, player, eta)
        past = (player.policy, *player.past)[: exact.remembers]
        player = Played(after, past)
        yield after


def value(game: Game, first: Tensor, second: Tensor) -> Tensor:
    """J = pi P pi' - tau KL(pi || ref) + tau KL(pi' || ref), [...]; 1/2 between equals."""
    won = (first.exp() * wins(game.preferences, second)).sum(dim=-1)
    paid = kl(second, game.reference) - kl(first, game.reference)
    return won + game.tau * paid


def best_reply(game: Game, opponent: Tensor) -> Tensor:
    """The policy that does best against `opponent`, [..., A]: ref exp(P pi' / tau) / Z."""
    return tilted(game.reference, wins(game.preferences, opponent), beta=game.tau)


def duality_gap(game: Game, policy: Tensor) -> Tensor:
    """What the best reply earns beyond an equal against `policy`, [...]; 0 at the Nash policy.

    J(br, pi) - J(pi, pi); the game is symmetric, so it is half of the usual max-min gap.

    Calandriello et al. 2024, arXiv:2403.08635 (the regularised game).
    """
    return value(game, best_reply(game, policy), policy) - value(game, policy, policy)
