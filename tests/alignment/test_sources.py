"""Where batches come from, and policies over arms that answer."""

from dataclasses import replace
from functools import partial
from itertools import islice

import torch
from alignment_examples import generator, numbers, random_batch
from torch.testing import assert_close

from agents.alignment import bandit
from agents.alignment.batch import checked, single
from agents.alignment.readings import Models, read_mismatched
from agents.alignment.references import History, frozen, geometric, soup
from agents.alignment.sources import (
    Drawn,
    against_mixture,
    answered,
    asked,
    fixed,
    itself,
    mixture,
    repeated,
)


def sure_of(arm):
    """A policy over four arms that says `arm` nearly always."""
    policy = bandit.tabular(1, 4)
    with torch.no_grad():
        policy.scores.numbers[0, arm] = 50.0
    return policy


def test_an_epoch_of_fixed_data_holds_every_example_once():
    batches = fixed(random_batch(0, prompts=6), size=2, generator=generator(1))

    first, second = ([*islice(batches, 3)], [*islice(batches, 3)])

    for epoch in (first, second):
        assert sorted(torch.cat([batch.rows for batch in epoch]).tolist()) == [0, 1, 2, 3, 4, 5]
    assert [b.rows.tolist() for b in first] != [b.rows.tolist() for b in second]


def test_data_smaller_than_a_batch_is_given_whole():
    batch = next(fixed(random_batch(0, prompts=3), size=8, generator=generator(1)))

    assert len(batch.rows) == 3


def test_samplers_answer_in_their_order_with_their_own_likelihoods():
    questions = asked(torch.zeros(2, dtype=torch.long))

    found = checked(answered(questions, [sure_of(2), sure_of(1)], generator(0)))

    assert found.responses[..., 0].tolist() == [[2, 1], [2, 1]]
    assert found.behaviour.abs().max() < 1e-9


def test_shorter_answers_are_padded_outside_the_mask():
    class Says:
        def __init__(self, length):
            self.length = length

        def draw(self, batch, _generator):
            ones = torch.ones(len(batch.responses), self.length)
            return Drawn(ones.long(), ones.bool(), -ones)

    found = checked(answered(asked(torch.zeros(1)), [Says(1), Says(3)], generator(0)))

    assert found.lengths.tolist() == [[1, 3]]
    assert found.mask[0, 0].tolist() == [True, False, False]


def test_samplers_of_a_method_are_its_policy_its_mixture_or_both():
    policy, reference = sure_of(0), sure_of(3)
    mixed = partial(bandit.Blend, policy, reference)
    asked_once = asked(torch.zeros(1, dtype=torch.long))

    def arms(samplers):
        return answered(asked_once, samplers, generator(0)).responses[0, :, 0].tolist()

    def blend(share):
        return mixed(share=share)

    assert arms(itself(policy, blend, count=3)) == [0, 0, 0]
    assert arms(mixture(policy, blend, count=2, share=1.0)) == [3, 3]
    assert arms(against_mixture(policy, blend, share=1.0)) == [0, 3]


def test_each_batch_is_repeated_before_the_next():
    assert list(repeated(["a", "b"], 2)) == ["a", "a", "b", "b"]


def test_policy_gives_its_arms_their_likelihood():
    policy = bandit.tabular(2, 4)
    batch = single(torch.tensor([[0, 3]]), prompts=torch.tensor([1]))

    assert_close(policy(batch).exp(), torch.full((1, 2, 1), 0.25).double())
    assert policy.logits(batch).shape == (1, 2, 1, 4)


def test_linear_policy_shares_its_weights_between_arms():
    """Raising the likelihood of an arm raises that of arms with like features."""
    features = torch.tensor([[[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]]).double()
    policy = bandit.linear(features)
    batch = single(torch.tensor([[0]]), prompts=torch.tensor([0]))

    policy(batch).sum().backward()
    with torch.no_grad():
        policy.scores.direction += policy.scores.direction.grad

    chances = policy.distribution(batch)[0].exp()
    assert chances[0] > chances[1] > 1 / 3 > chances[2]


def test_equal_generators_make_equal_networks_and_leave_the_global_one_alone():
    before = torch.get_rng_state()

    first, second = (bandit.network((2, 4, 3), generator=generator(8)) for _ in range(2))

    assert torch.equal(torch.get_rng_state(), before)
    for left, right in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(left, right)


def test_frozen_reference_stays_behind():
    policy = bandit.tabular(1, 2)
    reference = frozen(policy)
    with torch.no_grad():
        policy.scores.numbers[0, 0] = 3.0

    assert reference.scores.numbers.tolist() == [[0.0, 0.0]]
    assert not any(weight.requires_grad for weight in reference.parameters())


def test_history_keeps_the_last_few_latest_first():
    policy = bandit.tabular(1, 2)
    past = History(policy, most=2)
    for value in (1.0, 2.0):
        with torch.no_grad():
            policy.scores.numbers.fill_(value)
        past.remember(policy)

    assert [kept.scores.numbers[0, 0].item() for kept in past.policies()] == [2.0, 1.0]


def test_soup_is_the_mean_of_weights():
    found = soup([{"w": numbers(1.0, 3.0)}, {"w": numbers(3.0, 5.0)}], [0.25, 0.75])

    assert_close(found["w"], numbers(2.5, 4.5))


def test_half_mixture_of_two_policies_is_their_geometric_mean():
    """(0.8 * 0.2)^(1/2) on either side: even."""
    found = geometric(numbers(0.8, 0.2).log(), numbers(0.2, 0.8).log(), share=0.5)

    assert_close(found.exp(), numbers(0.5, 0.5))


def test_mismatched_answers_are_those_of_the_prompt_before():
    """Prompts 0 and 1 prefer arms 0 and 1; each is asked about the other's arm."""
    policy, reference = bandit.tabular(2, 2), bandit.tabular(2, 2)
    with torch.no_grad():
        policy.scores.numbers += torch.eye(2)
    batch = single(torch.tensor([[0, 1], [1, 0]]), prompts=torch.tensor([0, 1]))

    found = read_mismatched(batch, Models(policy=policy, reference=reference))

    other = policy.distribution(batch)[0, 1] - reference.distribution(batch)[0, 1]
    assert_close(found.mismatched, other.expand(2).detach())


def test_padding_of_a_behaviour_is_never_read():
    batch = random_batch(3)
    checked(replace(batch, behaviour=torch.where(batch.mask, batch.behaviour, torch.nan)))
