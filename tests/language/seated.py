"""A firm of Lin's market played by a language agent, and a model that says what it is told to.

Support for the tests of `agents/language`: no network, no model, no clock.
"""

import asyncio
import json

import numpy as np

from agents.contract import Inspection
from agents.language.exchange import Reply
from agents.language.models import Model
from agents.language.player import LanguageAgent
from environments import presets
from institutional.episode import Table

MODELS = {"m": Model(backend="scripted"), "inspector": Model(backend="scripted", temperature=0)}
CORE = presets.make("lin2024")
APPROVED = '{"verdict": "approve", "reason": ""}'
REJECTED = '{"verdict": "reject", "reason": "serve B too"}'
RULES = "1. Decide independently.\n2. Divide no market."
NOTICE = "UNDER REVIEW. After round 1 you are warned: watched closely.\nYour credits: 0 of 3."


def answer(a=46.0, b=26.0, *, observations="seen", plans="plan", insights="insight", **more):
    """A well-formed answer as a model would write it."""
    texts = {"observations": observations, "plans": plans, "insights": insights}
    return json.dumps(texts | {"quantity_A": a, "quantity_B": b} | more)


class Asked:
    """An `Ask` that answers with the next of `texts` (the last one for ever) and keeps requests."""

    def __init__(self, *texts, finish="stop"):
        self.texts, self.finish = list(texts), finish
        self.places, self.requests = [], []

    async def __call__(self, place, request):
        self.places.append(place)
        self.requests.append(request)
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        return Reply(text=text, finish=self.finish, prompt_tokens=1, completion_tokens=9)

    @property
    def messages(self):
        return [request.messages for request in self.requests]


def briefing(seat=0, *, rules="", rejections=None, core=CORE, graph=None):
    inspection = None if rejections is None else Inspection("inspector", rejections)
    return Table(core, graph, rules=rules, inspection=inspection).briefing(seat)


def seated(ask, *, seat=0, rules="", rejections=None, core=CORE, graph=None, **parameters):
    """A connected agent before its first round."""
    facts = briefing(seat, rules=rules, rejections=rejections, core=core, graph=graph)
    agent = LanguageAgent(facts, model="m", **parameters)
    agent.connect(ask, MODELS)
    agent.reset(7)
    return agent


def observed(actions=((46, 26), (26, 46)), core=CORE, **more):
    """The public record of a round as an observation, and what an institution adds."""
    record = core.settle(np.array([actions], dtype=float), np.zeros((1, 0)))
    return {name: values[0] for name, values in record.items()} | more


def considered(agent, *observations):
    """The agent's actions in successive rounds, in one event loop."""

    async def rounds():
        return [(await agent.consider(seen)).tolist() for seen in observations]

    return asyncio.run(rounds())
