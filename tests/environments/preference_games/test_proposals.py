"""Agents propose, a judge compares: conformance, rewards by hand, and an institution over it."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test, seed_test
from pettingzoo.utils import parallel_to_aec

from environments.contract import UnplayableError
from environments.preference_games.bandits import Bandit
from environments.preference_games.games import Game
from environments.preference_games.judges import Compared, Rewarded
from environments.preference_games.named import calandriello2024
from environments.preference_games.proposals import Proposals
from institutional.governance.governed import Governed
from institutional.governance.loading import parse_graph

README = Path(__file__).parents[3] / "environments/preference_games/README.md"
CYCLE = calandriello2024()
BANDIT = Bandit(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.5, 0.5], [0.8, 0.2]]), 1.0)


def compared(**changes):
    game = Game(CYCLE.preference[np.newaxis], CYCLE.reference[np.newaxis], CYCLE.tau)
    return Proposals(Compared(game), **changes)


VIEWS = {
    "two compared": compared,
    "five compared": lambda: compared(agents=5),
    "one against the reference": lambda: compared(agents=1),
    "a bandit": lambda: Proposals(Rewarded(BANDIT), agents=1, prompts=np.array([0.25, 0.75])),
}

GRAPH = parse_graph(
    b"""
format: institutional.graph/1
name: leash
title: Who keeps proposing what the reference never would is held to it
source: made up for the tests
environment: proposals
initial: active
states:
  active: {status: clear, meaning: in good standing}
  held: {status: penalised, meaning: held to the reference, restriction: {suspended: true}}
evidence:
  odd: {meaning: an odd proposal, when: {signal: likelihood, below: 0.2, for: {at_least: 2, of: 2}}}
norms:
  N1:
    who: every policy
    deontic: must_not
    aim: leave the reference
    object: with its proposals
    condition: for two rounds
    or_else: [hold]
    breached_by: odd
edges:
  - {id: hold, from: active, to: held, when: [{case: N1}]}
  - {id: release, from: held, to: active, when: [{rounds_in_state: 3}]}
