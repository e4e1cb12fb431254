"""Reward models that choose each other's examples, small."""

import numpy as np

from institutional.studies import crm2025 as study
from institutional.studies.study import estimate


def test_a_paced_curriculum_grows_and_keeps_the_easiest():
    """Of four examples half at first: those with margins 3 and 2, in the order of the dice."""
    margins = np.array([[2.0, -1.0, 3.0, 0.0]])
    thrown = np.array([[0.1, 0.9, 0.5, 0.2]])

    orders = study.paced(0, margins, thrown), study.paced(study.RAMP, margins, thrown)

    assert orders[0].tolist() == [[2, 0]]
    assert sorted(orders[1][0].tolist()) == [0, 1, 2, 3]


def test_selection_is_nothing_where_nothing_is_flipped():
    outcome = study.run(range(5), epochs=5)

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert value["clean labels: peer review above all data"] == 0
    assert min(value[f"{name}: accuracy"] for name in (study.ALL, study.PEER)) > 0.6
    assert 0 < value["all data: flipped labels believed"] < 1
    assert len(outcome.draw().axes) == 2
