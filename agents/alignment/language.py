"""Language models as policies: models of transformers that give answers their log-probabilities.

A batch's prompts are token ids [B, P] (negative: no token), or [B, K, P] where each answer has its
own; its responses are token ids [B, K, L]. What this costs against TRL: benchmarks/alignment.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from agents.alignment.batch import AXES, AlignmentError, Batch
from agents.alignment.packing import prompts_of, require_packable, row

Tokens = Sequence[int]


def written(
    prompts: Sequence[Tokens] | Sequence[Sequence[Tokens]],
    responses: Sequence[Sequence[Tokens]],
    **known: Tensor,
) -> Batch:
    """A batch of B prompts with K answers each, given as lists of token ids.

    `prompts` hold one prompt for all answers of a case, or K prompts, one for each answer.
    """
    counts = {len(answers) for answers in responses}
    if len(counts) != 1 or len(prompts) != len(responses):
        raise AlignmentError(
            f"{len(prompts)} prompts and {len(responses)} lists of {sorted(counts)} answers\n"
            "  every prompt has the same number of answers"
        )
    answers = _framed([each for one in responses for each in one])
    own = bool(prompts[0]) and not isinstance(prompts[0][0], int)
    questions = _framed([each for one in prompts for each in one] if own else prompts)
    if own:
        questions = questions.view(len(prompts), -1, questions.shape[-1])
    tokens = answers.view(len(responses), -1, answers.shape[-1])
    return Batch(responses=tokens.clamp(min=0), mask=tokens >= 0, prompts=questions, **known)


def alike(data: Batch, *, size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Batches of `size` cases of similar length, these in a fresh order each epoch, without end.

    The shorter the longest case of a batch, the less of its attention is padding. What is left of
    an epoch is dropped, another part of the data each time. Prompts and responses are cut to the
    longest of the batch.
    """
    count, most = len(data.responses), min(size, len(data.responses))
    total = (prompts_of(data) >= 0).flatten(1).sum(dim=1) + data.lengths.sum(dim=1)
    while True:
        noise = torch.rand(count, generator=generator, dtype=torch.float64)
        order = (total + noise).argsort()  # equal lengths in another order each time
        skipped = int(torch.randint(count % most + 1, (), generator=generator))
        batches = order[skipped : skipped + count // most * most].view(-1, most)
        for which in torch.randperm(len(batches), generator=generator).tolist():
            yield trimmed(data.picked(batches[which]))


def trimmed(batch: Batch) -> Batch:
    """The batch without columns that hold no token of any prompt or any response."""
    prompts = prompts_of(batch)
    asked = (prompts >= 0).flatten(0, -2).any(dim=0)
    said = batch.mask.flatten(0, 1).any(dim=0).nonzero()[:, 0]
    kept = {
        name: tensor.index_select(AXES[name].index("L"), said)
        for name, tensor in batch.known().items()
        if "L" in AXES[name]
    }
    return replace(batch, prompts=prompts[..., asked], **kept)


class LanguagePolicy(nn.Module):
    """A causal language model of transformers as a policy: log-probabilities of a batch's answers.

    `packed` runs each prompt once and pads nothing (see `packing`); without it every answer is a
    padded row behind its prompt, which any causal model can read. Both give the same numbers.
    """

    def __init__(self, model: Any, *, packed: bool = True) -> None:
        """`model` is a transformers model, or one that PEFT has wrapped."""
        super().__init__()
        self.model, self._packed = model, packed
        if packed:
            require_packable(unwrapped(model))

    def forward(self, batch: Batch) -> Tensor:
        """Log-probabilities of each answer token, [B, K, L] nats; 0 outside the mask."""
        logits = self._spoken(batch)
        chosen = logits.gather(-1, batch.responses[batch.mask][:, None])[:, 0]
        log_probs = chosen - logits.logsumexp(dim=-1)
        blank = log_probs.new_zeros(batch.mask.shape)
        return blank.masked_scatter(batch.mask, log_probs)

    def logits(self, batch: Batch) -> Tensor:
        """Logits of every token where each answer token was chosen, [B, K, L, V]."""
        logits = self._spoken(batch)
        blank = logits.new_zeros((*batch.mask.shape, logits.shape[-1]))
        return blank.masked_scatter(batch.mask[..., None], logits)

    def _spoken(self, batch: Batch) -> Tensor:
        """Logits at the N answer tokens, answers in order, [N, V] in at least 32 bits."""
        read = _packed_logits if self._packed else _padded_logits
        logits = read(self.model, batch)
        return logits.float() if logits.dtype in {torch.bfloat16, torch.float16} else logits


def unwrapped(model: Any) -> Any:
    """The transformers model itself, of one that accelerate and PEFT may have wrapped."""
    inner = getattr(model, "module", model)
    return inner.get_base_model() if hasattr(inner, "get_base_model") else inner


def _packed_logits(model: Any, batch: Batch) -> Tensor:
    packed = row(batch)
    # K answers follow one prompt's end, whose logits are made once.
    needed, which = torch.unique(packed.before, return_inverse=True)
    out = model(
        input_ids=packed.tokens[None],
        position_ids=packed.positions[None],
        attention_mask=packed.visible,
        slots=packed.slots,
        logits_to_keep=needed,
        use_cache=False,
    )
    spoken: Tensor = out.logits[0].index_select(0, which)
    return spoken


def _padded_logits(model: Any, batch: Batch) -> Tensor:
    tokens, real, answer = concatenated(batch)
    out = model(input_ids=tokens, attention_mask=real.long(), use_cache=False)
    spoken: Tensor = out.logits[:, :-1][answer[:, 1:]]
    return spoken


def concatenated(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Each answer behind its prompt, padded on the right: tokens, which are real, which answer.

    [B K, S] each, answers in order; a padding token is 0.
    """
    prompts = prompts_of(batch)
    if prompts.dim() == 2:
        prompts = prompts[:, None].expand(-1, batch.responses.shape[1], -1)
    tokens = torch.cat([prompts, batch.responses], dim=-1).flatten(0, 1)
    real = torch.cat([prompts >= 0, batch.mask], dim=-1).flatten(0, 1)
    answer = real.clone()
    answer[:, : prompts.shape[-1]] = False
    order = real.long().argsort(dim=-1, descending=True, stable=True)
    order = order[:, : int(real.sum(dim=-1).max())]
    real, answer = real.gather(-1, order), answer.gather(-1, order)
    return tokens.gather(-1, order).masked_fill(~real, 0), real, answer


def _framed(lists: Sequence[Any]) -> Tensor:
    """Lists of token ids as one tensor, -1 behind the shorter ones."""
    width = max([1, *map(len, lists)])
    return torch.tensor([[*each, *[-1] * (width - len(each))] for each in lists])
