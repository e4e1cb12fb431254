"""A batch session as an ordinary run: played again from its seed, recorded, signed, replayable.

Nothing of a batch is written down round by round; a session is a function of its seed. `expand`
writes the experiment whose run is that session: the same actions, decisions and rewards, now with a
ledger that `audit` and `replay` check like any other. It costs what ordinary rounds cost, so of a
session of millions of rounds one expands the first ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.contract import AgentError
from agents.q_learning.schedule import Boltzmann, Learner
from institutional.experiments.plan import FORMAT


def seat_of(
    learner: Learner, *, levels: int, plan: str = "joint_monopoly", stretch: float = 0.1
) -> dict[str, Any]:
    """The seat of an experiment in which `q_learner` is `learner`, on the grid of `from_briefing`.

    Raises AgentError for initial values of one's own, which a seat cannot be given.
    """
    if learner.initial is not None:
        raise AgentError(
            "a session with initial values of its own cannot be expanded\n"
            "  train it from the values against random rivals (initial=None)"
        )
    exploration = learner.exploration
    chosen = (
        {"temperature": float(exploration.temperature), "cooling": float(exploration.decay)}
        if isinstance(exploration, Boltzmann)
        else {"beta": float(exploration.beta)}
    )
    return {
        "agent": "q_learner",
        "levels": levels,
        "plan": plan,
        "stretch": float(stretch),
        "memory": learner.memory,
        "alpha": float(learner.alpha),
        "discount": float(learner.discount),
        **chosen,
    }


def expand(
    seat: Mapping[str, Any],
    *,
    name: str,
    environment: Mapping[str, Any],
    graph: str | None,
    agents: int,
    seeds: Sequence[int],
    rounds: int,
) -> dict[str, Any]:
    """The experiment (for YAML or JSON) that plays the first `rounds` rounds of each session.

    `environment` is a preset with its overrides, `graph` a path from the experiment's folder.
    """
    regime = {"ungoverned": {}} if graph is None else {"institutional": {"graph": graph}}
    return {
        "format": FORMAT,
        "name": name,
        "title": f"The first {rounds} rounds of sessions of tabular learners",
        "environment": {**environment, "rounds": rounds},
        "regimes": regime,
        "pairings": {"learners": [dict(seat)] * agents},
        "seeds": [int(seed) for seed in seeds],
    }
