"""The answers of agents that read, derived again: what one reads as is what its agent played.

The ledger has, before each round, which exchanges led to each agent's move and what became of them;
what was said is on the cassette, if it is here. From the texts follow the outcomes, whether the
move is the declared fallback, and the action. Without the cassette the order of the outcomes and
the fallbacks are still checked, and what was answered is not decided.

That the model was asked what its agent saw is not derived: whoever has the cassette may read it.
"""

import copy
import re
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from agents.language.answer import Answer, Form, Verdict, read_answer, read_verdict
from agents.language.exchange import Place as Asked
from agents.language.player import FALLBACKS
from environments.contract import Core
from institutional.cassette.reading import Cassette
from institutional.errors import InstitutionalError
from institutional.replay.parting import ABSENT, Place

_ADDRESS = re.compile(r"[0-9a-f]{64}\Z")
_WORDS = ("played", "malformed", "proposed", "approved", "rejected")


class Reader(NamedTuple):
    """What was declared of an agent that reads."""

    reasks: int
    fallback: str
    most_fallbacks: float
    rejections: int | None  # None: nobody inspects its plans


def readers(opening: Mapping[str, Any], agents: Sequence[str]) -> dict[str, Reader]:
    """Who reads in the run of that opening entry; nobody in most runs.

    Raises InstitutionalError where it does not say so properly.
    """
    if "language" not in opening:
        return {}
    match opening["language"]:
        case {"seats": dict(seats), "inspection": None} if seats:
            rejections = None
        case {"seats": dict(seats), "inspection": {"rejections": int(rejections)}} if seats:
            pass
        case _:
            raise InstitutionalError("the first entry does not say who reads in this run")
    found = {}
    for agent, said in seats.items():
        match said:
            case {
                "reasks": int(reasks),
                "fallback": str(fallback),
                "most_fallbacks": int() | float() as most,
            } if agent in agents and fallback in FALLBACKS:
                found[agent] = Reader(reasks, fallback, most, rejections)
            case _:
                raise InstitutionalError(f"the first entry does not say how {agent[:80]!a} reads")
    return found


def misshapen(body: Mapping[str, Any], found: Mapping[str, Reader], round_: int) -> Iterator[Place]:
    """Where an entry of kind `answers` is not the account of a round of these readers."""
    if body.keys() != {"round", "answers"} or not isinstance(body["answers"], dict):
        yield "", sorted(body), "round and answers"
        return
    if type(body["round"]) is not int or body["round"] != round_:
        yield "round", body["round"], round_
    if body["answers"].keys() != found.keys():
        yield "answers", sorted(body["answers"]), sorted(found)
        return
    for agent, reader in found.items():
        yield from _misshapen(f"answers.{agent}", body["answers"][agent], reader)


def _misshapen(path: str, told: Any, reader: Reader) -> Iterator[Place]:
    match told:
        case {"exchanges": list(exchanges), "fallback": bool(fallback), **more} if not more:
            pass
        case _:
            yield path, told, "exchanges, and whether it is a fallback"
            return
    for number, exchange in enumerate(exchanges):
        match exchange:
            case {
                "address": str(address),
                "outcome": str(outcome),
                "tokens": [int(prompt), int(completion)],
                **more,
            } if (
                not more
                and _ADDRESS.match(address)
                and outcome in _WORDS
                and min(prompt, completion) >= 0
                and not isinstance(prompt, bool)
                and not isinstance(completion, bool)
            ):
                continue
        yield f"{path}.exchanges[{number}]", exchange, "an address, an outcome, two token counts"
        return
    words = [exchange["outcome"] for exchange in exchanges]
    ended = ending(words, reasks=reader.reasks, rejections=reader.rejections)
    if ended is None:
        yield f"{path}.exchanges", words, "outcomes that end in a move"
    elif ended != fallback:
        yield f"{path}.fallback", fallback, ended


