"""The answers of agents that read, derived again: what one reads as is what its agent played.

What was said is on the cassette, if it is here, under the addresses that the ledger has. From the
texts follow the outcomes, whether the move is the declared fallback, and the action. Without the
cassette a fallback is still checked, and what was answered is not decided.

That the model was asked what its agent saw is not derived: whoever has the cassette may read it.
"""

import copy
from collections.abc import Container, Generator, Iterator, Mapping, Sequence
from typing import Any

from agents.language.answer import Answer, Form, Verdict, read_answer, read_verdict
from agents.language.exchange import Place as Asked
from agents.language.player import FALLBACKS
from environments.contract import Core
from institutional.cassette.reading import Cassette
from institutional.errors import InstitutionalError
from institutional.replay.accounts import Reader
from institutional.replay.parting import ABSENT, Place


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
        for agent, reader in found.items():
            if reader.fallback not in FALLBACKS:
                raise InstitutionalError(
                    f"the fallback of {agent}, {reader.fallback[:80]!a}, is unknown here"
                )
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
