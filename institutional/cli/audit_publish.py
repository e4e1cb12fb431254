"""`institutional audit publish`: a run's log as static files that anyone can check."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(publish)


def publish(
    run: Annotated[Path, typer.Argument(help="The folder of one run.")],
    folder: Annotated[
        Path, typer.Argument(help="Where to publish: empty, or an earlier publication of RUN.")
    ],
    as_json: Json = False,
) -> None:
    """Publish the log of RUN as static files in FOLDER, for any web server to serve.

    C2SP tlog-tiles, so that verifiers written by others can read it. The log is read again and its
    root compared before the new head is put in place; a log that has grown extends its folder.

    Example: institutional audit publish runs/example/institutional-divider_forgiving-0000
    public/example
    """
    from institutional.ledger.publication.publish import publish as write

    done = write(run, folder)
    if as_json:
        print_json(
            {"folder": str(folder), **done._asdict(), "root": done.root.hex()},
        )
        return
    print(f"folder    {folder}")
    print(f"run       {done.run}")
    print(f"origin    {done.origin}")
    print(f"head      {done.size} entries, root {done.root.hex()}")
    new = done.size - done.earlier
    print(f"new       {new} entries since the last publication, {done.written} files written")
