"""`institutional audit diff`: where two copies of one log part."""

from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json

_BEFORE, _SHOWN = 40, 160  # characters shown before the first difference, and in all


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(diff)


def diff(
    first: Annotated[Path, typer.Argument(help="The folder of a run.")],
    second: Annotated[Path, typer.Argument(help="Another copy of it.")],
    as_json: Json = False,
) -> None:
    """Find the first entry in which two copies of a run's log differ. Nothing is verified.

    Exits 0 if they hold the same entries, 1 if not.

    Example: institutional audit diff runs/example/institutional-divider_forgiving-0000
    runs/example/institutional-divider_forgiving-0000
    """
    from institutional.ledger.auditing.divergence import first_divergence

    shared, parting = first_divergence(first, second)
    copies = [] if parting is None else [parting.first, parting.second]
    shown = [None if copy is None else copy.decode(errors="replace") for copy in copies]
    if as_json:
        print_json({"shared": shared, "same": parting is None, "entries": shown})
    elif parting is None:
        print(f"the same {shared} entries")
    else:
        print(f"the same {shared} entries, then entry {parting.seq}:")
        at = max(0, _shared(shown[0] or "", shown[1] or "") - _BEFORE)
        for path, copy in zip((first, second), shown, strict=True):
            near = "the log ends here" if copy is None else ascii(copy[at : at + _SHOWN])[1:-1]
            print(f"  {path}\n    {'...' if at and copy is not None else ''}{near}")
    if parting is not None:
        raise typer.Exit(1)


def _shared(first: str, second: str) -> int:
    """How many characters two texts share from the start."""
    return sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )
