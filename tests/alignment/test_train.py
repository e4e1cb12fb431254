"""One loop trains every row, and stops with one message where nothing can be learnt."""

import ast
import inspect
import math
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from alignment_examples import generator, numbers
from torch.testing import assert_close

from agents.alignment import bandit, train
from agents.alignment.batch import AlignmentError, single
from agents.alignment.labels import smallest
from agents.alignment.methods import METHODS, method
from agents.alignment.metrics import kl, tilted
from agents.alignment.optimizers import Adam, Descent
from agents.alignment.references import History, follow, frozen
from agents.alignment.sources import (
    answered,
    asked,
    compared,
    decided,
    fixed,
    played,
    repeated,
    scored,
)
from agents.alignment.transforms import best_and_worst

REWARDS = numbers(1.0, 0.5, 0.0, -0.5)


def rewards_of(batch):
    return REWARDS[batch.responses[..., 0]]


def chances_of(batch):
    score = rewards_of(batch)
    return torch.sigmoid(4 * (score.unsqueeze(-1) - score.unsqueeze(-2)))


def every_label(batch, draw):
    """All that any method might read of a bandit's answers, the better answer first."""
    scores = rewards_of(batch)
    ordered = batch.arranged(scores.argsort(dim=-1, descending=True, stable=True))
    known = compared(chances_of)(scored(rewards_of)(ordered, draw), draw)
    return replace(
        known,
        objectives=known.scores.unsqueeze(0),
        rows=torch.arange(len(scores)),
        annotators=torch.zeros(len(scores), dtype=torch.long),
    )


@pytest.mark.parametrize("name", [name for name in METHODS if name != "ra_dpo"])
def test_every_method_trains_a_table_and_the_loss_it_was_given_falls(name):
    """Sixteen prompts answered twice by a uniform policy; fifty steps on these answers."""
    policy, draw = bandit.tabular(16, 4), generator(1)
    reference = frozen(policy)
    answers = answered(asked(torch.arange(16)), [policy, policy], draw)
    data = every_label(replace(answers, behaviour=None), draw)
    row = METHODS[name]
    row = row.using(**{key: 16 for key in ("rows",) if key in row.defaults})
    row = row.using(**{key: 2 for key in ("count",) if key in row.defaults})
    teacher = bandit.tabular(16, 4)
    with torch.no_grad():
        teacher.scores.numbers += REWARDS

    taken = list(
        train.steps(
            row,
            policy,
            repeated([replace(data, behaviour=reference(data))], 50),
            Adam(policy.parameters(), rate=0.02),
            reference=reference,
            history=History(policy, most=2).policies,
            teachers=[teacher, reference],
        )
    )

    assert len(taken) == 50
    assert taken[-1].loss < taken[0].loss
    assert not torch.equal(policy.scores.numbers, reference.scores.numbers)


def test_goal_relabelling_teaches_nothing_to_a_policy_that_does_not_read_goals():
    """Each pair comes in both orders: the loss stays at log 2, so no good answer is unlearnt."""
    policy = bandit.tabular(1, 2)
    pair = single(torch.tensor([[0, 1]]), prompts=torch.tensor([0]), scores=numbers([1.0, 0.0]))

    last = train.train(
        method("ra_dpo"),
        policy,
        repeated([pair], 5),
        Descent(policy.parameters(), rate=1.0),
        reference=frozen(policy),
    )

    assert_close(last.loss, math.log(2))
    assert policy.scores.numbers.abs().max() < 1e-12


def test_loop_never_looks_at_a_name():
    """`method.name` occurs in an error message alone, and no comparison with a string anywhere."""
    tree = ast.parse(inspect.getsource(train))
    compared_with = [
        constant
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    ]
    names = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "name"
    ]

    assert compared_with == []
    assert len(names) == 1


def test_contrastive_policy_gradient_finds_the_optimum_from_answers_of_anyone():
    """KL to ref exp(R / beta) / Z below 1e-3, from uniform pairs, with no importance weights."""
    arms = torch.cartesian_prod(torch.arange(4), torch.arange(4)).unsqueeze(0)
    pairs = single(arms[0], prompts=torch.zeros(16, dtype=torch.long))
    data = replace(pairs, scores=rewards_of(pairs))
    policy = bandit.tabular(1, 4)
    with torch.no_grad():
        policy.scores.numbers += numbers(0.0, 1.0, 0.0, -1.0)
    reference = frozen(policy)

    train.train(
        method("copg").using(beta=0.5),
        policy,
        repeated([data], 300),
        Descent(policy.parameters(), rate=1.0),
        reference=reference,
    )

    found, before = policy.distribution(data)[0], reference.distribution(data)[0]
    assert kl(found, tilted(before, REWARDS, beta=0.5)) < 1e-3


def test_online_ipo_learns_from_its_own_answers():
    policy, draw = bandit.tabular(1, 4), generator(2)
    questions = repeated([asked(torch.zeros(64, dtype=torch.long))], 200)
    row = method("online_ipo").using(tau=0.2)
    samplers = row.samplers(policy, partial(bandit.Blend, policy, policy))

    train.train(
        row,
        policy,
        played(questions, samplers, compared(chances_of), generator=draw),
        Descent(policy.parameters(), rate=0.1),
        reference=frozen(policy),
    )

    assert policy.distribution(asked(torch.tensor([0])))[0].exp()[0] > 0.5


def test_annotators_are_told_apart_by_their_labels():
    """One is right always, one in seven of ten: their reliabilities end near 1 and 0.7."""
    draw, policy = generator(4), bandit.tabular(30, 2)
    who = torch.arange(600) % 2
    right = torch.rand(600, generator=draw) < torch.where(who == 0, 1.0, 0.7)
    arms = torch.where(right.unsqueeze(-1), torch.tensor([0, 1]), torch.tensor([1, 0]))
    data = single(arms, prompts=torch.arange(600) // 20, annotators=who)
    row = method("repo").using(base=method("dpo").using(beta=1.0).bound(), annotators=2, rate=0.05)

    last = train.train(
        row,
        policy,
        islice(fixed(data, size=100, generator=draw), 400),
        Adam(policy.parameters(), rate=0.02),
        reference=frozen(policy),
    )

    assert_close(last.memory["reliability"], numbers(1.0, 0.7), atol=0.06, rtol=0)


def test_annotator_nobody_knows_stops_the_loop():
    batch = single(torch.tensor([[0, 1]]), prompts=torch.tensor([0]), annotators=torch.tensor([3]))
    policy = bandit.tabular(1, 2)

    with pytest.raises(AlignmentError, match=r"annotators hold 3 at prompt 0.*one of 2"):
        train.train(
            method("repo").using(annotators=2),
            policy,
            [batch],
            Descent(policy.parameters(), rate=1.0),
            reference=policy,
        )


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("dpo", "references.frozen"),
        ("inpo", "references.History"),
        ("opd", "teachers="),
        ("pro", "a score for each response"),
        ("osp", "preference probabilities"),
        ("maxmin", "rewards of several groups"),
    ],
)
def test_what_a_method_lacks_is_named_with_how_to_give_it(name, missing):
    batch = single(torch.tensor([[0, 1]]), prompts=torch.tensor([0]))
    policy = bandit.tabular(1, 2)
    reference = None if name == "dpo" else policy

    with pytest.raises(AlignmentError, match=missing):
        train.train(
            method(name),
            policy,
            [batch],
            Descent(policy.parameters(), rate=1.0),
            reference=reference,
        )


def test_pair_loss_of_three_answers_says_how_to_make_pairs():
    batch = single(torch.tensor([[0, 1, 2]]), prompts=torch.tensor([0]))
    policy = bandit.tabular(1, 3)

    with pytest.raises(AlignmentError, match=r"have 3\n  make pairs first: transforms\.best_and"):
        train.train(method("simpo"), policy, [batch], Descent(policy.parameters(), rate=1.0))


def test_policy_that_says_nan_stops_the_loop():
    policy = bandit.tabular(1, 2)
    with torch.no_grad():
        policy.scores.numbers += torch.nan

    with pytest.raises(AlignmentError, match="policy hold nan at prompt 0, response 0, token 0"):
        train.train(
            method("simpo"),
            policy,
            [single(torch.tensor([[0, 1]]), prompts=torch.tensor([0]))],
            Descent(policy.parameters(), rate=1.0),
        )


def test_infinite_loss_stops_the_loop_before_the_step():
    policy = bandit.tabular(1, 2)
    batch = single(torch.tensor([[0, 1]]), prompts=torch.tensor([0]))

    with pytest.raises(AlignmentError, match="the loss is inf at step 0 of ipo"):
        train.train(
            method("ipo").using(tau=1e-200),
            policy,
            [batch],
            Descent(policy.parameters(), rate=1.0),
            reference=policy,
        )

    assert policy.scores.numbers.abs().sum() == 0


