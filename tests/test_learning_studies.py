"""The studies of learners, small: that they measure what they say, and that their figures draw."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from agents.q_learning.conduct import Cycle, Learned
from agents.q_learning.schedule import Learner
from environments import presets
from institutional.errors import InstitutionalError
from institutional.studies import calvano2020, calvano2020_robustness, lin2024_learners
from institutional.studies import waltman_kaymak2008 as waltman
from institutional.studies.learning import Trained, World
from institutional.studies.report import carry_out
from institutional.studies.study import Outcome


def settled(world, *strategies, memory=0):
    """Sessions that have learnt `strategies` [S, N, X] and stand in state 0."""
    learned = Learned(np.array(strategies), world.game.payoffs, world.game.sizes, memory)
    state = np.zeros(len(strategies), dtype=np.int64)
    return Trained(
        world, Learner(memory=memory), learned, Cycle(state, state + 1), state, state == 0
    )


@pytest.fixture(scope="module")
def cournot():
    """Price 40 - Q at cost 4, quantities 9 (monopoly), 12 (Nash) and 13.5 (best reply to 9)."""
    return World.of(presets.make("waltman_kaymak2008"), grids=[np.array([[9.0], [12], [13.5]])] * 2)


def test_a_world_knows_what_every_joint_action_brings(cournot):
    """At 9 and 9 the price is 22; at 9 and 13.5 it is 17.5."""
    assert cournot.game.payoffs[0].tolist() == [18 * 9, 18 * 9]
    assert cournot.game.payoffs[2].tolist() == [13.5 * 9, 13.5 * 13.5]
    assert cournot.prices[5].tolist() == [12, 13.5]
    assert_allclose(cournot.delta(cournot.game.payoffs[[0, 4]]), [1, 0])


def test_the_grid_of_the_benchmark_has_fifteen_prices_around_nash_and_monopoly():
    """From 1.4729 - 0.0452 to 1.9250 + 0.0452."""
    grid = World.of(presets.make("calvano2020")).game.actions[0]

    assert len(grid) == 15
    assert_allclose(grid[[0, -1], 0], [1.4277, 1.9702], atol=1e-4)


def test_what_follows_a_cut_is_measured_in_the_markets_own_units(cournot):
    """Both sell 9 unless the last round was another, then 12: the rival adds 3 and stays there."""
    grim = [0, *[1] * 8]
    arm = settled(cournot, [grim, grim], [grim, grim], memory=1)

    assert arm.answers().tolist() == [3, 3]
    assert arm.aftermath(8).tolist() == [3, 3]
    assert arm.unprofitable().tolist() == [1, 1]
    assert arm.returns().tolist() == [0, 0]
    assert arm.genuine.tolist() == [True, True]
    own, others = arm.path(0)
    assert own[:4].tolist() == [9, 13.5, 12, 12]
    assert others[:4].tolist() == [9, 9, 12, 12]


def test_a_session_in_which_nobody_can_cut_is_left_out(cournot):
    """At Nash the static best reply is what is played."""
    arm = settled(cournot, [[1], [1]], [[0], [0]])

    assert arm.unprofitable().tolist() == [0]
    assert arm.genuine.tolist() == [False, False]


def test_the_total_and_the_tier_are_read_off_settled_play():
    """Division of Lin's market, 60 and 0, is tier 4; Nash is tier 0."""
    nash, division = [140 / 3, 80 / 3], [60.0, 0.0]
    grids = [np.array([nash, division]), np.array([nash[::-1], division[::-1]])]
    lin = World.of(presets.make("lin2024"), grids=grids)
    arm = settled(lin, [[0], [0]], [[1], [1]])

    assert lin2024_learners.tier(arm).tolist() == [0, 4]
    assert_allclose(lin2024_learners.price(arm), [190 / 3, 70])


SMALL = {
    "calvano2020": calvano2020.run,
    "calvano2020_robustness": lambda seeds: calvano2020_robustness.run(
        seeds, arms=[replace(calvano2020_robustness.BASE, beta=4e-5)]
    ),
    "waltman_kaymak2008": lambda seeds: waltman.run(seeds, cells=[waltman.MAIN], periods=20_000),
    "lin2024_learners": lambda seeds: lin2024_learners.run(seeds, levels=3, betas=(2e-5, 1e-5)),
}
STUDIES = {
    "calvano2020": calvano2020.STUDY,
    "calvano2020_robustness": calvano2020_robustness.STUDY,
    "waltman_kaymak2008": waltman.STUDY,
    "lin2024_learners": lin2024_learners.STUDY,
}


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_measures_what_it_predicts_and_draws_it(name, tmp_path):
    study = STUDIES[name]
    outcome = SMALL[name](range(5))
    known = tuple(p for p in study.predictions if p.quantity in outcome.measured)
    small = replace(study, predictions=known, run=lambda _: outcome)

    written = carry_out(small, range(5)).write(tmp_path)

    assert known
    assert [path.suffix for path in written] == [".json", ".parquet", ".svg"]
    assert all(path.stat().st_size > 500 for path in written)
    assert all(c.quantity in outcome.measured for c in study.controls)


def test_an_outcome_without_a_predicted_quantity_is_our_mistake():
    empty = Outcome(measured={}, table={}, draw=lambda: None, caption="")

    with pytest.raises(KeyError):
        carry_out(replace(calvano2020.STUDY, run=lambda _: empty), range(5))


def test_too_few_seeds_are_refused():
    outcome = Outcome(measured={"Delta": np.ones(3)}, table={}, draw=lambda: None, caption="")
    study = replace(
        calvano2020.STUDY,
        predictions=calvano2020.STUDY.predictions[:1],
        controls=(),
        run=lambda _: outcome,
    )

    with pytest.raises(InstitutionalError, match="at least 5"):
        carry_out(study, range(3))
