"""`institutional study`: the papers, and what was measured of each."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.studies.report import Report
    from institutional.studies.study import Finding, Prediction

ALL = "all"

app = typer.Typer(
    help="Run the papers' claims, made small, against bands that say when they were fixed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the studies and their claims.

    Example: institutional study list
    """
    from institutional.studies import catalogue

    studies = [catalogue.study(name) for name in catalogue.NAMES]
    if as_json:
        print_json([{"study": s.name, "paper": s.paper, "claim": s.claim} for s in studies])
        return
    print_table(
        "Studies", ["study", "claim", "paper"], [[s.name, s.claim, s.paper] for s in studies]
    )


@app.command()
def show(name: Annotated[str, typer.Argument(help="A study.")], as_json: Json = False) -> None:
    """Show what a study claims, runs, predicts, and does not show.

    Example: institutional study show calvano2020
    """
    from dataclasses import asdict

    from institutional.studies.catalogue import study

    found = study(name)
    if as_json:
        sheet: dict[str, Any] = asdict(found)
        del sheet["run"]
        print_json(sheet)
        return
    print(
        f"{found.name}: {found.paper}\n\n  claim      {found.claim}\n  run here   {found.miniature}"
    )
    print(f"  seeds      {found.seeds}; {found.quick_seeds} with --quick\n")
    header = ["quantity", "band", "expected", "source says", "fixed", "source"]
    print_table("Predictions", header, [_predicted(p) for p in found.predictions])
    print()
    print_table("Negative controls", header, [_predicted(p) for p in found.controls])
    print("\nWhat it does not show")
    for line in found.does_not_show:
        print(f"  - {line}")


@app.command()
def run(
    name: Annotated[str, typer.Argument(help=f'A study, or "{ALL}".')],
    *,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--sessions",
            "--seeds",
            min=5,
            help="Repetitions (sessions, where agents learn). The study's own number if left out.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few sessions: seconds, and wider intervals.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Where the table, the figure and the JSON document go.")
    ] = Path("runs/studies"),
    as_json: Json = False,
) -> None:
    """Run a study and say of each prediction: reproduced, null, undecided or contradicted.

    Exits 1 if a prediction is contradicted, or an effect was predicted and there is none; else 0.

    Example: institutional study run calvano2020 --quick
    """
    from agents.policies.entries import require_torch
    from institutional.studies import catalogue
    from institutional.studies.report import carry_out, overview, write_overview

    studies = [catalogue.study(each) for each in (catalogue.NAMES if name == ALL else [name])]
    if any(study.needs_torch for study in studies):
        require_torch()  # before the first hour of work, not after it
    reports = []
    for study in studies:
        count = seeds or (study.quick_seeds if quick else study.seeds)
        print(f"{study.name}: {count} seeds", file=sys.stderr)
        report = carry_out(study, range(seed, seed + count))
        paths = report.write(out)
        reports.append(report)
        if not as_json:
            _print(report, paths)
    if name == ALL:
        overall = write_overview(reports, out)
        if not as_json:
            header = ["study", "quantity", "measured [95 %]", "band", "verdict", "seconds"]
            print_table("All studies", header, overview(reports))
            print(f"\n{overall}")
    if as_json:
        print_json([r.as_data() for r in reports] if name == ALL else reports[0].as_data())
    raise typer.Exit(0 if not any(report.surprises for report in reports) else 1)


def _print(report: "Report", paths: list[Path]) -> None:
    study = report.study
    print(f"{study.name}: {study.claim}\n")
    print_table(
        f"{len(report.seeds)} seeds, {report.seconds:.1f} s",
        ["quantity", "measured", "95 % interval", "values", "band", "verdict"],
        [_measured(finding) for finding in report.findings],
    )
    if len(report.seeds) < study.seeds:
        print(f"\nThe bands were fixed for {study.seeds} seeds; fewer may miss them by chance.")
    print("\n" + "\n".join(map(str, paths)) + "\n")


def _measured(finding: "Finding") -> list[str]:
    from institutional.studies.report import band, verdict

    value, prediction = finding.estimate, finding.prediction
    return [
        finding.quantity,
        f"{value.value:.4g}",
        f"{value.low:.4g} to {value.high:.4g}",
        str(value.n),
        "" if prediction is None else band(prediction),
        verdict(finding),
    ]


def _predicted(prediction: "Prediction") -> list[str]:
    from institutional.studies.report import band

    number = "" if prediction.number is None else f"{prediction.number:g}"
    return [
        prediction.quantity,
        band(prediction),
        prediction.direction,
        number,
        prediction.fixed,
        prediction.source,
    ]
