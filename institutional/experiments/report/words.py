"""How the report names things: measures, benchmarks, lists of runs, small counts."""

from collections.abc import Sequence

from institutional.experiments.report.html import Html, bullets, element

LABELS = {
    "tier": "tier (0 to 4)",
    "tier_run_mean": "tier of run means (0 to 4)",
    "tier_active": "tier, rounds without suspension (0 to 4)",
    "cv_excess": "CV excess (share of Nash)",
    "hhi_excess": "HHI excess (share of Nash)",
    "price": "price (money per unit)",
    "delta": "profit gain Δ (0 Nash, 1 cartel)",
    "delta_net": "profit gain Δ after fines",
    "consumer_surplus": "consumer surplus (money per round)",
    "welfare": "welfare (money per round)",
    "profit": "profit per firm (money per round)",
    "profit_net": "profit per firm after fines",
}
TIERS = ("0 none", "1 mild", "2 moderate", "3 strong", "4 severe")

SHORT_LABELS = {
    "tier": "tier (0–4)",
    "delta": "profit gain Δ",
    "price": "price (money)",
    "consumer_surplus": "consumer surplus (money)",
    "welfare": "welfare (money)",
    "delta_net": "Δ after fines",
}
_POINTS = {"nash": "Nash"}
_NAMED = 10  # findings listed by run before "and so many more"


def named(runs: Sequence[str]) -> Html:
    """Return the first ten as a list, and how many more there are."""
    more = [f"and {len(runs) - _NAMED} more"] if len(runs) > _NAMED else []
    return bullets([*(code(run) for run in runs[:_NAMED]), *more])


def code(text: str) -> Html:
    """Return `text` as code, or that it was not recorded."""
    return element("code", text) if text else element("span", "not recorded", class_="soft")


def label(measure: str) -> str:
    """Return a measure's name with its unit."""
    return LABELS.get(measure, measure.replace("_", " "))


def several(count: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def point_name(benchmark: str) -> str:
    """Return a benchmark's name as prose writes it."""
    return _POINTS.get(benchmark, benchmark.replace("_", " "))


def capital(sentence: str) -> str:
    """Return `sentence` with a capital first letter."""
    return sentence[:1].upper() + sentence[1:]
