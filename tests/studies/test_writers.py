"""Small language models side by side."""

import torch
from numpy.testing import assert_allclose

from agents.alignment.batch import Batch, checked
from institutional.studies.alignment import Dice
from institutional.studies.writers import Writers, known


def writers(seeds):
    return Writers(seeds, "test", vocabulary=4, longest=5, width=8)


def batch_of(rows):
    draw = torch.Generator().manual_seed(0)
    responses = torch.randint(4, (rows, 2, 3), generator=draw)
    prompts = torch.randint(4, (rows, 2), generator=draw)
    return Batch(responses=responses, mask=responses >= 0, prompts=prompts)


def test_a_writer_is_the_same_in_any_company():
    both, one, batch = writers([3, 7]), writers([7]), batch_of(4)

    alone = batch.picked(torch.tensor([2, 3]))

    assert_allclose(known(both, batch)[2:], known(one, alone), atol=1e-6)
    assert_allclose(both.rewards(batch)[2:].detach(), one.rewards(alone).detach(), atol=1e-6)


def test_a_token_is_foretold_from_those_before_it_only():
    policy, batch = writers([3]), batch_of(2)
    before = known(policy, batch)

    batch.responses[..., -1] = (batch.responses[..., -1] + 1) % 4

    assert_allclose(known(policy, batch)[..., :-1], before[..., :-1])
    assert (known(policy, batch)[..., -1] != before[..., -1]).all()


def test_what_is_written_is_as_likely_as_it_is_said_to_be():
    policy, prompts = writers([3, 7]), torch.tensor([[0, 1], [2, 3], [1, 1], [0, 0]])

    drawn = policy.write(prompts, Dice([3, 7], "dice"), length=3)

    batch = checked(
        Batch(responses=drawn.tokens.unsqueeze(1), mask=drawn.mask.unsqueeze(1), prompts=prompts)
    )
    assert_allclose(known(policy, batch)[:, 0], drawn.log_probs, atol=1e-5)


def test_copies_learn_apart_from_each_other():
    one, batch = writers([3, 7]), batch_of(4)
    twice = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])

    copies = one.repeated(2)

    assert_allclose(known(copies, batch.picked(twice))[:4], known(one, batch), atol=1e-6)
    with torch.no_grad():
        copies.says[2] += 1.0
        copies.says[2, :, 0] += 1.0
    assert_allclose(known(copies, batch.picked(twice))[6:], known(one, batch)[2:], atol=1e-6)
    assert not torch.allclose(known(copies, batch.picked(twice))[4:6], known(one, batch)[:2])
