"""The ledger's account of what was answered, by itself: its form, and whether it ends in a move.

An entry of kind `answers` says, before each round, which exchanges led to each agent's move and
what became of them. What was said is not here: see `answers`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from institutional.errors import InstitutionalError
from institutional.replay.parting import Place

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
            } if agent in agents:
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
