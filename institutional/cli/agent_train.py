"""`institutional agent train`: what can be trained, and the language model made on the spot."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from institutional.cli import agent_train_policy
from institutional.cli.experiment import Bar
from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add what can be trained to `app`."""
    train = typer.Typer(help="Train agents, and models for them.", no_args_is_help=True)
    train.command()(pocket)
    agent_train_policy.register(train)
    app.add_typer(train, name="train")


def pocket(  # noqa: PLR0917 - typer passes them by name
    out: Annotated[
        Path | None, typer.Option(help="Folder; default: models/pocket beside the operator's key.")
    ] = None,
    graphs: Annotated[Path, typer.Option(help="Governance graphs to play under.")] = Path(
        "governance_graphs"
    ),
    constitutions: Annotated[Path, typer.Option(help="Texts to play under.")] = Path(
        "runs/constitutions"
    ),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="In seconds; it hardly knows what it says.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the pocket language model from scripted play of this project's own markets.

    A real transformers model of about a million parameters that reads the prompts of play and
    answers in their form, in minutes on two cores. It imitates scripted agents: what regimes do
    to it says nothing about language models.

    Example: institutional agent train pocket --quick --out build/pocket
    """
    from institutional.errors import InstitutionalError
    from institutional.pocket.card import percent
    from institutional.pocket.place import model_folder

    try:
        from institutional.pocket.train import FULL, QUICK, train_pocket
    except ModuleNotFoundError as missing:
        raise InstitutionalError(
            f"training needs the package {missing.name}, which is missing\n"
            "  pip install 'institutional[local]'"
        ) from None

    bar = Bar("batches", enabled=not as_json and sys.stderr.isatty())
    try:
        trained = train_pocket(
            out or model_folder("pocket"),
            graphs=graphs,
            constitutions=constitutions,
            effort=QUICK if quick else FULL,
            seed=seed,
            progress=bar.show,
        )
    finally:
        bar.close()
    if as_json:
        print_json(trained.as_json())
        return
    marks = trained.marks
    print(f"{trained.folder}: {trained.parameters:,} parameters, {trained.lessons:,} lessons")
    print(f"  readable answers      {percent(marks.valid)} of {marks.questions} held-out questions")
    print(f"  the teacher's plans   {percent(marks.plans_later)} after the first round")
    print(
        f"  numbers near theirs   {percent(marks.near)}, median error {percent(marks.error_median)}"
    )
    print(f"  weights, SHA-256      {trained.digest}")
    print("It imitates scripted agents; what regimes do to it says nothing about language models.")
