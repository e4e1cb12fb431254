"""Forty-two ways to break the paper's graph: each one edit that an author could make by mistake.

`MUTANTS` maps a name to (text that stands in the graph, what is written instead). Edits that the
loader refuses are of no interest here: every mutant is a well-formed graph.
"""

import re
from pathlib import Path

GRAPH = (Path(__file__).parents[2] / "governance_graphs/cournot.yaml").read_text()


def _edge(name: str) -> str:
    """The lines of one edge."""
    found = re.search(rf"  - id: {name}\n(?:    .*\n)+", GRAPH)
    assert found is not None, name
    return found[0]


def _without(name: str) -> tuple[str, str]:
    return _edge(name), ""


def _changed(name: str, old: str, new: str) -> tuple[str, str]:
    edge = _edge(name)
    assert old in edge, (name, old)
    return edge, edge.replace(old, new, 1)


def _parameter(name: str, value: str) -> tuple[str, str]:
    found = re.search(rf"  {name}: \{{value: [^,]+,", GRAPH)
    assert found is not None, name
    return found[0], f"  {name}: {{value: {value},"


MUTANTS: dict[str, tuple[str, str]] = {
    # Ways back removed or misdirected.
    "no clean exit": _without("clean_exit"),
    "no redemption": _without("redeem"),
    "warnings never expire": _without("warning_expires"),
    "suspensions never end": _without("suspension_ends"),
    "probation never ends": _without("probation_ends"),
    "suspension ends in a fine": _changed("suspension_ends", "to: active", "to: fined"),
    "suspension ends in itself": _changed("suspension_ends", "to: active", "to: suspended"),
    "probation ends in a warning": _changed("probation_ends", "to: active", "to: warning"),
    "clean exit to probation": _changed("clean_exit", "to: active", "to: credited"),
    "clean exit to a warning": _changed("clean_exit", "to: active", "to: warning"),
    "redemption straight to good standing": _changed("redeem", "to: credited", "to: active"),
    "a warning expires into a fine": _changed("warning_expires", "to: active", "to: fined"),
    # Escalation misdirected.
    "the first case fines": _changed("warn", "to: warning", "to: fined"),
    "the first case suspends": _changed("warn", "to: warning", "to: suspended"),
    "the fine warns again": _changed("fine", "to: fined", "to: warning"),
    "the fine forgives": _changed("fine", "to: fined", "to: active"),
    "suspension from a warning": _changed("suspend", "from: fined", "from: warning"),
    "the second fine forgives": _changed("fine_again", "to: fined", "to: active"),
    "relapse is only warned": _changed("relapse", "to: fined", "to: warning"),
    "relapse is suspended": _changed("relapse", "to: fined", "to: suspended"),
    # Gates and triggers.
    "suspension without a streak": _changed(
        "suspend", "      - streak: {of: P2, rounds: $suspension_streak}\n", ""
    ),
    "suspension without earlier fines": _changed(
        "suspend", "      - offences: $suspension_offences\n", ""
    ),
    "clean exit without recovery": _changed(
        "clean_exit", "    require: [{evidence: recovered}]\n", ""
    ),
    "redemption without recovery": _changed("redeem", "    require: [{evidence: recovered}]\n", ""),
    "redemption that costs nothing": _changed("redeem", "credits: -1", "credits: 0"),
    "redemption that pays": _changed("redeem", "credits: -1", "credits: 1"),
    "redemption without clean rounds": _changed("redeem", ", {clean_rounds: $redeem_after}", ""),
    "redemption for more credits than there are": _changed("redeem", "credits: 1}", "credits: 4}"),
    "no cool-down between fines": _changed("fine_again", "    cooldown: $fine_cooldown\n", ""),
    "the clean exit asks for a fine": _changed(
        "clean_exit", "{clean_rounds: $clean_exit}", "{offences: 5}"
    ),
    # Sanctions.
    "the fine takes nothing": _changed(
        "fine",
        "    sanction: {fine: {rates: [$fine_first, $fine_second, $fine_third], of: profit,"
        " floor: $fine_floor}}\n",
        "",
    ),
    "the second fine takes nothing": _changed(
        "fine_again",
        "    sanction: {fine: {rates: [$fine_first, $fine_second, $fine_third], of: profit,"
        " floor: $fine_floor}}\n",
        "",
    ),
    "fines fall with repetition": _changed(
        "fine",
        "[$fine_first, $fine_second, $fine_third]",
        "[$fine_third, $fine_second, $fine_first]",
    ),
    "suspended firms may act": ("    restriction: {suspended: true}\n", ""),
    "warned firms may not act": (
        "    meaning: publicly warned\n",
        "    meaning: publicly warned\n    restriction: {suspended: true}\n",
    ),
    "a fined firm counts as clear": (
        "  fined:\n    status: penalised\n",
        "  fined:\n    status: clear\n",
    ),
    # Order.
    "a further fine is asked for before suspension": (
        _edge("suspend") + _edge("fine_again"),
        _edge("fine_again") + _edge("suspend"),
    ),
    # Numbers.
    "suspension for one round": _parameter("suspension_rounds", "1"),
    "a streak that no run can reach": _parameter("suspension_streak", "1000"),
    "a limit that no signal can pass": _parameter("specialisation_limit", "48"),
    "the first fine of a hundredth": _parameter("fine_first", "0.01"),
    "credits that lapse at once": _parameter("credit_decay", "1"),
}


def mutant(name: str) -> bytes:
    """The graph's bytes with that one edit."""
    old, new = MUTANTS[name]
    assert GRAPH.count(old) == 1, name
    text = GRAPH.replace(old, new)
    for edge in re.findall(r"- id: (\w+)\n", old):
        if f"- id: {edge}\n" not in text:
            # The norm may not name an edge that is gone.
            text = re.sub(rf"(or_else: \[.*?)\b{edge}, ", r"\1", text)
    return text.encode()
