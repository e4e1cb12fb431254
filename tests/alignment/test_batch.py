"""A batch is looked over once, and what is wrong with it is said in one message."""

import importlib
import sys
from dataclasses import replace

import pytest
import torch
from alignment_examples import LIST, PAIR, numbers, random_batch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from agents.alignment.batch import AXES, AlignmentError, Batch, checked, single
from agents.contract import AgentError


def complaint(batch, counts=None):
    with pytest.raises(AlignmentError) as caught:
        checked(batch, counts)
    return str(caught.value)


def test_a_sound_batch_comes_back_as_it_is():
    assert checked(PAIR, {"annotators": 1, "rows": 1}) is PAIR


def test_nan_is_named_with_its_place_and_number():
    tokens = PAIR.reference.clone()
    tokens[0, 0, 1] = torch.nan

    said = complaint(replace(PAIR, reference=tokens))

    assert said.startswith("reference hold nan at prompt 0, response 0, token 1 (1 of 4 values)")


def test_nan_outside_the_mask_is_nobodys_concern():
    tokens = PAIR.reference.clone()
    tokens[0, 1, 1] = torch.nan

    checked(replace(PAIR, reference=tokens))


def test_minus_infinity_is_no_log_probability_of_a_response():
    assert "policy hold -inf" in complaint(replace(PAIR, policy=PAIR.policy - torch.inf))


def test_minus_infinity_among_logits_is_a_token_that_cannot_follow():
    logits = torch.zeros(1, 2, 2, 3)
    logits[..., 2] = -torch.inf

    checked(replace(PAIR, logits=logits))


def test_mismatched_shapes_are_named_with_what_was_expected():
    said = complaint(replace(PAIR, reference=torch.zeros(1, 2, 3)))

    assert said.startswith("reference have shape (1, 2, 3), but [B, K, L] is [1, 2, 2]")


def test_missing_axis_is_a_mismatch_too():
    assert "scores have shape (2,), but [B, K]" in complaint(replace(PAIR, scores=torch.zeros(2)))


def test_responses_without_tokens_as_axis_point_to_the_way_out():
    said = complaint(replace(PAIR, responses=torch.zeros(3, 2)))

    assert "responses have shape (3, 2), not [B, K, L]" in said
    assert "`single`" in said


@pytest.mark.parametrize("shape", [(0, 2), (3, 0)])
def test_empty_batch_is_refused(shape):
    said = complaint(single(torch.zeros(shape, dtype=torch.long)))

    assert said.startswith(f"an empty batch: responses have shape {(*shape, 1)}")


def test_response_without_a_token_is_refused():
    mask = torch.tensor([[[True, True], [False, False]]])

    assert complaint(replace(PAIR, mask=mask)).startswith("prompt 0, response 1 has no token")


@pytest.mark.parametrize("name", ["annotators", "rows"])
@pytest.mark.parametrize("wrong", [-1, 4])
def test_id_out_of_range_is_named_with_the_range_and_the_setting(name, wrong):
    said = complaint(replace(PAIR, **{name: torch.tensor([wrong])}), {name: 4})

    assert said.startswith(f"{name} hold {wrong} at prompt 0")
    assert f"say {name}=..." in said
    assert "[0, 3]" in said


def test_preference_beyond_one_is_no_probability():
    said = complaint(replace(PAIR, preferences=2 * PAIR.preferences))

    assert said.startswith("preferences hold 1.5 at prompt 0, response 0, response 1")


def test_negative_weight_is_refused():
    assert "weights hold -1.0 at prompt 0" in complaint(replace(PAIR, weights=numbers(-1.0)))


def test_complaint_is_one_the_command_line_shows_without_a_traceback():
    assert issubclass(AlignmentError, AgentError)


def test_every_field_has_its_axes():
    assert set(AXES) == set(Batch.__dataclass_fields__)


@given(seed=st.integers(0, 1000))
def test_swapping_twice_changes_nothing(seed):
    batch = random_batch(seed, answers=2)

    twice = batch.swapped().swapped()

    for name, tensor in batch.known().items():
        assert_close(getattr(twice, name), tensor)


def test_swapping_turns_every_field_about_responses():
    turned = PAIR.swapped()

    assert turned.scores.tolist() == [[0.0, 1.0]]
    assert turned.preferences[0, 0, 1] == 0.25
    assert turned.lengths.tolist() == [[1, 2]]
    assert turned.history.shape == PAIR.history.shape
    assert turned.mismatched.tolist() == [0.5]


def test_arranging_moves_all_that_is_known_of_a_response():
    arranged = LIST.arranged(torch.tensor([[2, 2, 0, 1]]))

    assert arranged.responses[..., 0].tolist() == [[2, 2, 0, 1]]
    assert arranged.scores.tolist() == [[0.0, 0.0, 2.0, 1.0]]
    assert arranged.objectives[1].tolist() == [[1.0, 1.0, 0.0, 0.0]]


def test_arranging_a_preference_matrix_moves_rows_and_columns():
    chances = torch.arange(9.0).reshape(1, 3, 3)

    moved = replace(LIST, preferences=chances).arranged(torch.tensor([[1, 0, 2]])).preferences

    assert moved[0].tolist() == [[4, 3, 5], [1, 0, 2], [7, 6, 8]]


def test_picking_prompts_by_index_or_mask():
    batch = random_batch(0, prompts=4)

    by_index = batch.picked(torch.tensor([1, 3]))
    by_mask = batch.picked(torch.tensor([False, True, False, True]))

    assert_close(by_index.history, batch.history[:, [1, 3]])
    assert_close(by_mask.policy, by_index.policy)


def test_without_the_extra_one_message_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("agents.alignment")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(AgentError, match=r"pip install 'institutional\[train\]'"):
        importlib.import_module("agents.alignment.methods")
