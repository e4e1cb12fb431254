"""The prisoner's dilemma (3 each, 1 each, 5 and 0) with strategies known by name.

Joint actions: 0 both cooperate, 1 only the second defects, 2 only the first does, 3 both defect;
with memory one these are the states as well.
"""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from agents.contract import AgentError
from agents.q_learning.conduct import (
    Learned,
    deviation,
    genuine,
    limit_cycle,
    on_path,
    profit_gain,
    static_best_reply,
    visited,
    walk,
)
from agents.q_learning.exploitability import best_reply, evaluate, exploitability, regret

DILEMMA = np.array([[3.0, 3.0], [0.0, 5.0], [5.0, 0.0], [1.0, 1.0]])
GRIM = [[0, 1, 1, 1], [0, 1, 1, 1]]
TIT_FOR_TAT = [[0, 1, 0, 1], [0, 0, 1, 1]]  # each repeats what the other did
ALWAYS_DEFECT = [[1, 1, 1, 1], [1, 1, 1, 1]]
PAVLOV = [[0, 1, 1, 0], [0, 1, 1, 0]]  # cooperate after equal actions
BOTH_COOPERATE = np.array([0])


def pair(*strategies, memory=1):
    return Learned(np.array(strategies), DILEMMA, (2, 2), memory)


def after_cut(strategy, *, firm=0, discount=0.95, start=0, memory=1, **options):
    learned = pair(strategy, memory=memory)
    cycle = limit_cycle(learned, np.array([start]))
    return deviation(learned, cycle, firm=firm, discount=discount, **options)


def test_play_settles_in_the_cycle_that_the_start_leads_to():
    """Tit for tat keeps cooperating, keeps alternating or keeps defecting, as it began."""
    learned = pair(*[TIT_FOR_TAT] * 3)

    cycle = limit_cycle(learned, np.array([0, 1, 3]))

    assert cycle.length.tolist() == [1, 2, 1]
    assert_allclose(on_path(learned, cycle, DILEMMA), [[3, 3], [2.5, 2.5], [1, 1]])
    assert visited(learned, cycle).tolist() == [
        [True, False, False, False],
        [False, True, True, False],
        [False, False, False, True],
    ]


@pytest.mark.parametrize("length", range(1, 12))
def test_the_cycle_is_found_whatever_its_length_and_the_way_to_it(length):
    """One firm of 16 actions counts upwards from 0 and falls back `length` places after 15."""
    strategy = np.minimum(np.arange(16) + 1, 15)
    strategy[15] = 16 - length
    learned = Learned(strategy[None, None], np.arange(16.0)[:, None], (16,), 1)

    cycle = limit_cycle(learned, np.array([0]))

    assert cycle.length.tolist() == [length]
    assert_allclose(on_path(learned, cycle, learned.payoffs), [[15 - (length - 1) / 2]])


def test_a_longer_memory_shifts_the_last_joint_action_in():
    """Firms that do what the first did two periods ago keep two interleaved histories."""
    oldest = np.repeat([0, 0, 1, 1], 4)
    learned = pair([oldest, oldest], memory=2)

    assert walk(learned, np.array([0 * 4 + 3]), periods=5).tolist() == [[0, 3, 0, 3, 0]]


def test_delta_is_the_share_of_the_way_from_nash_to_monopoly():
    nash, monopoly = DILEMMA[3], DILEMMA[0]

    gain = profit_gain(np.array([[1, 1], [2.5, 2.5], [5, 0]]), nash=nash, monopoly=monopoly)

    assert_allclose(gain, [0, 0.75, 0.75])


def test_grim_trigger_never_forgives_and_a_cut_does_not_pay():
    """5 - 3 at once, then 1 - 3 for ever: 2 - 2 x 0.95/0.05 = -36."""
    cut = after_cut(GRIM, shown=4)

    assert cut.forced.tolist() == [[2, 3, 3, 3]]
    assert cut.usual.tolist() == [[0, 0, 0, 0]]
    assert_allclose([*cut.at_once, *cut.afterwards, *cut.gain], [2, -38, -36])
    assert cut.punishment.tolist() == [np.inf]


def test_after_a_cut_pavlov_punishes_for_one_period_and_returns():
    """Cut, both defect, both cooperate: 2 - 2 x 0.95 = 0.1, which just pays."""
    cut = after_cut(PAVLOV, shown=4)

    assert cut.forced.tolist() == [[2, 3, 0, 0]]
    assert cut.punishment.tolist() == [1]
    assert_allclose(cut.gain, [0.1])


def test_whether_a_cut_pays_depends_on_the_discount():
    """Tit for tat answers 5, 0, 5, 0...: 5 / (1 - d^2) against 3 / (1 - d), equal at d = 2/3."""
    gains = [after_cut(TIT_FOR_TAT, discount=d).gain[0] for d in (0.0, 0.6, 2 / 3, 0.7)]

    assert gains[0] == 2
    assert gains[1] > 0 > gains[3]
    assert gains[2] == pytest.approx(0, abs=1e-9)


def test_who_already_replies_best_has_no_cut_to_make():
    cut = after_cut(ALWAYS_DEFECT, start=3)

    assert cut.possible.tolist() == [False]
    assert cut.gain.tolist() == [0]


def test_the_second_firm_can_be_forced_as_well_and_to_any_action():
    cut = after_cut(ALWAYS_DEFECT, start=3, firm=1, action=np.array([0]), shown=2)

    assert cut.forced.tolist() == [[2, 3]]
    assert_allclose(cut.gain, [-1])


