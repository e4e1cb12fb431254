"""`institutional graph deter`: whether it pays to collude under an institution."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(deter)


def deter(
    graph: Annotated[Path, typer.Argument(help="A governance graph, as YAML.")],
    environment: Annotated[str, typer.Option(help="Preset in which the cartel is tempted.")],
    discount: Annotated[
        float, typer.Option(help="What the next round is worth of this one, in (0, 1).")
    ] = 0.95,
    as_json: Json = False,
) -> None:
    """Find the best evasion of a graph, what it gains, and which single change removes it.

    The account is a calculation, not a simulation: no shocks, a cartel that never breaks up.

    Example: institutional graph deter governance_graphs/cournot.yaml --environment lin2024
    """
    from environments import presets
    from institutional.deterrence.account import account
    from institutional.deterrence.changes import changes
    from institutional.deterrence.words import as_data, text
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph

    loaded = load_graph(graph)
    core = presets.make(environment)
    if core.name != loaded.graph.environment:
        raise InstitutionalError(
            f"{graph}: written for {loaded.graph.environment} markets; {environment} is none"
        )
    found = account(loaded, core, discount=discount)
    tried = changes(loaded, core, found)
    if as_json:
        print_json({"graph": str(graph), "environment": environment} | as_data(found, tried))
    else:
        print(f"{graph} in {environment}\n\n{text(found, tried)}")
