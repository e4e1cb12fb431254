"""Self-play against past selves, small; and that the judges of the study are judges."""

from itertools import islice

import numpy as np
from numpy.testing import assert_allclose

from environments.preference_games.named import calandriello2024
from institutional.studies import mnpo2025 as study
from institutional.studies.study import estimate


def test_exact_play_follows_the_pilots_and_noise_favours_the_average():
    outcome = study.run(range(5), moments=(20, 200))

    gap = {name: estimate(values).value for name, values in outcome.measured.items()}
    for name, pilots in study.PILOTS.items():
        for count, pilot in zip((20, 200), pilots, strict=False):
            assert_allclose(gap[f"{name} after {count} steps: duality gap"], pilot, atol=1e-3)
    assert gap[f"{study.FOUR} under two judges: gap above INPO's"] < 0
    assert len(outcome.draw().axes) == 2


def test_judges_who_disagree_average_to_the_truth():
    """Each pair is as far above it under one as below it under the other."""
    seen = np.stack([judge[0].numpy() for judge in islice(study.disagreeing([0], 64), 64)])
    kinds = np.unique(seen, axis=0)

    assert len(kinds) == 2
    assert_allclose(kinds.mean(axis=0), calandriello2024().preference)
    assert kinds.min() >= 0
    assert np.abs(kinds[0] - kinds[1]).max() > 0.1


def testcounted_wins_of_a_pair_add_up_to_one():
    judged = next(study.counted([0, 1], 1)).numpy()

    assert_allclose(judged + np.swapaxes(judged, 1, 2), np.ones((2, 5, 5)))
    assert_allclose(judged * study.COMPARISONS, np.round(judged * study.COMPARISONS))
