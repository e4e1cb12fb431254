"""How a language agent came to a move: the ledger's account of it, filled in from the cassette.

An exchange is taken from the cassette only under the address that the ledger has for it, and read
by the functions that read it when the run was played. Where what was recorded does not follow from
what was answered is asked of the replay.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from agents.language.answer import Answer, Form, Malformed, Verdict, read_answer, read_verdict
from agents.language.exchange import Place
from environments.contract import Core
from institutional.cassette.answers import KIND
from institutional.cassette.reading import Cassette, read_cassette
from institutional.errors import InstitutionalError
from institutional.replay.accounts import Reader, misshapen, readers
from institutional.replay.answers import Conversation, forms
from institutional.replay.parting import Place as Difference
from institutional.replay.parting import plain, side_by_side
from institutional.replay.rulings import Entry
from institutional.transcript.moment import Answered, Attempt, Kept, Memory

NO_CASSETTE = "there is no cassette here: what was asked and answered is not known"
_TAKEN = ("played", "proposed")  # outcomes of an answer that could be read as a move


class Tape(NamedTuple):
    """What there is of a run's cassette, and what is wrong with it as a whole."""

    cassette: Cassette | None
    problem: str  # empty where there is nothing to say


def tape(run: Path) -> Tape:
    """Read the cassette in the folder `run`; one that cannot be read is none, with the reason.

    A transcript without the answers is worth more than none.
    """
    try:
        found = read_cassette(run)
    except InstitutionalError as error:
        return Tape(None, str(error).split("\n", maxsplit=1)[0].removeprefix(f"{run}/"))
    return Tape(found, NO_CASSETTE if found is None else "")


def answers(entries: Sequence[Entry], core: Core, found: Tape) -> dict[tuple[str, int], Answered]:
    """How each agent that reads came to each move, by agent and round; none where nobody reads.

    Raises InstitutionalError for a log that does not tell it in the form in which runs do.
    """
    who = readers(entries[0].body, core.agents)
    told = forms(core, who)
    conversation = Conversation(core, who, found.cassette)
    memories = dict.fromkeys(who, Memory())
    result: dict[tuple[str, int], Answered] = {}
    for entry in entries if who else ():
        if entry.kind == KIND:
            round_ = len(result) // len(who)
            _require_shape(entry, who, round_)
            unlike = list(conversation.answers(entry.body))
            for agent, answer in entry.body["answers"].items():
                asked = Place(agent, round_, 0)
                moved = _answered(found, asked, answer, told[agent], memories[agent])
                memories[agent] = moved.after
                result[agent, round_] = moved
        elif entry.kind == "round":
            unlike = list(conversation.moves(entry.body))
        else:
            continue
        for agent in who:
            place = (agent, entry.body["round"])
            if place in result and (said := _said(unlike, agent)):
                result[place] = replace(result[place], unlike=said)
    return result


def _require_shape(entry: Entry, who: Mapping[str, Reader], round_: int) -> None:
    for path, _, should in misshapen(entry.body, who, round_):
        raise InstitutionalError(
            f"entry {entry.seq} does not say what was answered: {plain(path)} is not {should}\n"
            "  audit the run first"
        )


def _said(unlike: Iterable[Difference], agent: str) -> str:
    """Where the record of what an agent answered does not hold together, in words.

    That an address is another one is said of the attempt itself.
    """
    for path, was, should in unlike:
        if agent in path.split(".") and not path.endswith(".address"):
            recorded, derived = side_by_side(was, should)
            return f"{path} is recorded as {recorded}, but from the answer follows {derived}"
    return ""


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
        fallback=told["fallback"],
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
    kept: Kept = "missing"
    request, reply = None, None
    if tape.cassette is not None and place in tape.cassette.exchanges:
        kept = "edited"
        if tape.cassette.addresses[place] == exchange["address"]:
            kept, (request, reply) = "kept", tape.cassette.exchanges[place]
    found: Answer | Verdict | Malformed | None = None
    if reply is not None:
        found = read_verdict(reply.text) if by == "inspector" else read_answer(reply.text, form)
    return Attempt(
        number=place.attempt,
        by=by,
        outcome=exchange["outcome"],
        reason=found.reason if isinstance(found, Malformed | Verdict) else "",
        action=found.action if isinstance(found, Answer) else None,
        address=exchange["address"],
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
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
