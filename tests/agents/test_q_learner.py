import numpy as np
import pytest
from lin_market import briefing, play, profit
from numpy.testing import assert_allclose

from agents.catalogue import make
from agents.contract import AgentError
from agents.q_learning.game import action_grid
from agents.q_learning.learner import QLearner
from agents.scripted.static import Static

COOPERATE, DEFECT = 0.0, 1.0


def dilemma(actions):
    """3 each when both cooperate, 1 each when both defect, 5 for a lone defector."""
    own, other = actions[:, 0].round(), actions[::-1, 0].round()
    return 3 * (1 - own) * (1 - other) + 5 * own * (1 - other) + own * other


def prisoner(**parameters):
    facts = briefing(
        benchmarks={"nash": np.full((2, 1), DEFECT), "joint_monopoly": np.full((2, 1), COOPERATE)},
        low=np.zeros((2, 1)),
        high=np.ones((2, 1)),
        capacity=None,
        profit=dilemma,
    )
    return QLearner(facts, levels=2, stretch=0, **parameters)


def meet(learner, rival, *, rounds, seed=0):
    """What the learner does, [rounds], against a rival that maps its last action to a reply."""
    learner.reset(seed)
    seen = {"quantities": np.zeros((2, 1))}
    path = []
    for _ in range(rounds):
        own = learner.act(seen)
        joint = np.stack([own, [rival(seen["quantities"][0, 0])]])
        following = {"quantities": joint}
        learner.learn(seen, own, dilemma(joint)[0], following)
        seen = following
        path.append(own[0])
    return path


@pytest.mark.parametrize("rival", [COOPERATE, DEFECT])
def test_it_learns_to_defect_against_a_rival_that_never_answers(rival):
    path = meet(prisoner(), lambda _: rival, rounds=4000)

    assert path[-1] == DEFECT


def test_with_memory_it_learns_to_cooperate_with_tit_for_tat():
    """Cooperation is worth 3 / (1 - 0.95) = 60; one defection 5, then 0 to make up for it."""
    path = meet(prisoner(exploration_rounds=3000), lambda last: last, rounds=9000, seed=1)

    assert np.mean(path[-500:]) < 0.05


@pytest.mark.parametrize("rival", ["nash", "market_division", "competitive"])
def test_it_finds_the_best_reply_on_its_grid_against_a_static_rival(rival):
    facts = briefing()
    learner = make("q_learner", facts, levels=3, memory=0, exploration_rounds=10_000)
    path = play([learner, Static(briefing(1), benchmark=rival)], rounds=10_000)

    grid = action_grid(facts, 0, plan="joint_monopoly", levels=3, stretch=0.1)
    payoffs = [profit(np.stack([own, path[-1, 1]]))[0] for own in grid]
    assert np.median(path[-50:, 0], axis=0).tolist() == grid[np.argmax(payoffs)].tolist()


def test_the_grid_reaches_a_tenth_beyond_nash_and_monopoly_but_not_below_zero():
    """Home 46.67 to 60, stretched by 1.33; abroad 0 to 26.67, stretched by 2.67 upwards only."""
    grid = action_grid(briefing(), 0, plan="joint_monopoly", levels=5, stretch=0.1)

    assert len(grid) == 25
    assert_allclose(grid.min(axis=0), [140 / 3 - 4 / 3, 0])
    assert_allclose(grid.max(axis=0), [60 + 4 / 3, 80 / 3 * 1.1])


def test_grid_points_above_capacity_are_left_out():
    """With capacity 61 the pairs of 0..30 and 45..61 that fit are few; all keep the rule."""
    grid = action_grid(briefing(capacity=61), 0, plan="joint_monopoly", levels=5, stretch=0.1)

    assert 0 < len(grid) < 25
    assert (grid.sum(axis=1) <= 61).all()


def test_it_starts_from_the_discounted_profit_against_a_random_rival():
    """Defecting earns (5 + 1)/2 a round, cooperating (3 + 0)/2; twenty rounds' worth at 0.95."""
    assert_allclose(prisoner().values, [[30, 60]] * 4)


def test_the_state_is_the_last_joint_action_at_the_nearest_grid_points():
    def state(own, other):
        return prisoner().state({"quantities": np.array([[own], [other]])})

    assert [state(0, 0), state(0, 1), state(1, 0), state(0.9, 0.6)] == [0, 1, 2, 3]


def test_one_update_moves_the_value_by_alpha_towards_the_target():
    """From 60 by 0.15 x (1 + 0.95 x 60 - 60) = -0.3."""
    learner = prisoner(memory=0)
    seen = {"quantities": np.ones((2, 1))}

    learner.learn(seen, np.array([DEFECT]), 1.0, seen)

    assert_allclose(learner.values, [[30, 59.7]])


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    agents = [make("q_learner", briefing(seat), levels=3) for seat in (0, 1)]
    first, again, other = (play(agents, rounds=50, seed=seed) for seed in (1, 1, 7))

    assert (first == again).all()
    assert (first != other).any()


def test_a_table_too_large_is_refused_before_it_is_filled():
    with pytest.raises(AgentError, match="Choose fewer levels"):
        make("q_learner", briefing(), levels=20)
