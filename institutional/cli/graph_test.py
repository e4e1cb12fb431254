"""`institutional graph test`: run an institution's policy tests, and say what they leave out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.files import write_text
from institutional.cli.output import Json, print_json

if TYPE_CHECKING:
    from institutional.governance.loading import LoadedGraph
    from institutional.governance.policy_tests.coverage import Coverage
    from institutional.governance.policy_tests.loading import LoadedTests


def register(app: typer.Typer) -> None:
    """Add the command to `app`, the group `graph`."""
    app.command("test")(run_policy_tests)


def run_policy_tests(
    graph: Annotated[Path, typer.Argument(help="A governance graph, as YAML.")],
    *,
    tests: Annotated[
        Path | None, typer.Option(help="The policy tests; otherwise tests/NAME beside the graph.")
    ] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="A run, or an experiment, whose coverage is shown beside; repeatable."),
    ] = None,
    min_coverage: Annotated[
        float, typer.Option(min=0, max=1, help="Share that the tests must exercise, 0 to 1.")
    ] = 0.0,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Run the policy tests of a graph and say what of the graph they never exercise.

    Each test gives evidence round by round and expects decisions; the real controller decides.
    --min-coverage is about the tests alone: a run has no expectations and vouches for nothing.
    Exits 0 if all tests pass and the coverage is reached, 1 if not, 2 if something is unreadable.

    Example: institutional graph test governance_graphs/cournot.yaml
    """
    from institutional.governance.policy_tests import report as write
    from institutional.governance.policy_tests.run import run_tests

    loaded = _load(graph, tests)
    runs = _coverage_of_runs(loaded.graph, run) if run else None
    report = run_tests(loaded)
    if junit is not None:
        write_text(junit, write.as_junit(loaded, report))
    share = report.coverage.share()
    reached = share >= min_coverage
    if as_json:
        found = write.as_json(loaded, report, runs)
        print_json({**found, "min_coverage": min_coverage, "coverage_reached": reached})
    else:
        print(write.as_text(loaded, report, runs))
        if not reached:
            print(f"the tests exercise {share:.1%} of the graph, below {min_coverage:.1%}")
    raise typer.Exit(1 if report.failed or not reached else 0)


def _load(graph: Path, tests: Path | None) -> "LoadedTests":
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph
    from institutional.governance.policy_tests.loading import load_tests

    loaded = load_graph(graph)
    file = tests or graph.parent / "tests" / graph.name
    if not file.is_file():
        raise InstitutionalError(
            f"{file}: no policy tests here\n"
            "  write them there, or name their file with --tests; governance_graphs/tests/ has some"
        )
    found = load_tests(file, loaded)
    named = file.parent / found.tests.graph
    # Named on the command line, a file may test another version of its institution.
    if tests is None and named.resolve() != graph.resolve():
        raise found.document.problem(
            ("graph",), f"these tests are for {named}\n  to run them on {graph}: --tests {file}"
        )
    return found


def _coverage_of_runs(graph: "LoadedGraph", folders: Sequence[Path]) -> "Coverage":
    """What the runs in `folders` under this very institution exercised, together."""
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph
    from institutional.governance.policy_tests.coverage import coverage_of_run
    from institutional.ledger.reading import read_entries

    rulings: list[Mapping[str, Any]] = []
    for folder in folders:
        files = [folder / "graph.yaml", *sorted(folder.glob("*/graph.yaml"))]
        governed = [file for file in files if file.is_file()]
        # Content is compared, not bytes: a comment changes nothing that was decided.
        ours = [f for f in governed if load_graph(f).canonical_digest == graph.canonical_digest]
        if not ours:
            raise InstitutionalError(
                f"{folder}: no run under this graph; {len(governed)} under others\n"
                "  give the folder of a run or an experiment; the graph's content must be the same"
            )
        for file in ours:
            entries = read_entries(file.parent / "ledger")
            rulings += [entry.body for entry in entries if entry.kind == "ruling"]
    return coverage_of_run(graph, rulings)
