"""Annotators: probabilities by hand, and labels that are drawn as often as these say."""

import numpy as np
import pytest

from environments.contract import UnplayableError
from environments.preference_games.labels import (
    BradleyTerry,
    Camps,
    IdealPoints,
    Pairs,
    Stated,
    Unreliable,
    confounded,
    draw_order,
    draw_pairs,
    every_pair,
    ideals_of,
    label,
    preference_of,
    weighted,
)
from environments.preference_games.named import calandriello2024

REWARD = np.array([[np.log(3), 0.0, -1.0]])  # 0 beats 1 three times in four


def asked(left, right, *, annotator=0, count=1):
    """The same question `count` times about prompt 0."""
    return Pairs(*(np.full(count, value) for value in (0, left, right, annotator)))


POPULATIONS = {
    "Bradley-Terry": (BradleyTerry(REWARD), 0, 0.75),
    "half the temperature": (BradleyTerry(REWARD, temperature=0.5), 0, 0.9),
    "no temperature": (BradleyTerry(REWARD, temperature=0), 0, 1.0),
    "stated": (Stated(calandriello2024().preference[np.newaxis]), 0, 0.9),
    "a fifth flipped": (Unreliable(BradleyTerry(REWARD), np.array([0.8])), 5, 0.65),
    "a liar": (Unreliable(BradleyTerry(REWARD), np.array([0.9, 0.0])), 1, 0.25),
    "one camp": (Camps(np.stack([REWARD, -REWARD]), np.array([0, 0, 1])), 1, 0.75),
    "the other camp": (Camps(np.stack([REWARD, -REWARD]), np.array([0, 0, 1])), 2, 0.25),
    "an ideal one unit nearer": (
        IdealPoints(np.array([[[0.0, 0.0], [3.0, 4.0]]]), np.array([[0.0, 0.0]]), np.log(3) / 5),
        0,
        0.75,
    ),
    "length liked": (BradleyTerry(confounded(REWARD, -REWARD, weight=2.0)), 0, 0.25),
}


@pytest.mark.parametrize("name", POPULATIONS)
def test_labels_are_drawn_as_often_as_the_population_says(name):
    population, annotator, chance = POPULATIONS[name]
    pairs = asked(0, 1, annotator=annotator, count=20_000)
    comparisons = label(np.random.default_rng(0), population, pairs)

    assert population.prefers_left(pairs)[0] == pytest.approx(chance)
    assert (comparisons.winner == 0).mean() == pytest.approx(chance, abs=0.012)
    assert (comparisons.winner + comparisons.loser == 1).all()


@pytest.mark.parametrize("name", POPULATIONS)
def test_turning_a_pair_round_turns_the_answer_round(name):
    population, annotator, chance = POPULATIONS[name]

    assert population.prefers_left(asked(1, 0, annotator=annotator)) == pytest.approx(1 - chance)


def test_equals_are_taken_evenly_even_without_a_temperature():
    tied = BradleyTerry(np.zeros((1, 2)), temperature=0)

    assert tied.prefers_left(asked(0, 1)) == 0.5


def test_the_truth_behind_labels_is_the_mean_over_people():
    """Two in the first camp at 3/4, one in the other at 1/4: 7/12."""
    camps = Camps(np.stack([REWARD, -REWARD]), np.array([0, 0, 1]))
    truth = preference_of(camps, prompts=1, responses=3)

    assert truth[0, 0, 1] == pytest.approx(7 / 12)
    assert truth + np.swapaxes(truth, 1, 2) == pytest.approx(np.ones((1, 3, 3)))
    stated = Stated(calandriello2024().preference[np.newaxis])
    assert (preference_of(stated, prompts=1, responses=5) == stated.preference).all()


def test_groups_that_cancel_leave_no_preference():
    even = Camps(np.stack([REWARD, -REWARD]), np.array([0, 1]))

    assert preference_of(even, prompts=1, responses=3) == pytest.approx(np.full((1, 3, 3), 0.5))


def test_pairs_are_drawn_from_the_behaviour_and_are_never_of_equals():
    """Shares .5, .25, .25: left is 0 half the time, and right after 0 is 1 or 2 evenly."""
    rng = np.random.default_rng(0)
    behaviour = np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5]])
    pairs = draw_pairs(rng, behaviour, count=40_000, annotators=4, prompts=np.array([0.75, 0.25]))
    first = pairs.prompt == 0

    assert (pairs.left != pairs.right).all()
    assert first.mean() == pytest.approx(0.75, abs=0.01)
    assert (pairs.left[first] == 0).mean() == pytest.approx(0.5, abs=0.01)
    after = pairs.right[first & (pairs.left == 0)]
    assert (after == 1).mean() == pytest.approx(0.5, abs=0.015)
    assert (pairs.left[~first] > 0).all()
    assert np.bincount(pairs.annotator) / 40_000 == pytest.approx(np.full(4, 0.25), abs=0.01)


def test_every_pair_is_every_pair_once_for_everybody():
    pairs = every_pair(prompts=2, responses=3, annotators=2)
    asked_for = set(zip(*(ids.tolist() for ids in pairs), strict=True))

    assert len(pairs.left) == len(asked_for) == 2 * 3 * 2
    assert (pairs.left < pairs.right).all()


def test_rankings_start_with_each_response_as_often_as_softmax_says():
    orders = draw_order(np.random.default_rng(0), np.tile(REWARD, (20_000, 1)))
    shares = np.exp(REWARD[0]) / np.exp(REWARD[0]).sum()

    assert np.bincount(orders[:, 0]) / 20_000 == pytest.approx(shares, abs=0.012)
    assert (np.sort(orders, axis=1) == np.arange(3)).all()


def test_what_matters_depends_on_the_prompt():
    rewards = np.array([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    weights = np.array([[0.9, 0.1], [0.1, 0.9]])

    assert weighted(rewards, weights) == pytest.approx(weights)
    assert ideals_of(np.array([[0.25, 0.75]]), np.array([[0.0], [4.0]])).tolist() == [[3]]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: label(
                np.random.default_rng(0), POPULATIONS["a liar"][0], asked(0, 1, annotator=2)
            ),
            "annotator 2 does not exist: there are 2, counted from 0",
        ),
        (
            lambda: label(
                np.random.default_rng(0), POPULATIONS["one camp"][0], asked(0, 1, annotator=-1)
            ),
            "annotator -1 does not exist",
        ),
        (lambda: Unreliable(BradleyTerry(REWARD), np.array([1.2])), "give probabilities"),
        (
            lambda: Unreliable(Camps(np.stack([REWARD]), np.array([0])), np.array([0.5, 0.5])),
            "there are 1 annotators and 2 reliabilities",
        ),
        (lambda: Stated(np.full((1, 2, 2), 0.6)), "no table of win rates"),
        (
            lambda: draw_pairs(np.random.default_rng(0), np.array([[1.0, 0.0]]), count=1),
            "one response only",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(call, said):
    with pytest.raises(UnplayableError, match=said):
        call()


def test_a_reliability_of_ones_own_on_top_of_ones_own_camp():
    """The second camp at 1/4, said rightly 9 times in 10: .9 * .25 + .1 * .75."""
    camps = Camps(np.stack([REWARD, -REWARD]), np.array([0, 1]))
    people = Unreliable(camps, np.array([1.0, 0.9]))

    assert people.annotators == 2
    assert people.prefers_left(asked(0, 1, annotator=1)) == pytest.approx(0.3)
    assert Unreliable(camps, np.array([0.9])).annotators == 2