def test_source_without_a_batch_is_refused():
    policy = bandit.tabular(1, 2)

    with pytest.raises(AlignmentError, match="no batches"):
        train.train(method("simpo"), policy, [], Descent(policy.parameters(), rate=1.0))


def test_prompt_weights_decide_what_is_learnt():
    """Two prompts' loss 1 and 3 at weights 3 and 1: (3 + 3) / 4."""
    assert train.weighted_mean(numbers(1.0, 3.0), numbers(3.0, 1.0)) == 1.5
    assert train.weighted_mean(numbers(1.0, 3.0), None) == 2.0
    assert train.weighted_mean(numbers(1.0, 3.0), numbers(0.0, 0.0)) == 0.0


def test_equal_seeds_give_equal_policies():
    def learnt():
        policy, draw = bandit.tabular(1, 4), generator(9)
        questions = repeated([asked(torch.zeros(8, dtype=torch.long))], 20)
        judged = played(questions, [policy] * 3, scored(rewards_of), generator=draw)
        train.train(
            method("grpo"),
            policy,
            judged,
            Adam(policy.parameters(), rate=0.1),
            reference=frozen(policy),
        )
        return policy.scores.numbers.detach()

    assert torch.equal(learnt(), learnt())


def test_peers_mask_each_others_batches_outside_the_loop():
    """Small-loss selection is a keep mask, given to the loop as prompt weights."""
    assert smallest(numbers(3.0, 1.0, 2.0, 9.0), share=0.5).tolist() == [False, True, True, False]


def test_network_policy_learns_what_depends_on_features():
    draw = generator(3)
    features = torch.randn(64, 2, generator=draw, dtype=torch.float64)
    policy = bandit.network((2, 8, 2), generator=draw)
    likes_first = features[:, 0] > 0
    arms = torch.where(likes_first.unsqueeze(-1), torch.tensor([0, 1]), torch.tensor([1, 0]))

    train.train(
        method("dpo").using(beta=1.0),
        policy,
        repeated([single(arms, prompts=features)], 150),
        Adam(policy.parameters(), rate=0.03),
        reference=frozen(policy),
    )

    chosen = policy.distribution(single(arms, prompts=features)).argmax(dim=-1)
    assert ((chosen == 0) == likes_first).double().mean() > 0.95


def test_goal_conditioned_policy_answers_each_goal_with_its_own_arm():
    draw = generator(5)
    policy = bandit.network((2, 16, 4), generator=draw, reads=bandit.prompts_and_goals)
    arms = torch.stack([torch.randperm(4, generator=draw)[:2] for _ in range(64)])
    data = single(arms, prompts=torch.zeros(64, 1, dtype=torch.float64))
    data = best_and_worst(replace(data, scores=rewards_of(data)))

    train.train(
        method("ra_dpo").using(beta=1.0),
        policy,
        repeated([data], 300),
        Adam(policy.parameters(), rate=0.03),
        reference=frozen(policy),
    )

    asked_for = asked(torch.zeros(4, 1, dtype=torch.float64), goals=REWARDS)
    achieved = policy.distribution(asked_for).exp() @ REWARDS
    assert achieved.argsort(descending=True).tolist() == [0, 1, 2, 3]


def test_coin_tosses_put_the_likelier_winner_first_as_often_as_they_should():
    arms = torch.tensor([[0, 2]]).expand(4000, 2)
    batch = decided(chances_of)(single(arms), generator(7))

    share = (batch.responses[:, 0, 0] == 0).double().mean()

    assert_close(share, torch.sigmoid(numbers(4.0))[0], atol=0.01, rtol=0)


def test_moving_reference_follows_by_its_share():
    policy, reference = bandit.tabular(1, 2), bandit.tabular(1, 2)
    with torch.no_grad():
        policy.scores.numbers += 1

    follow(reference, policy, share=0.6)

    assert_close(reference.scores.numbers.detach(), numbers([0.6, 0.6]))


def test_example_of_the_readme_runs():
    text = (Path(train.__file__).parent / "README.md").read_text()
    example = text.split("```python\n")[1].split("```")[0].replace("500", "5")
    data = single(torch.tensor([[0, 1]]).expand(64, 2), prompts=torch.zeros(64, dtype=torch.long))

    names = {"prompts": 1, "arms": 2, "data": data, "generator": generator(0)}
    exec(example, names)  # noqa: S102  the text is ours

    assert names["step"].number == 5
    assert names["policy"].scores.numbers[0, 0] > names["policy"].scores.numbers[0, 1]
