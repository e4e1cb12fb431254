"""Reliabilities of annotators, small."""

from institutional.studies import repo2025 as study
from institutional.studies.study import estimate


def test_reliabilities_come_out_in_order_and_the_liar_is_turned_round():
    outcome = study.run(range(5), pairs=800, steps=60)

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    found = [
        value[f"reliability found of the annotator of {truth:g}"] for truth in study.RELIABILITY
    ]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.5 < found[-2]
    assert value["four unlike: RE-PO above DPO"] > 0.01
    assert abs(value["one annotator of 0.6: RE-PO above DPO"]) < 0.03
    assert len(outcome.draw().axes) == 2
