"""Batches as one row of tokens: no padding, and each prompt runs once for all its answers.

The row holds prompt 0, its K answers, prompt 1, its K answers, ...; an answer's positions go on
from its prompt's end. Attention alone is laid out again by prompt, under a mask that lets an answer
see its prompt and itself. A model's every other product then runs over real tokens only.

Shapes: B prompts, P tokens in the longest, K answers of up to L tokens; T tokens in the row, S in
the longest prompt with its answers; N answer tokens in all.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from agents.alignment.bandit import prompts as read_prompts
from agents.alignment.batch import AlignmentError, Batch

BRANCHES = "institutional_branches"
"""The attention's name among those of transformers; without `slots` it is plain `sdpa`."""


class Row(NamedTuple):
    """A batch as one row of tokens, and where in it everything is."""

    tokens: Tensor  # [T]
    positions: Tensor  # [T] of each token in its prompt with its answer
    slots: Tensor  # [T] where each token goes in [B, S], flattened
    visible: Tensor  # [B, 1, S, S] true where a token sees another
    before: Tensor  # [N] the token of the row that each answer token follows, answers in order


def prompts_of(batch: Batch) -> Tensor:
    """Token ids [B, P] of prompts that answers share, or [B, K, P] of each answer's own.

    Negative ids are no tokens. Raises AlignmentError for a prompt without tokens: nothing would
    predict the answer's first one.
    """
    if batch.goals is not None:
        raise AlignmentError(
            "a language model reads the goal in the prompt's own words\n"
            '  write it there, once for each answer of a pair, and train with method "dpo"'
        )
    prompts = read_prompts(batch)
    if prompts.dim() not in {2, 3} or prompts.is_floating_point():
        raise AlignmentError(
            f"prompts are {prompts.dtype} of shape {tuple(prompts.shape)}, not token ids [B, P]\n"
            "  language.written makes a batch of lists of token ids"
        )
    empty = ((prompts >= 0).sum(dim=-1) == 0).nonzero()
    if len(empty):
        raise AlignmentError(
            f"prompt {empty[0, 0].item()} has no token\n  begin with a beginning-of-text token"
        )
    return prompts[:, : batch.responses.shape[1]] if prompts.dim() == 3 else prompts


def row(batch: Batch) -> Row:
    """The batch's tokens in one row."""
    prompts, answers, inside = prompts_of(batch), batch.responses, batch.mask
    if prompts.dim() == 3:  # nothing is shared: each answer with its prompt is a case of its own
        prompts = prompts.flatten(0, 1)
        answers, inside = answers.flatten(0, 1)[:, None], inside.flatten(0, 1)[:, None]
    count, width = answers.shape[1:]
    real = torch.cat([prompts >= 0, inside.flatten(1)], dim=1)  # [B, P + K L]
    tokens = torch.cat([prompts, answers.flatten(1)], dim=1)
    branch = torch.cat(
        [
            torch.zeros(prompts.shape[1], dtype=torch.long, device=answers.device),
            torch.arange(1, count + 1, device=answers.device).repeat_interleave(width),
        ]
    ).expand_as(tokens)
    within = (prompts >= 0).cumsum(dim=1)  # places from 1
    along = inside.cumsum(dim=2) + within[:, -1, None, None]
    positions = torch.cat([within, along.flatten(1)], dim=1) - 1
    index = real.flatten().cumsum(0).view_as(real) - 1  # [B, P + K L] place in the row
    rank = real.cumsum(dim=1) - 1
    longest = int(rank[:, -1].max()) + 1
    slots = (torch.arange(len(real), device=rank.device)[:, None] * longest + rank)[real]
    follows = index[:, prompts.shape[1] :].view_as(inside) - 1
    last = index[:, : prompts.shape[1]].max(dim=1).values[:, None, None]
    first = inside & (inside.cumsum(dim=2) == 1)
    before = torch.where(first, last, follows)[inside]
    return Row(
        tokens=tokens[real],
        positions=positions[real],
        slots=slots,
        visible=_visible(branch[real], slots, shape=(len(real), longest)),
        before=before,
    )


def _visible(branch: Tensor, slots: Tensor, *, shape: tuple[int, int]) -> Tensor:
    """[B, 1, S, S]: earlier tokens of the prompt (branch 0) and of the same answer.

    Empty slots see one another, since a softmax over nothing is no number.
    """
    where = branch.new_full((shape[0] * shape[1],), -1)
    where[slots] = branch
    where = where.view(shape)
    same = where[:, :, None] == where[:, None, :]
    prompt = (where[:, None, :] == 0) & (where[:, :, None] > 0)
    earlier = torch.ones(shape[1], shape[1], dtype=torch.bool, device=branch.device).tril()
    return ((same | prompt) & earlier)[:, None]


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    slots: Tensor | None = None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """Attention of one row [1, heads, T, D] by prompt, or of an ordinary batch without `slots`."""
    if slots is None or attention_mask is None:
        plain: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **settings
        )
        return plain
    shape = attention_mask.shape[0], attention_mask.shape[-1]
    framed = [_framed(each, slots, shape) for each in (query, key, value)]
    settings["is_causal"] = False  # the mask says it all
    out, _ = sdpa_attention_forward(module, *framed, attention_mask, **settings)
    return out.flatten(0, 1).index_select(0, slots)[None], None


def _framed(row_of_heads: Tensor, slots: Tensor, shape: tuple[int, int]) -> Tensor:
    """[1, H, T, D] to [B, H, S, D], zero in empty slots."""
    each = row_of_heads[0].transpose(0, 1)  # [T, H, D]
    frame = each.new_zeros((shape[0] * shape[1], *each.shape[1:])).index_copy(0, slots, each)
    return frame.view(*shape, *each.shape[1:]).transpose(1, 2)


def require_packable(model: Any) -> None:
    """Give the transformers model our attention; AlignmentError where its layers need another."""
    config = model.config.get_text_config()
    if config._attn_implementation == BRANCHES:  # noqa: SLF001 - transformers has no other way to ask
        return
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    if kinds != {"full_attention"} or (window and not getattr(config, "layer_types", None)):
        raise AlignmentError(
            f"{type(model).__name__} has layers that are not full attention "
            f"({', '.join(sorted(kinds - {'full_attention'})) or f'a window of {window}'})\n"
            "  give packed=False: its batches are then padded"
        )
    model.set_attn_implementation(BRANCHES)
    if config._attn_implementation != BRANCHES:  # noqa: SLF001 - likewise
        raise AlignmentError(
            f"{type(model).__name__} does not let its attention be replaced\n"
            "  give packed=False: its batches are then padded"
        )


AttentionInterface.register(BRANCHES, attend)
AttentionMaskInterface.register(BRANCHES, sdpa_mask)
