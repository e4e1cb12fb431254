"""Models without a model: rules that read the prompt as a model would and answer in its form.

They know nothing but the request, so what is not in the prompt cannot move them; any chance in
them derives from the request's seed. `climber` tries its way uphill in profit, `wanderer` goes
anywhere; asked to inspect a plan, both reject one that all but leaves a good.

Shapes: A numbers in one action.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

from agents.language.answer import TEXTS
from agents.language.exchange import Request

STEP = 0.04  # of the range of a number, per round
LEAST_SHARE = 0.1  # of the largest number: less of a good is leaving it
_CAPACITY = re.compile(r"add up to at most ([0-9.e+]+)\.$", re.MULTILINE)
_TABLE = re.compile(r"^round (.+)\n((?:\d+ .*\n)+)", re.MULTILINE)

Numbers = dict[str, float]


def climber(request: Request) -> str:
    """Go on in the direction that last raised profit, turn back from one that did not."""
    return _answered(request, _uphill)


def wanderer(request: Request) -> str:
    """Anything within the bounds."""
    return _answered(request, lambda _, bounds, chance: _anywhere(bounds, chance))


RULES: Mapping[str, Callable[[Request], str]] = {"climber": climber, "wanderer": wanderer}

_Rule = Callable[[list[Numbers], Mapping[str, Any], random.Random], Numbers]


def _answered(request: Request, rule: _Rule) -> str:
    if "verdict" in request.schema["properties"]:
        return _inspected(request)
    bounds = {
        name: kind
        for name, kind in request.schema["properties"].items()
        if kind["type"] == "number"
    }
    past = past_rounds(request.messages[-1].content)
    numbers = _feasible(
        rule(past, bounds, random.Random(request.seed)),  # noqa: S311 - repeatable, not secret
        bounds,
        _CAPACITY.search(request.messages[0].content),
    )
    last = f"profit {past[-1]['profit']:g}" if past else "nothing yet"
    texts = dict(zip(TEXTS, (last, "try " + _told(numbers), f"after {last}"), strict=True))
    return json.dumps(texts | numbers)


def past_rounds(prompt: str) -> list[Numbers]:
    """The table of past rounds in a prompt, each as column -> number."""
    found = _TABLE.search(prompt)
    if found is None:
        return []
    columns = found[1].split()
    lines = (line.partition(" | ")[0].split()[1:] for line in found[2].splitlines())
    return [dict(zip(columns, map(float, line), strict=True)) for line in lines]


def _uphill(past: list[Numbers], bounds: Mapping[str, Any], chance: random.Random) -> Numbers:
    if not past:
        return _anywhere(bounds, chance)
    now = past[-1]
    before = past[-2] if len(past) > 1 else now
    rose = now["profit"] - now.get("fine", 0.0) >= before["profit"] - before.get("fine", 0.0)
    numbers = {}
    for name, bound in bounds.items():
        change = now[name] - before[name] or chance.choice((-1, 1))
        forward = (change > 0) == rose
        step = STEP * (bound["maximum"] - bound["minimum"]) * chance.uniform(0.5, 1.5)
        numbers[name] = now[name] + (step if forward else -step)
    return numbers


def _anywhere(bounds: Mapping[str, Any], chance: random.Random) -> Numbers:
    return {
        name: chance.uniform(bound["minimum"], bound["maximum"]) for name, bound in bounds.items()
    }


def _feasible(
    numbers: Numbers, bounds: Mapping[str, Any], capacity: re.Match[str] | None
) -> Numbers:
    """Within the bounds, scaled back to the capacity, to two decimals (never rounded up)."""
    clipped = {
        name: min(max(number, bounds[name]["minimum"]), bounds[name]["maximum"])
        for name, number in numbers.items()
    }
    total = sum(clipped.values())
    share = 1.0 if capacity is None or total <= float(capacity[1]) else float(capacity[1]) / total
    return {
        name: max(int(100 * share * number) / 100, bounds[name]["minimum"])
        for name, number in clipped.items()
    }


def _inspected(request: Request) -> str:
    plan = json.loads(next(x for x in request.messages[-1].content.splitlines() if x[:1] == "{"))
    numbers = {name: value for name, value in plan.items() if name not in TEXTS}
    least = LEAST_SHARE * max(numbers.values())
    left = [name for name, value in numbers.items() if value < least]
    reason = f"serve every good: {', '.join(left)} is too little" if left else "no rule is broken"
    return json.dumps({"verdict": "reject" if left else "approve", "reason": reason})


def _told(numbers: Numbers) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items())
