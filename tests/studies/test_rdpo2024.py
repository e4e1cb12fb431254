"""Robust DPO, small."""

from institutional.studies import rdpo2024 as study
from institutional.studies.study import estimate


def test_undoing_flips_restores_the_length_and_leaves_the_ranking():
    outcome = study.run(range(5), steps=120, rates=(0.0, 0.2))

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert value["20% flips, cDPO: norm"] < value["20% flips, DPO: norm"] < 1.2
    assert value["20% flips, rDPO: norm"] > 2
    assert value["20% flips, rDPO: calibration error"] < value["20% flips, DPO: calibration error"]
    assert abs(value["20% flips: rDPO above DPO in accuracy"]) < 0.01
    assert value["no flips: rDPO less DPO in norm"] == 0
    assert abs(value[study.UNBIASED]) < 1e-3
    assert len(outcome.draw().axes) == 3
