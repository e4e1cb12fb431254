"""Policies over levels: what they say, see and play, and how they are kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lin_market import WarnThenSanction, briefing, observations, play
from torch.testing import assert_close

from agents.alignment.batch import single
from agents.alignment.sources import asked
from agents.catalogue import make
from agents.contract import AgentError
from agents.policies import archive
from agents.policies.level_saving import Habit, Origin, Shape, load, save
from agents.policies.levels import Grid, chosen, untrained
from agents.policies.looking import Look, Shown, as_shown, width
from agents.policies.network import generator

SHAPE = Shape(agents=2, actions=2, levels=11, hidden=4, hold=1)
ORIGIN = Origin(
    method="dpo", seed=0, environment={"name": "cournot"}, graph="", seats="each", others="nash"
)


def habit(*levels, **shape):
    """A policy that plays `levels` whatever it sees."""
    made = replace(SHAPE, **shape)
    policy = made.untrained(0)
    with torch.no_grad():
        for number, level in enumerate(levels):
            policy.scores[-1].bias[number * made.levels + level] = 1.0
    return Habit(made, policy, np.zeros((2, 2)), np.full((2, 2), 100.0), ORIGIN)


def seated(tmp_path, kept, seat=0, graph=None, **parameters):
    save(tmp_path / "policy.npz", kept)
    file = str(tmp_path / "policy.npz")
    return make("preference_policy", briefing(seat, graph), file=file, **parameters)


def test_levels_lie_in_equal_steps_and_share_the_capacity():
    grid = Grid(np.zeros((1, 2)), np.full((1, 2), 100.0), 100.0, 11)

    assert grid.actions(np.array([[6, 2]])).tolist() == [[60, 20]]
    assert grid.actions(np.array([[10, 10]]))[0] == pytest.approx([50, 50])


def test_untrained_policy_finds_every_level_of_every_seat_alike():
    policy = untrained(features=3, hidden=4, actions=2, levels=5, seed=0)
    batch = replace(asked(torch.ones(6, 2, 3)), responses=torch.zeros(6, 7, 4, dtype=torch.long))

    assert policy(batch).shape == (6, 7, 4)
    assert policy.logits(batch).shape == (6, 7, 4, 5)
    assert_close(policy(batch).exp(), torch.full((6, 7, 4), 0.2))
    assert policy.draw(batch, generator(0, 1)).tokens.shape == (6, 4)


def test_seats_that_answer_together_say_side_by_side_what_each_says_alone():
    policy = untrained(features=3, hidden=4, actions=2, levels=5, seed=0)
    with torch.no_grad():
        policy.scores[-1].weight.normal_(generator=generator(0, 1))
    seen = torch.randn(1, 2, 3, generator=generator(0, 2))

    together, first, second = policy.seen(seen), policy.seen(seen[:, :1]), policy.seen(seen[:, 1:])

    assert_close(together, torch.cat([first, second], dim=1))


def test_likeliest_levels_are_chosen_at_temperature_zero_and_ties_fall_to_lot():
    said = torch.tensor([[[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]]).log().expand(400, 2, 3)
    sure, drawn = (chosen(said, generator(0, 1), temperature=t) for t in (0.0, 1.0))

    assert sure[:, 0].unique().tolist() == [1]
    assert sure[:, 1].unique().tolist() == [0, 2]
    assert (sure[:, 1] == 0).double().mean() == pytest.approx(0.5, abs=0.1)
    assert (drawn[:, 0] == 2).double().mean() == pytest.approx(0.3, abs=0.1)


def test_look_sees_bounds_as_one_and_good_standing_as_zeros():
    """Seat 1 of two: 60 of 100 is 0.2; a fine of one Nash profit counts as one."""
    look = Look(briefing(), [1])
    actions = np.array([[[0.0, 100.0], [60.0, 50.0]]])
    zeros, nobody = np.zeros((1, 2)), np.zeros((1, 2), bool)
    fines = np.array([[0.0, 1444.0 + 4 / 9]])
    clear = look(Shown(actions, zeros.astype(int), zeros, zeros, nobody, zeros + 1))
    fined = look(Shown(actions, np.array([[0, 2]]), zeros + 3, fines, nobody, zeros + 0.25))

    assert clear.shape == (1, 1, width(agents=2, actions=2)) == (1, 1, 13)
    assert clear[0, 0] == pytest.approx([0, 1, -1, 1, 0.2, 0, *[0] * 7], abs=1e-6)
    assert fined[0, 0, 6:] == pytest.approx([0, 1, 0, 1, 1, 0, 0.75], abs=1e-6)


def test_observation_shows_ones_own_standing_alone():
    graph = WarnThenSanction()
    seen = observations(np.ones((2, 2)), np.array([2, 1]))[1] | {"fine": np.array([630.0])}

    shown = as_shown(briefing(1, graph), seen)

    assert shown.statuses.tolist() == [[0, 1]]
    assert shown.fines.tolist() == [[0, 630]]
    assert as_shown(briefing(1), seen).statuses.tolist() == [[0, 0]]


def test_policy_plays_the_levels_it_likes_best_with_and_without_an_institution(tmp_path):
    for graph in (None, WarnThenSanction()):
        seats = [seated(tmp_path, habit(6, 2), seat, graph) for seat in (0, 1)]

        assert (play(seats, rounds=3, graph=graph) == [60, 20]).all()


def test_choice_is_kept_for_as_many_rounds_as_in_training(tmp_path):
    """Untrained, each choice is a draw of 121 pairs: two in a row are rarely alike."""
    agent = seated(tmp_path, habit(hold=3))
    path = play([agent, make("nash", briefing(1))], rounds=9)[:, 0]

    assert (path[0] == path[2]).all()
    assert (path[3] == path[5]).all()
    assert len(np.unique(path, axis=0)) == 3


def test_temperature_draws_levels_anew_by_the_seed(tmp_path):
    seats = [seated(tmp_path, habit(6, 2), seat, temperature=1.0) for seat in (0, 1)]

    assert (play(seats, rounds=9, seed=1) == play(seats, rounds=9, seed=1)).all()
    assert (play(seats, rounds=9, seed=1) != play(seats, rounds=9, seed=2)).any()


def test_policy_is_read_back_as_it_was_written(tmp_path):
    save(tmp_path / "p.npz", habit(6, 2))
    read = load(tmp_path / "p.npz")
    save(tmp_path / "again.npz", read)

    assert (tmp_path / "p.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert (read.shape, read.origin) == (SHAPE, ORIGIN)
    batch = single(torch.tensor([[6]]), prompts=torch.ones(1, 1, 13))
    assert_close(read.policy.distribution(batch), habit(6, 2).policy.distribution(batch))


HEADER = {
    "agents": 2,
    "actions": 2,
    "levels": 11,
    "hidden": 4,
    "hold": 1,
    "method": "dpo",
    "seed": 0,
    "environment": {},
    "graph": "",
    "seats": "each",
    "others": "nash",
}
BROKEN = {
    "a field more": ({"more": 1}, {}, "other header fields"),
    "one level": ({"levels": 1}, {}, "levels=1"),
    "a count beyond reason": ({"hidden": 10**9}, {}, "hidden=1000000000"),
    "a seed that is true": ({"seed": True}, {}, "seed=True"),
    "a market that is a list": ({"environment": []}, {}, r"environment=\[\]"),
    "an array more": ({}, {"more": np.zeros(1)}, "other arrays"),
    "another shape": ({}, {"low": np.zeros(2)}, r"low is float64 \(2,\)"),
    "another kind": ({}, {"low": np.zeros((2, 2), np.float32)}, "low is float32"),
    "bounds that cross": ({}, {"low": np.full((2, 2), 101.0)}, "low is above high"),
    "a NaN": ({}, {"scores.2.bias": np.full(22, np.nan, np.float32)}, "not finite"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_with_something_wrong_is_refused(what, tmp_path):
    header, changed, message = BROKEN[what]
    path = tmp_path / "p.npz"
    save(path, habit())
    with np.load(path) as found:
        arrays = {name: found[name] for name in found.files if name != "header"}
    archive.write(path, "institutional.level_policy/1", HEADER | header, arrays | changed)

    with pytest.raises(AgentError, match=f"p.npz: not a policy .*{message}"):
        load(path)


def test_a_policy_of_the_other_kind_is_refused_by_its_format(tmp_path):
    path = tmp_path / "p.npz"
    archive.write(path, "institutional.policy/1", HEADER, {})

    assert not archive.is_of(path, "institutional.level_policy/1")
    with pytest.raises(AgentError, match=r"format is not institutional\.level_policy/1"):
        load(path)


def test_a_policy_trained_elsewhere_is_refused_a_seat(tmp_path):
    wide = replace(briefing(), high=np.full((2, 2), 50.0))
    save(tmp_path / "p.npz", habit())

    with pytest.raises(AgentError, match="trained for actions between"):
        make("preference_policy", wide, file=str(tmp_path / "p.npz"))
    with pytest.raises(AgentError, match="not a policy"):
        make("preference_policy", wide, file=str(tmp_path / "missing.npz"))
