"""Pairs whose rewards are linear: the world, who labels it, and what is learnt from it."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from agents.alignment.bandit import linear
from agents.alignment.methods import method
from agents.alignment.optimizers import Adam
from agents.alignment.references import frozen
from agents.alignment.train import train
from institutional.studies.linear_pairs import RATE, EachArm, World, length


@pytest.fixture(scope="module")
def world():
    return World.of([3, 8], pairs=200, tests=500)


def test_the_true_direction_is_of_length_three_and_ranks_all_right(world):
    assert_allclose(length(world.direction), 3)
    assert world.accuracy(world.direction).tolist() == [1, 1]
    assert world.miscalibration(world.direction).max() < 0.1
    assert_allclose(world.spent(0 * world.direction), 0, atol=1e-15)


def test_annotators_take_turns_and_a_liar_says_the_opposite(world):
    truth = world.labelled("same", reliability=[1.0])
    lies = world.labelled("same", reliability=[0.0])
    four = world.labelled("four", reliability=[1.0, 0.9, 0.8, 0.7])

    assert (truth.responses[:, 0] == lies.responses[:, 1]).double().mean() > 0.5
    assert four.annotators.tolist() == [0, 1, 2, 3] * 50 + [4, 5, 6, 7] * 50


def test_every_answer_is_scored_by_its_own_features():
    halves = EachArm(torch.nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        halves.scores.weight.copy_(torch.tensor([[1.0, 10.0]]))

    assert halves(torch.tensor([[[1.0, 2], [3, 4]]])).tolist() == [[21, 43]]


def test_a_seed_learns_what_a_linear_policy_alone_learns(world):
    row, data = method("dpo").using(beta=1.0), world.labelled("one", reliability=[0.9])
    together, _ = world.learnt(row, data, steps=20)

    alone = linear(torch.from_numpy(world.train[1]))
    batch = data.picked(torch.arange(200, 400))
    known = type(batch)(responses=batch.responses, mask=batch.mask, prompts=torch.arange(200))
    train(row, alone, [known] * 20, Adam(alone.parameters(), rate=RATE), reference=frozen(alone))

    assert_allclose(together[1], next(alone.parameters()).detach(), atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 0.1
