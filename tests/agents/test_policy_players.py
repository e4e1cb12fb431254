"""Networks in the seats of a market: what they see, what they may do, how they are kept."""

import json
import zipfile

import numpy as np
import pytest
import torch
from lin_market import ACTIONS, WarnThenSanction, briefing, play

from agents.catalogue import make
from agents.contract import AgentError
from agents.policies.archive import LARGEST_FILE
from agents.policies.reach import Reach
from agents.policies.saving import Policy, Sight, load, save
from agents.policies.watching import Seen, Watcher, width

SIGHT = Sight(agents=2, actions=2, states=3, memory=8, hidden=4)


def policy(**bias):
    """An untrained policy whose network wants one step up in the first number."""
    weights = SIGHT.untrained(0)
    weights["actor_2_bias"] = torch.tensor([1.0, 0.0])
    return Policy(SIGHT, weights | bias)


def test_zero_is_nash_and_a_step_is_a_quarter_of_the_range():
    reach = Reach.of(briefing(), [0, 1])

    stayed, moved = reach.actions(np.array([np.zeros((2, 2)), [[0.5, -0.4], [0.0, 0.0]]]))

    assert stayed.tolist() == ACTIONS["nash"].tolist()
    assert moved[0] == pytest.approx([140 / 3 + 12.5, 80 / 3 - 10])
    assert moved[1].tolist() == ACTIONS["nash"][1].tolist()


def test_what_leaves_the_bounds_is_clipped_and_what_exceeds_capacity_scaled_back():
    reach = Reach.of(briefing(), [0])
    clipped, scaled = reach.actions(np.array([[[1.0, -9.0]], [[9.0, 9.0]]]))

    assert clipped[0] == pytest.approx([140 / 3 + 25, 0])
    assert scaled[0] == pytest.approx([50, 50])
    assert scaled.sum() <= 100


def test_a_watcher_sees_itself_first_and_counts_rounds():
    watcher = Watcher(briefing(), [1], states=3, memory=2)
    standings, free, cap = np.zeros((1, 2), np.int64), np.zeros((1, 2), bool), np.ones((1, 2))
    first = watcher.first(standings, free, cap)
    joint = ACTIONS["nash"] + np.array([[25.0, 0], [0, -25.0]])
    fines = np.array([[0.0, ACTIONS["nash"].max()]])
    seen = watcher(Seen(joint[None], np.array([[0, 2]]), cap, fines, free, cap))[0, 0].tolist()

    assert first.shape == (1, 1, watcher.width) == (1, 1, 2 + 8 + 6 + 4 + 4)
    assert first[0, 0, 2:10].tolist() == [0] * 8
    assert seen[:2] == [0, 1]
    assert seen[2:10] == [0, -1, 1, 0, 0, 0, 0, 0]
    assert seen[10:16] == [0, 0, 1, 1, 0, 0]
    assert seen[16:20] == [0, 0, 0, 0]  # the standing has just changed, the fine just fallen due
    assert seen[22:] == [0, 1]


def test_a_policy_is_read_back_as_it_was_written(tmp_path):
    save(tmp_path / "p.npz", policy())
    save(tmp_path / "again.npz", load(tmp_path / "p.npz"))

    assert (tmp_path / "p.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    assert load(tmp_path / "p.npz").sight == SIGHT


def rewritten(path, change):
    """The archive at `path` with its arrays, by name, put through `change`."""
    with np.load(path) as found:
        arrays = dict(found)
    np.savez(path, **change(arrays))


def headed(**changed):
    header = {
        "format": "institutional.policy/1",
        "agents": 2,
        "actions": 2,
        "states": 3,
        "memory": 8,
        "hidden": 4,
    } | changed
    return np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)


BROKEN = {
    "another format": (lambda a: a | {"header": headed(format="institutional.policy/2")}, "format"),
    "a field more": (lambda a: a | {"header": headed(more=1)}, "other header fields"),
    "a count that is true": (lambda a: a | {"header": headed(hidden=True)}, "hidden=True"),
    "a count beyond reason": (lambda a: a | {"header": headed(hidden=10**9)}, "hidden=1000000000"),
    "no header": (lambda a: {k: v for k, v in a.items() if k != "header"}, "header"),
    "an array more": (lambda a: a | {"more": np.zeros(1)}, "other arrays"),
    "an array less": (lambda a: {k: v for k, v in a.items() if k != "log_sds"}, "other arrays"),
    "another shape": (lambda a: a | {"log_sds": np.zeros(3, np.float32)}, r"\(3,\)"),
    "another kind": (lambda a: a | {"log_sds": np.zeros(2)}, "float64"),
    "a NaN": (lambda a: a | {"log_sds": np.full(2, np.nan, np.float32)}, "not finite"),
    "a pickle": (lambda a: a | {"log_sds": np.array([{}, {}])}, "pickle"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_with_something_wrong_is_refused(what, tmp_path):
    change, message = BROKEN[what]
    path = tmp_path / "p.npz"
    save(path, policy())
    rewritten(path, change)

    with pytest.raises(AgentError, match=f"p.npz: not a policy .*{message}"):
        load(path)


def test_compressed_torn_missing_and_oversized_files_are_refused(tmp_path):
    save(tmp_path / "p.npz", policy())
    whole = (tmp_path / "p.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.npy", b"\0" * 10**6)
    (tmp_path / "torn").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "large").write_bytes(b"\0" * (LARGEST_FILE + 1))

    for name in ("bomb", "torn", "large", "missing"):
        with pytest.raises(AgentError, match="not a policy"):
            load(tmp_path / name)


def test_a_trained_network_plays_from_its_file_alike_under_every_seed(tmp_path):
    save(tmp_path / "p.npz", policy())
    graph = WarnThenSanction()

    def run(seed):
        seats = [
            make("network", briefing(seat, graph), file=str(tmp_path / "p.npz")) for seat in (0, 1)
        ]
        return play(seats, rounds=3, graph=graph, seed=seed)

    assert run(0)[0, 0] == pytest.approx([140 / 3 + 25, 80 / 3])
    assert (run(0) == run(1)).all()


def test_a_network_trained_elsewhere_is_refused_a_seat(tmp_path):
    save(tmp_path / "p.npz", policy())

    with pytest.raises(AgentError, match="trained for 3 states, and here are 1"):
        make("network", briefing(), file=str(tmp_path / "p.npz"))


@pytest.mark.parametrize("name", ["ppo_learner", "reinforce_learner"])
def test_a_learner_plays_on_as_before_until_it_has_learnt_and_alike_after_a_reset(name):
    """The first improvement comes after 16 rounds, and shows in the 17th."""
    learns, never = (
        make(name, briefing(), rounds_per_update=16, learning_rate=rate) for rate in (0.01, 0.0)
    )

    def path(learner):
        return play([learner, make("nash", briefing(1))], rounds=40)[:, 0]

    differs = (path(learns) != path(never)).any(axis=1)

    assert not differs[:16].any()
    assert differs[16:].all()
    assert (path(learns) == path(learns)).all()


def test_width_is_what_a_watcher_says():
    watcher = Watcher(briefing(), [0], states=5, memory=8)

    assert watcher.width == width(agents=2, actions=2, states=5, memory=8) == 64