""",
    "leash.yaml",
)


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_passes_pettingzoos_own_checks_governed_or_not(name, capsys):
    view = VIEWS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(view(), num_cycles=120)
        parallel_seed_test(view)
        seed_test(lambda: parallel_to_aec(view()), num_cycles=60)
        parallel_api_test(Governed(view(), GRAPH), num_cycles=60)
        parallel_seed_test(lambda: Governed(view(), GRAPH), num_cycles=60)
    assert "Passed" in capsys.readouterr().out


def test_two_proposals_win_and_lose_by_the_judges_margin():
    """0 is preferred to 1 nine times in ten."""
    env = compared()
    env.reset(seed=0)

    observations, rewards, _, truncations, _ = env.step({"policy_1": 0, "policy_2": 1})

    assert rewards == pytest.approx({"policy_1": 0.4, "policy_2": -0.4})
    assert observations["policy_1"]["proposals"].tolist() == [0, 1]
    assert truncations == {"policy_1": False, "policy_2": False}
    assert json.loads(json.dumps(env.public_record()))["rewards"] == pytest.approx([0.4, -0.4])


def test_among_three_everybody_meets_both_others_and_who_is_alone_meets_the_reference():
    """0 beats 1 by .4 and loses to 2 by .1; against the reference it wins mostly over 3 and 4."""
    env = compared(agents=3)
    env.reset(seed=0)
    rewards = env.step({"policy_1": 0, "policy_2": 1, "policy_3": 2})[1]

    assert rewards == pytest.approx({"policy_1": 0.15, "policy_2": 0.0, "policy_3": -0.15})
    alone = compared(agents=1)
    alone.reset(seed=0)
    worth = CYCLE.preference[0] @ CYCLE.reference - 0.5
    assert alone.step({"policy_1": 0})[1]["policy_1"] == pytest.approx(worth)


def test_the_bandit_pays_the_reward_of_the_prompt_that_was_shown():
    env = VIEWS["a bandit"]()
    seen, _ = env.reset(seed=1)
    asked = []
    for _ in range(env.rounds):
        prompt = int(seen["policy_1"]["prompt"])
        asked.append(prompt)
        seen, rewards, *_ = env.step({"policy_1": 1})
        assert rewards["policy_1"] == BANDIT.reward[prompt, 1]
        assert env.public_record()["prompt"] == prompt

    assert env.agents == []
    assert 0.5 < np.mean(asked) < 0.95
    with pytest.raises(UnplayableError, match="call reset"):
        env.step({"policy_1": 1})


def test_playing_the_equilibrium_wins_nothing_and_loses_nothing_on_average():
    env = compared(rounds=4000)
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    draws = rng.choice(5, size=(4000, 2), p=CYCLE.nash())
    won = [env.step({"policy_1": i, "policy_2": j})[1]["policy_1"] for i, j in draws]

    assert np.mean(won) == pytest.approx(0, abs=0.02)
    assert (env.references()["nash"]["rewards"] == 0).all()


def test_the_optimum_of_the_bandit_is_its_reference_point():
    env = VIEWS["a bandit"]()
    best = BANDIT.optimum()
    worth = 0.25 * best[0, 0] * 1 + 0.75 * best[1, 1] * 2

    assert env.references()["nash"]["rewards"][0, 0] == pytest.approx(worth)
    assert env.references()["reference"]["likelihoods"][0, 0] == pytest.approx(
        0.25 * 0.5 + 0.75 * 0.68
    )


def test_who_leaves_the_reference_is_held_to_it_for_three_rounds():
    """0 has a probability of .119 under the reference and 3 of .322."""
    env = Governed(compared(rounds=8), GRAPH)
    env.reset(seed=0)
    proposed = []
    for _ in range(8):
        env.step({"policy_1": 0, "policy_2": 3})
        proposed.append(env.public_record()["proposals"])

    assert [p[0] for p in proposed[:6]] == [0, 0, 3, 3, 3, 0]
    assert [p[1] for p in proposed] == [3] * 8


def test_a_cap_permits_what_is_likely_enough():
    """Half the largest .8 is .4: response 1 with .2 is not; at a cap of .75 it is."""
    env = Proposals(Rewarded(BANDIT), agents=2, prompts=np.array([0.0, 1.0]))
    env.reset(seed=0)
    nobody = np.zeros(2, dtype=bool)
    allowed = env.restrict({"policy_1": 1, "policy_2": 1}, nobody, np.array([0.5, 0.75]))

    assert allowed == {"policy_1": 0, "policy_2": 1}


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ({"policy_1": 0}, "policy_2 has no proposal: give every agent a whole number from 0 to 4"),
        ({"policy_1": 0, "policy_2": 5}, "policy_2 proposes 5"),
        ({"policy_1": 0.5, "policy_2": 0}, "policy_1 proposes 0.5"),
        ({"policy_1": 0, "policy_2": 0, "policy_3": 0}, "policy_3 is not in this game"),
    ],
)
def test_a_bad_proposal_is_refused_and_no_round_passes(actions, said):
    env = compared(rounds=1)
    env.reset(seed=0)

    with pytest.raises(UnplayableError, match=said):
        env.step(actions)
    assert env.step({"policy_1": 0, "policy_2": 0})[1] == {"policy_1": 0, "policy_2": 0}


def test_the_example_in_the_readme_runs():
    text = README.read_text(encoding="utf-8")
    names = {}
    exec(text.split("```python\n")[1].split("```")[0], names)  # noqa: S102 - our own page

    assert names["game"].gap(names["game"].reference) == pytest.approx(0.2464, abs=5e-5)


def test_a_game_without_prompts_is_refused():
    with pytest.raises(UnplayableError, match="preference has shape 5 x 5"):
        Compared(CYCLE)
    with pytest.raises(UnplayableError, match=r"prompts adds up to 0\.5"):
        Proposals(Rewarded(BANDIT), prompts=np.array([0.25, 0.25]))
