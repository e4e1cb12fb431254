"""Losses for ranked lists, small."""

import numpy as np

from institutional.studies import lipo2024 as study
from institutional.studies.study import estimate


def test_the_whole_list_beats_its_ends_and_lists_of_two_are_pairs():
    outcome = study.run(range(5), steps=30, many=100)

    got = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert got["all_pairs above best and worst: top-1"] > 0
    assert got["softmax above best and worst: top-1"] > 0
    assert got["lists of two, all_pairs and listmle: largest difference of a weight"] < 1e-6
    assert len(outcome.draw().axes) == 3


def test_labels_count_from_the_worst_of_a_list():
    """1.4 above the worst is 1 mildly, and 4 at three labels per unit."""
    reward = np.array([[-0.4, 1.0, 0.0]])

    assert study.labels_of(reward, 1.0).tolist() == [[0, 1, 0]]
    assert study.labels_of(reward, 3.0).tolist() == [[0, 4, 1]]
