"""What the studies of alignment share: seeds that do not feel each other, and curves read right."""

from itertools import islice

import numpy as np
import torch
from numpy.testing import assert_allclose

from agents.alignment.batch import single
from agents.alignment.methods import method
from agents.alignment.optimizers import Adam
from agents.alignment.references import frozen
from agents.alignment.sources import asked, played
from agents.alignment.train import steps
from institutional.studies import alignment as lab

GOLD = np.array([[0.0, 0.0], [1.0, 3.0], [0.5, 5.0]])
NATS = np.array([[0.0, 0.0], [0.4, 1.0], [0.8, 2.0]])


def test_the_best_gold_is_looked_for_within_the_budget():
    assert lab.best_within(GOLD, NATS, 0.5).tolist() == [1, 0]
    assert lab.best_within(GOLD, NATS, 1.0).tolist() == [1, 3]


def test_gold_at_a_divergence_lies_on_the_line_between_moments():
    """0.6 lies halfway from 0.4 to 0.8, and at six tenths of the way to 1."""
    assert_allclose(lab.gold_at(GOLD, NATS, 0.6), [0.75, 1.8])
    assert_allclose(lab.gold_at(GOLD, NATS, np.array([0.6, 2.0])), [0.75, 5])


def test_nothing_is_compared_where_a_seed_never_gets():
    found = lab.gold_at(GOLD, NATS, 1.5)

    assert np.isnan(found).tolist() == [True, False]
    assert lab.reached(found).tolist() == [4]


def test_a_table_starts_as_the_policies_it_is_given():
    policies = np.array([[0.25, 0.75], [0.5, 0.5]])

    assert_allclose(lab.rows(lab.table(policies), 2), policies)


def online(seeds):
    """Five steps of online DPO-like learning of three arms, 4 pairs a seed and step."""
    rewards = lab.drawn(seeds, "reward", draw=lambda rng: rng.standard_normal(3))
    preference = 1 / (1 + np.exp(rewards[:, np.newaxis, :] - rewards[:, :, np.newaxis]))
    policy = lab.table(np.full((len(seeds), 3), 1 / 3))
    sampler = lab.Seeded(policy.distribution, lab.Dice(seeds, "draws"))
    judge = lab.tossed(lab.beating(preference), lab.Dice(seeds, "labels"))
    question = asked(lab.spread(len(seeds), each=4))
    batches = played([question] * 5, [sampler] * 2, judge, generator=torch.Generator())
    learning = steps(
        method("ipo"),
        policy,
        batches,
        Adam(policy.parameters(), rate=0.1),
        reference=frozen(policy),
    )
    return lab.watched(learning, lambda: lab.rows(policy, len(seeds)), after=[0, 3, 5])


def test_a_seed_learns_the_same_in_any_company():
    alone, together = online([7]), online([3, 7, 9])

    assert len(alone) == len(together) == 3
    for one, all_three in zip(alone, together, strict=True):
        assert_allclose(one[0], all_three[1], atol=1e-5)
    assert np.abs(together[2][0] - together[2][1]).max() > 0.01


def test_networks_side_by_side_are_each_their_own():
    inputs = torch.ones(4, 2, dtype=torch.float64)
    both = lab.SideBySide([3, 7], (2, 5, 3), "net")
    one = lab.SideBySide([7], (2, 5, 3), "net")

    assert_allclose(both(inputs)[2:].detach(), one(inputs[:2]).detach())
    assert (both(inputs)[0] - both(inputs)[2]).abs().max() > 0.01


def test_values_and_preferences_are_those_of_the_seed_of_each_row():
    batch = single(torch.tensor([[0, 1], [1, 0]]), prompts=torch.tensor([0, 1]))
    preference = np.array([[[0.5, 0.9], [0.1, 0.5]], [[0.5, 0.2], [0.8, 0.5]]])

    assert lab.looked_up(np.array([[1.0, 2], [3, 4]]))(batch).tolist() == [[1, 2], [4, 3]]
    assert lab.beating(preference)(batch)[:, 0, 1].tolist() == [0.9, 0.8]


def test_every_pair_is_weighed_by_how_often_two_draws_make_it():
    pairs = lab.weighed(lab.every_pair_of(3, 2), np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]))

    assert pairs.responses[:3, :, 0].tolist() == [[0, 1], [0, 2], [1, 2]]
    assert_allclose(pairs.weights, [0.15, 0.1, 0.06, 0.01, 0.08, 0.08])


def test_meetings_are_ordered_and_weighed_by_who_draws_which():
    meetings = lab.every_meeting_of(2, 1)

    weighed = lab.weighed(meetings, np.array([[0.9, 0.1]]), np.array([[0.4, 0.6]]))

    assert weighed.responses[:, :, 0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert_allclose(weighed.weights, [0.36, 0.54, 0.04, 0.06])


def test_an_epoch_shows_every_example_of_a_seed_once_in_its_own_order():
    data = single(torch.arange(12).reshape(12, 1), prompts=torch.tensor([0] * 6 + [1] * 6))

    epoch = list(islice(lab.shuffled(data, [3, 4], "order", each=3), 2))

    for batch in epoch:
        assert batch.prompts.tolist() == [0] * 3 + [1] * 3
    orders = torch.cat([batch.responses[:, 0, 0].reshape(2, 3) for batch in epoch], dim=1)
    assert orders.sort(dim=1).values.tolist() == [[*range(6)], [*range(6, 12)]]
    assert (orders[0] != orders[1] - 6).any()


def test_a_direction_of_its_own_scores_each_seeds_arms():
    features = np.array([[[1.0, 0], [0, 1]], [[2.0, 0], [0, 2]]])
    scores = lab.LinearSideBySide(features)
    with torch.no_grad():
        scores.directions.copy_(torch.tensor([[1.0, 3], [5, 7]]))

    assert scores(torch.tensor([1, 0])).tolist() == [[10, 14], [1, 3]]
