"""Own answers against fixed ones, small."""

import numpy as np

from institutional.studies import online_offline2024 as study


def test_every_arm_starts_at_the_reference_and_never_loses_to_it():
    outcome = study.run(range(5), rounds=12)

    measured = outcome.measured
    start = -1.05  # E[gold] under softmax(-gold) of 500 standard normals is about -1
    for name in (study.ONLINE, study.OFFLINE, study.REPLAY, study.ASKED, study.OFFLINE_LONG):
        within = [measured[f"{name}: best gold within {budget:g} nats"] for budget in study.BUDGETS]
        assert (np.diff(within, axis=0) >= 0).all()
        assert within[-1].mean() > start
        assert (measured[f"{name}: accuracy as a classifier"] > 0.5).all()
    assert len(outcome.draw().axes) == 2
