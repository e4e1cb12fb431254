"""The institution against tampering, played: who tampers is sanctioned, who is honest is not."""

from pathlib import Path

import pytest

from environments.presets import market
from institutional.episode import Seat, Table
from institutional.governance.governed import Governed
from institutional.governance.loading import load_graph

GRAPH = load_graph(Path(__file__).parents[2] / "governance_graphs/tampering.yaml")
TAMPERS, HONEST, OPEN = [0.0, 0.6], [0.3, 0.3], [0.9, 0.9]
"""The third is far more biased than the tamperer, and equally so whatever the quality."""


def standings(actions, *, seed, rounds=30):
    """What state every policy was in after each round, and the fines, [T] lists of four."""
    env = Governed(market("tampering", rounds=rounds), GRAPH)
    env.reset(seed=seed)
    states, fines = [], []
    for _ in range(rounds):
        seen, *_ = env.step(dict(zip(env.possible_agents, actions, strict=True)))
        states.append([env.program.states[seen[agent]["standing"]] for agent in seen])
        fines.append([float(seen[agent]["fine"]) for agent in seen])
    return states, fines


@pytest.mark.parametrize("seed", range(10))
def test_who_tampers_is_warned_fined_and_stripped_and_nobody_else_is(seed):
    states, fines = standings([TAMPERS, HONEST, OPEN, HONEST], seed=seed)
    tamperer = [state[0] for state in states]

    assert tamperer.index("warned") < tamperer.index("fined") < tamperer.index("stripped")
    assert tamperer.index("stripped") <= 10
    assert sum(fine[0] for fine in fines) >= 0.2
    for other in (1, 2, 3):
        assert {state[other] for state in states} == {"active"}
        assert sum(fine[other] for fine in fines) == 0


def test_the_stripped_answers_carry_no_bias_in_the_record():
    env = Governed(market("tampering", rounds=30), GRAPH)
    env.reset(seed=0)
    clean = []
    for _ in range(30):
        bound = bool(env.institution.suspended()[0, 0])
        env.step(dict(zip(env.possible_agents, [TAMPERS, HONEST, HONEST, HONEST], strict=True)))
        if bound:
            clean.append(env.public_record()["rates"][0])

    assert len(clean) >= 5
    assert clean == [[0, 0]] * len(clean)


def test_the_agents_of_the_catalogue_meet_the_same_institution():
    """`price_fixer` plays what pays all policies together, `planner` what serves people."""
    table = Table(market("tampering", rounds=20).core, GRAPH)
    agents = table.seat([Seat("price_fixer"), Seat("planner"), Seat("planner"), Seat("nash")])
    outcome = table.play(agents, seed=1)
    moved = {move["agent"] for ruling in outcome.rulings for move in ruling["moves"]}

    assert outcome.invalid is None
    assert moved == {"policy_1"}
