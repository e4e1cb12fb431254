"""Online preference optimisation in a cyclic game, small."""

import numpy as np

from institutional.studies import online_ipo2024 as study
from institutional.studies.study import estimate


def test_own_answers_leave_less_to_gain_than_rewards_or_the_references():
    outcome = study.run(range(5), steps=150)

    gap = {name: estimate(values).value for name, values in outcome.measured.items()}
    end = "duality gap"
    assert gap[f"{study.ONLINE}: {end}"] < 0.01
    assert gap[f"{study.REWARD}: {end}"] > 0.1
    assert gap[f"{study.OFFLINE}: {end}"] > 0.05
    assert gap["Nash-MD, 2000 exact steps: duality gap"] < 1e-4
    sampled = outcome.measured[f"{study.ONLINE}, 64 pairs a step: {end}"]
    assert np.unique(sampled).size == 5
    assert outcome.draw().axes[0].get_xscale() == "log"
