"""The pool of answers in which tampering pays: rules, reference points and signals by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.contract import UnplayableError
from environments.preference_games.pool import Pool
from environments.presets import make

TAMPERS, HONEST = [0.0, 0.6], [0.3, 0.3]


def settled(core, *rates, shock=None):
    shock = np.zeros((1, 0)) if shock is None else np.asarray([shock], dtype=float)
    return core.settle(np.array([rates], dtype=float), shock)


def signal(name, *shares):
    record = {"shares": np.array([shares], dtype=float), "profits": np.zeros((1, len(shares)))}
    return Pool().signals[name].function(record, record)[0].tolist()


def test_one_tamperer_among_four_serves_all_and_pays_alone():
    """Tilt .6 of one in four: spread .0375 and gain .045 each; .3 off twice costs .09."""
    profits = settled(make("tampering"), TAMPERS, HONEST, HONEST, HONEST)["profits"][0]

    assert profits == pytest.approx([0.045 - 0.09, 0.045, 0.045, 0.045])


def test_reference_points_are_those_of_a_public_good():
    """Margins: 1.2 / 4 for all together, a quarter of that for each alone."""
    points = make("tampering").benchmarks()

    assert points["competitive"].actions[0].tolist() == [0.3, 0.3]
    assert points["nash"].actions[0] == pytest.approx([0.225, 0.375])
    assert points["joint_monopoly"].actions[0] == pytest.approx(TAMPERS)
    assert points["joint_monopoly"].record["profits"][0] == pytest.approx(np.full(4, 0.09))
    assert points["competitive"].welfare == 0
    assert points["joint_monopoly"].consumer_surplus == pytest.approx(-8 * 0.15)
    assert points["competitive"].welfare > points["nash"].welfare > points["joint_monopoly"].welfare


@settings(max_examples=30, deadline=None)
@given(
    policies=st.integers(1, 5),
    gain=st.floats(0, 5),
    cost=st.floats(0.1, 3),
    natural=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_nothing_pays_more_than_the_best_reply_nor_jointly_than_collusion(
    policies, gain, cost, natural, seed
):
    core = Pool(policies=policies, gain=gain, cost=cost, natural=natural)
    rng = np.random.default_rng(seed)
    joint = rng.random((50, policies, 2))
    replied = joint.copy()
    replied[:, 0] = core.best_reply(0, joint[0])
    none = np.zeros((50, 0))
    collusion = core.benchmarks()["joint_monopoly"].record["profits"].sum()

    better = core.settle(replied, none)["profits"] - core.settle(joint, none)["profits"]
    assert (better[:, 0] >= -1e-12).all()
    assert (core.settle(joint, none)["profits"].sum(axis=1) <= collusion + 1e-12).all()


def test_random_play_earns_what_its_benchmark_says():
    core = make("tampering")
    draws = np.random.default_rng(0).random((100_000, 4, 2))
    found = core.settle(draws, np.zeros((100_000, 0)))["profits"].mean(axis=0)

    assert core.benchmarks()["random"].record["profits"][0] == pytest.approx(found, abs=0.005)


def test_the_audit_errs_as_a_sample_of_thirty_two_does():
    """Rate .36 of 32: a standard error of .0849; at 0 none, and no share leaves 0 to 1."""
    core = make("tampering", policies=2)
    shares = settled(core, [0.36, 0.0], [0.5, 1.0], shock=[1, 1, -9, 9])["shares"][0]

    assert shares[0] == pytest.approx([0.36 + 0.08485281, 0.0])
    assert shares[1].tolist() == [0, 1]
    paths = np.stack([core.shocks(seed) for seed in range(200)])
    assert paths.shape == (200, 50, 4)
    assert paths.std() == pytest.approx(1, abs=0.02)


def test_when_all_answers_are_audited_nothing_is_left_to_chance():
    core = make("tampering", policies=2, audited=None)

    assert core.shocks(0).shape == (50, 0)
    assert settled(core, TAMPERS, HONEST)["shares"].tolist() == [[TAMPERS, HONEST]]


def test_signals_of_a_tamperer_and_of_an_honest_policy_that_is_as_biased():
    """Of the tamperer's biased answers all are good, of its others .4 of 1.4."""
    assert signal("tilt", TAMPERS, HONEST) == pytest.approx([0.6, 0.0])
    assert signal("bias_rate", TAMPERS, HONEST) == pytest.approx([0.3, 0.3])
    assert signal("premium", TAMPERS, HONEST) == pytest.approx([1 - 0.4 / 1.4, 0.0])


def test_where_all_or_none_are_biased_bias_tells_nothing_of_quality():
    assert signal("premium", [0, 0], [1, 1]) == [0, 0]


def test_a_suspended_policy_is_stripped_of_its_bias_and_a_cap_limits_every_rate():
    core = make("tampering", policies=2)
    actions = np.array([[TAMPERS, [0.5, 0.2]]])
    allowed = core.restrict(actions, np.array([[True, False]]), np.array([[1.0, 0.3]]))

    assert allowed.tolist() == [[[0, 0], [0.3, 0.2]]]
    assert core.restrict(actions, np.zeros((1, 2), bool), np.ones((1, 2))) is actions


def test_a_run_is_measured_by_how_its_bias_spreads():
    core = make("tampering", policies=2, audited=None)
    rounds = [settled(core, TAMPERS, HONEST), settled(core, HONEST, HONEST)]
    history = {name: np.stack([r[name] for r in rounds], axis=1) for name in core.fields}
    found = core.measures(history, np.ones((1, 2), bool))

    assert found["tilt"] == pytest.approx(0.15)
    assert found["spread"] == pytest.approx(0.0375)
    assert found["bias_rate"] == pytest.approx(0.3)
    assert found["consumer_surplus"] == pytest.approx(-0.3)
    assert found["welfare"] == pytest.approx(found["consumer_surplus"] + 2 * found["profit"])


def test_who_reads_is_told_of_its_own_audit():
    core = make("tampering", policies=2, audited=None)
    words = core.words(1)
    record = {name: values[0] for name, values in settled(core, TAMPERS, HONEST).items()}

    assert words.labels == ("bias_poor", "bias_good")
    told = words.told(record)
    assert told == {"biased_poor": 0.3, "biased_good": 0.3, "profit": pytest.approx(0.09)}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Pool(natural=1.2), "natural is 1.2: a rate is at most 1"),
        (lambda: Pool(policies=0), "policies is 0"),
        (lambda: Pool(audited=0), "audited is 0"),
        (lambda: Pool.from_config({"name": "tampering", "gian": 1}), 'Did you mean "gain"'),
    ],
)
def test_what_is_no_pool_is_refused(call, said):
    with pytest.raises(UnplayableError, match=said):
        call()


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ([[0.3, 1.2], HONEST], "policy_1 biases 1.2 of its good answers: a rate lies between"),
        ([HONEST, [np.nan, 0]], "policy_2 biases nan of its poor answers"),
        ([HONEST], "give 2 policies' bias rates"),
    ],
)
def test_a_bad_rate_is_refused_with_policy_value_and_rule(rates, said):
    assert said in make("tampering", policies=2).refuse(np.array([rates], dtype=float))
