"""Learnt sessions kept in files; trainings that were killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from agents.contract import AgentError
from agents.q_learning.game import from_payoffs
from agents.q_learning.schedule import Boltzmann, EpsilonGreedy, Learner
from agents.q_learning.sessions import train
from agents.q_learning.storage import load, save, train_into

DILEMMA = np.array([[3, 3], [0, 5], [5, 0], [1, 1]], dtype=np.float64)
QUICK = Learner(exploration=EpsilonGreedy(0.01), stable=2000)
ARRAYS = ("seeds", "strategy", "periods", "converged", "profit", "state")


def dilemma():
    return from_payoffs(DILEMMA, (2, 2), names=("row", "column"))


def assert_equal(one, other):
    assert one.learner == other.learner
    assert one.game.names == other.game.names
    assert np.array_equal(one.game.payoffs, other.game.payoffs)
    for name in ARRAYS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
    "learner", [QUICK, Learner(exploration=Boltzmann(10.0, 0.99), initial=2.0, stable=50)]
)
def test_what_is_saved_is_loaded(tmp_path, learner):
    sessions = train(dilemma(), learner, range(4))

    save(sessions, tmp_path / "learnt.npz")

    assert_equal(load(tmp_path / "learnt.npz"), sessions)
    assert [path.name for path in tmp_path.iterdir()] == ["learnt.npz"]


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_a_torn_or_foreign_file_is_refused(tmp_path, at):
    path = tmp_path / "learnt.npz"
    save(train(dilemma(), QUICK, range(4)), path)
    data = path.read_bytes()

    path.write_bytes(data[: int(len(data) * at)])
    with pytest.raises(AgentError, match="no file of learnt sessions"):
        load(path)
    np.savez(path, strategy=np.zeros(3))
    with pytest.raises(AgentError, match="no file of learnt sessions"):
        load(path)
    np.savez_compressed(path, header=np.zeros(10**6))
    with pytest.raises(AgentError, match="compressed"):
        load(path)
    with pytest.raises(AgentError, match="cannot be read"):
        load(tmp_path / "nothing.npz")


def test_a_strategy_that_plays_what_does_not_exist_is_refused(tmp_path):
    sessions = train(dilemma(), QUICK, range(2))
    sessions.strategy[1, 0, 3] = 2
    save(sessions, tmp_path / "learnt.npz")

    with pytest.raises(AgentError, match="plays an action that does not exist"):
        load(tmp_path / "learnt.npz")


def test_in_chunks_the_result_is_the_same_and_nothing_is_played_twice(tmp_path):
    whole = train(dilemma(), QUICK, range(7))
    done = []

    first = train_into(
        tmp_path / "t", dilemma(), QUICK, range(7), chunk=3, progress=lambda *n: done.append(n)
    )
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "t").iterdir()}
    again = train_into(tmp_path / "t", dilemma(), QUICK, range(7), chunk=3)

    assert_equal(first, whole)
    assert_equal(again, whole)
    assert done == [(3, 7), (6, 7), (7, 7)]
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "t").iterdir()}


def test_another_training_does_not_go_on_in_the_folder(tmp_path):
    train_into(tmp_path / "t", dilemma(), QUICK, range(2))

    with pytest.raises(AgentError, match="another training was begun here"):
        train_into(tmp_path / "t", dilemma(), QUICK, range(3))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(AgentError, match="not empty"):
        train_into(tmp_path / "other", dilemma(), QUICK, range(2))


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_q_storage import dilemma, SLOW
from agents.q_learning.storage import train_into
train_into(Path(sys.argv[1]), dilemma(), SLOW, range(200), chunk=5, threads=1)
"""
SLOW = Learner(exploration=EpsilonGreedy(1e-5), stable=300_000)


def test_killed_in_the_middle_it_ends_like_one_that_was_not(tmp_path):
    here = str(Path(__file__).parent)
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED.format(here=here), str(tmp_path / "t")],
        env=os.environ | {"PYTHONPATH": root},
        cwd=root,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("t/*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    finished = len(list(tmp_path.glob("t/*.npz")))

    resumed = train_into(tmp_path / "t", dilemma(), SLOW, range(200), chunk=5)

    assert 3 <= finished < 40
    assert_equal(resumed, train(dilemma(), SLOW, range(200)))
