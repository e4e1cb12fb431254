"""Soft labels against hard ones, small."""

import numpy as np

from institutional.studies import osp2024 as study


def test_strengths_come_nearest_to_the_optimum_and_certainty_is_dpo():
    outcome = study.run(range(5), moments=(100, 200))

    far = {name: values.mean() for name, values in outcome.measured.items()}
    assert far[f"{study.SOFT}: {study.KL}"] < 0.05
    assert far[f"{study.COIN}: {study.KL}"] > far[f"{study.SOFT}: {study.KL}"]
    assert far[f"one order less both: {study.KL}"] > 0.05
    same = outcome.measured[f"unanimous judge, strength less favourite: {study.KL}"]
    assert np.abs(same).max() < 1e-9
    assert len(outcome.draw().axes) == 2
