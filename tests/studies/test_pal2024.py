"""Ideal points, small."""

import numpy as np
import torch
from numpy.testing import assert_allclose

from institutional.studies import pal2024 as study
from institutional.studies.study import estimate


def test_two_ideals_foretell_what_one_cannot():
    outcome = study.run(range(5), steps=100)

    got = {name: estimate(values).value for name, values in outcome.measured.items()}
    assert got["mixed: two ideals above one"] > 0.03
    assert got["alike: two ideals above one"] < 0.02
    assert abs(got["ring: by angle above by distance"]) < 0.1
    few, more = (got[f"newcomers, {shots} choices: held-out accuracy"] for shots in (2, 10))
    assert more > few
    assert len(outcome.draw().axes) == 2


def test_a_choice_is_foretold_where_the_preferred_item_is_nearer():
    """Ideal at (1, 0): the first user's choice is nearer to it, the second's is not."""
    near, far = [1.0, 0.0], [-1.0, 0.0]
    choices = np.array([[[[near, far]], [[far, near]]]])

    assert study.right(choices, torch.tensor([[[1.0, 0.0]]]).double()).tolist() == [0.5]


def test_whoever_knows_the_ideals_is_seldom_wrong_and_people_lie_between_prototypes():
    world = study.population(range(5), "test")

    assert (world.best > 0.8).all()
    assert_allclose(world.weights.sum(axis=-1), 1)
    assert_allclose(np.linalg.norm(world.prototypes, axis=-1), study.APART)
