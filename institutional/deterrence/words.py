"""The deterrence account as JSON data and as text; nothing is calculated here."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from institutional.deterrence.account import NEGLIGIBLE_SHARE, Account, Evasion, matters, parking
from institutional.deterrence.changes import Change
from institutional.deterrence.market import COMPLY, Rent
from institutional.deterrence.plan import Round

NEAREST = 3
"""Changes named where none suffices."""


def as_data(account: Account, tried: Sequence[Change]) -> dict[str, Any]:
    """Everything in the account as JSON-serialisable data; None for what is without bound."""
    return {
        "discount": account.discount,
        "nash_profit": account.nash_profit,
        "plans": [rent._asdict() for rent in account.rents],
        "sanctions": [
            need._asdict() | {"cost": _finite(need.cost), "probability": _finite(need.probability)}
            for need in account.needs
        ],
        "quiet_shares": account.quiet_shares,
        "pays": account.pays,
        "exploitability": account.exploitability,
        "compliance": _evasion(account, account.compliance),
        "best": _evasion(account, account.best),
        "without_parking": _evasion(account, account.without_parking),
        "noticed_only": _evasion(account, account.noticed_only),
        "permanent": {p: _evasion(account, found) for p, found in account.permanent.items()},
        "standings": account.standings,
        "bounded": account.bounded,
        "changes": [change._asdict() for change in tried],
    }


def text(account: Account, tried: Sequence[Change]) -> str:
    """The account for people, a paragraph per question."""
    paragraphs = (_market(account), _sanctions(account), _played(account), _changed(account, tried))
    return "\n\n".join("\n".join(lines) for lines in paragraphs)


def _market(account: Account) -> Iterator[str]:
    yield (
        f"Without the institution (money per round and agent; Nash play {account.nash_profit:.5g})"
    )
    rows = [("plan", "profit", "rent", "temptation", "held together from discount")]
    rows += [
        (r.plan, f"{r.profit:.5g}", f"{r.rent:.5g}", f"{r.temptation:.5g}", _critical(r))
        for r in account.rents
    ]
    yield from _table(rows)


def _critical(rent: Rent) -> str:
    return "never" if rent.critical_discount is None else f"{rent.critical_discount:.2f}"


def _sanctions(account: Account) -> Iterator[str]:
    plan = max(account.rents, key=lambda rent: rent.rent).plan
    yield f"A sanction takes the rent of {plan} if it lands with this probability per round"
    rows = [("sanction", "costs", "probability")]
    for need in account.needs:
        if need.plan == plan:
            likely = f"{need.probability:.3f}" if need.probability <= 1 else "too small"
            rows.append((need.sanction, f"{need.cost:.5g}", likely))
    yield from _table(rows) if len(rows) > 1 else ["  the graph has none"]


def _played(account: Account) -> Iterator[str]:
    rent = account.largest_rent
    yield f"Under the institution, at discount {account.discount:g} (gains over Nash play)"
    if not account.spares_nash:
        yield f"  Nash play itself is punished: for ever it gains {account.compliance.gain:.5g}"
    for plan, found in account.permanent.items():
        quiet = account.quiet_shares[plan]
        seen = (
            "is never noticed when it is repeated"
            if quiet == 1
            else f"goes unnoticed up to a share of {quiet:.3f}"
        )
        yield f"  {plan} for ever gains {found.gain:.5g}; it {seen}"
    verdict = "Collusion pays" if account.pays else "Collusion does not pay"
    best = account.best
    share = f"{best.gain / rent:.0%} of the largest rent"
    yield f"  {verdict}. Exploitability {best.gain:.5g}, {share}"
    yield f"  (from the first round on, discounted, {best.discounted_gain:.5g}):"
    yield from _steps(account, account.best)
    if account.without_parking.gain != account.best.gain:
        yield f"  Without parking {account.without_parking.gain:.5g}:"
        yield from _steps(account, account.without_parking)
    if not account.noticed:
        yield "  The graph notices none of these plans when they are repeated."
    elif account.noticed_only.gain != account.without_parking.gain:
        only = ", ".join(account.noticed)
        yield f"  With nothing but {only} {account.noticed_only.gain:.5g}:"
        yield from _steps(account, account.noticed_only)
    searched = f"  {account.standings} standings were searched"
    yield searched + (
        ": bounded, the rest is taken to pay what Nash play pays" if account.bounded else ", all"
    )


def _steps(account: Account, found: Evasion) -> Iterator[str]:
    if found.walk.lead_in:
        yield f"    first     {_runs(account, found.walk.lead_in)}"
    yield f"    for ever  {_runs(account, found.walk.cycle)}"


def _runs(account: Account, rounds: Sequence[Round]) -> str:
    def key(round_: Round) -> tuple[str, tuple[int, ...], bool]:
        return round_.plan, round_.standing, round_.fined > 0

    told = []
    for (plan, standing, fined), run in groupby(rounds, key):
        states = dict.fromkeys(_names(account, standing))
        played = "comply" if plan == COMPLY else plan
        where = "/".join(states) + (", fined" if fined else "")
        count = len(list(run))
        told.append(f"{f'{count} x ' if count > 1 else ''}{played} ({where})")
    return ", ".join(told)


def _changed(account: Account, tried: Sequence[Change]) -> Iterator[str]:
    limit = NEGLIGIBLE_SHARE * account.largest_rent
    if account.bounded:
        yield "Single changes were not tried: the search is bounded"
        return
    if not matters(account.without_parking.gain, account.largest_rent):
        yield f"Evasion without parking gains less than {limit:.5g}: no change is needed"
        return
    yield f"{len(tried)} single changes, to bring evasion without parking below {limit:.5g}"
    enough = [change for change in tried if change.removes]
    yield from map(_change, enough)
    if enough:
        return
    unnoticed = [plan for plan in account.quiet_shares if plan not in account.noticed]
    yield "  none removes it" + (f"; never noticed: {', '.join(unnoticed)}" if unnoticed else "")
    if not account.noticed:
        return
    enough = [change for change in tried if change.removes_noticed]
    if enough:
        yield f"  of {', '.join(account.noticed)} alone it is removed by"
        yield from map(_change, enough)
        return
    nearest: dict[str, Change] = {}
    for change in sorted(tried, key=lambda c: c.noticed_gain):
        if change.noticed_gain < account.noticed_only.gain * (1 - 1e-9):
            nearest.setdefault(change.parameter, change)
    yield (
        f"  nor that of {', '.join(account.noticed)} alone; nearest:" if unnoticed else "  nearest:"
    )
    yield from (_change(change) for change in list(nearest.values())[:NEAREST])


def _change(change: Change) -> str:
    return (
        f"    {change.parameter} {change.before:g} -> {change.after:g}: gain {change.gain:.5g}, "
        f"of noticed plans {change.noticed_gain:.5g}"
    )


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield f"  {first.ljust(widths[0])}  {'  '.join(cells)}"


def _evasion(account: Account, found: Evasion) -> dict[str, Any]:
    return {
        "gain": found.gain,
        "share_of_rent": found.gain / account.largest_rent,
        "discounted_gain": found.discounted_gain,
        "lead_in": [_round(account, played) for played in found.walk.lead_in],
        "cycle": [_round(account, played) for played in found.walk.cycle],
    }


def _round(account: Account, played: Round) -> dict[str, Any]:
    return {
        "plan": played.plan,
        "share": account.quiet_shares.get(played.plan.removeprefix(parking("")), 0.0)
        if played.plan.startswith(parking(""))
        else float(played.plan != COMPLY),
        "standing": _names(account, played.standing),
        "earned": played.earned,
        "fined": played.fined,
    }


def _names(account: Account, standing: Sequence[int]) -> list[str]:
    return [account.program.states[state] for state in standing]


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
