"""Data to data, by hand."""

from dataclasses import replace

import pytest
import torch
from alignment_examples import LIST, PAIR, numbers, random_batch
from torch.testing import assert_close

from agents.alignment import transforms
from agents.alignment.batch import AlignmentError, checked, single


def test_relabelled_pair_comes_once_for_each_score_with_its_answers_swapped():
    """The bug of the official branch: for the loser's goal the answers must trade places."""
    found = checked(transforms.goal_relabelled(PAIR))

    assert found.goals.tolist() == [1.0, 0.0]
    assert_close(found.responses[1], PAIR.responses[0].flip(0))
    assert found.scores.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_pairs_whose_details_contradict_the_order_are_dropped():
    batch = random_batch(0, prompts=2)
    details = numbers([[3.0, 5.0], [4.0, 2.0]], [[1.0, 2.0], [4.0, 4.0]]).reshape(2, 2, 2)

    found = transforms.consistent(batch, details)

    assert_close(found.policy, batch.policy[:1])


def test_responses_are_put_in_order_of_what_they_turned_out_to_be_worth():
    found = transforms.ordered(LIST, numbers([0.0, 5.0, 3.0]))

    assert found.responses[..., 0].tolist() == [[1, 2, 0]]
    assert found.scores.tolist() == [[1.0, 0.0, 2.0]]


def test_best_and_worst_make_the_pair():
    found = transforms.best_and_worst(LIST.arranged(torch.tensor([[1, 2, 0]])))

    assert found.responses[..., 0].tolist() == [[0, 2]]


def test_pairs_of_a_list():
    every = transforms.every_pair(LIST).responses[..., 0].tolist()
    ladder = transforms.ladder(LIST).responses[..., 0].tolist()

    assert every == [[0, 1], [0, 2], [1, 2]]
    assert ladder == [[0, 1], [1, 2], [0, 2]]


def test_one_response_makes_no_pair():
    with pytest.raises(AlignmentError, match="one response makes no pair"):
        transforms.every_pair(single(torch.tensor([[0]])))


def test_own_ranking_is_by_mean_win_rate():
    chances = torch.tensor([[[0.5, 0.2, 0.3], [0.8, 0.5, 0.6], [0.7, 0.4, 0.5]]])

    found = transforms.self_ranked(replace(LIST, preferences=chances))

    assert found.responses[..., 0].tolist() == [[1, 2, 0]]


def test_flips_turn_the_named_pairs_alone():
    batch = random_batch(1, prompts=3)

    found = transforms.flipped(batch, torch.tensor([False, True, False]))

    assert_close(found.policy[1], batch.policy[1].flip(0))
    assert_close(found.policy[[0, 2]], batch.policy[[0, 2]])


def test_triage_keeps_inverts_and_punishes():
    complies = torch.tensor([[True, True], [True, False], [False, True], [False, False]])

    assert transforms.triage(complies).tolist() == [0, 0, 1, 2]


def test_impact_is_agreement_with_the_gold_gradient():
    """Agreements 2, -1 and 1: two thirds, nothing, one third."""
    gradients = numbers([2.0, 0.0], [-1.0, 5.0], [1.0, -9.0])

    found = transforms.impact_weights(numbers(1.0, 0.0), gradients, gamma=0.1)

    assert_close(found, numbers(2 / 3, 0.0, 1 / 3))


def test_hardest_prompts_come_first():
    batch = random_batch(2, prompts=4)

    found = transforms.hardest(batch, numbers(0.1, 0.9, 0.5, 0.2), share=0.5)

    assert_close(found.policy, batch.policy[[1, 2]])


def test_neighbours_stop_at_the_edge_of_the_grid():
    """Around 40 degrees on a grid up to 40, all neighbours lie on one side."""
    grid = torch.arange(-40.0, 41.0, 5.0)

    at_edge = transforms.neighbours(40.0, grid, spread=30.0, count=5)
    inside = transforms.neighbours(10.0, grid, spread=30.0, count=5)

    assert at_edge.tolist() == [40.0, 35.0, 30.0, 25.0, 20.0]
    assert sorted(inside.tolist()) == [0.0, 5.0, 10.0, 15.0, 20.0]


def test_batches_that_know_different_things_are_not_joined():
    with pytest.raises(AlignmentError, match="different fields: scores"):
        transforms.joined(PAIR, replace(PAIR, scores=None))
