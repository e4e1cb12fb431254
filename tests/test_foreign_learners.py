"""A learner that others wrote trains in a governed market and plays in a logged, replayed run."""

from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from signed_run import TRUST, play, write
from stable_baselines3 import PPO

from environments import presets
from institutional.episode import Seat, Table
from institutional.errors import InstitutionalError
from institutional.foreign import Foreign, OneSeat
from institutional.governance.loading import load_graph
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.replay.rulings import replay

GRAPH = Path(__file__).parents[1] / "governance_graphs/cournot.yaml"
ROUNDS = 12
DIVIDER = Seat("divider_stubborn", {"tremble": 0.02})


@pytest.fixture(scope="module")
def table():
    return Table(presets.make("lin2024", rounds=ROUNDS), load_graph(GRAPH))


@pytest.mark.filterwarnings(
    "ignore:.*infinity. This is probably too:UserWarning"
)  # money has no bounds
def test_one_seat_passes_the_checks_of_gymnasium(table):
    check_env(OneSeat(table, "firm_1", {"firm_2": DIVIDER}), skip_render_check=True)


def test_a_division_played_from_one_seat_is_warned_and_fined(table):
    """Shares 0.6 and 0 of the capacity, as numbers between -1 and 1, against a divider."""
    market = OneSeat(table, "firm_1", {"firm_2": Seat("divider_stubborn")})
    market.reset(seed=1)
    rounds = [market.step(np.array([0.2, -1.0])) for _ in range(ROUNDS)]

    assert rounds[0][1] == pytest.approx(1800)
    assert "notice" in rounds[2][4]
    assert min(reward for _, reward, *_ in rounds) < 1800 - 600
    assert [over for *_, over, _ in rounds] == [False] * (ROUNDS - 1) + [True]


def test_the_same_seed_gives_the_same_run_and_none_gives_another(table):
    market = OneSeat(table, "firm_1", {"firm_2": DIVIDER})

    def first_round(seed):
        market.reset(seed=seed)
        return market.step(np.zeros(2))[0].tolist()

    assert first_round(3) == first_round(3)
    assert first_round(None) != first_round(None)


def test_the_whole_box_is_playable(table):
    market = OneSeat(table, "firm_1", {"firm_2": DIVIDER})
    market.reset(seed=0)

    market.step(np.ones(2))


def test_seats_that_are_not_filled_once_are_refused(table):
    for others in ({}, {"firm_1": DIVIDER}, {"firm_2": DIVIDER, "firm_3": DIVIDER}):
        with pytest.raises(InstitutionalError, match="do not fill the seats"):
            OneSeat(table, "firm_1", others)


def test_a_library_trains_there_and_plays_a_logged_run_that_replays(table, tmp_path):
    market = OneSeat(table, "firm_1", {"firm_2": DIVIDER})
    learner = PPO("MlpPolicy", market, n_steps=48, batch_size=24, n_epochs=2, seed=0, device="cpu")
    untrained = learner.policy.state_dict()["action_net.weight"].clone()
    learner.learn(total_timesteps=96)

    def foreign(acting):
        return {"firm_1": Foreign(acting, 0, lambda seen: learner.predict(seen)[0])}

    played = play(table.core, [DIVIDER, DIVIDER], run="foreign", foreign=foreign)

    assert (learner.policy.state_dict()["action_net.weight"] != untrained).any()
    assert len(played.bodies("round")) == len(played.bodies("ruling")) == ROUNDS
    assert replay(played.entries, played.graph).word == "exact"
    assert audit(write(played, tmp_path / "run"), TRUST).word is Word.UNANCHORED
