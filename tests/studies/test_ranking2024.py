"""Rankings that preference learning does not learn, small; and the pairs two studies share."""

import numpy as np
from numpy.testing import assert_allclose

from agents.alignment.methods import method
from institutional.studies import lone_pairs
from institutional.studies import ranking2024 as study
from institutional.studies.study import estimate

REFERENCE = np.array([[-2.0, 0.0, 1.5], [4.0, -0.5, -9.0]])


def test_what_is_sure_for_every_pair_holds_at_any_size():
    outcome = study.run(range(5), pairs=60, drawn=2000, betas=(5.0,), steps=200)

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert value[study.MATCHES] == value[study.STUCK] == value[study.CERTAIN] == 1
    assert value["DPO, beta 5: pairs ranked otherwise than the optimum"] == 0
    assert value["0 of the reference, beta 1: ranking accuracy"] == 1
    assert abs(value["idealised ranking accuracy, beta 1"] - 0.643) < 0.02
    assert value[study.APART] > 0.2
    assert [len(axes.lines) for axes in outcome.draw().axes] == [1, 2]


def test_a_lone_pair_moves_by_the_raters_log_odds_over_beta():
    """Three of four agree: log(3) / 2 above the reference's gap."""
    after = lone_pairs.gaps_during(
        method("dpo").using(beta=2.0), REFERENCE, agreement=0.75, after=(0, 400)
    )

    assert_allclose(after[0], REFERENCE)
    assert_allclose(after[1], REFERENCE + np.log(3) / 2, atol=1e-6)


def test_divergence_of_a_pair_is_that_of_a_coin():
    """From even to 9 in 10: 0.9 log(1.8) + 0.1 log(0.2)."""
    gap = np.full((1, 4), np.log(9))

    assert_allclose(lone_pairs.spent(gap, np.zeros((1, 4))), 0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert_allclose(lone_pairs.spent(REFERENCE, REFERENCE), 0, atol=1e-15)
