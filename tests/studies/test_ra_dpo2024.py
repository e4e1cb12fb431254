"""Pairs relabelled by their scores, small."""

from institutional.studies import ra_dpo2024 as study
from institutional.studies.study import estimate


def test_relabelling_does_not_see_flips_and_keeps_good_arms_that_lost():
    outcome = study.run(range(5), moments=(0, 40))

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    lost = "mass on good arms that lost"
    assert abs(value["RA-DPO: E[r] under flips less that without"]) < 1e-6
    assert value[f"RA-DPO: {lost}"] > value[f"DPO: {lost}"]
    assert value["fresh arms: Spearman correlation of goal and score"] > 0.5
    assert value["DPO: KL from the reference"] > 0
    assert len(outcome.draw().axes) == 3
