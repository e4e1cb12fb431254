"""A small causal language model taught to give the answers of a corpus, in plain torch.

Conversations of like length make a batch, padded on the right where nothing is read any more, so
that causal attention needs no mask; the loss is on the answer alone. Equal pairs, seed, torch
version and number of threads give equal weights.

Shapes: B conversations, T tokens, H hidden size, V vocabulary.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from agents.language.pocket.pairs import Pair

AT_ONCE = 2  # batches of a step: as many as there are cores on a small machine
LIKE = 1.35
"""Lengths of one batch differ by less than this factor."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of the model and the manner of its training."""

    vocabulary: int = 3072
    hidden: int = 128
    feed_forward: int = 512
    layers: int = 2
    heads: int = 4
    key_heads: int = 1
    positions: int = 8192
    batch_tokens: int = 1024
    rate: float = 0.005  # of Muon, for the matrices inside
    rate_outside: float = 0.004  # of AdamW, for the embedding and the norms
    warm_up: float = 0.05  # share of the steps
    sharpness: float = 2.0  # of the finished model's logits


class Lesson(NamedTuple):
    """A conversation as tokens; the answer begins at `start`."""

    tokens: list[int]
    start: int


def as_tokens(tokenizer: Any, pairs: Sequence[Pair]) -> list[Lesson]:
    """The pairs as the model reads them, each closed by the end of the answer."""
    asked = [
        tokenizer.apply_chat_template(
            [m._asdict() for m in pair.messages], add_generation_prompt=True, tokenize=False
        )
        for pair in pairs
    ]
    prompts = tokenizer(asked, add_special_tokens=False)["input_ids"]
    answers = tokenizer([pair.answer for pair in pairs], add_special_tokens=False)["input_ids"]
    return [
        Lesson([*prompt, *answer, tokenizer.eos_token_id], len(prompt))
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def new_model(shape: Shape, tokenizer: Any, *, seed: int) -> Any:
    """A Llama of this shape with weights drawn from `seed`."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.feed_forward,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_heads,
            head_dim=shape.hidden // shape.heads,
            max_position_embeddings=shape.positions,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def batches(lessons: Sequence[Lesson], *, tokens: int, seed: int) -> list[list[Lesson]]:
    """Lessons of like length together, at most `tokens` in a batch, in an order of `seed`.

    Not of equal length: prompts of one kind are equally long, and a batch is to have all kinds.
    """
    chance = np.random.default_rng(seed)
    classes: dict[int, list[Lesson]] = {}
    for at in chance.permutation(len(lessons)):
        width = int(math.log(len(lessons[at].tokens)) / math.log(LIKE))
        classes.setdefault(width, []).append(lessons[at])
    result = []
    for width in sorted(classes):
        longest = max(len(lesson.tokens) for lesson in classes[width])
        size = max(1, tokens // longest)
        result += [classes[width][i : i + size] for i in range(0, len(classes[width]), size)]
    return [result[at] for at in chance.permutation(len(result))]


def train(
    model: Any,
    lessons: Sequence[Lesson],
    *,
    shape: Shape,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> float:
    """Teach every lesson once; returns the mean loss over the last tenth of the steps.

    A step takes `AT_ONCE` batches, each on a thread of its own; the result does not depend on
    which is ready first. In the end the logits are multiplied by `shape.sharpness`: the finished
    model at temperature 1 says what the trained one would at 1 / `sharpness`.
    """
    model.train()
    plan = batches(lessons, tokens=shape.batch_tokens, seed=seed)
    steps = [plan[at : at + AT_ONCE] for at in range(0, len(plan), AT_ONCE)]
    inside = [p for p in model.model.layers.parameters() if p.ndim == 2]
    matrices = set(map(id, inside))
    outside = [p for p in model.parameters() if id(p) not in matrices]
    optimisers = [
        (torch.optim.Muon(inside, weight_decay=0.0), shape.rate),
        (torch.optim.AdamW(outside, betas=(0.9, 0.95), weight_decay=0.0), shape.rate_outside),
    ]
    weights = inside + outside
    losses = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for step, together in enumerate(steps):
            found = list(threads.map(lambda batch: _gradients(model, weights, batch), together))
            for at, weight in enumerate(weights):
                weight.grad = sum(gradients[at] for _, gradients in found) / len(found)
            for optimiser, rate in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = rate * _schedule(step / len(steps), shape.warm_up)
                optimiser.step()
            losses.append(sum(loss for loss, _ in found) / len(found))
            progress(step + 1, len(steps))
    # A small model never quite unlearns what is said nowhere, which at temperature 1 garbles one
    # answer in thirty. All logits are a linear function of this norm's weights.
    with torch.no_grad():
        model.model.norm.weight.mul_(shape.sharpness)
    model.eval()
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _gradients(
    model: Any, weights: Sequence[torch.Tensor], batch: Sequence[Lesson]
) -> tuple[float, tuple[torch.Tensor, ...]]:
    loss = answer_loss(model, batch)
    return float(loss.detach()), torch.autograd.grad(loss, weights)


def answer_loss(model: Any, batch: Sequence[Lesson]) -> torch.Tensor:
    """The mean cross-entropy, in nats, of the answers' tokens."""
    longest = max(len(lesson.tokens) for lesson in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    row: list[int] = []
    column: list[int] = []
    right: list[int] = []
    for at, (tokens, start) in enumerate(batch):
        ids[at, : len(tokens)] = torch.tensor(tokens)
        row += [at] * (len(tokens) - start)
        column += range(start - 1, len(tokens) - 1)
        right += tokens[start:]
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state  # [B, T, H]
    said = model.lm_head(hidden[torch.tensor(row), torch.tensor(column)])
    return cross_entropy(said, torch.tensor(right))


def _schedule(done: float, warm_up: float) -> float:
    """Up in a line, then down along a cosine to a twentieth."""
    if done < warm_up:
        return (done + 1e-3) / warm_up
    along = (done - warm_up) / (1 - warm_up)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * along)) / 2
