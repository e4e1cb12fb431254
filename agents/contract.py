"""What an agent is, and what it is told before the first round.

An agent knows nothing of environments or institutions but what its briefing and its
observations say; every agent is told the same facts.

Shapes: N agents, A numbers in one action, R rounds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Observation = Mapping[str, Array]
"""Name -> array: the last public record (zeros before the first round); under an institution also
`standing` (index of one's own state), `standings` [N], `credits`, `fine`, `suspended`, `cap`."""


class AgentError(Exception):
    """An agent that cannot play here; the message says what is missing and what next."""


class Rehearsal(NamedTuple):
    """What the public institution would do if the same actions were played for R rounds."""

    fines: Array  # [R, N] money
    suspended: Mask  # [R, N]
    standings: NDArray[np.int64]  # [R, N] index into `states`, after the round


class PublicGraph(Protocol):
    """The institution as every agent may read it."""

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the legal states; a standing is an index into them."""

    def status(self, standing: int) -> str:
        """One of `clear`, `under_review`, `penalised`, `rehabilitated`."""

    def next_case_costs(self, standing: int) -> bool:
        """Whether a case against an agent of this standing can bring a fine or a restriction."""

    def rehearse(self, actions: Array, rounds: int) -> Rehearsal:
        """Play `actions` [N, A] for `rounds` rounds on paper, from good standing."""


@dataclass(frozen=True)
class Words:
    """The market in words, for one seat: what a participant who reads is told of it."""

    setting: str  # what the market is and what is decided in it, a paragraph
    labels: tuple[str, ...]  # names of the A numbers of an action, fit for JSON keys
    terms: Mapping[str, float] = field(default_factory=dict)  # one's own: unit costs, capacity
    told: Callable[[Observation], Mapping[str, float]] = lambda _: {}
    """The last public record as one's own labelled numbers, the same labels in every round:
    price, own quantity, share; `profit` is the round's, from which who reads keeps a total."""


class Inspection(NamedTuple):
    """Who is shown every plan before it is played, and how often it may be changed."""

    model: str  # its name in the experiment
    rejections: int  # after each of which there may be another plan


@dataclass(frozen=True)
class Briefing:
    """The facts an agent is given before the first round."""

    seat: int
    agents: tuple[str, ...]
    low: Array  # [N, A]
    high: Array  # [N, A]
    capacity: float | None  # limit on the sum of one action, None where there is none
    benchmarks: Mapping[str, Array]  # name -> actions [N, A]
    profits: Mapping[str, Array]  # name -> profits per round [N]
    action_field: str  # the observation field that holds the last joint actions [N, A]
    best_reply: Callable[[int, Array], Array]  # (seat, joint actions [N, A]) -> action [A]
    profit: Callable[[Array], Array]  # joint actions [N, A] -> profits [N]
    graph: PublicGraph | None = None
    words: Words | None = None  # None where the environment has no words for its numbers
    rules: str = ""  # the text of the regime for who reads: a constitution, or the graph in words
    inspection: Inspection | None = None  # who holds plans against `rules` before they are played


@runtime_checkable
class Reader(Protocol):
    """An agent that reads what it is sent."""

    def hear(self, notice: str) -> None:
        """Take in the notice that followed a round, before the next `act`."""


class Agent(Protocol):
    """A player. Construct with a `Briefing` and keyword parameters; `reset` before each run.

    An agent that learns from rewards is a `Learner` as well.
    """

    def reset(self, seed: int) -> None:
        """Forget the last run; all randomness to come derives from `seed`."""

    def act(self, observation: Observation) -> Array:
        """Return this round's action, [A]."""


@runtime_checkable
class Learner(Protocol):
    """An agent that is told after each round what it brought."""

    def learn(
        self, observation: Observation, action: Array, reward: float, following: Observation
    ) -> None:
        """Take in a round: what was seen, done and earned (net of fines), and what is seen now."""
