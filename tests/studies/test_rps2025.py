"""Neighbouring directions, small."""

import numpy as np
from numpy.testing import assert_allclose

from institutional.studies import rps2025 as study
from institutional.studies.study import estimate


def test_neighbours_win_beyond_the_data_and_nowhere_else():
    outcome = study.run(range(5), trials=500)

    won = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert won["the paper's grid at 45 degrees: win rate"] > 0.7
    assert won["30 degrees to one side of 45: win rate"] > 0.85
    assert abs(won["0 degrees to one side of 45: win rate"] - 0.5) < 0.1
    assert won["the paper's grid at 10 degrees: win rate"] < 0.55
    assert len(outcome.draw().axes[0].lines) == 2


def test_beyond_the_data_an_answer_keeps_its_direction_and_loses_its_norm():
    """At 41 degrees, 6 past the limit, the norm is 1 / e; at 30 it is 1."""
    asked = np.broadcast_to(np.array([30.0, 41.0]), (40_000, 2))

    mean = study.achieved(np.random.default_rng(0), asked, fades=study.FADES).mean(axis=0)

    assert_allclose(np.hypot(*mean.T), [1.0, np.exp(-1)], atol=0.01)
    assert_allclose(np.rad2deg(np.arctan2(mean[:, 1], mean[:, 0])), [30, 41], atol=1.5)
