"""Games of the literature and of the pilots, number by number."""

import numpy as np

from environments.contract import Array
from environments.preference_games.games import Game
from environments.preference_games.groups import Groups
from environments.preference_games.policies import softmax


def from_wins(wins: dict[tuple[int, int], float], *, responses: int) -> Array:
    """The preference [K, K] in which i beats j as `wins[i, j]` says; unnamed pairs are even."""
    preference = np.full((responses, responses), 0.5)
    for (i, j), share in wins.items():
        preference[i, j], preference[j, i] = share, 1 - share
    return preference


def three_arm_cycle(*, margin: float = 0.4, tau: float = 0.0) -> Game:
    """Rock, paper, scissors: each response beats the next by `margin`; Nash is uniform."""
    wins = {(i, (i + 1) % 3): 0.5 + margin for i in range(3)}
    return Game(from_wins(wins, responses=3), np.full(3, 1 / 3), tau)


def calandriello2024() -> Game:
    """A lopsided cycle of three, two dominated responses, and a reference that favours those.

    0 beats 1 with 0.9, 1 beats 2 with 0.9, 2 beats 0 with 0.6; each of the three beats 3 and 4
    with 0.95, which are even. The reference is softmax(0, 0, 0, 1, 1) and tau 0.05. Its duality
    gap is 0.2464, that of exact RLHF on the best Bradley-Terry rewards 0.1059. The mechanism is
    that of Calandriello et al. 2024, arXiv:2403.08635; the numbers are ours.
    """
    wins = {(0, 1): 0.9, (1, 2): 0.9, (2, 0): 0.6}
    wins |= {(i, j): 0.95 for i in range(3) for j in (3, 4)}
    reference = softmax(np.array([0.0, 0.0, 0.0, 1.0, 1.0]))
    return Game(from_wins(wins, responses=5), reference, 0.05)


def chakraborty2024(*, majority: float = 0.8) -> Groups:
    """Two groups, each with a favourite the other dislikes, and a compromise worth 0.6 to both.

    Rewards (1, 0, 0.6, 0) and (0, 1, 0.6, 0), uniform reference, beta 0.1. One reward model for
    all leaves a minority of a fifth with 0.074; the fairest policy gives both 0.557. The mechanism
    is that of Chakraborty et al. 2024, arXiv:2402.08925; the numbers are ours.
    """
    rewards = np.array([[[1.0, 0.0, 0.6, 0.0]], [[0.0, 1.0, 0.6, 0.0]]])
    return Groups(
        rewards, np.full((1, 4), 0.25), beta=0.1, sizes=np.array([majority, 1 - majority])
    )
