"""`institutional fork`: what would have happened from a round on under another regime."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli import experiment
from institutional.cli.output import Json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(fork)


def fork(
    run: Annotated[Path, typer.Argument(help="A finished run in which agents read.")],
    *,
    at: Annotated[int, typer.Option("--round", min=1, help="First round that is new.")],
    out: Annotated[Path, typer.Option(help="Folder to write; its specification lies beside it.")],
    graph: Annotated[
        Path | None, typer.Option(help="Under this institution, from that round on.")
    ] = None,
    constitution: Annotated[Path | None, typer.Option(help="Under the text in this file.")] = None,
    ungoverned: Annotated[bool, typer.Option("--ungoverned", help="Under nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Play a run again under another regime from a round on.

    Until that round every agent answers what it answered in RUN; from it on the models are asked.
    The fork is an experiment of its own, which is audited and replayed; the same command, or
    `institutional run` of its specification, finishes one that was stopped.

    Example: institutional fork runs/talk/ungoverned-climbers-0000 --round 4 --out runs/fork
    --graph governance_graphs/cournot.yaml
    """
    from institutional.errors import InstitutionalError
    from institutional.experiments.fork import forked

    if (graph is not None) + (constitution is not None) + ungoverned != 1:
        raise InstitutionalError("give one of --graph, --constitution and --ungoverned")
    specification = forked(run, out, round_=at, graph=graph, constitution=constitution)
    experiment.run(specification, out=out, as_json=as_json)
