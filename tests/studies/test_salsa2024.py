"""A soup as reference, small."""

import numpy as np

from institutional.studies import salsa2024 as study


def test_a_soup_lets_the_policy_go_further():
    outcome = study.run(range(5), steps=60)

    measured = outcome.measured
    for kind in study.DEMONSTRATIONS:
        assert measured[f"{kind}: soup less a tuning, reward"].mean() > 0
        assert measured[f"{kind}, {study.SOUP} less the start: nats at the end"].mean() > 0
    few, plenty = (measured[f"{k}: one tuning, reward"] for k in (study.FEW, study.PLENTY))
    assert few.mean() < plenty.mean()
    assert len(outcome.draw().axes) == 2
    assert np.isfinite(outcome.table["reward"]).all()
