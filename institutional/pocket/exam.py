"""How well a pocket model answers what it was not taught with, by the rules of play."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.language.answer import Answer, Malformed, Verdict, read_answer, read_verdict
from agents.language.backends.transformers import Transformers
from agents.language.exchange import Reply, Request
from agents.language.models import Model
from institutional.pocket.lesson import Question


class Marks(NamedTuple):
    """What came of it; shares of all questions of the kind, None where there was none.

    The answers are not held to any schema. `valid` is at temperature 1, all else at 0. Errors are
    shares of a number's bound.
    """

    questions: int
    valid: float | None  # temperature 1: readable as play reads it
    valid_greedy: float | None
    plans: float | None  # the teacher's own words
    plans_later: (
        float | None
    )  # after the first round: only the later prompts say who the teacher is
    verdicts: float | None
    error_median: float | None  # of the numbers, where the plan is the teacher's
    error_tenth: float | None  # nine of ten are nearer
    near: float | None  # share of those answers with every number within a fiftieth of its bound


def examine(folder: Path, questions: Sequence[Question]) -> Marks:
    """Put the questions to the model in `folder`, once at temperature 1 and once at 0."""
    free, best = asyncio.run(_both(folder, questions))
    valid = [_read(q, r.text) for q, r in zip(questions, free, strict=True)]
    read = [_read(q, r.text) for q, r in zip(questions, best, strict=True)]
    played = [
        (q.form, _taught(q), got, "Round 1\n" in q.pair.messages[-1].content)
        for q, got in zip(questions, read, strict=True)
        if q.form is not None
    ]
    same = [isinstance(got, Answer) and got.plans == want.plans for _, want, got, _ in played]
    later = [agrees for agrees, (*_, first) in zip(same, played, strict=True) if not first]
    errors = np.array(
        [
            max(abs(a - b) / h for a, b, h in zip(got.action, want.action, form.high, strict=True))
            for agrees, (form, want, got, _) in zip(same, played, strict=True)
            if agrees and isinstance(got, Answer)
        ]
    )
    verdicts = [
        json.loads(q.pair.answer)["verdict"] == ("approve" if got.approved else "reject")
        for q, got in zip(questions, read, strict=True)
        if isinstance(got, Verdict)
    ]
    return Marks(
        questions=len(questions),
        valid=_share([not isinstance(got, Malformed) for got in valid]),
        valid_greedy=_share([not isinstance(got, Malformed) for got in read]),
        plans=_share(same),
        plans_later=_share(later),
        verdicts=_share(verdicts),
        error_median=float(np.median(errors)) if len(errors) else None,
        error_tenth=float(np.quantile(errors, 0.9)) if len(errors) else None,
        near=_share((errors <= 0.02).tolist()),
    )


def _taught(question: Question) -> Answer:
    """What the teacher answered; raises AssertionError where play could not read that."""
    read = _read(question, question.pair.answer)
    assert isinstance(read, Answer), question.pair.answer  # noqa: S101 - our own mistake
    return read


def _read(question: Question, text: str) -> Answer | Verdict | Malformed:
    return read_verdict(text) if question.form is None else read_answer(text, question.form)


def _share(marks: Sequence[bool]) -> float | None:
    return float(np.mean(marks)) if marks else None


async def _both(folder: Path, questions: Sequence[Question]) -> tuple[list[Reply], list[Reply]]:
    backend = Transformers(Model(backend="transformers", model=str(folder), in_flight=128))
    try:
        replies = [
            await asyncio.gather(
                *(
                    backend.answer(
                        Request(
                            model=folder.name,
                            messages=question.pair.messages,
                            schema={},
                            temperature=temperature,
                            max_tokens=200,
                            seed=at,
                        )
                    )
                    for at, question in enumerate(questions)
                )
            )
            for temperature in (1.0, 0.0)
        ]
    finally:
        await backend.close()
    return replies[0], replies[1]
