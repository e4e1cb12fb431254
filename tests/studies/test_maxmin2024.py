"""Two camps served by one reward and by the worst-off's, small."""

import torch
from numpy.testing import assert_allclose

from institutional.studies import maxmin2024 as study
from institutional.studies.study import estimate


def test_the_minority_gains_where_there_is_one():
    outcome = study.run(range(5), steps=120)

    got = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert_allclose(got["exact, one reward, 80% majority: minority's utility"], 0.0735, atol=1e-3)
    assert_allclose(got["exact, MaxMin: minority's utility"], 0.5568, atol=1e-3)
    assert got[study.SORTED] == 1
    assert got[study.GAIN] > 0.15
    assert abs(got["one camp: gain from MaxMin"]) < 0.1
    assert len(outcome.draw().axes) == 2


def test_people_who_choose_alike_are_sorted_together():
    """Two who take arm 0 of arms 0 and 1, and two who take arm 1, from a start that mixes them."""
    pairs = torch.tensor([[0, 1]] * 2 * 5 + [[1, 0]] * 2 * 5)[None]

    found, rewards = study.sorted_by_reward(pairs, torch.tensor([[0, 1, 1, 1]]))

    assert found[0, 0] == found[0, 1] != found[0, 2]
    assert found[0, 2] == found[0, 3]
    assert rewards[0, found[0, 0], 0] > rewards[0, found[0, 0], 1]
