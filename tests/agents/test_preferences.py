"""Any row trains a policy over levels, from answers that are tried before one is given."""

import ast
import inspect

import numpy as np
import pytest
import torch

from agents.alignment.batch import AlignmentError
from agents.alignment.methods import METHODS, method
from agents.contract import AgentError
from agents.policies import preferences
from agents.policies.levels import untrained
from agents.policies.preferences import Effort, Tried, improved

SHORT = Effort(iterations=2, steps=3)
CANNOT = {
    "ra_dpo": "a goal in the prompt",
    "power_dl": "rows of the data set",
    "dckd": "a teacher",
    "adpa": "a teacher",
    "opd": "a teacher",
    "kepo": "a teacher",
}


class Hill:
    """Eight situations of one seat and one number in which level 3 of 5 earns most.

    It earns 1, its neighbours 0.9, 0 earns 0.1: 1 - (level - 3)^2 / 10.
    """

    def __init__(self):
        self.given = []

    def seen(self):
        return np.ones((8, 1, 2), dtype=np.float32)

    def tried(self, tokens):
        earned = 1 - (tokens[..., 0, 0] - 3.0) ** 2 / 10
        return Tried(earned, np.stack([earned]))

    def play(self, tokens):
        self.given.append(tokens.copy())


def first(seed=0):
    return untrained(features=2, hidden=4, actions=1, levels=5, seed=seed)


def chances(policy):
    return policy.seen(torch.ones(1, 1, 2))[0, 0].exp().tolist()


def trained(name, **effort):
    policy, hill = first(), Hill()
    improved(policy, hill, method(name), effort=Effort(iterations=6, steps=30, **effort), seed=0)
    return chances(policy), hill


@pytest.mark.parametrize("source", ["own", "online", "mixture", "offline"])
@pytest.mark.parametrize("name", ["dpo", "ipo", "kto", "simpo", "rloo", "nash_md"])
def test_methods_of_every_family_find_the_level_that_earns_most(name, source):
    found, hill = trained(name, source=source, rate=0.05)

    assert np.argmax(found) == 3
    assert found[3] > 0.4
    assert len(hill.given) == 6 * 30


def test_offline_answers_stay_those_of_the_first_policy_and_online_ones_follow_it():
    """The first policy gives level 3 a fifth of the time."""

    def share_of_best(source):
        _, hill = trained("dpo", source=source, rate=0.05)
        return (np.stack(hill.given[-60:]) == 3).mean()

    assert share_of_best("offline") == pytest.approx(0.2, abs=0.05)
    assert share_of_best("online") > 0.5


def test_a_judge_who_is_hardly_sure_teaches_less():
    surest, unsure = (trained("ipo", temperature=t, rate=0.05)[0][3] for t in (0.01, 100.0))

    assert surest > 0.5 > unsure


@pytest.mark.parametrize("name", METHODS)
def test_every_row_learns_from_play_or_says_in_one_message_what_it_lacks(name):
    policy, hill = first(), Hill()
    if name in CANNOT:
        with pytest.raises(
            AlignmentError, match=f"{name} cannot learn from play: .*{CANNOT[name]}"
        ):
            improved(policy, hill, method(name), effort=SHORT, seed=0)
        assert chances(policy) == pytest.approx([0.2] * 5)
        return

    improved(policy, hill, method(name), effort=SHORT, seed=0)

    assert chances(policy) != pytest.approx([0.2] * 5, abs=1e-4)


def test_equal_seeds_give_equal_policies_and_progress_is_told_per_iteration():
    told, found = [], []
    for seed in (1, 1, 2):
        policy = first()
        improved(
            policy,
            Hill(),
            method("dpo"),
            effort=SHORT,
            seed=seed,
            report_progress=lambda iteration, _loss: told.append(iteration),
        )
        found.append(chances(policy))

    assert found[0] == found[1] != found[2]
    assert told == [1, 2] * 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "onlin"}, 'no source "onlin"[\\s\\S]*Did you mean "online"'),
        ({"steps": 0}, "steps=0 is out of range"),
        ({"temperature": 0.0}, "temperature=0.0 is out of range"),
        ({"answers": 1}, "answers=1 is out of range"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(changed, message):
    with pytest.raises(AgentError, match=message):
        improved(
            first(),
            Hill(),
            method("dpo"),
            effort=Effort(iterations=1, **{"steps": 1} | changed),
            seed=0,
        )


def test_pairs_methods_refuse_lists_in_one_message():
    with pytest.raises(AlignmentError, match="dpo cannot learn from play: a margin is between two"):
        improved(
            first(), Hill(), method("dpo"), effort=Effort(iterations=1, steps=1, answers=3), seed=0
        )


def test_loop_never_looks_at_a_methods_name():
    """`method.name` occurs in an error message alone."""
    tree = ast.parse(inspect.getsource(preferences))
    names = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "name"
    ]

    assert len(names) == 1
