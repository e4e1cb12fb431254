"""A language model in a seat: observations become a prompt, an answer becomes an action.

Who serves the model is not known here: the agent asks by what it is connected to, and the same
questions get the same answers from a server, a model in this process or a recording.

An answer that cannot be read is asked for again with the reason; then the declared fallback is
played, and the turn says so. What failed enters neither memory nor a later prompt.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from agents.checks import require_within, suggestion
from agents.contract import AgentError, Array, Briefing, Observation
from agents.language import prompt
from agents.language.answer import (
    VERDICT_SCHEMA,
    Answer,
    Form,
    Malformed,
    Verdict,
    read_answer,
    read_verdict,
)
from agents.language.exchange import Ask, Message, Place, Reply, Request
from agents.language.models import Model

FALLBACKS = ("last", "low")
SHOWS = ("own", "record")


class Outcome(NamedTuple):
    """What became of one thing asked.

    Of a player's answer: `played`, `malformed`, or `proposed` where it is inspected first; of an
    inspector's: `approved`, `rejected`, `malformed`.
    """

    word: str
    reason: str = ""  # why it was malformed or rejected


@dataclass(frozen=True)
class Turn:
    """How an agent came to its last move."""

    round: int  # from 0
    outcomes: tuple[Outcome, ...]  # of all that was asked, by attempt
    fallback: bool  # whether the declared fallback was played
    observations: str  # of the answer that was played; empty on a fallback
    plans: str  # the memory after the move
    insights: str
    action: tuple[float, ...]  # [A]


@dataclass
class _Attempts:
    """All that is asked for one move."""

    outcomes: list[Outcome] = field(default_factory=list)
    malformed: int = 0
    rejected: int = 0

    def note(self, word: str, reason: str = "") -> None:
        self.outcomes.append(Outcome(word, reason))


class LanguageAgent:
    """An agent that reads and writes; see the module.

    model           its name in the experiment
    history         past rounds in the prompt
    reasks          how often a malformed answer is asked for again, per move
    fallback        then: `last`, one's own last action (the smallest in the first round), or `low`
    most_fallbacks  largest share of rounds with a fallback in a run that counts
    shows           `own`: one's own numbers of a round; `record`: everybody's as well
    """

    def __init__(
        self,
        briefing: Briefing,
        *,
        model: str = "pocket",
        history: int = 30,
        reasks: int = 3,
        fallback: str = "last",
        most_fallbacks: float = 0.05,
        shows: str = "own",
    ) -> None:
        if briefing.words is None:
            raise AgentError(
                "this market has no words for its numbers, so nobody can read of it\n"
                "  give its briefing `words`, or seat an agent that needs none"
            )
        if briefing.inspection is not None and not briefing.rules:
            raise AgentError(
                "an inspector has no rules to hold plans to\n"
                "  give the briefing `rules`, or no `inspection`"
            )
        require_within("history", history, 0, 100_000)
        require_within("reasks", reasks, 0, 100)
        require_within("most_fallbacks", most_fallbacks, 0, 1)
        _require_one_of("fallback", fallback, FALLBACKS)
        _require_one_of("shows", shows, SHOWS)
        self.model, self.reasks, self.fallback = model, reasks, fallback
        self.most_fallbacks = most_fallbacks
        self.briefing, self._words = briefing, briefing.words
        self.form = Form.of(briefing, self._words)
        self.name = briefing.agents[briefing.seat]
        self.inspection = briefing.inspection
        self._history, self._shows = history, shows
        self._task = Message("system", prompt.for_player(briefing, self._words, self.form))
        self._inspector = Message("system", prompt.for_inspector(briefing, self._words))
        self._ask: Ask | None = None
        self._models: Mapping[str, Model] = {}
        self.turn: Turn | None = None
        self.reset(0)

    @property
    def asks(self) -> tuple[str, ...]:
        """The models this agent needs, by name."""
        return (self.model,) if self.inspection is None else (self.model, self.inspection.model)

    def connect(self, ask: Ask, models: Mapping[str, Model]) -> None:
        """Ask by `ask` from now on; AgentError if a model it needs is not among `models`."""
        for name in self.asks:
            if name not in models:
                raise AgentError(
                    f'{self.name} asks the model "{name}", which is not declared\n'
                    f"  models: {', '.join(models) or 'none'}.{suggestion(name, models)}"
                )
        self._ask, self._models = ask, models

    def reset(self, seed: int) -> None:
        """Forget the last run; what is asked in the same place has the same seed again."""
        graph = self.briefing.graph if self.briefing.rules else None
        self._seed, self._round = seed, 0
        self._seen = prompt.Seen(self._words, graph, history=self._history, shows=self._shows)
        self._notes = prompt.Notes()
        self._last = self.form.low
        self.turn = None

    def hear(self, notice: str) -> None:
        """Take in the notice that followed the last round."""
        self._seen.hear(self._round - 1, notice)

    def act(self, observation: Observation) -> Array:
        """Return this round's action, [A]; outside an event loop only."""
        return asyncio.run(self.consider(observation))

    async def consider(self, observation: Observation) -> Array:
        """Return this round's action, [A], and leave in `turn` how it came about."""
        if self._round:
            self._seen.take(self._round - 1, observation)
        attempts = _Attempts()
        answer = await self._decide(observation, attempts)
        if answer is not None:
            self._notes = prompt.Notes(answer.plans, answer.insights)
            self._last = answer.action
        elif self.fallback == "low":
            self._last = self.form.low
        self.turn = Turn(
            round=self._round,
            outcomes=tuple(attempts.outcomes),
            fallback=answer is None,
            observations="" if answer is None else answer.observations,
            plans=self._notes.plans,
            insights=self._notes.insights,
            action=self._last,
        )
        self._round += 1
        return np.array(self._last)

    async def _decide(self, observation: Observation, attempts: _Attempts) -> Answer | None:
        """Ask until an answer can be played, or None when that has been tried often enough."""
        refusal = ""
        while attempts.malformed <= self.reasks:
            said = self._seen.message(self._round, observation, self._notes, refusal)
            reply = await self._asked(self.model, self._task, said, self.form.schema, attempts)
            answer = read_answer(reply.text, self.form)
            if isinstance(answer, Malformed):
                attempts.malformed += 1
                attempts.note("malformed", _explained(answer, reply))
                refusal = prompt.malformed(attempts.outcomes[-1].reason)
                continue
            if self.inspection is None:
                attempts.note("played")
                return answer
            attempts.note("proposed")
            verdict = await self._inspected(self.inspection.model, answer, attempts)
            if verdict is None:
                return None
            if verdict.approved:
                attempts.note("approved")
                return answer
            attempts.note("rejected", verdict.reason)
            attempts.rejected += 1
            if attempts.rejected > self.inspection.rejections:
                return None
            refusal = prompt.rejected(verdict.reason)
        return None

    async def _inspected(self, model: str, answer: Answer, attempts: _Attempts) -> Verdict | None:
        """The inspector's verdict; None, which approves nothing, if none of its can be read."""
        said = prompt.plan_to_inspect(self._round, answer, self.form)
        refusal = ""
        for _ in range(self.reasks + 1):
            reply = await self._asked(
                model, self._inspector, said + refusal, VERDICT_SCHEMA, attempts
            )
            verdict = read_verdict(reply.text)
            if isinstance(verdict, Verdict):
                return verdict
            attempts.note("malformed", _explained(verdict, reply))
            refusal = prompt.malformed(attempts.outcomes[-1].reason)
        return None

    async def _asked(
        self,
        name: str,
        before: Message,
        said: str,
        schema: Mapping[str, object],
        attempts: _Attempts,
    ) -> Reply:
        if self._ask is None:
            raise AgentError(
                f"{self.name} is connected to no model\n"
                "  call connect(ask, models) first; `institutional run` does so for the models "
                "of its specification"
            )
        model = self._models[name]
        place = Place(self.name, self._round, len(attempts.outcomes))
        request = Request(
            model=name,
            messages=(before, Message("user", said)),
            schema=schema,
            temperature=model.temperature,
            max_tokens=model.max_tokens,
            seed=_derived(self._seed, place),
        )
        return await self._ask(place, request)


def _explained(found: Malformed, reply: Reply) -> str:
    """What is wrong with an answer, and the likely cause where it was cut off."""
    if reply.finish == "length":
        return f"it was cut off at {reply.completion_tokens} tokens, be shorter; {found.reason}"
    return found.reason


def _derived(seed: int, place: Place) -> int:
    """A seed of its own for everything asked, below 2**31."""
    text = "\x1f".join([str(seed), place.agent, str(place.round), str(place.attempt)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def _require_one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise AgentError(
            f'{name} is "{value}"\n  choose one of {", ".join(known)}.{suggestion(value, known)}'
        )
