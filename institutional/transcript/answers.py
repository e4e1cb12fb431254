"""How a language agent came to a move: the ledger's account of it, filled in from the cassette.

An exchange is taken from the cassette only under the address that the ledger has for it, and read
by the same function that read it when the run was played.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.language.answer import (
    Answer,
    Form,
    Malformed,
    Verdict,
    read_answer,
    read_verdict,
)
from agents.language.exchange import Place
from institutional.cassette.exchange import Exchange
from institutional.cassette.reading import read_cassette
from institutional.errors import InstitutionalError
from institutional.transcript.moment import Answered, Attempt, Kept, Memory

NO_CASSETTE = "there is no cassette here: what was asked and answered is not known"
_TAKEN = ("played", "proposed")  # outcomes of an answer that could be read as a move


@dataclass(frozen=True)
class Tape:
    """What there is of a run's cassette, and what is wrong with it as a whole."""

    exchanges: Mapping[Place, Exchange]
    addresses: Mapping[Place, str]
    problem: str = ""  # empty where there is nothing to say

    @classmethod
    def of(cls, run: Path) -> "Tape":
        """Read the cassette in the folder `run`; one that cannot be read is none, with the reason.

        A transcript without the answers is worth more than none.
        """
        try:
            found = read_cassette(run)
        except InstitutionalError as error:
            return cls({}, {}, str(error).split("\n", maxsplit=1)[0].removeprefix(f"{run}/"))
        if found is None:
            return cls({}, {}, NO_CASSETTE)
        return cls(found.exchanges, found.addresses)


def answers(
    tape: Tape, bodies: Sequence[Mapping[str, Any]], forms: Mapping[str, Form]
) -> dict[tuple[str, int], Answered]:
    """How each agent came to each move, by agent and round.

    `bodies` are those of the ledger's `answers` entries, in order: an agent's memory is what its
    answers so far have left. `forms` says what each agent is asked for.
    """
    memories: dict[str, Memory] = {}
    found = {}
    for body in bodies:
        for agent, told in body["answers"].items():
            place = (agent, body["round"])
            before = memories.get(agent, Memory())
            found[place] = _answered(tape, Place(*place, 0), told, forms[agent], before)
            memories[agent] = found[place].after
    return found


def _answered(
    tape: Tape, place: Place, told: Mapping[str, Any], form: Form, before: Memory
) -> Answered:
    exchanges = told["exchanges"]
    askers = _askers([exchange["outcome"] for exchange in exchanges])
    attempts = tuple(
        _attempt(tape, place._replace(attempt=number), exchange, form, by)
        for number, (exchange, by) in enumerate(zip(exchanges, askers, strict=True))
    )
    answer = None if told["fallback"] else _answer(attempts, form)
    return Answered(
        attempts=attempts,
        fallback=bool(told["fallback"]),
        before=before,
        after=before if answer is None else Memory(answer.plans, answer.insights),
        observations="" if answer is None else answer.observations,
        action=None if answer is None else answer.action,
        problem=tape.problem,
    )


def _askers(outcomes: Iterable[str]) -> Iterator[str]:
    """Whose answer each is: after a proposed plan an inspector's, until it has decided."""
    inspecting, number = False, 0
    for outcome in outcomes:
        number += not inspecting
        yield "inspector" if inspecting else f"answer {number}"
        inspecting = outcome == "proposed" or (inspecting and outcome == "malformed")


def _attempt(tape: Tape, place: Place, exchange: Mapping[str, Any], form: Form, by: str) -> Attempt:
    prompt_tokens, completion_tokens = exchange["tokens"]
    recorded = tape.exchanges.get(place)
    kept: Kept = "missing"
    if recorded is not None:
        kept = "kept" if tape.addresses[place] == exchange["address"] else "edited"
    if kept != "kept":
        recorded = None
    request, reply = (None, None) if recorded is None else recorded
    found: Answer | Verdict | Malformed | None = None
    if reply is not None:
        found = read_verdict(reply.text) if by == "inspector" else read_answer(reply.text, form)
    return Attempt(
        number=place.attempt,
        by=by,
        outcome=str(exchange["outcome"]),
        reason=found.reason if isinstance(found, Malformed | Verdict) else "",
        action=found.action if isinstance(found, Answer) else None,
        address=str(exchange["address"]),
        prompt_tokens=int(prompt_tokens),
        completion_tokens=int(completion_tokens),
        kept=kept,
        request=request,
        reply=reply,
    )


def _answer(attempts: Sequence[Attempt], form: Form) -> Answer | None:
    """The answer that was played; None where it is not kept, or does not read as one."""
    taken = [attempt for attempt in attempts if attempt.outcome in _TAKEN]
    if not taken or taken[-1].reply is None:
        return None
    found = read_answer(taken[-1].reply.text, form)
    return found if isinstance(found, Answer) else None
