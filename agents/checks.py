"""What stops an agent before the first round: a missing benchmark, a parameter out of range.

Every function raises `AgentError` or does nothing else; none of them looks at an observation.
"""

import difflib
from collections.abc import Iterable

from agents.contract import AgentError, Array, Briefing


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "..."?' for a misspelt `name`, or nothing when no name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""


def actions_at(briefing: Briefing, benchmark: str) -> Array:
    """Everybody's actions at the benchmark, [N, A]; AgentError where the market has none such."""
    if benchmark not in briefing.benchmarks:
        known = sorted(briefing.benchmarks)
        raise AgentError(
            f'no benchmark "{benchmark}" in this market\n'
            f"  benchmarks here: {', '.join(known)}. Name one of them, or play a market that has "
            f'"{benchmark}".{suggestion(benchmark, known)}'
        )
    return briefing.benchmarks[benchmark]


def require_within(name: str, value: float, low: float, high: float) -> None:
    """Raise AgentError unless `value` lies in [low, high]; NaN does not."""
    if not low <= value <= high:
        raise AgentError(f"{name}={value} is out of range\n  choose it in [{low:g}, {high:g}]")
