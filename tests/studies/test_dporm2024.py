"""Implicit and explicit rewards, small."""

import numpy as np

from institutional.studies import dporm2024 as study
from institutional.studies.study import estimate


def test_both_learn_and_are_one_where_they_are_linear():
    outcome = study.run(range(5), steps=60, base_steps=10, learnt=500, tested=200)

    got = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert got["linear, in distribution: EXRM above DPORM"] == 0
    assert abs(got["linear, out of it: EXRM above DPORM"]) < 0.005
    assert got["DPORM, in distribution: accuracy"] > 0.5
    assert got["EXRM, in distribution: accuracy"] > 0.5
    assert len(outcome.draw().axes) == 1


def test_an_answer_is_worth_its_tokens_and_what_holds_them_together():
    """Two of the liked 3, one of the disliked 4, ends of one half, tokens worth 0.1 each."""
    answer, prompt = np.array([3, 3, 4, 9, 0]), np.array([3, 4])

    worth = study.reward(prompt, answer, np.full(study.VOCABULARY, 0.1))

    assert np.isclose(worth, 0.5 + 2 - 1 + study.RELATION)
