"""What `agent show` says of learnt strategies."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from agents.q_learning.game import from_payoffs
from agents.q_learning.schedule import EpsilonGreedy, Learner
from agents.q_learning.sessions import train
from agents.q_learning.storage import save
from institutional.cli.main import app
from institutional.errors import InstitutionalError

DEFECTION = np.array([[3, 3], [0, 5], [5, 0], [1, 1]], dtype=np.float64)


@pytest.fixture
def learnt(tmp_path):
    game = from_payoffs(DEFECTION, (2, 2), names=("row", "column"))
    learner = Learner(memory=0, discount=0, exploration=EpsilonGreedy(0.01), stable=1000)
    save(train(game, learner, range(2)), tmp_path / "learnt.npz")
    return str(tmp_path / "learnt.npz")


def shown(*arguments):
    return CliRunner().invoke(app, ["agent", "show", *arguments], catch_exceptions=False).output


def test_the_cycle_its_profits_and_the_best_replies_are_shown(learnt):
    """Both defect for ever, earn 1 each, and cannot do better."""
    sheet = json.loads(shown(learnt, "--session", "1", "--json"))

    assert sheet["actions"] == {"row": [[1.0]], "column": [[1.0]]}
    assert sheet["profit"] == {"row": 1.0, "column": 1.0}
    assert sheet["best_reply_share"] == {"row": 1.0, "column": 1.0}
    assert sheet["cycle"] == 1
    assert "1  1   earns 1, 1" in shown(learnt)
    assert "row: a best reply to the others in 100% of states" in shown(learnt)


def test_a_session_that_is_not_there_is_refused(learnt):
    with pytest.raises(InstitutionalError, match="sessions 0 to 1, not 2"):
        shown(learnt, "--session", "2")
