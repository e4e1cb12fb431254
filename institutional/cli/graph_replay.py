"""`institutional graph replay`: a run's public records under another institution."""

from pathlib import Path
from typing import Annotated, Any

import typer

from institutional.cli.output import Json, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(replay)


def replay(
    run: Annotated[Path, typer.Argument(help="The folder of one run.")],
    graph: Annotated[Path, typer.Option(help="The graph to decide under, as YAML.")],
    as_json: Json = False,
) -> None:
    """Say what another graph would have decided on the public records of RUN.

    Exact under the run's own graph; under another the agents' behaviour is held fixed, and what
    follows the first different consequence is inference. Signatures are not checked here:
    `audit verify` does that.

    Example: institutional graph replay runs/example/institutional-divider_forgiving-0000
    --graph governance_graphs/minimal.yaml
    """
    from institutional.governance.loading import load_graph
    from institutional.whatif import what_if

    loaded = load_graph(graph)
    entries, own = _read(run)
    found = what_if(entries, own, loaded)
    if as_json:
        print_json({"run": str(run), "graph": str(graph)} | found.as_json())
        return
    print(f"{run} under {graph}\n{found.standing()}\n")
    rows = [
        [
            tally.agent,
            name,
            *map(str, (tally.moves, tally.refused, tally.fines)),
            f"{tally.fine_total:.2f}",
            str(tally.suspended_rounds),
        ]
        for pair in zip(found.recorded, found.other, strict=True)
        for name, tally in zip(("recorded", loaded.graph.name), pair, strict=True)
    ]
    header = ["agent", "graph", "moves", "refused", "fines", "money", "rounds suspended"]
    print_table("What befell whom", header, rows)
    if found.label == "exact":
        return
    if not found.differences:
        print("\nThe same moves in every round.")
        return
    moves = [[str(d.round), d.agent, _move(d.recorded), _move(d.other)] for d in found.differences]
    print()
    print_table("Different moves", ["round", "agent", "recorded", loaded.graph.name], moves)


def read_run(run: Path) -> Any:
    """Read the run in the folder `run`; its log's form is checked, not who wrote it."""
    from institutional.whatif import read_recording

    return read_recording(*_read(run))


def _read(run: Path) -> Any:
    """The entries of the run's log and the bytes of its graph, None where it has none."""
    from institutional.ledger.reading import read_entries

    graph = run / "graph.yaml"
    return read_entries(run / "ledger"), graph.read_bytes() if graph.is_file() else None


def _move(move: dict[str, Any] | None) -> str:
    if move is None:
        return "-"
    fine = f", fine {move['fine']:.2f}" if "fine" in move else ""
    return f"{move['edge']} -> {move['to']}{fine}"
