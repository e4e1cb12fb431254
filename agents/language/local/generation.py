"""Many questions answered together by one causal language model.

Rows are padded on the left; a row that is done leaves the batch. What a row says depends on its own
question and seed; the company it is in changes its logits by rounding alone.
Shapes: B rows, T tokens, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from llguidance import LLMatcher

from agents.language.exchange import Finish
from agents.language.local.cache import new_cache
from agents.language.local.constraint import allowed

_SLICE = 8192  # tokens read at once: more no longer fit a processor's cache
_ROWS = 128  # rows of a batch; they are of like length, so that little is padding
_LEAVE = 0.25  # share of done rows at which the batch is made smaller


class Question(NamedTuple):
    """A prompt as tokens, and how to answer it."""

    tokens: Sequence[int]
    matcher: LLMatcher | None  # None: anything goes
    temperature: float
    max_tokens: int
    seed: int


class Written(NamedTuple):
    """An answer as tokens."""

    tokens: list[int]
    finish: Finish


@dataclass
class _Row:
    place: int
    question: Question
    chance: np.random.Generator
    tokens: list[int] = field(default_factory=list)
    finish: Finish | None = None


@torch.inference_mode()
def generate(model: Any, questions: Sequence[Question], *, ends: frozenset[int]) -> list[Written]:
    """Answer every question, in order; `ends` are the tokens that end an answer."""
    answers = [Written([], "length")] * len(questions)
    rows = [_Row(i, q, np.random.default_rng(q.seed)) for i, q in enumerate(questions)]
    rows.sort(key=lambda row: len(row.question.tokens))
    for start in range(0, len(rows), _ROWS):
        _generate(model, rows[start : start + _ROWS], ends, answers)
    return answers


def _generate(model: Any, rows: list[_Row], ends: frozenset[int], answers: list[Written]) -> None:
    """Answer one batch, each row in its place of `answers`."""
    cache = new_cache(model)
    seen, logits = _read(model, cache, [row.question.tokens for row in rows])
    while True:
        tokens = _choose(rows, logits)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            _take(row, token, ends)
            if row.finish is not None:
                answers[row.place] = Written(row.tokens, row.finish)
        going = [i for i, row in enumerate(rows) if row.finish is None]
        if not going:
            return
        if len(going) <= (1 - _LEAVE) * len(rows):
            kept = torch.tensor(going, device=logits.device)
            rows = [rows[i] for i in going]
            seen, tokens = seen[kept], tokens[kept]
            cache.batch_select_indices(kept)
        seen = torch.cat([seen, seen.new_ones(len(rows), 1)], 1)
        logits = _step(model, cache, tokens[:, None], seen)


def _read(
    model: Any, cache: Any, prompts: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the prompts; returns what is no padding [B, T] and the last logits [B, V]."""
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    seen = torch.zeros(len(prompts), longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        seen[row, longest - len(prompt) :] = 1
    ids, seen = ids.to(model.device), seen.to(model.device)
    width = max(_SLICE // len(prompts), 16)
    logits = ids.new_zeros(0)
    for start in range(0, longest, width):
        logits = _step(model, cache, ids[:, start : start + width], seen[:, : start + width])
    return seen, logits


def _step(model: Any, cache: Any, ids: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Read `ids` after what is in the cache; returns the logits of what follows, [B, V]."""
    positions = (seen.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    out = model(
        input_ids=ids,
        attention_mask=seen,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: torch.Tensor = out.logits[:, -1].float()
    return logits


def _choose(rows: Sequence[_Row], logits: torch.Tensor) -> torch.Tensor:
    """The next token of each row that goes on, [B]; matchers move on with what was chosen."""
    chance = torch.tensor(np.array([row.chance.random(2) for row in rows]), dtype=torch.float32)
    chance = chance.to(logits.device)
    heat = torch.tensor([r.question.temperature for r in rows], device=logits.device)
    tokens = _drawn(logits, heat, chance[:, 0])
    refused, matchers, masks = [], [], []
    for index, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
        matcher = row.question.matcher
        if matcher is None or row.finish is not None or matcher.try_consume_tokens([token]):
            continue
        refused.append(index)
        matchers.append(matcher)
        masks.append(allowed(matcher, logits.shape[1]))
    if refused:
        at = torch.tensor(refused, device=logits.device)
        mask = torch.from_numpy(np.array(masks)).to(logits.device)
        tokens[at] = _drawn(logits[at].masked_fill(~mask, -torch.inf), heat[at], chance[at, 1])
        for index, matcher in zip(refused, matchers, strict=True):
            matcher.consume_token(int(tokens[index]))
    return tokens


def _drawn(logits: torch.Tensor, heat: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """A token per row [B] by inversion of `chance` in [0, 1); the likeliest at temperature 0."""
    odds = torch.softmax(logits / heat.clamp(min=1e-4)[:, None], -1).cumsum(-1)
    whole = odds[:, -1:].contiguous()
    drawn = torch.searchsorted(odds, chance[:, None] * whole, right=True)
    last = torch.searchsorted(odds, whole)  # rounding may carry a draw past what has a chance
    return torch.where(heat > 0, torch.minimum(drawn, last)[:, 0], logits.argmax(-1))


def _take(row: _Row, token: int, ends: frozenset[int]) -> None:
    if row.finish is not None:
        return
    if token in ends:
        row.finish = "stop"
        return
    row.tokens.append(token)
    if row.question.matcher is not None and row.question.matcher.is_stopped():
        row.finish = "stop"
    elif len(row.tokens) == row.question.max_tokens:
        row.finish = "length"
