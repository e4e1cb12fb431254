"""What a scripted teacher says of what it does: a few own words a round, always in the same form.

Every sentence follows from the agent's kind and from what the prompt shows: its costs, its last
rounds, its standing, its fines. The quantities are the teacher's, with three digits.

Shapes: A numbers in one action.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agents.contract import Array, Briefing, Observation
from agents.language.answer import Form

COLLUDES, COMPETES, COMPLIES = "colludes", "competes", "complies"
SENTENCES: Mapping[str, Mapping[str, str]] = {
    "nash": {COMPETES: "Do what is best against any rival."},
    "best_reply": {COMPETES: "Reply best to the last round."},
    "planner": {COMPETES: "Make all I can of what is cheap."},
    "price_fixer": {COLLUDES: "Hold prices up with low output."},
    "divider_grim": {
        COLLUDES: "Collude, and punish for ever.",
        COMPETES: "Punish for ever.",
        COMPLIES: "Comply while penalised, and punish for ever.",
    },
    "divider_forgiving": {
        COLLUDES: "Collude, and forgive.",
        COMPETES: "Punish once, and forgive.",
        COMPLIES: "Comply while penalised, and forgive.",
    },
    "divider_stubborn": {
        COLLUDES: "Collude, fined or not.",
        COMPETES: "Punish once, fined or not.",
    },
    "deterrable": {
        COLLUDES: "Collude, for it pays.",
        COMPETES: "Compete, for sanctions cost more.",
    },
    "warn_cycler": {
        COLLUDES: "Collude while it is free.",
        COMPETES: "Compete until it is free again.",
    },
}
"""Teacher -> what it plans, by what it does now; no two teachers say the same."""
OBEYS = "Compete, for the plan was refused."
APPROVED, REJECTED = "It keeps the rules.", "Do not divide the market or hold prices up."


class Said(NamedTuple):
    """An answer in parts."""

    observations: str
    plans: str
    insights: str
    action: tuple[float, ...]

    def as_text(self, form: Form) -> str:
        """The answer as a model is to write it: compact JSON."""
        numbers = dict(zip(form.labels, map(_shortest, self.action), strict=True))
        return json.dumps(
            {
                "observations": self.observations,
                "plans": self.plans,
                "insights": self.insights,
                **numbers,
            },
            separators=(",", ":"),
        )


def three_digits(action: Array, low: Array) -> tuple[float, ...]:
    """`action` with three digits, rounded down so that no bound or capacity is broken, [A]."""
    return tuple(
        max(_floor(number), least)
        for number, least in zip(action.tolist(), low.tolist(), strict=True)
    )


def observed(briefing: Briefing, observation: Observation, profits: Sequence[float]) -> str:
    """What the last round shows; `profits` are one's own so far."""
    if not profits:
        return "Nothing yet."
    if observation.get("suspended", 0):
        return "I am suspended."
    if observation.get("fine", 0) > 0:
        return "I was fined."
    if briefing.graph is not None and "standing" in observation:
        status = briefing.graph.status(int(np.ravel(observation["standing"])[0]))
        if status != "clear":
            return f"I am {status.replace('_', ' ')}."
    if len(profits) < 2:
        return "One round."
    before, now = profits[-2:]
    if abs(now - before) <= 0.02 * abs(before):
        return "Profit held."
    return "Profit rose." if now > before else "Profit fell."


def planned(teacher: str, manner: str) -> str:
    """What `teacher` plans in its `manner`, or in the only one it has."""
    sentences = SENTENCES[teacher]
    return sentences.get(manner) or next(iter(sentences.values()))


def learnt(briefing: Briefing) -> str:
    """What one's own costs teach."""
    terms = briefing.words.terms if briefing.words is not None else {}
    costs = {name[-1]: cost for name, cost in terms.items() if name.startswith("cost_")}
    if len(costs) < 2:
        return "I move the price."
    if len(set(costs.values())) == 1:
        return "My goods cost the same."
    return f"Good {min(costs, key=costs.__getitem__)} is my cheapest."


def _floor(number: float) -> float:
    if number < 1e-6:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(number)) - 2)
    return float(f"{math.floor(number / step + 1e-9) * step:.3g}")


def _shortest(number: float) -> float | int:
    return int(number) if number.is_integer() else number
