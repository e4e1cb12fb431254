"""`institutional environment`: what can be run, with data sheets."""

from typing import Annotated

import typer

from institutional.cli.output import Json, print_json, print_table

app = typer.Typer(
    help="List and describe environments.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the presets.

    Example: institutional environment list
    """
    from environments.presets import PRESETS

    if as_json:
        print_json(
            {n: {"description": p.description, "source": p.source} for n, p in PRESETS.items()}
        )
        return
    rows = [[name, p.description, p.source] for name, p in PRESETS.items()]
    print_table("Environments", ["preset", "what it is", "source"], rows)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A preset.")], as_json: Json = False) -> None:
    """Show a preset's data sheet: parameters, signals and exact benchmarks.

    Example: institutional environment show lin2024
    """
    from environments.presets import data_sheet

    sheet = data_sheet(name)
    if as_json:
        print_json(sheet)
        return
    print(f"{name}: {sheet['description']}\n  source: {sheet['source']}")
    print("  can be changed: " + ", ".join(f"{k} ({v})" for k, v in sheet["overrides"].items()))
    # A game whose agents sell nothing has no prices.
    told = [key for key in ("prices", "profits") if key in sheet["benchmarks"]["nash"]]
    rows = [
        [
            point,
            *(", ".join(f"{x:.2f}" for x in b[key]) for key in told),
            f"{b['consumer_surplus']:.2f}",
            f"{b['welfare']:.2f}",
            "; ".join(", ".join(f"{x:.2f}" for x in row) for row in b["actions"]),
        ]
        for point, b in sheet["benchmarks"].items()
    ]
    header = ["benchmark", *told, "consumer surplus", "welfare", "actions by agent"]
    print_table("\nBenchmarks, per round", header, rows)
    rows = [
        [signal, s["unit"], f"{_bound(s['low'])} to {_bound(s['high'])}", s["meaning"]]
        for signal, s in sheet["signals"].items()
    ]
    print_table("\nSignals", ["signal", "unit", "range", "meaning"], rows)


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"
