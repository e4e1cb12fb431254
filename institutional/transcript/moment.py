"""One agent in one round of a run: what it was told, answered and did, and what was ruled on it.

Plain values, all of them read from a run folder by `reading`; `words` says them as text.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agents.language.exchange import Reply, Request
from institutional.governance.explain import Explanation

Kept = Literal["kept", "missing", "edited"]
"""Whether the cassette holds an exchange: as the ledger has it, not at all, or otherwise."""


@dataclass(frozen=True)
class Told:
    """What an agent knew of the institution when it moved."""

    notice: str | None  # the one that followed the round before
    standing: str | None  # None: nothing governs, or its graph sends no notices
    suspended: bool
    cap: float  # largest permitted share of the largest action; 1: free


@dataclass(frozen=True)
class Memory:
    """The two texts that a language agent keeps for itself."""

    plans: str = ""
    insights: str = ""


@dataclass(frozen=True)
class Attempt:
    """One question that was asked for a move, and what came back."""

    number: int  # of all that was asked for this move, from 0
    by: str  # whose answer it is: `answer`, with its number from 1, or `inspector`
    outcome: str  # the ledger's word for what became of it
    reason: str  # why it was not taken, or what an inspector said of it
    action: tuple[float, ...] | None  # that it reads as, if it does
    address: str
    prompt_tokens: int
    completion_tokens: int
    kept: Kept
    request: Request | None  # None: not kept
    reply: Reply | None

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values, the prompt included."""
        return {
            **vars(self),
            "request": None if self.request is None else self.request.as_json(),
            "reply": None if self.reply is None else self.reply.as_json(),
        }


@dataclass(frozen=True)
class Answered:
    """How a language agent came to its move."""

    attempts: tuple[Attempt, ...]
    fallback: bool  # no answer could be taken: the move is the one that was declared for this
    before: Memory  # as the prompt has it
    after: Memory  # as the answer left it
    observations: str
    action: tuple[float, ...] | None  # as the answer reads; None: a fallback, or not known
    problem: str  # what is wrong with the cassette as a whole; empty where nothing is
    unlike: str = ""  # where the record is not what follows from the answers; empty where it is


@dataclass(frozen=True)
class Ruled:
    """What the institution made of an agent's round: as recorded, and why."""

    cases: tuple[Mapping[str, Any], ...]
    move: Mapping[str, Any] | None
    refused: tuple[Mapping[str, Any], ...]
    standing: Mapping[str, Any]  # after the round
    notice: str | None  # sent before the next round
    why: Explanation  # derived again from the public record
    unlike: str  # where the ruling is not what follows from the record; empty where it is


@dataclass(frozen=True)
class Moment:
    """One agent in one round. Money and actions are in the environment's units."""

    agent: str
    round: int  # from 0, as in the ledger
    told: Told
    answered: Answered | None  # None: no language model was asked
    labels: tuple[str, ...]  # names of the numbers of an action
    submitted: tuple[float, ...] | None = None  # None: the run ended before anything was played
    done: tuple[float, ...] | None = None  # after restrictions
    profit: float | None = None  # before the fine
    own: Mapping[str, float] = field(default_factory=dict)  # the round in the agent's own numbers
    ruled: Ruled | None = None  # None: nothing governs, or the run ended before

    @property
    def restricted(self) -> bool:
        """Whether something else was played than what was submitted."""
        return self.submitted != self.done

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        told = {**vars(self), "told": asdict(self.told)}
        if self.answered is not None:
            attempts = [attempt.as_json() for attempt in self.answered.attempts]
            told["answered"] = {
                **vars(self.answered),
                "attempts": attempts,
                "before": asdict(self.answered.before),
                "after": asdict(self.answered.after),
            }
        if self.ruled is not None:
            told["ruled"] = {**vars(self.ruled), "why": self.ruled.why.as_json()}
        return told
