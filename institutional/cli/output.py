"""How commands print: a table or text for people, one JSON document for programs."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def print_json(value: Any) -> None:
    """Print `value` as one JSON document."""
    print(json.dumps(value, indent=2, allow_nan=False, default=str))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers are aligned right, and names are never broken."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A pipe has no width: lines that are not folded can be searched.
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(header):
        cells = [row[index] for row in rows]
        numeric = all(cell[:1] in "-−+0123456789" or cell == "n/a" for cell in cells)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
