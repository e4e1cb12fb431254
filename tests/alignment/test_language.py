"""A language model packed into one row says what it says padded."""

from dataclasses import replace
from itertools import islice

import pytest
import torch
from small_models import answers, gpt2, llama, qwen
from torch.testing import assert_close
from transformers import MistralConfig, MistralForCausalLM

from agents.alignment.batch import AlignmentError
from agents.alignment.language import LanguagePolicy, alike, concatenated, trimmed, written
from agents.alignment.methods import method
from agents.alignment.optimizers import Descent
from agents.alignment.packing import row
from agents.alignment.references import frozen
from agents.alignment.train import train


def test_a_row_holds_each_prompt_once_and_answers_go_on_from_its_end():
    batch = written([[5, 6, 7], [8]], [[[9, 10], [11]], [[12], [13, 14]]])

    packed = row(batch)

    assert packed.tokens.tolist() == [5, 6, 7, 9, 10, 11, 8, 12, 13, 14]
    assert packed.positions.tolist() == [0, 1, 2, 3, 4, 3, 0, 1, 1, 2]
    assert packed.before.tolist() == [2, 3, 2, 6, 6, 8]
    assert packed.slots.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]  # the longest case takes 6


def test_an_answer_sees_its_prompt_and_itself_alone():
    batch = written([[5, 6]], [[[9, 10], [11]]])

    visible = row(batch).visible[0, 0].int().tolist()

    assert visible == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_padded_rows_hold_a_prompt_for_each_answer_and_padding_behind():
    tokens, real, answer = concatenated(written([[5, 6], [7]], [[[8], [9, 10]], [[11], [12]]]))

    assert tokens.tolist() == [[5, 6, 8, 0], [5, 6, 9, 10], [7, 11, 0, 0], [7, 12, 0, 0]]
    assert real.sum(dim=1).tolist() == [3, 4, 2, 2]
    assert answer.int().tolist() == [[0, 0, 1, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("make", [llama, qwen, gpt2])
@pytest.mark.parametrize(("count", "own"), [(2, False), (4, False), (1, False), (2, True)])
def test_packed_and_padded_agree_in_value_and_gradient(make, count, own):
    batch = answers(count=count, own=own)
    packed, padded = make(), make()

    ours = LanguagePolicy(packed)(batch)
    theirs = LanguagePolicy(padded, packed=False)(batch)
    ours.square().sum().backward()
    theirs.square().sum().backward()

    assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert (ours[~batch.mask] == 0).all()
    for one, other in zip(packed.parameters(), padded.parameters(), strict=True):
        assert_close(one.grad, other.grad, atol=2e-4, rtol=1e-3)


def test_logits_at_an_answers_tokens_are_those_its_log_probabilities_come_from():
    batch, policy = answers(), LanguagePolicy(llama())

    spoken = policy.logits(batch).log_softmax(dim=-1)

    chosen = spoken.gather(-1, batch.responses[..., None])[..., 0]
    assert_close(chosen[batch.mask], policy(batch)[batch.mask])


def test_a_packed_model_still_reads_and_writes_plain_text():
    model = llama()
    tokens = torch.tensor([[1, 5, 6, 7]])
    before = model(input_ids=tokens).logits

    LanguagePolicy(model)

    assert_close(model(input_ids=tokens).logits, before)
    assert model.generate(tokens, max_new_tokens=3, do_sample=False).shape[1] > 4


def test_a_model_with_windows_is_refused_unless_padded():
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    model = MistralForCausalLM(MistralConfig(vocab_size=20, sliding_window=4, **sizes, **heads))

    with pytest.raises(AlignmentError, match="packed=False"):
        LanguagePolicy(model)
    LanguagePolicy(model, packed=False)


def test_the_loop_trains_a_language_model_and_the_preferred_answer_gains():
    policy = LanguagePolicy(llama())
    reference, batch = frozen(policy), answers(prompts=3)
    settled = method("dpo").using(beta=1.0)
    first = train(
        settled, policy, [batch], Descent(policy.parameters(), rate=0.0), reference=reference
    )

    last = train(
        settled, policy, [batch] * 20, Descent(policy.parameters(), rate=0.1), reference=reference
    )

    assert first.loss == pytest.approx(0.6931, abs=1e-4)
    assert last.loss < 0.6


def test_batches_of_like_length_hold_every_case_at_most_once_an_epoch():
    batch = answers(prompts=11)
    batches = alike(batch, size=4, generator=torch.Generator().manual_seed(3))

    two = list(islice(batches, 2))

    assert [len(each.responses) for each in two] == [4, 4]
    totals = [(each.prompts >= 0).sum(dim=1) + each.lengths.sum(dim=1) for each in two]
    short, long = sorted(totals, key=lambda each: each.max())
    assert short.max() <= long.min()


def test_trimming_leaves_out_columns_nobody_uses():
    batch = trimmed(
        written([[5, 6, 7], [8]], [[[9, 10], [11]], [[12], [13]]]).picked(torch.tensor([1]))
    )

    assert batch.prompts.tolist() == [[8]]
    assert batch.responses.tolist() == [[[12], [13]]]


def test_what_no_model_can_read_is_said_in_one_message():
    with pytest.raises(AlignmentError, match="same number of answers"):
        written([[1], [2]], [[[3], [4]], [[5]]])
    with pytest.raises(AlignmentError, match="prompt 1 has no token"):
        LanguagePolicy(llama())(written([[1], []], [[[3]], [[5]]]))
    with pytest.raises(AlignmentError, match="token ids"):
        LanguagePolicy(llama())(replace(written([[1]], [[[3]]]), prompts=torch.zeros(1, 3)))
    with pytest.raises(AlignmentError, match="in the prompt's own words"):
        LanguagePolicy(llama())(replace(written([[1]], [[[3]]]), goals=torch.ones(1)))
