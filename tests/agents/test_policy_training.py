"""Networks learn what can be known beforehand, alike under equal seeds, and refuse nonsense."""

import numpy as np
import pytest
import torch

from agents.contract import AgentError
from agents.policies.batch import FromArrays, Step
from agents.policies.network import opinion
from agents.policies.train import METHODS, train


class Bandit:
    """One state, one number to choose, best at 0.7."""

    widths = (1, 1)
    rows, rounds = 32, 8

    def reset(self):
        self.round = 0
        return torch.ones(self.rows, 1)

    def reward(self, steps):
        return -((steps[:, 0] - 0.7) ** 2)

    def step(self, steps):
        self.round += 1
        return Step(torch.ones(self.rows, 1), self.reward(steps), over=self.round == self.rounds)


class Duopolist:
    """Arrays: p = 12 - q - 4, unit cost 2, quantity 2 + 2 s: best is (12 - 4 - 2) / 2."""

    widths = (1, 1)

    def reset(self):
        self.round = 0
        return np.ones((32, 1), dtype=np.float32)

    def step(self, steps):
        self.round += 1
        quantities = 2 + 2 * steps[:, 0]
        profits = (12 - quantities - 4 - 2) * quantities
        return np.ones((32, 1), dtype=np.float32), profits / 9, self.round == 8


def learnt(batch, **settings):
    chosen = {"updates": 60, "seed": 0, "hidden": 8, "discount": 0.0, "learning_rate": 0.04}
    weights = train(batch, **chosen | settings)
    return opinion(weights, torch.ones(1, 1)).means.item(), weights


@pytest.mark.parametrize("method", METHODS)
def test_the_best_arm_of_a_bandit_is_found(method):
    assert learnt(Bandit(), method=method)[0] == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_a_cournot_firm_learns_its_best_reply(method):
    step, _ = learnt(FromArrays(Duopolist()), method=method)

    assert 2 + 2 * step == pytest.approx(3.0, abs=0.1)


def test_what_pays_later_is_learnt_if_the_future_counts():
    """A step up costs now and is seen, and paid for, a round later."""

    class Investment(Bandit):
        widths = (1, 1)

        def step(self, steps):
            paid = self.seen if self.round else torch.zeros(self.rows, 1)
            self.seen = steps.clamp(-1, 1)
            self.round += 1
            rewards = 2 * paid[:, 0] - self.seen[:, 0]
            return Step(self.seen, rewards, over=self.round == self.rounds)

    def step(discount):
        weights = train(
            Investment(), updates=25, seed=0, hidden=8, discount=discount, learning_rate=0.04
        )
        return opinion(weights, torch.zeros(1, 1)).means.item()

    assert step(0.9) > 0.5
    assert step(0.0) < -0.5


def test_equal_seeds_give_equal_weights_and_others_do_not():
    runs = [learnt(Bandit(), updates=3, seed=seed)[1] for seed in (4, 4, 5)]

    assert all((runs[0][name] == runs[1][name]).all() for name in runs[0])
    assert any((runs[0][name] != runs[2][name]).any() for name in runs[0])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    learnt(Bandit(), updates=2)

    assert (torch.random.get_rng_state() == before).all()


def test_an_untrained_network_says_nothing():
    weights = train(Bandit(), updates=1, seed=0, hidden=8, learning_rate=0.0)

    assert opinion(weights, torch.ones(1, 1)).means.item() == 0


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_reward_that_is_not_finite_is_refused_with_one_message(broken):
    class Broken(Bandit):
        def reward(self, steps):
            return torch.full_like(steps[:, 0], broken)

    with pytest.raises(AgentError, match="not a finite number\n  nothing was learnt"):
        learnt(Broken(), updates=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "poo"}, 'no method "poo"\n  methods: ppo, reinforce. Did you mean "ppo"'),
        ({"device": "gpu"}, 'device "gpu" is not there\n  devices here: cpu'),
        ({"updates": 0}, "updates=0 is out of range"),
        ({"discount": 1.5}, "discount=1.5 is out of range"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is out of range"),
    ],
)
def test_a_wrong_setting_is_refused(wrong, message):
    with pytest.raises(AgentError, match=message):
        learnt(Bandit(), **{"updates": 1} | wrong)
