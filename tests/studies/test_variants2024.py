"""Losses for pairs over amounts of data, small."""

import numpy as np
from numpy.testing import assert_allclose

from institutional.studies import variants2024 as study
from institutional.studies.study import estimate

FORM = np.array([study.FORM, 3, 1])


def test_every_loss_teaches_form_from_pretraining():
    outcome = study.run(range(5), steps=25, base_steps=60)

    got = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert all(got[f"{study.PLAIN}, {row}: win rate"] > 0.5 for row in study.ROWS)
    assert got[f"{study.TUNED}: demands met before"] > got[f"{study.PLAIN}: demands met before"]
    assert len(outcome.draw().axes) == 4


def test_form_demands_an_opening_the_first_digit_and_a_closing():
    opens, closes = study.OPENS, study.CLOSES
    answers = np.array([[opens, 3, 0, closes], [opens, 1, 0, closes], [3, 0, 3, 0], [1, 1, 1, 3]])

    assert study.demands_met(FORM, answers).tolist() == [3, 2, 1, 0]


def test_demonstrations_meet_every_demand_and_pretraining_what_it_says():
    rng = np.random.default_rng(0)
    shown = study.demonstration(rng, count=200)
    prompts, answers = study.lesson(rng, count=20_000)

    assert (study.demands_met(*shown) == 3).all()
    sums = prompts[:, 0] == study.SUM
    right = answers[sums, 0] == prompts[sums, 1:].sum(axis=1) % study.DIGITS
    assert_allclose(right.mean(), study.KNOWN + (1 - study.KNOWN) / study.DIGITS, atol=0.02)
    assert_allclose((answers[~sums, -1] == study.CLOSES).mean(), study.HABIT, atol=0.02)