def test_the_static_best_reply_is_found_in_a_game_of_unequal_sizes():
    """The first firm, of three actions, earns most with the second's number plus one."""
    payoffs = np.array([[float(a == b + 1), 0.0] for a in range(3) for b in range(2)])
    learned = Learned(np.zeros((2, 2, 1), dtype=int), payoffs, (3, 2), 0)

    assert static_best_reply(learned, np.array([0, 1]), 0).tolist() == [1, 2]


def test_profits_without_an_answer_are_spurious():
    """Cooperation by firms that remember nothing: the cut pays and nothing follows it."""
    no_memory = pair([[0], [0]], memory=0)
    cycle = limit_cycle(no_memory, np.array([0]))
    cuts = [deviation(no_memory, cycle, firm=firm, discount=0.95) for firm in (0, 1)]

    assert [cut.afterwards[0] for cut in cuts] == [0, 0]
    assert genuine(np.ones(1), cuts, above=0).tolist() == [False]
    assert genuine(np.ones(1), [after_cut(GRIM)], above=0).tolist() == [True]
    assert genuine(np.zeros(1), [after_cut(GRIM)], above=0).tolist() == [False]
    assert genuine(np.ones(1), [after_cut(PAVLOV)], above=0).tolist() == [False]


def test_a_strategy_is_worth_its_discounted_profits_from_every_state():
    """Grim cooperates for 3 x 20 and defects for 1 x 20."""
    learned = pair(GRIM)

    assert_allclose(evaluate(learned, learned.joint, firm=0, discount=0.95), [[60, 20, 20, 20]])
    assert_allclose(evaluate(learned, learned.joint, firm=0, discount=0), [[3, 1, 1, 1]])


@pytest.mark.parametrize(
    ("discount", "value"),
    [
        (0.95, 60),  # cooperate for ever
        (0.2, 5.25),  # defect for ever: 5 + 0.2 x 1 / 0.8
        (0.5, 20 / 3),  # defect and make up for it in turn: 5 / (1 - 0.25)
    ],
)
def test_the_best_reply_to_tit_for_tat_depends_on_the_discount(discount, value):
    best, replies = best_reply(pair(TIT_FOR_TAT), firm=0, discount=discount)

    assert best[0, 0] == pytest.approx(value)
    assert replies[0, 0] == (value == 60)


def test_against_grim_nothing_is_better_than_grim():
    learned = pair(GRIM)
    found = exploitability(learned, limit_cycle(learned, BOTH_COOPERATE), firm=0, discount=0.95)

    assert [float(part[0]) for part in found] == pytest.approx([0, 0, 1, 1, 1, 1, 1, 1])


def test_cooperating_without_memory_can_be_exploited_for_ever():
    """5 instead of 3 in every period."""
    learned = pair([[0], [0]], memory=0)
    found = exploitability(learned, limit_cycle(learned, BOTH_COOPERATE), firm=1, discount=0.9)

    assert [float(part[0]) for part in found[:5]] == pytest.approx([2, 2, 0.6, 0, 0])


def test_one_other_action_may_not_pay_where_another_strategy_does():
    """Against Pavlov one cut brings 0.1 (60 to 60.1), defecting for ever 1.03.

    5, 1, 5, 1...: (5 + d) / (1 - d^2), with d = 0.95 is 5.95 / 0.0975 = 61.03.
    """
    learned = pair(PAVLOV)
    found = exploitability(learned, limit_cycle(learned, BOTH_COOPERATE), firm=0, discount=0.95)

    assert found.once_ratio_on_path[0] == pytest.approx(60 / 60.1)
    assert found.ratio_on_path[0] == pytest.approx(60 / (5.95 / 0.0975))


def test_sessions_are_compared_one_by_one_whatever_the_block(monkeypatch):
    learned = pair(GRIM, TIT_FOR_TAT, ALWAYS_DEFECT, PAVLOV)
    cycle = limit_cycle(learned, np.zeros(4, dtype=int))
    whole = exploitability(learned, cycle, firm=0, discount=0.5)
    monkeypatch.setattr("agents.q_learning.exploitability._BLOCK", 1)

    parts = exploitability(learned, cycle, firm=0, discount=0.5)

    assert_allclose(np.array(parts), np.array(whole))


def test_policy_iteration_finds_what_brute_force_finds():
    """Every one of the 3^9 plans against random rivals, evaluated one by one."""
    rng = np.random.default_rng(0)
    payoffs = rng.random((9, 2))
    strategy = rng.integers(0, 3, (1, 2, 9))
    learned = Learned(strategy, payoffs, (3, 3), 1)
    plans = np.stack(np.meshgrid(*[range(3)] * 9, indexing="ij"), axis=-1).reshape(-1, 9)
    joint = plans * 3 + strategy[0, 1]

    best, _ = best_reply(learned, firm=0, discount=0.8)

    assert_allclose(best[0], evaluate(learned, joint, firm=0, discount=0.8).max(axis=0))


def test_regret_in_hindsight_is_counted_on_the_cycle():
    """Alternating tit for tat: defecting always would have brought (5 + 1)/2, not 5/2."""
    learned = pair(TIT_FOR_TAT, GRIM)
    found = regret(learned, limit_cycle(learned, np.array([1, 0])), firm=0)

    assert_allclose(found.external, [0.5, 2])
    assert_allclose(found.swap, [0.5, 2])


def test_arrays_that_do_not_fit_each_other_are_refused():
    with pytest.raises(AgentError, match="one row per joint action"):
        Learned(np.array([GRIM]), DILEMMA[:3], (2, 2), 1)
    with pytest.raises(AgentError, match="memory 2 needs"):
        Learned(np.array([GRIM]), DILEMMA, (2, 2), 2)
    with pytest.raises(AgentError, match="count actions from 0"):
        Learned(np.array([GRIM]) + 1, DILEMMA, (2, 2), 1)
