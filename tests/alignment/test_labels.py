"""Label models by numbers: reliabilities, dynamic labels, small losses, clusters of users."""

from functools import partial

import torch
from alignment_examples import generator, numbers, random_batch
from torch.testing import assert_close

from agents.alignment import labels, link
from agents.alignment import pair_losses as pairs
from agents.alignment.batch import Batch
from agents.alignment.methods import method
from agents.alignment.metrics import cluster_accuracy


def test_posterior_of_a_label_by_bayes():
    """P = 1/2 leaves the annotator's 0.8; p = 0.8 against 0.2 leaves nothing: 1/2."""
    odds = torch.logit(numbers(0.5, 0.8))

    assert_close(labels.posterior(odds, numbers(0.8, 0.2)), numbers(0.8, 0.5))


def test_reliability_moves_towards_its_own_labels_and_rests_without_any():
    found = labels.moved_reliability(
        numbers(0.9, 0.5, 0.7), numbers(1.0, 0.0, 0.5), torch.tensor([0, 0, 2]), rate=0.1
    )

    assert_close(found, numbers(0.9 + 0.1 * (0.5 - 0.9), 0.5, 0.7 + 0.1 * (0.5 - 0.7)))


def test_dynamic_labels_move_only_where_they_were_visited():
    found = labels.moved_labels(
        numbers(1.0, 1.0, 1.0), torch.tensor([2]), torch.zeros(1).double(), rate=0.1
    )

    assert_close(found, numbers(1.0, 1.0, 0.95))


def test_labels_and_weights_carry_no_gradient():
    margin = numbers(0.3).requires_grad_()

    assert not labels.moved_labels(numbers(1.0), torch.tensor([0]), margin, rate=0.1).requires_grad
    assert not labels.posterior(margin, numbers(0.9)).requires_grad


def test_smallest_losses_are_kept_and_at_least_one():
    losses = numbers(0.4, 0.1, 0.9, 0.2)

    assert labels.smallest(losses, share=0.5).tolist() == [False, True, False, True]
    assert labels.smallest(losses, share=0.0).sum() == 1


def test_share_kept_falls_to_the_clean_share_over_the_ramp():
    shares = [labels.kept_share(epoch, noise_rate=0.3, ramp=3) for epoch in range(5)]

    assert_close(shares, [1.0, 0.9, 0.8, 0.7, 0.7])


def test_label_models_wrap_any_pair_loss_at_once():
    """On every pair loss the flips are undone in expectation, and smoothing is that expectation."""
    batch = random_batch(7)
    for name in ("dpo", "ipo", "hinge", "nca", "sppo", "apo_zero", "discopop"):
        loss = method(name).bound()
        undone = labels.unflipped(loss, turned=Batch.swapped, flip_rate=0.2)

        seen = labels.smoothed(undone, turned=Batch.swapped, right=0.8)(batch)

        assert_close(seen, loss(batch))


def test_smoothing_of_the_loss_is_smoothing_of_the_link():
    batch = random_batch(8)
    of_loss = labels.smoothed(partial(pairs.dpo, beta=0.5), turned=Batch.swapped, right=0.9)

    assert_close(of_loss(batch), pairs.cdpo(batch, beta=0.5, flip_rate=0.1))


def test_users_are_told_apart_by_which_reward_explains_them():
    """Forty users, thirty pairs each, two opposite rewards: all assigned right."""
    truth = torch.arange(40) % 2
    users = torch.arange(40).repeat_interleave(30)
    size = torch.rand(1200, generator=generator(2), dtype=torch.float64) * 2
    likes_first = torch.rand(1200, generator=generator(3)) < torch.sigmoid(size)
    sign = torch.where(likes_first, 1.0, -1.0) * torch.where(truth[users] == 0, 1.0, -1.0)
    margins = torch.stack([sign * size, -sign * size], dim=-1)

    likelihoods = labels.user_log_likelihoods(margins, users, count=40)
    found = labels.hard_clusters(likelihoods)
    soft = labels.soft_clusters(likelihoods, numbers(0.5, 0.5).log())

    assert cluster_accuracy(found, truth, count=2) > 0.95
    assert_close(soft.sum(dim=-1), torch.ones(40, dtype=torch.float64))
    assert (soft.argmax(dim=-1) == found).all()


def test_robust_loss_keeps_the_scale_of_a_reward_that_smoothing_shrinks():
    """Of labels right at 0.8 sigma(2) + 0.2 sigma(-2): the minima are at 2, 1 and (cDPO) below."""
    clean = torch.sigmoid(numbers(2.0))[0]
    right = 0.8 * clean + 0.2 * (1 - clean)
    margins = torch.linspace(-1, 4, 5001, dtype=torch.float64)

    def least(loss):
        return margins[(right * loss(margins) + (1 - right) * loss(-margins)).argmin()]

    robust = labels.unflipped(link.logistic, turned=torch.neg, flip_rate=0.2)
    smooth = labels.smoothed(link.logistic, turned=torch.neg, right=0.8)

    assert_close(least(robust), numbers(2.0)[0], atol=1e-3, rtol=0)
    assert_close(least(link.logistic), torch.logit(right), atol=1e-3, rtol=0)
    assert least(smooth) < least(link.logistic) < least(robust)
