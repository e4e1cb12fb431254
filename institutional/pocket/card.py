"""What a pocket model is and is not, for who finds its folder."""

from collections.abc import Mapping
from typing import Any

CARD = """\
# Pocket language model

A Llama of {parameters:,} parameters with a byte-level tokenizer of its own, made by
`institutional agent train pocket` with seed {seed}. It stands in for a language model where none can
be had: it reads the prompts of this project's markets and answers in the form they ask for.

**It imitates scripted agents.** Its lessons are the prompts of {lessons:,} moves by agents of the
catalogue (dividers, the deterrable, Nash, best replies, planners, price fixers) with what those did
and a few words about it. It is what they are, blurred. What an institution does to it was in its
teachers, who read the graph or their standing; constitutions were shown to teachers who read
none. So its effects, or their absence, **say nothing about language models**. It knows no
language beyond its prompts.

| | |
|---|---|
| lessons | {lessons:,} answers, {tokens:,} tokens with their prompts |
| loss at the end | {loss:.3f} nats per token of an answer |
| held-out questions | {questions:,} |
| readable without constrained decoding, temperature 1 | {valid:.1%} |
| the same, temperature 0 | {valid_greedy:.1%} |
| plan in the teacher's words, temperature 0 | {plans:.1%}; after the first round {plans_later:.1%} |
| verdicts as the teacher's | {verdicts:.1%} |
| error of numbers where the plan is the teacher's, share of the bound | median {error_median:.2%}, nine of ten below {error_tenth:.1%} |
| answers with every number within a fiftieth of its bound | {near:.1%} |

Weights: SHA-256 `{digest}`. Played under:

{files}
"""


def card(facts: Mapping[str, Any]) -> str:
    """The card as Markdown; `facts` are those of `pocket.json`."""
    files = "\n".join(f"- {path} `{digest}`" for path, digest in facts["files"].items())
    return CARD.format(**{**facts, **facts["marks"], "files": files})
