"""Every row of the method table against its row of tests: no method is left out."""

import re
from dataclasses import replace

import pytest
import torch
from alignment_examples import numbers, padded
from alignment_rows import ROWS
from torch.testing import assert_close

from agents.alignment.batch import AlignmentError, checked
from agents.alignment.methods import METHODS, method

EVERY = pytest.mark.parametrize("name", METHODS)


def value(name, batch, settings, memory):
    row = METHODS[name].using(**settings)
    return row.loss(row.prepares(checked(batch)), **row.defaults, **memory).mean()


def test_every_method_has_its_row_of_tests():
    assert ROWS.keys() == METHODS.keys()


@EVERY
def test_loss_is_what_one_works_out_by_hand(name):
    row = ROWS[name]

    found = value(name, row.batch, row.settings, row.memory)

    assert_close(found, torch.tensor(row.loss, dtype=torch.float64), atol=1e-9, rtol=0)


@EVERY
def test_gradient_pushes_where_the_method_says(name):
    row, used = ROWS[name], METHODS[name].using(**ROWS[name].settings)
    batch = used.prepares(row.batch)
    leaf = getattr(batch, row.leaf).clone().requires_grad_()

    losses = used.loss(replace(batch, **{row.leaf: leaf}), **used.defaults, **row.memory)
    losses[0].backward()

    of_tokens = -leaf.grad[0] * (batch.mask[0] if row.leaf == "policy" else 1)
    pushed = of_tokens.sum(dim=-1) if row.leaf == "policy" else of_tokens.flatten()
    assert torch.where(pushed.abs() < 1e-12, 0, pushed).sign().tolist() == list(row.pushes)


@EVERY
def test_tokens_outside_the_mask_are_never_read(name):
    row = ROWS[name]

    before = value(name, row.batch, row.settings, row.memory)
    after = value(name, padded(row.batch), row.settings, row.memory)

    assert_close(after, before)


@EVERY
def test_loss_does_not_notice_what_the_paper_says_it_should_not(name):
    row = ROWS[name]

    before = value(name, row.batch, row.settings, row.memory)
    after = value(name, row.same(row.batch), row.settings, row.memory)

    assert_close(after, before)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.limit is not None])
def test_method_becomes_another_at_its_limit(name):
    row, limit = ROWS[name], ROWS[name].limit
    batch = row.batch if limit.batch is None else limit.batch
    memories = limit.memory or {}
    here = METHODS[name].begins is not METHODS["dpo"].begins

    found = value(name, batch, limit.settings, memories if here else {})
    other = value(limit.other, batch, limit.others, {} if here else memories)

    assert_close(found, limit.scale * other)


@EVERY
def test_paper_is_named_so_that_one_finds_it(name):
    title, where, place = METHODS[name].paper

    assert re.fullmatch(r"arXiv:\d{4}\.\d{5}|https://\S+", where)
    assert title
    assert place
    assert METHODS[name].defaults_from


def test_no_two_methods_cite_the_same_place():
    places = [(row.paper.where, row.paper.place) for row in METHODS.values()]

    assert len(set(places)) == len(places)


def test_no_two_methods_are_the_same():
    made_of = [
        (row.loss, row.prepares, str(row.samplers), str(sorted(row.defaults.items(), key=str)))
        for row in METHODS.values()
    ]

    assert len(set(made_of)) == len(made_of)


def test_misspelt_method_is_told_the_right_name():
    with pytest.raises(AlignmentError, match=r'no method "simpoo"[\s\S]*Did you mean "simpo"'):
        method("simpoo")


def test_misspelt_setting_is_told_the_right_name():
    with pytest.raises(AlignmentError, match=r'dpo has no setting "betta"[\s\S]*"beta"'):
        method("dpo").using(betta=0.5)


def test_settings_of_a_row_cannot_be_changed_in_place():
    with pytest.raises(TypeError):
        method("dpo").using(beta=0.2).defaults["beta"] = 0.5

    assert method("dpo").defaults["beta"] == 0.1


def test_loss_of_a_method_is_a_function_of_the_batch_alone():
    row = ROWS["hinge"]

    assert_close(method("hinge").using(beta=0.25).bound()(row.batch), numbers(0.5))
