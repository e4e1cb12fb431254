"""What a tabular learner is told before it starts: rate, patience, memory, exploration, stopping.

Both kinds of exploration follow a level that begins at `start` and is multiplied by `decay` after
every period (never falling below `floor`). One product per period, correctly rounded everywhere, is
both cheaper and more portable than an exponential: it differs from exp(-beta t) by less than
1e-9 of it in ten million periods.
"""

import math
from dataclasses import dataclass, field

from agents.checks import require_within
from agents.contract import AgentError

CERTAIN = 2.0**32
"""The level at which an epsilon-greedy learner always explores: the upper half of a word is below
it. The lower half of the same word, times the number of actions, over 2**32, is the action."""


@dataclass(frozen=True)
class EpsilonGreedy:
    """A uniformly random action with probability epsilon = exp(-beta t), else the most valued.

    Of equally valued actions the first. Calvano et al. 2020 use beta = 4e-6.
    """

    beta: float = 4e-6

    def __post_init__(self) -> None:
        """Refuse a beta that is no number or below zero."""
        require_within("beta", self.beta, 0, math.inf)

    @property
    def start(self) -> float:
        """2**32 times the first epsilon."""
        return CERTAIN

    @property
    def decay(self) -> float:
        """Factor of epsilon per period."""
        return math.exp(-self.beta)

    @property
    def floor(self) -> float:
        """Below one part in 2**32 there is no exploration."""
        return 0.5


@dataclass(frozen=True)
class Boltzmann:
    """Action a with probability proportional to exp(Q(a) / T), T = temperature * decay**t.

    The weights exp((Q(a) - max Q) / T) are summed in the order of the actions; the action is the
    first whose running sum exceeds the upper 53 bits of the word, over 2**53, times the whole sum.
    Waltman and Kaymak 2008 use temperature 1000 and decay 0.99999.
    """

    temperature: float = 1000.0
    decay: float = 0.99999

    def __post_init__(self) -> None:
        """Refuse a temperature that is not positive and a decay outside (0, 1]."""
        require_within("temperature", self.temperature, 1e-300, 1e300)
        require_within("decay", self.decay, 1e-300, 1)

    @property
    def start(self) -> float:
        """The first temperature."""
        return self.temperature

    @property
    def floor(self) -> float:
        """So cold that only the most valued actions are chosen; zero would divide zero by zero."""
        return 1e-300


@dataclass(frozen=True)
class Learner:
    """The parameters of a tabular Q-learner; the defaults are those of Calvano et al. 2020.

    alpha         rate at which values move towards what was earned
    discount      weight of the next period's value
    memory        joint actions remembered; 0 is one state
    exploration   `EpsilonGreedy` or `Boltzmann`
    initial       value of every action at the start; None: the discounted profit against
                  uniformly random rivals
    stable        periods in a row in which no learner's most valued action changed in any state,
                  after which a session has converged
    most_periods  after which it ends in any case
    """

    alpha: float = 0.15
    discount: float = 0.95
    memory: int = 1
    exploration: EpsilonGreedy | Boltzmann = field(default_factory=EpsilonGreedy)
    initial: float | None = None
    stable: int = 100_000
    most_periods: int = 1_000_000_000

    def __post_init__(self) -> None:
        """Refuse parameters out of range."""
        require_within("alpha", self.alpha, 0, 1)
        require_within("discount", self.discount, 0, 0.999999)
        require_within("memory", self.memory, 0, 16)
        require_within("stable", self.stable, 1, 2**62)
        require_within("most_periods", self.most_periods, 1, 2**62)
        if self.initial is not None and not math.isfinite(self.initial):
            raise AgentError(f"initial={self.initial} is no value\n  give a number, or None")
