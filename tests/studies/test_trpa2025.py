"""Trust region preference approximation, small."""

import numpy as np

from institutional.studies import trpa2025 as study


def test_exact_steps_improve_and_a_trust_region_of_a_thousandth_is_idle():
    outcome = study.run(range(5), batches=25, exact_steps=40)

    measured = outcome.measured
    assert (measured["exact small steps that do not lower the expected level"] == 1).all()
    idle = measured[f"{study.TABLE}, trust region less none: correct answers at the end"]
    assert np.abs(idle).max() < 1e-3
    for kind in (study.TABLE, study.SHARED):
        learnt = measured[f"{study.TRPA}, {kind}: correct answers at the end"]
        assert (learnt > study.SHARES[0] / study.ARMS).all()
    assert len(outcome.draw().axes) == 2


def test_levels_come_in_the_shares_that_are_stated():
    for levels in study.world([0, 1])[1]:
        assert np.unique(levels, return_counts=True)[1].tolist() == list(study.SHARES[::-1])
