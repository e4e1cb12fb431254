"""What a model is told: one message that stays the same all run, and one for the round.

The texts are in `texts/`; here they are filled in. A round's line is written once and kept, so
that a long history costs nothing again.

Shapes: A numbers in one action.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from agents.contract import Array, Briefing, Observation, PublicGraph, Words
from agents.language.answer import LONGEST_REASON, TEXTS, Answer, Form, exact
from agents.language.quoting import cited, inert, quoted
from agents.language.texts import text

NOTICES = 3  # that are still shown: the last round's whole, the others by their first line
INSTITUTIONAL = ("standing", "standings", "credits", "fine", "suspended", "cap")


class Notes(NamedTuple):
    """The agent's own memory, rewritten every round."""

    plans: str = ""
    insights: str = ""


def for_player(briefing: Briefing, words: Words, form: Form) -> str:
    """The message a player is given before anything else: market, terms, regime, form."""
    rules = text("rules").substitute(rules=cited(briefing.rules)) if briefing.rules else ""
    return text("task").substitute(
        setting=inert(words.setting), terms=_terms(words), rules=rules, fields=form.in_words
    )


def for_inspector(briefing: Briefing, words: Words) -> str:
    """The message an inspector is given before anything else."""
    return text("inspector").substitute(
        setting=inert(words.setting), rules=cited(briefing.rules), longest=LONGEST_REASON
    )


def plan_to_inspect(round_: int, answer: Answer, form: Form) -> str:
    """The message of a round for an inspector; rounds count from 0 here and from 1 in words."""
    numbers = zip(form.labels, map(short, answer.action), strict=True)
    plan = {name: quoted(getattr(answer, name)) for name in TEXTS} | dict(numbers)
    fields = ", ".join(f'"{name}": {value}' for name, value in plan.items())
    return text("plan").substitute(round=round_ + 1, plan=f"{{{fields}}}")


def malformed(reason: str) -> str:
    """What is added when an answer could not be read."""
    return text("malformed").substitute(reason=reason)


def rejected(reason: str) -> str:
    """What is added when an inspector refused a plan; its words are quoted."""
    return text("rejected").substitute(reason=quoted(reason))


class Seen:
    """What one agent has seen of a run so far, as text: the last rounds and notices."""

    def __init__(
        self, words: Words, graph: PublicGraph | None, *, history: int, shows: str
    ) -> None:
        self._words, self._graph = words, graph
        self._record = shows == "record"
        self._lines: deque[str] = deque(maxlen=history)
        self._notices: deque[tuple[int, str]] = deque(maxlen=NOTICES)
        self._columns = ""
        self._total = 0.0

    def take(self, round_: int, observation: Observation) -> None:
        """Add the round that `observation` is the public record of."""
        numbers = dict(self._words.told(observation))
        self._total += numbers.get("profit", 0.0)
        if "fine" in observation:
            numbers["fine"] = float(observation["fine"])
            self._total -= numbers["fine"]
        numbers["total"] = self._total
        line = f"{round_ + 1} {' '.join(map(short, numbers.values()))}"
        if self._record:
            line += "".join(
                f" | {name} {_flat(values)}"
                for name, values in observation.items()
                if name not in INSTITUTIONAL
            )
        if not self._columns:
            self._columns = f"round {' '.join(map(inert, numbers))}"
        self._lines.append(line)

    def hear(self, round_: int, notice: str) -> None:
        """Add the notice that followed a round; one without a word says nothing."""
        if said := cited(notice):
            self._notices.append((round_ + 1, said))

    def message(self, round_: int, observation: Observation, notes: Notes, refusal: str) -> str:
        """The message for the coming round."""
        return text("round").substitute(
            round=round_ + 1,
            plans=quoted(notes.plans),
            insights=quoted(notes.insights),
            notices="".join(self._told_notices(round_)),
            standing="".join(self._in_force(round_, observation)),
            history="\n".join((self._columns, *self._lines)) if self._lines else "none yet",
            refusal=refusal,
        )

    def _told_notices(self, now: int) -> Iterable[str]:
        for round_, notice in self._notices:
            shown = notice if round_ == now else notice.partition("\n")[0]
            yield f"NOTICE after round {round_}:\n{shown}\n"

    def _in_force(self, round_: int, observation: Observation) -> Iterable[str]:
        """Standing where the rules are known, and what was or is taken from the agent."""
        if self._graph is not None and "standing" in observation:
            standing = int(np.ravel(observation["standing"])[0])
            status = self._graph.status(standing).replace("_", " ")
            name = inert(self._graph.states[standing])
            credits_ = short(float(observation.get("credits", 0.0)))
            yield f"STANDING: {name} ({status}), credits {credits_}\n"
        if observation.get("fine", 0) > 0:
            yield f"FINE after round {round_}: {short(float(observation['fine']))}\n"
        if observation.get("suspended", 0):
            yield "SUSPENDED: nothing of what you decide this round is carried out.\n"
        elif (cap := float(observation.get("cap", 1))) < 1:
            yield f"CAP: at most {short(100 * cap)} % of the largest decision is carried out.\n"


def short(number: float) -> str:
    """At most four digits after a sign and zero, never an exponent: read at a glance."""
    if abs(number) >= 1000:
        return f"{number:.0f}"
    return f"{round(number, 3) + 0.0:.4g}"


def _terms(words: Words) -> str:
    return ", ".join(f"{inert(name)} {exact(value)}" for name, value in words.terms.items())


def _flat(values: Array) -> str:
    rows = np.atleast_2d(values).tolist()
    return " / ".join(" ".join(map(short, row)) for row in rows)