def ending(words: Sequence[str], *, reasks: int, rejections: int | None) -> bool | None:
    """Whether outcomes in this order end in the fallback; None if they end nowhere, or beyond.

    `rejections` is None where nobody inspects.
    """
    malformed = rejected = unread = 0
    inspecting = False
    for number, word in enumerate(words):
        ended: bool | None = None
        match inspecting, word:
            case False, "malformed":
                malformed += 1
                ended = True if malformed > reasks else None
            case False, "played" if rejections is None:
                ended = False
            case False, "proposed" if rejections is not None:
                inspecting, unread = True, 0
            case True, "malformed":
                unread += 1
                ended = True if unread > reasks else None
            case True, "approved":
                ended = False
            case True, "rejected" if rejections is not None:
                inspecting, rejected = False, rejected + 1
                ended = True if rejected > rejections else None
            case _:
                return None
        if ended is not None:
            return ended if number == len(words) - 1 else None
    return None


def forms(core: Core, found: Container[str]) -> dict[str, Form]:
    """What those of the agents of `core` who are in `found` are asked for."""
    return {
        agent: Form(
            core.words(seat).labels,
            tuple(core.low[seat].tolist()),
            tuple(core.high[seat].tolist()),
            core.capacity,
        )
        for seat, agent in enumerate(core.agents)
        if agent in found
    }


class Conversation:
    """A replay of what was answered, under way.

    Takes the entries of kind `answers` and `round` in order, of a form that was checked before.
    """

    def __init__(self, core: Core, found: Mapping[str, Reader], cassette: Cassette | None) -> None:
        self._readers, self._cassette = found, cassette
        self._forms = forms(core, found)
        self._last = {agent: list(form.low) for agent, form in self._forms.items()}
        self._moves: dict[str, list[float] | None] = {}  # of the coming round; None: not known

    @property
    def decides(self) -> bool:
        """Whether what was said is here."""
        return self._cassette is not None

    def copy(self) -> "Conversation":
        """Return one that goes on from here by itself."""
        other = copy.copy(self)
        other._last, other._moves = dict(self._last), dict(self._moves)  # noqa: SLF001 - its own
        return other

    def answers(self, body: Mapping[str, Any]) -> Iterator[Place]:
        """Where a round's answers are not those on the cassette; then the moves they lead to."""
        self._moves = {}
        for agent, told in body["answers"].items():
            action: list[float] | None = None
            if self._cassette is not None:
                action = yield from self._unlike(agent, body["round"], told["exchanges"])
            if told["fallback"]:
                low = self._readers[agent].fallback == "low"
                action = list(self._forms[agent].low) if low else self._last[agent]
            self._moves[agent] = action

    def moves(self, body: Mapping[str, Any]) -> Iterator[Place]:
        """Where what was submitted in a round is not what was answered."""
        for agent, move in self._moves.items():
            submitted = body["submitted"][agent]
            if move is not None and submitted != move:
                yield f"submitted.{agent}", submitted, move
            self._last[agent] = submitted

    def _unlike(
        self, agent: str, round_: int, exchanges: Sequence[Mapping[str, Any]]
    ) -> Generator[Place, None, list[float] | None]:
        """Where exchanges differ from the cassette; returns the last action that was proposed."""
        cassette = self._cassette
        assert cassette is not None  # noqa: S101 - asked before
        action: list[float] | None = None
        inspecting = False
        for number, told in enumerate(exchanges):
            place = Asked(agent, round_, number)
            path = f"answers.{agent}.exchanges[{number}]"
            kept = cassette.addresses.get(place, ABSENT)
            if kept != told["address"]:
                yield f"{path}.address", told["address"], kept
                return None
            reply = cassette.exchanges[place].reply
            counts = [reply.prompt_tokens, reply.completion_tokens]
            if told["tokens"] != counts:
                yield f"{path}.tokens", told["tokens"], counts
            if inspecting:
                verdict = read_verdict(reply.text)
                word = "malformed"
                if isinstance(verdict, Verdict):
                    word = "approved" if verdict.approved else "rejected"
            else:
                answer = read_answer(reply.text, self._forms[agent])
                word = "malformed"
                if isinstance(answer, Answer):
                    inspected = self._readers[agent].rejections is not None
                    word, action = "proposed" if inspected else "played", list(answer.action)
            if told["outcome"] != word:
                yield f"{path}.outcome", told["outcome"], word
                return None
            inspecting = word == "proposed" or (inspecting and word == "malformed")
        return action
