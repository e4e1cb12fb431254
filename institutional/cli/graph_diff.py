"""`institutional graph diff`: what two institutions do differently."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(diff)


def diff(
    old: Annotated[Path, typer.Argument(help="A governance graph, as YAML.", metavar="A")],
    new: Annotated[Path, typer.Argument(help="Another.", metavar="B")],
    as_json: Json = False,
) -> None:
    """Compare two graphs by what they do: each change is stricter, milder or other.

    Comments and layout are no change. Exits 0 if the content is the same, 1 if it differs.

    Example: institutional graph diff
    runs/example/institutional-divider_forgiving-0000/graph.yaml
    runs/example/institutional-divider_forgiving-0001/graph.yaml
    """
    from institutional.governance.difference import MILDER, OTHER, STRICTER, difference
    from institutional.governance.draw import number
    from institutional.governance.loading import load_graph

    loaded = load_graph(old), load_graph(new)
    found = difference(*loaded)
    if as_json:
        digests = [
            {
                "graph": str(path),
                "canonical_digest": g.canonical_digest,
                "exact_digest": g.exact_digest,
            }
            for path, g in zip((old, new), loaded, strict=True)
        ]
        print_json({"graphs": digests} | found.as_json())
        raise typer.Exit(0 if found.same_content else 1)
    for letter, path, graph in zip("AB", (old, new), loaded, strict=True):
        print(f"{letter} {path}\n  canonical digest {graph.canonical_digest}")
    if found.same_content:
        layout = "" if found.same_bytes else "; only comments or layout differ"
        print(f"same content{layout}")
        raise typer.Exit(0)
    counts = [
        f"{sum(change.direction == way for change in found.changes)} {way}"
        for way in (STRICTER, MILDER, OTHER)
    ]
    print(f"different content, from A to B: {', '.join(counts)}\n")
    for change in found.changes:
        print(f"  {change.direction:<8}  {change}")
    if found.parameters:
        print("\nPARAMETERS")
    for parameter in found.parameters:
        pair = (parameter.before, parameter.after)
        values = " -> ".join("none" if value is None else number(value) for value in pair)
        uses = ", ".join(parameter.uses) or "used nowhere"
        print(f"  {parameter.direction:<8}  ${parameter.name} {values}: {uses}")
    raise typer.Exit(1)
