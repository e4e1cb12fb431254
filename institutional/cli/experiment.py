"""`institutional run`, `compare`, `report`: experiments from a specification to a report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from agents.language.desk.prices import Spent
    from institutional.experiments.compare import Comparison, Table

Folder = Annotated[Path, typer.Argument(help="The folder that `institutional run` wrote.")]


def register(app: typer.Typer) -> None:
    """Add the three commands to `app`."""
    for command in (run, compare, report):
        app.command()(command)


def run(
    specification: Annotated[Path, typer.Argument(help="An experiment, as YAML.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: beside it.")] = None,
    jobs: Annotated[int | None, typer.Option(min=0, help="Processes; 0 for every core.")] = None,
    cassettes: Annotated[
        Path | None,
        typer.Option(help="Folder of this experiment, run before: ask no model, answer from it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run, resume or extend an experiment.

    Prints its effects, errors and audits, and writes its report. The same command again
    finishes what is missing and does nothing twice.
    Exits 1 if a run is invalid, if an audit or a replay fails, or if the budget was spent before
    the end.

    Example: institutional run runs/example.yaml
    """
    from agents.language.desk.purse import BudgetSpentError
    from institutional.experiments.brief import brief
    from institutional.experiments.run import Progress, run_experiment

    folder = out or specification.with_suffix("")
    command = f"institutional run {specification}" + (f" --out {out}" if out else "")
    bar = Bar("runs", enabled=not as_json and sys.stderr.isatty())
    played = 0

    def report_progress(progress: Progress) -> None:
        nonlocal played
        played = progress.done
        bar.show(progress.before + progress.done, progress.total, _cost(progress.spent))

    try:
        plan = run_experiment(
            specification,
            folder,
            jobs=jobs,
            command=command,
            cassettes=cassettes,
            report_progress=report_progress,
        )
    except BudgetSpentError as error:
        print(f"stopped: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    finally:
        bar.close()
    declared = plan.specification.comparison
    comparisons = [
        _compared(folder, {**declared.model_dump(), "treatment": regime})
        for regime in plan.specification.regimes
        if regime != declared.baseline
    ]
    written = folder / "report.html"
    if played or not written.is_file():
        written = _reported(folder)
    facts = _facts(folder, written)
    if as_json:
        print_json({**facts, "comparisons": [each.as_json() for each in comparisons]})
    else:
        for each in comparisons:
            _print(brief(each))
        for line in facts["lines"]:
            print(line)
    raise typer.Exit(1 if facts["findings"] else 0)


def compare(
    folder: Folder,
    baseline: Annotated[str | None, typer.Option(help="Regime compared with.")] = None,
    treatment: Annotated[str | None, typer.Option(help="Regime compared.")] = None,
    measure: Annotated[list[str] | None, typer.Option(help="Measure; may be repeated.")] = None,
    as_json: Json = False,
) -> None:
    """Compare two regimes, paired by seed.

    Mean differences, intervals, effect sizes and permutation tests per pairing and over pairings.

    Example: institutional compare runs/example
    """
    chosen = _stamp(folder)["comparison"]
    chosen["baseline"] = baseline or chosen["baseline"]
    chosen["treatment"] = treatment or chosen["treatment"]
    chosen["measures"] = measure or chosen["measures"]
    comparison = _compared(folder, chosen)
    if as_json:
        print_json(comparison.as_json())
    else:
        _print(comparison.tables())


def report(folder: Folder, as_json: Json = False) -> None:
    """Write the report of an experiment.

    One HTML file that needs no network.

    Example: institutional report runs/example
    """
    _stamp(folder)
    written = _reported(folder)
    if as_json:
        print_json({"report": str(written)})
    else:
        print(written)


def _cost(spent: "Spent") -> str:
    """What models have cost so far; nothing where none was asked."""
    if not spent.calls:
        return ""
    money = f", {spent.money:,.2f} money" if spent.money else ""
    return f"{spent.calls:,} calls, {spent.tokens:,} tokens{money}"


def _stamp(folder: Path) -> dict[str, Any]:
    import json

    from institutional.errors import InstitutionalError

    path = folder / "experiment.json"
    try:
        stamp: dict[str, Any] = json.loads(path.read_text())
    except OSError as error:
        raise InstitutionalError(
            f"{path}: cannot be read ({error.strerror})\n"
            "  give the folder that `institutional run` wrote"
        ) from error
    except ValueError as error:
        raise InstitutionalError(f"{path}: torn or edited ({error})") from error
    return stamp


def _results(folder: Path) -> Any:
    import polars as pl

    from institutional.errors import InstitutionalError

    path = folder / "results.parquet"
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InstitutionalError(
            f"{path}: cannot be read\n  finish the experiment with `institutional run` first"
        ) from error


def _compared(folder: Path, chosen: dict[str, Any]) -> "Comparison":
    import json

    from institutional.experiments.compare import compare as compare_results

    skipped = json.loads((folder / "skipped.json").read_text())
    return compare_results(_results(folder), **chosen, skipped=skipped, seed=0)


def _reported(folder: Path) -> Path:
    from institutional.experiments.report.page import write_report
    from institutional.governance.draw_svg import as_svg
    from institutional.governance.loading import load_graph

    drawings = {}
    for regime in _stamp(folder)["graphs"]:
        for graph in sorted(folder.glob(f"{regime}-*/graph.yaml"))[:1]:
            drawings[regime] = as_svg(load_graph(graph).graph)
    return write_report(folder, graph_svgs=drawings)


def _facts(folder: Path, written: Path) -> dict[str, Any]:
    """What happened besides effects: validity, audits, replays, and where things lie."""
    from institutional.ledger import keys

    results = _results(folder)
    invalid = results.filter(~results["valid"])
    bad_audits = results.filter(~results["audit_code"].is_in([0, 3]))
    governed = results.filter(results["replay"] != "not-applicable")
    inexact = governed.filter(governed["replay"] != "exact")
    words = results["audit_word"].value_counts(sort=True).rows()
    lines = [
        f"runs: {len(results)}, of which invalid: {len(invalid)}",
        "audits: " + ", ".join(f"{count} {word}" for word, count in words),
        f"replays: {len(governed) - len(inexact)} of {len(governed)} governed runs exact",
        f"public key: {keys.home() / 'operator.pub'}",
        f"report: {written}",
    ]
    if any(word == "UNANCHORED" for word, _ in words):
        lines[1] += " (sound; only an outside anchor can exclude a roll-back)"
    lines += [f"invalid: {row['run_id']}: {row['reason']}" for row in invalid.to_dicts()[:10]]
    lines += [f"audit failed: {run}" for run in bad_audits["run_id"].to_list()[:10]]
    lines += [f"replay failed: {run}" for run in inexact["run_id"].to_list()[:10]]
    return {
        "folder": str(folder),
        "report": str(written),
        "lines": lines,
        "findings": len(invalid) + len(bad_audits) + len(inexact),
    }


def _print(tables: "list[Table]") -> None:
    for title, header, rows in tables:
        print_table(title, header, rows)
        print()


class Bar:
    """A progress bar on standard error; silent where nobody looks."""

    def __init__(self, what: str, *, enabled: bool) -> None:
        self._what = what
        self._enabled = enabled
        self._progress: Any = None
        self._task: Any = None

    def show(self, done: int, total: int, note: str = "") -> None:
        """Move the bar to `done` of `total`; `note` stands behind it."""
        if not self._enabled:
            return
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

            self._progress = Progress(
                self._what,
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                "{task.fields[note]}",
                console=Console(stderr=True),
            )
            self._progress.start()
            self._task = self._progress.add_task(self._what, total=total, note="")
        self._progress.update(self._task, completed=done, note=note)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._progress is not None:
            self._progress.stop()
