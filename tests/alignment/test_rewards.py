"""Reward heads and what their mistakes cost, by hand."""

from math import log

import torch
from alignment_examples import numbers
from torch.testing import assert_close

from agents.alignment import rewards


def test_bradley_terry_of_a_lead_of_log_three_is_a_chance_of_three_quarters():
    assert_close(rewards.bradley_terry(numbers([log(3), 0.0])), numbers(-log(0.75)))


def test_demanded_lead_and_centring_are_added():
    found = rewards.bradley_terry(numbers([2.0, 1.0]), lead=1.0, centring=0.01)

    assert_close(found, numbers(log(2) + 0.01 * 9))


def test_shifting_all_rewards_changes_nothing_but_the_centring():
    pair = numbers([2.0, 1.0])

    assert_close(rewards.bradley_terry(pair + 7), rewards.bradley_terry(pair))


def test_implicit_reward_and_mixture_by_hand():
    assert rewards.implicit(numbers(2.0), beta=0.1).item() == 0.2
    assert_close(
        rewards.mixture(numbers([1.0, 2.0], [3.0, 4.0]), numbers(0.25, 0.75)),
        numbers(2.5, 3.5),
    )


def test_rubric_is_a_weighted_share_of_what_is_met():
    verdicts = numbers([1.0, 0.0, 1.0])

    assert_close(rewards.rubric(verdicts, numbers(2.0, 1.0, 1.0)), numbers(0.75))


def test_ideal_point_of_an_undecided_user_lies_between_the_prototypes():
    prototypes = numbers([0.0, 0.0], [2.0, 4.0])

    found = rewards.ideal_points(torch.zeros(1, 2).double(), prototypes, lambda point: point)

    assert_close(found, numbers([1.0, 2.0]))


def test_nearer_item_is_the_better_one():
    """Distances 1 and 5 from the ideal: rewards -1 and -5, a gap of 4, no hinge left."""
    items = torch.tensor([[[1.0, 0.0], [3.0, 4.0]]]).double()

    found = rewards.nearness(items, torch.zeros(1, 2).double())

    assert found.tolist() == [[-1.0, -5.0]]
    assert rewards.preference_hinge(found).item() == 0
    assert rewards.preference_hinge(found.flip(-1)).item() == 5


def test_angular_reward_starts_at_one_over_seven_hundredths_and_stops_at_a_hundred():
    item, point = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]]).double(), numbers([[1.0, 0.0]])
    alone = torch.zeros(1, 1).double()

    assert_close(rewards.angular(item, alone, point), numbers([1 / 0.07, 0.0]))
    assert_close(rewards.angular(item, alone, point, 9.0), numbers([100.0, 0.0]))


def test_prototypes_beyond_the_radius_are_charged():
    assert rewards.norm_bound(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), radius=4.0) == 1


def test_two_crowds_need_two_ideal_points():
    """On a line, ideals at -1 and 1; one point between them gets every second pair wrong."""
    items = torch.tensor([[[-1.0], [1.0]], [[1.0], [-1.0]]]).double()
    two = rewards.nearness(items, torch.tensor([[-1.0], [1.0]]).double())
    one = rewards.nearness(items, torch.full((2, 1), 0.2).double())

    right = [(gaps[:, 0] > gaps[:, 1]).double().mean().item() for gaps in (two, one)]

    assert right == [1.0, 0.5]
