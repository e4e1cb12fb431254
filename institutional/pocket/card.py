"""What a pocket model is and is not, for who finds its folder."""

from collections.abc import Mapping
from typing import Any

CARD = """\
# Pocket language model

A Llama of {parameters:,} parameters with a byte-level tokenizer of its own, made by
`institutional agent train pocket` with seed {seed}. It stands in for a language model where none
can be had: it reads the prompts of this project's markets and answers in the form they ask for.

**It imitates scripted agents.** Its lessons are the prompts of {lessons:,} moves by agents of the
catalogue (dividers, the deterrable, Nash, best replies, planners, price fixers) with what those did
and a few words about it. It is what they are, blurred. What an institution does to it was in its
teachers, who read the graph or their standing; constitutions were shown to teachers who read
none. So its effects, or their absence, **say nothing about language models**. It knows no
language beyond its prompts. Its logits are twice what they were trained to be, so at temperature 1
it speaks as at one half.

| | |
|---|---|
| lessons | {lessons:,} answers, {tokens:,} tokens with their prompts |
| loss at the end | {loss:.3f} nats per token of an answer |
| held-out questions | {questions:,} |
| readable without constrained decoding, temperature 1 | {valid} |
| the same, temperature 0 | {valid_greedy} |
| plan in the teacher's words, temperature 0 | {plans} |
| the same after the first round, when the prompt says who plays | {plans_later} |
| verdicts as the teacher's | {verdicts} |

Where the plan is the teacher's, the numbers are off by {error_median} of their bound in the
median and by less than {error_tenth} in nine of ten answers; {near} of the answers have
every number within a fiftieth of its bound.

Weights: SHA-256 `{digest}`. Played under:

{files}
"""


def card(facts: Mapping[str, Any]) -> str:
    """The card as Markdown; `facts` are those of `pocket.json`."""
    files = "\n".join(f"- {path} `{digest}`" for path, digest in facts["files"].items())
    marks = dict(facts["marks"])
    questions = marks.pop("questions")
    shares = {name: percent(share) for name, share in marks.items()}
    return CARD.format(**{**facts, **shares, "questions": questions, "files": files})


def percent(share: float | None) -> str:
    """A share in words."""
    return "none to see" if share is None else f"{share:.1%}"
