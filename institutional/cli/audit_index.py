"""`institutional audit index`: which runs an operator began, and which of them are shown."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.files import read_text
from institutional.cli.output import Json, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(index)


def index(
    folder: Annotated[Path, typer.Argument(help="A copy of the operator's index.")],
    key: Annotated[Path, typer.Option(help="The operator's public key, from elsewhere.")],
    runs: Annotated[
        Path | None, typer.Option(help="An experiment's folder: are all its runs here?")
    ] = None,
    head: Annotated[Path | None, typer.Option(help="A head of the index that you kept.")] = None,
    as_json: Json = False,
) -> None:
    """List the runs that an operator registered; with --runs, those that are kept from you.

    Exits 0 if the index is sound and nothing is missing, 1 if a run that was begun is not shown or
    ended otherwise, and as `audit verify` does if the index itself does not hold.

    Example: institutional audit index runs/keys/index --key runs/keys/example.pub
    --runs runs/example
    """
    from institutional.ledger.auditing.audit import audit
    from institutional.ledger.auditing.holdings import hold
    from institutional.ledger.auditing.verdict import Word
    from institutional.ledger.index import read_index

    kept = None if head is None else read_text(head)
    verdict = audit(folder, read_text(key), kept, key_source=str(key))
    if verdict.word not in {Word.VERIFIED, Word.UNANCHORED}:
        print(verdict)
        raise typer.Exit(verdict.exit_code)
    lines = hold(read_index(folder), runs)
    if as_json:
        print_json({"index": verdict.as_json(), "runs": [line._asdict() for line in lines]})
    else:
        rows = [(line.run, line.experiment, line.ended, line.shown) for line in lines]
        print_table(f"Runs in {folder}", ("run", "experiment", "ended", "shown"), rows)
        print(f"{verdict.size} entries, {verdict.word}; anchor {verdict.anchor}")
    if any(line.amiss for line in lines):
        raise typer.Exit(1)
