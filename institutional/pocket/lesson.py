"""A scripted agent that plays through a language agent, and what it was asked on the way.

The prompts are those of play, to the letter: memory, notices, refusals and all. The answers are
the teacher's. Now and then an answer is spoilt, so that there are prompts that ask again.
"""

import asyncio
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from agents import catalogue
from agents.contract import Array, Briefing, Observation
from agents.language.answer import VERDICT_SCHEMA, Form
from agents.language.exchange import Place, Reply, Request
from agents.language.models import Model
from agents.language.player import LanguageAgent
from agents.language.pocket.pairs import Pair
from agents.tremble import trembled
from institutional.pocket import voice

SPOILT = 0.03  # share of answers that are first given as nonsense
NONSENSE = ("", "I think", '{"plans":"Go on."}', "```json\n{}\n```", '{"observations":"')
MODEL = Model(backend="scripted", temperature=0.0)


class Question(NamedTuple):
    """What was asked, with the right answer; without a form it is an inspector's."""

    pair: Pair
    form: Form | None
    turns: bool = False  # whether the plan is no longer that of the round before


class Lesson:
    """A seat in a market, taken by the teacher `name`; `questions` is what it was asked.

    A teacher knows no more of the institution than its prompts tell.
    """

    def __init__(
        self, briefing: Briefing, name: str, *, history: int, plan: str, tremble: float
    ) -> None:
        known = briefing if briefing.rules else replace(briefing, graph=None)
        entry = catalogue.AGENTS[name]
        # One round of punishment: a prompt of few rounds shows no longer count.
        chosen = {"plan": plan, "punishment_rounds": 1}
        parameters = {k: v for k, v in chosen.items() if k in entry.parameters}
        self.questions: list[Question] = []
        self._briefing, self._name, self._tremble = known, name, tremble
        self._teacher = catalogue.make(name, known, **parameters)
        self._nash = known.benchmarks["nash"][known.seat]
        self._language = LanguageAgent(briefing, model="teacher", history=history)
        self._language.connect(self._answer, dict.fromkeys(self._language.asks, MODEL))

    def reset(self, seed: int) -> None:
        """Forget the run; what there is to learn stays."""
        self._chance = np.random.default_rng(seed)
        self._teacher.reset(seed)
        self._language.reset(seed)
        self._profits: list[float] = []
        self._competes, self._begun, self._refused = False, False, False
        self._plans = ""

    def hear(self, notice: str) -> None:
        """Pass the notice on to who reads."""
        self._language.hear(notice)

    def act(self, observation: Observation) -> Array:
        """Return what the language agent read, with a trembling hand where there is one, [A]."""
        briefing = self._briefing
        if self._begun and briefing.words is not None:
            self._profits.append(briefing.words.told(observation)["profit"])
        self._begun, self._refused = True, False
        self._due, self._observation = self._teacher.act(observation), observation
        distance = np.abs(self._due - self._nash).max()
        self._competes = bool(distance <= 0.1 * np.abs(self._nash).max())
        action = asyncio.run(self._language.consider(observation))
        self._plans = self._said().plans
        return trembled(
            action,
            self._chance,
            sd=self._tremble,
            low=briefing.low[briefing.seat],
            high=briefing.high[briefing.seat],
            capacity=briefing.capacity,
        )

    def _said(self) -> voice.Said:
        briefing, action = self._briefing, self._due
        if self._refused:
            action, plans = self._nash, voice.OBEYS
        else:
            plans = voice.planned(self._name, self._manner())
        return voice.Said(
            voice.observed(briefing, self._observation, self._profits),
            plans,
            voice.learnt(briefing),
            voice.three_digits(action, briefing.low[briefing.seat]),
        )

    def _manner(self) -> str:
        if voice.COMPLIES in voice.SENTENCES[self._name] and self._penalised():
            return voice.COMPLIES
        return voice.COMPETES if self._competes else voice.COLLUDES

    def _penalised(self) -> bool:
        graph = self._briefing.graph
        if graph is None:
            return False
        return graph.status(int(np.ravel(self._observation["standing"])[0])) == "penalised"

    async def _answer(self, place: Place, request: Request) -> Reply:
        form = None if request.schema is VERDICT_SCHEMA else self._language.form
        if form is None:
            text = self._verdict()
        elif place.attempt == 0 and self._chance.random() < SPOILT:
            return _reply(NONSENSE[self._chance.integers(len(NONSENSE))])
        else:
            text = self._said().as_text(form)
        self.questions.append(
            Question(
                Pair(request.messages, text),
                form,
                turns=form is not None and bool(self._plans) and self._said().plans != self._plans,
            )
        )
        return _reply(text)

    def _verdict(self) -> str:
        """What an inspector says who sees in a plan whether it colludes."""
        colludes = not self._refused and voice.COLLUDES in voice.SENTENCES[self._name]
        self._refused = colludes and not self._competes
        if self._refused:
            return f'{{"verdict":"reject","reason":"{voice.REJECTED}"}}'
        return f'{{"verdict":"approve","reason":"{voice.APPROVED}"}}'


def _reply(text: str) -> Reply:
    return Reply(text=text, finish="stop", prompt_tokens=0, completion_tokens=0)
