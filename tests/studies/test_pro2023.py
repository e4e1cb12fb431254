"""Preference ranking of lists, small."""

from institutional.studies import pro2023 as study
from institutional.studies.study import estimate


def test_lists_are_ranked_and_beat_their_ends_where_judges_slip():
    outcome = study.run(range(5), steps=30, many=60)

    tau = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert tau[f"a table: {study.TAU}"] > 0.95
    assert tau[f"PRO on five above best and worst, 20% upside down: {study.TAU}"] > 0
    assert tau[study.TWO] < 1e-9
    assert len(outcome.draw().axes) == 4
