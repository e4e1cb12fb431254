"""`institutional learn`: institutions against learners that discover collusion by themselves."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.experiment import Bar
from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.learning.study import Study


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(learn)


def learn(  # noqa: PLR0917 - typer passes them by name
    specification: Annotated[Path, typer.Argument(help="A learning study, as YAML.")],
    sessions: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Sessions per cell; default: as written.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: beside it.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: every core.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Every cell, in seconds; shows no economics.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Let tabular learners play markets under institutions, and under the same fines by lot.

    Prints what each institution does to Delta, what learners learn to do under it, and whether
    fines deter or merely tax. The same command again plays only what is missing.

    Example: institutional learn runs/learners.yaml --quick --out build/learners
    """
    from institutional.learning.plan import load_plan
    from institutional.learning.study import run_study

    plan = load_plan(specification, quick=quick)
    folder = out or specification.with_suffix(".quick" if quick else "")
    bar = Bar("sessions", enabled=not as_json and sys.stderr.isatty())
    try:
        study = run_study(plan, folder, sessions=sessions, threads=threads, progress=bar.show)
    finally:
        bar.close()
    if as_json:
        print_json(_as_json(study, folder))
        return
    _print(study)
    print(f"written: {folder}")


def _as_json(study: "Study", folder: Path) -> dict[str, Any]:
    phase = study.phase
    return {
        "folder": str(folder),
        "cells": study.summary.to_dicts(),
        "skipped": study.skipped,
        "phase": phase
        and {
            "market": phase.market,
            "rent": phase.rent,
            "ungoverned": phase.ungoverned,
            "thresholds": phase.thresholds,
            "points": phase.table.to_dicts(),
        },
    }


def _print(study: "Study") -> None:
    from institutional.learning.conduct import CONDUCT

    governed = study.summary.to_dicts()
    header = [
        "market",
        "institution",
        "arm",
        "Δ",
        "vs none",
        "95 %",
        "vs lottery",
        "Δ net",
        "price",
        "CS",
        "welfare",
        "per 1000: learning",
        "after",
    ]
    table = [
        [
            row["market"],
            row["institution"],
            row["arm"],
            _number(row["delta"]),
            _number(row["change"], sign=True),
            f"{_number(row['change_low'], sign=True)} to {_number(row['change_high'], sign=True)}",
            _number(row["beyond_lottery"], sign=True),
            _number(row["delta_net"]),
            _number(row["price"]),
            _number(row["consumer_surplus"]),
            _number(row["welfare"]),
            _number(row["sanctions_learning"]),
            _number(row["sanctions"]),
        ]
        for row in governed
    ]
    print_table("What institutions do (sanctions per 1000 rounds)", header, table)
    print()
    learnt = [row for row in governed if row["verdict"]]
    print_table(
        "What learners learn to do (share of sessions)",
        ["market", "institution", "verdict", *CONDUCT],
        [
            [row["market"], row["institution"], row["verdict"]]
            + [f"{row[name]:.2f}" for name in CONDUCT]
            for row in learnt
        ],
    )
    print()
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in study.skipped:
        where = [line["institution"], *([line["arm"]] if "arm" in line else [])]
        reasons.setdefault((line["market"], line["reason"]), []).append(" ".join(where))
    for (market, reason), cells in reasons.items():
        print(f"skipped, {reason}: {market}: {', '.join(cells)}")
    if study.phase is not None:
        phase = study.phase
        print(f"phase diagram, {phase.market}: ungoverned Δ {phase.ungoverned:.2f};", end=" ")
        print("Δ has half fallen at p * S, in rents:", end=" ")
        turns = sorted(phase.thresholds.items())
        print(", ".join(f"{at:.2f} (p = {p:g})" for p, at in turns) or "nowhere")


def _number(value: float | None, *, sign: bool = False) -> str:
    if value is None:
        return "n/a"
    digits = ".0f" if abs(value) >= 100 else ".2f"
    return f"{value:{'+' if sign else ''}{digits}}"
