"""Constrained preference optimisation, small."""

from institutional.studies import cpo2026 as study
from institutional.studies import lone_pairs
from institutional.studies.study import estimate


def test_a_floor_under_the_margin_leaves_no_pair_better_but_wrong():
    outcome = study.run(range(5), pairs=40, betas=(1.0, 5.0), steps=200)

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    for name in (study.CPO, study.CLIP):
        assert value[f"{name}, beta 5: ranking accuracy"] == 1
        assert value[f"{name}, beta 5: in U"] == 0
    assert value["DPO, beta 5: in U"] > 0.3
    assert value[f"{study.MATCHED}: ranking accuracy"] < 1
    assert value["a reference that ranks right, beta 5: CPO above DPO"] == 0
    assert value["60% agree, CPO, beta 1: ranking accuracy"] < 1
    assert len(outcome.draw().axes) == 2


def test_dpo_is_matched_to_the_nats_it_is_given():
    reference = lone_pairs.reference_gaps([0, 1], count=50)
    first, second = lone_pairs.spent(study.matched(reference, [0.3, 0.8]), reference)

    assert abs(first - 0.3) < 1e-9
    assert abs(second - 0.8) < 1e-9
