"""One lucky comparison, small; and the world that two studies share."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from agents.alignment.methods import method
from institutional.studies import lucky_arm
from institutional.studies import rpo2024 as study
from institutional.studies.study import estimate

SEEDS = range(5)


def test_the_bad_arm_was_compared_once_and_won():
    world = lucky_arm.World.bad(SEEDS)

    assert world.counts.sum(axis=(1, 2)).tolist() == [1001] * 5
    assert world.counts[:, 0].sum(axis=1).tolist() == [1] * 5
    assert world.counts[:, :, 0].sum() == 0
    assert (world.counts[:, 0].argmax(axis=1) == world.reward.argmax(axis=1)).all()


def test_the_good_arm_was_compared_once_and_lost():
    world, seeds = lucky_arm.World.good(SEEDS), np.arange(5)

    assert (world.reward.argmax(axis=1) == world.rare).all()
    assert world.counts[seeds, world.rare].sum() == 0
    assert world.counts[seeds, :, world.rare].sum(axis=1).tolist() == [1] * 5
    assert lucky_arm.World.bad(SEEDS, lucky=False).counts[:, 0].sum() == 0


def test_curves_start_at_the_uniform_reference():
    world = lucky_arm.World.bad(SEEDS)

    curves = world.curves(method("dpo"), moments=(0, 2))

    assert_allclose(curves.reward[0], world.reward.mean(axis=1))
    assert_allclose(curves.rare[0], 1 / 20)
    assert_allclose(curves.nats[0], 0, atol=1e-12)
    assert curves.nats[1].min() > 0


def test_an_sft_loss_keeps_the_lucky_arm_down():
    outcome = study.run(SEEDS, last=200)

    value = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert value["RPO: P(bad) at the end"] < 0.05
    assert value["beta 1, RPO: P(bad) at the end"] < 0.05
    assert value["beta 1, DPO: P(bad) at the end"] > 0.5
    assert value["without the lucky comparison, DPO: P(bad) at the end"] < 0.01
    assert value["RPO after 200 steps: E[r]"] == pytest.approx(1.2, abs=0.5)
    assert len(outcome.draw().axes) == 3
