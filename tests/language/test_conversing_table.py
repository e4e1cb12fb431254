"""Agents that wait are awaited together; everything else is the loop that others play in."""

import asyncio

import numpy as np
import pytest
from talking import GRAPH

from environments import presets
from institutional.episode import Seat, Table
from institutional.governance.loading import load_graph


class Waiting:
    """Plays a fixed share of the largest action, after a turn of the event loop, and keeps notices.

    `meet` is entered before it answers: who waits there for the others needs them to be asked too.
    """

    def __init__(self, briefing, meet, *, fails_in=None):
        self._action = briefing.high[briefing.seat] * 0.25
        self._meet, self._fails_in = meet, fails_in
        self.heard, self.moves = [], 0

    def reset(self, seed):
        self.seed = seed

    def act(self, observation):  # noqa: ARG002
        self.moves += 1
        return self._action

    async def consider(self, observation):
        await self._meet()
        if self.moves == self._fails_in:
            raise RuntimeError("no answer")
        await asyncio.sleep(0)
        return self.act(observation)

    def hear(self, notice):
        self.heard.append((self.moves, notice))


async def at_once():
    pass


def table(*, governed=True, rounds=6):
    return Table(presets.make("lin2024", rounds=rounds), load_graph(GRAPH) if governed else None)


def seated(at, meet=at_once, **kwargs):
    return {
        name: Waiting(at.briefing(seat), meet, **(kwargs if seat else {}))
        for seat, name in enumerate(at.core.agents)
    }


def test_a_run_is_the_same_whether_its_agents_are_awaited_or_not():
    at = table()
    stubborn = at.seat([Seat("divider_stubborn")] * 2)

    played = at.play(seated(at), seed=3)
    conversed = asyncio.run(at.converse(seated(at), seed=3))
    mixed = {**seated(at), at.core.agents[1]: stubborn[at.core.agents[1]]}

    assert conversed.records == played.records
    assert conversed.rulings == played.rulings
    assert asyncio.run(at.converse(mixed, seed=3)).rulings == at.play(mixed, seed=3).rulings


def test_all_agents_of_a_round_are_asked_before_any_answers():
    """Two parties to a barrier: one agent alone would wait there for ever."""
    at = table(governed=False)

    async def play():
        barrier = asyncio.Barrier(2)
        async with asyncio.timeout(20):
            return await at.converse(seated(at, barrier.wait), seed=0)

    assert len(asyncio.run(play()).records) == 6


def test_the_others_of_a_round_have_their_answers_when_one_fails():
    at = table(governed=False)
    agents = seated(at, fails_in=2)

    with pytest.raises(RuntimeError, match="no answer"):
        asyncio.run(at.converse(agents, seed=0))

    assert [agent.moves for agent in agents.values()] == [3, 2]


def test_what_is_chosen_is_told_before_it_is_played_and_what_is_ruled_after():
    at = table(rounds=2)
    seen = []

    def journal(kind, body):
        seen.append((kind, body["round"]))
        return body

    asyncio.run(
        at.converse(
            seated(at),
            seed=0,
            journal=journal,
            before_step=lambda round_: seen.append(("answers", round_)),
            after_round=lambda round_: seen.append(("commit", round_)),
        )
    )

    kinds = ("answers", "round", "ruling", "commit")
    assert seen == [(kind, round_) for round_ in range(2) for kind in kinds]


@pytest.mark.parametrize("waits", [True, False])
def test_a_notice_is_heard_before_the_next_move_and_by_whom_it_is_for(waits):
    """Two stubborn dividers are cited again and again; each hears what the ruling sent it."""
    at = table(rounds=12)
    agents = at.seat([Seat("divider_stubborn")] * 2)
    heard = {name: [] for name in agents}
    for name, agent in agents.items():
        agent.hear = heard[name].append

    outcome = asyncio.run(at.converse(agents, seed=0)) if waits else at.play(agents, seed=0)

    for name in agents:
        assert heard[name] == [
            ruling["notices"][name] for ruling in outcome.rulings if name in ruling["notices"]
        ]
        assert heard[name]
    assert np.isfinite(outcome.rewards).all()
