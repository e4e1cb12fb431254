"""Self-play in a game without a best arm, against its exact Nash policy."""

from itertools import islice

import pytest
import torch
from alignment_examples import numbers
from torch.testing import assert_close

from agents.alignment.metrics import tilted
from agents.alignment.selfplay import (
    EXACT,
    Exact,
    Game,
    Played,
    best_reply,
    duality_gap,
    iterated,
    mirror_step,
    mnpo,
    value,
    wins,
)


def cyclic():
    """0 beats 1 (.9), 1 beats 2 (.9), 2 beats 0 (.6); arms 3 and 4 lose to all, yet are likely."""
    chances = torch.full((5, 5), 0.5, dtype=torch.float64)
    for winner, loser, chance in ((0, 1, 0.9), (1, 2, 0.9), (2, 0, 0.6)):
        chances[winner, loser], chances[loser, winner] = chance, 1 - chance
    chances[:3, 3:], chances[3:, :3] = 0.9, 0.1
    return Game(chances, numbers(0.05, 0.05, 0.1, 0.4, 0.4).log(), tau=0.05)


def gap_after(game, exact, *, steps):
    last = next(islice(iterated(game, exact, eta=0.3), steps - 1, None))
    return duality_gap(game, last).item()


def test_win_rate_against_a_mixed_opponent_by_hand():
    chances = numbers([0.5, 0.9], [0.1, 0.5])

    assert_close(wins(chances, numbers(0.25, 0.75).log()), numbers(0.8, 0.4))


def test_a_game_against_an_equal_is_even():
    game = cyclic()

    assert_close(value(game, game.reference, game.reference), numbers(0.5)[0])


def test_best_reply_is_no_worse_than_any_pure_arm():
    game = cyclic()
    reply = value(game, best_reply(game, game.reference), game.reference)
    pure = torch.eye(5, dtype=torch.float64).clamp(min=1e-12).log()

    assert all(reply > value(game, arm, game.reference) for arm in pure)


def test_reference_is_far_from_the_nash_policy():
    assert 0.2 < duality_gap(cyclic(), cyclic().reference) < 0.3


@pytest.mark.parametrize("name", ["inpo", "nash_md", "onpo", "egpo", "mnpo"])
def test_regularised_self_play_closes_the_duality_gap_within_2000_steps(name):
    assert abs(gap_after(cyclic(), EXACT[name], steps=2000)) < 1e-4


def test_unregularised_self_play_circles():
    assert gap_after(cyclic(), EXACT["self_play"], steps=2000) > 0.05


def test_more_remembered_policies_are_slower_in_a_game_without_noise():
    one = gap_after(cyclic(), EXACT["inpo"], steps=200)
    two = gap_after(cyclic(), EXACT["mnpo"], steps=200)
    four = gap_after(cyclic(), Exact(update=mnpo, remembers=3), steps=200)

    assert one < two / 3 < four


def test_bradley_terry_rewards_cannot_close_the_gap_however_exact():
    """The best Bradley-Terry fit of the matrix, then the exact optimum of its reward."""
    game = cyclic()
    rewards = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    for _ in range(3000):
        log_odds = rewards[:, None] - rewards[None, :]
        loss = -(game.preferences * torch.nn.functional.logsigmoid(log_odds)).sum()
        (slope,) = torch.autograd.grad(loss, rewards)
        rewards = (rewards - 0.2 * slope).detach().requires_grad_()

    optimum = tilted(game.reference, rewards.detach(), beta=game.tau)

    assert duality_gap(game, optimum) > 0.05


def test_mirror_step_at_the_nash_policy_stays_there():
    game = cyclic()
    nash = next(islice(iterated(game, EXACT["egpo"], eta=0.3), 4000, None))

    moved = mirror_step(nash, wins(game.preferences, nash), game.reference, eta=0.3, tau=0.05)

    assert_close(moved, nash, atol=1e-9, rtol=0)


def test_multiplayer_update_without_memory_is_inpo():
    game, player = cyclic(), Played(numbers(0.1, 0.2, 0.3, 0.2, 0.2).log())

    assert_close(mnpo(game, player, 0.3), EXACT["inpo"].update(game, player, 0.3))


def test_many_games_in_step_are_each_played_as_alone():
    game = cyclic()
    both = Game(
        torch.stack([game.preferences, game.preferences.T]),
        torch.stack([game.reference, game.reference]),
        game.tau,
    )

    together = next(islice(iterated(both, EXACT["onpo"], eta=0.3), 20, None))
    alone = next(islice(iterated(game, EXACT["onpo"], eta=0.3), 20, None))

    assert_close(together[0], alone)
