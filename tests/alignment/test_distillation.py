"""Divergences between a student and its teacher, whole and on part of the vocabulary."""

from functools import partial
from math import log

import pytest
import torch
from alignment_examples import generator, numbers
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity
from torch.testing import assert_close

from agents.alignment import distillation

STUDENT, TEACHER = numbers(0.5, 0.5).log(), numbers(0.75, 0.25).log()


def random_pair(seed, *, vocabulary=50, near=1.0):
    draw = generator(seed)
    student = torch.randn(4, vocabulary, generator=draw, dtype=torch.float64) * 2
    other = torch.randn(4, vocabulary, generator=draw, dtype=torch.float64)
    return student, (student + near * other).log_softmax(-1)


def slope(loss, logits):
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf.log_softmax(-1)).sum(), leaf)[0]


def test_divergences_of_two_tokens_by_hand():
    forward = 0.75 * log(1.5) + 0.25 * log(0.5)
    reverse = 0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)

    assert_close(distillation.forward_kl(STUDENT, TEACHER), numbers(forward)[0])
    assert_close(distillation.reverse_kl(STUDENT, TEACHER), numbers(reverse)[0])


def test_jensen_shannon_of_equal_shares_is_symmetric_and_at_most_log_two():
    there = distillation.jensen_shannon(STUDENT, TEACHER, share=0.5)
    far = distillation.jensen_shannon(
        numbers(1.0, 1e-300).log(), numbers(1e-300, 1.0).log(), share=0.5
    )

    assert_close(there, distillation.jensen_shannon(TEACHER, STUDENT, share=0.5))
    assert_close(far, numbers(log(2))[0])


@pytest.mark.parametrize(
    ("share", "limit"), [(1e-6, distillation.forward_kl), (1 - 1e-6, distillation.reverse_kl)]
)
def test_jensen_shannon_over_its_share_tends_to_either_divergence(share, limit):
    found = distillation.jensen_shannon(STUDENT, TEACHER, share=share) / min(share, 1 - share)

    assert_close(found, limit(STUDENT, TEACHER), atol=1e-5, rtol=0)


def test_token_the_student_cannot_say_adds_nothing_to_reverse_divergence():
    impossible = torch.tensor([0.0, -torch.inf], dtype=torch.float64)

    assert_close(distillation.reverse_kl(impossible, TEACHER), numbers(-log(0.75))[0])


@given(seed=st.integers(0, 200))
def test_every_partial_divergence_over_the_whole_vocabulary_is_the_whole(seed):
    student, teacher = random_pair(seed)
    said = student.log_softmax(-1)
    everything = distillation.top(said, count=50)

    whole = distillation.reverse_kl(said, teacher)

    assert_close(distillation.plain_partial(said, teacher, everything), whole)
    assert_close(distillation.stopped_partial(said, teacher, everything), whole)
    assert_close(distillation.renormalised_partial(said, teacher, everything), whole)
    assert_close(distillation.tailed_partial(said, teacher, everything), whole, atol=1e-9, rtol=0)


def test_tail_is_one_token_more():
    """Support {0}: 0.5 log(0.5 / 0.75) for it and 0.5 log(0.5 / 0.25) for the rest."""
    found = distillation.tailed_partial(STUDENT, TEACHER, torch.tensor([0]))

    assert_close(found, distillation.reverse_kl(STUDENT, TEACHER))


def test_plain_top_k_has_a_spurious_force_that_lowers_its_own_mass():
    """Its gradient less the stop-gradient one is exactly that of the mass on the support."""
    student, teacher = random_pair(1)
    support = distillation.top(student.log_softmax(-1), count=5)

    plain = slope(partial(distillation.plain_partial, teacher=teacher, support=support), student)
    stop = slope(partial(distillation.stopped_partial, teacher=teacher, support=support), student)
    mass = slope(lambda said: said.gather(-1, support).exp().sum(dim=-1), student)

    assert_close(plain - stop, mass)


def test_one_token_of_plain_top_k_points_away_from_the_teacher():
    """Near a teacher, at k = 1: the plain gradient has a negative cosine with the whole one's."""
    student, teacher = random_pair(2, vocabulary=1000, near=0.3)
    support = distillation.top(student.log_softmax(-1), count=1)

    whole = slope(partial(distillation.reverse_kl, teacher=teacher), student)
    forms = (distillation.plain_partial, distillation.stopped_partial)
    plain, stop = (
        cosine_similarity(
            slope(partial(form, teacher=teacher, support=support), student), whole, dim=-1
        ).mean()
        for form in forms
    )

    assert plain < 0.1 < stop


def test_intersection_narrows_the_support_to_what_both_would_say():
    student, teacher = numbers(3.0, 2.0, 1.0, 0.0), numbers(3.0, 0.0, 2.0, 1.0)

    kept = distillation.shared(student, teacher, count=2)

    assert distillation.top(student, count=2).tolist() == [0, 1]
    assert kept.tolist() == [True, False]


def test_a_single_shared_token_leaves_nothing_to_tell_apart():
    student, teacher = STUDENT.requires_grad_(), TEACHER
    support, kept = torch.tensor([0, 1]), torch.tensor([True, False])

    found = distillation.renormalised_partial(student, teacher, support, kept)

    assert_close(found.detach(), numbers(0.0)[0])
    assert torch.isfinite(torch.autograd.grad(found, student)[0]).all()


def test_sampled_reverse_divergence_is_a_reward_without_gradient():
    student = numbers(log(0.5)).requires_grad_()

    found = distillation.sampled_advantage(student, numbers(log(0.75)))

    assert_close(found, numbers(log(1.5)))
    assert not found.requires_grad


def test_linear_advantage_without_mask_runs_to_an_improbable_token():
    """The second token is a thousandth as likely to both teachers, yet its ratio is largest."""
    after, before = numbers(0.998, 0.002).log(), numbers(0.9995, 0.0005).log()
    logits = numbers(0.0, 0.0)
    likely = torch.tensor([True, False])

    free = slope(lambda said: distillation.linear_advantage(said, after, before), logits)
    masked = slope(lambda said: distillation.linear_advantage(said, after, before, likely), logits)

    assert free[1] < 0 < free[0]
    assert masked.abs().max() < 1e-3


def test_distillation_of_failures_is_shut_off():
    losses = numbers([[1.0, 2.0], [3.0, 4.0]])

    found = distillation.gated(losses, numbers([1.0, 0.5]), floor=1.0)

    assert found[0].tolist() == [[1.0, 2.0], [0.0, 0.0]]


def test_teacher_gets_no_gradient():
    teacher = TEACHER.clone().requires_grad_()
    student = STUDENT.detach().clone().requires_grad_()
    everything = torch.tensor([0, 1])
    losses = [
        distillation.forward_kl(student, teacher),
        distillation.reverse_kl(student, teacher),
        distillation.jensen_shannon(student, teacher, share=0.5),
        distillation.stopped_partial(student, teacher, everything),
        distillation.tailed_partial(student, teacher, everything),
        distillation.renormalised_partial(student, teacher, everything),
        distillation.linear_advantage(student, teacher, STUDENT.detach()),
    ]

    sum(losses).backward()

    assert teacher.grad is None
