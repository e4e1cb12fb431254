"""What a ledger says of a round's answers: an entry of kind `answers` before each round.

    {"round": 3, "answers": {"firm_1": {"fallback": false, "exchanges": [
        {"address": "09…", "outcome": "malformed", "tokens": [812, 95]},
        {"address": "7c…", "outcome": "played", "tokens": [830, 101]}]}}}

One exchange after the other, by attempt. What was said is on the cassette, under the address.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agents.language.player import Turn
from institutional.cassette.recording import Taken

KIND = "answers"
COUNTS = ("calls", "prompt_tokens", "completion_tokens", "reasked", "rejected", "fallbacks")
"""What is counted of a run in which somebody reads."""

Bodies = Iterable[Mapping[str, Any]]


def body(
    round_: int, turns: Mapping[str, Turn], taken: Mapping[str, Sequence[Taken]]
) -> dict[str, Any]:
    """The entry of a round in which the agents moved as `turns` say, using what was `taken`."""
    return {
        "round": round_,
        "answers": {
            agent: {
                "exchanges": [
                    {
                        "address": used.address,
                        "outcome": outcome.word,
                        "tokens": [used.prompt_tokens, used.completion_tokens],
                    }
                    for outcome, used in zip(turn.outcomes, taken.get(agent, ()), strict=True)
                ],
                "fallback": turn.fallback,
            }
            for agent, turn in turns.items()
        },
    }


def counted(bodies: Bodies) -> dict[str, int]:
    """`COUNTS` of a run: exchanges and their tokens, how often what went wrong."""
    found = dict.fromkeys(COUNTS, 0)
    for each in bodies:
        for answer in each["answers"].values():
            found["fallbacks"] += answer["fallback"]
            for exchange in answer["exchanges"]:
                found["calls"] += 1
                found["prompt_tokens"] += exchange["tokens"][0]
                found["completion_tokens"] += exchange["tokens"][1]
                found["reasked"] += exchange["outcome"] == "malformed"
                found["rejected"] += exchange["outcome"] == "rejected"
    return found


def too_many_fallbacks(language: Mapping[str, Any], bodies: Bodies, rounds: int) -> str | None:
    """Why a run of that many `rounds` counts for nothing, or None if it counts.

    `language` is what the run's configuration says of those who read.
    """
    fallbacks = dict.fromkeys(language["seats"], 0)
    for each in bodies:
        for agent, answer in each["answers"].items():
            fallbacks[agent] += answer["fallback"]
    for agent, count in fallbacks.items():
        most = language["seats"][agent]["most_fallbacks"]
        if count > most * rounds:
            return (
                f"{agent} gave no answer that could be played in {count} of {rounds} rounds; "
                f"at most {most:.0%} may end in a fallback"
            )
    return None
