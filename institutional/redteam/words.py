"""The red team's report as JSON data and as text; nothing is calculated here."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from institutional.redteam.attack import Report
from institutional.redteam.bound import Bound
from institutional.redteam.target import Round

ROUNDING = 1e-9
"""Sums of the same rounds in another order differ by less, as a share."""


def as_data(report: Report) -> dict[str, Any]:
    """Everything in the report as JSON-serialisable data."""
    target, best = report.target, report.best
    return {
        "adversary": [target.core.agents[seat] for seat in target.seats],
        "rounds": target.core.rounds,
        "honest": target.honest,
        "ceiling": target.ceiling,
        "gain": best.measured.gain,
        "gains": [trial.measured.gain for trial in report.trials],
        "interval": report.interval,
        "fined": best.measured.fined,
        "tolerated": report.tolerated,
        "exploited": report.exploited,
        "bound": _bound(report.bound),
        "share_of_bound": _share(report),
        "schedule": list(best.schedule),
        "trace": [round_._asdict() for round_ in best.measured.trace],
    }


def _bound(found: Bound | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"none": found}
    return {
        "of_rounds": found.of_rounds,
        "for_ever": found.for_ever,
        "standings": found.standings,
        "bounded": found.bounded,
    }


def _share(report: Report) -> float | None:
    found = report.bound
    if isinstance(found, str) or found.bounded or found.of_rounds <= 0:
        return None
    return report.best.measured.gain / found.of_rounds


def text(report: Report) -> str:
    """The report for people, a paragraph per question."""
    return "\n\n".join(
        "\n".join(lines) for lines in (_found(report), _held(report), _trace(report))
    )


def _found(report: Report) -> Iterator[str]:
    target, best = report.target, report.best
    who = "the whole cartel" if target.whole else target.core.agents[target.seats[0]]
    yield f"{target.core.rounds} rounds, played by {who} (money per round and agent)"
    rows = [("honest play earns", target.honest), ("gained beyond it", best.measured.gain)]
    rows += [("paid in fines", best.measured.fined), ("tolerated", report.tolerated)]
    yield from (f"  {name:<20} {_money(value):>9}" for name, value in rows)
    if len(report.trials) > 1:
        gains = ", ".join(_money(trial.measured.gain) for trial in report.trials)
        low_high = "" if report.interval is None else _interval(report.interval)
        mean = sum(trial.measured.gain for trial in report.trials) / len(report.trials)
        yield f"  per seed {gains}; mean {_money(mean)}{low_high}"
    yield "An exploit was found" if report.exploited else "No exploit was found"


def _interval(limits: tuple[float, float]) -> str:
    return f", 95 % {_money(limits[0])} to {_money(limits[1])}"


def _held(report: Report) -> Iterator[str]:
    target, found = report.target, report.bound
    gain = report.best.measured.gain
    if target.ceiling > 0:
        yield (
            f"Nothing can gain more than {_money(target.ceiling)}; "
            f"{gain / target.ceiling:.0%} of it was found"
        )
    if isinstance(found, str):
        yield f"No bound: {found}"
        return
    yield (
        f"The dynamic programme over {', '.join(target.plans)}: {_money(found.of_rounds)} in such "
        f"a run, {_money(found.for_ever)} in the cycle it settles in"
    )
    share = _share(report)
    if found.bounded:
        yield "  its search was cut off, so this is no bound"
    elif share is not None:
        beyond = ": by actions that are in none of these plans" if share > 1 + ROUNDING else ""
        yield f"  {share:.0%} of it was found{beyond}"


def _trace(report: Report) -> Iterator[str]:
    trial = report.best
    repeated = f": {', '.join(trial.schedule)}, repeated" if trial.schedule else ""
    yield f"What it plays (seed {trial.seed}){repeated}"
    lines = [_round(report.target.core.agents, played) for played in trial.measured.trace]
    for line, group in groupby(enumerate(lines), key=lambda numbered: numbered[1]):
        numbers = [number for number, _ in group]
        when = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
        yield f"  {when:>7}  {line}"


def _round(agents: Sequence[str], played: Round) -> str:
    actions = " ".join(
        f"{name}({', '.join(f'{number:.3g}' for number in row)})"
        for name, row in zip(agents, played.actions, strict=True)
    )
    fined = sum(played.fines)
    return (
        f"{actions}  {'/'.join(dict.fromkeys(played.standings))}"
        + (", suspended" if any(played.suspended) else "")
        + (f", fined {_money(fined)}" if fined else "")
        + f"  {played.gain:+.3g}"
    )


def _money(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
