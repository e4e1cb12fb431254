"""`institutional graph`: look at an institution before anyone plays under it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from institutional.cli import (
    graph_calibrate,
    graph_check,
    graph_deter,
    graph_diff,
    graph_explain,
    graph_new,
    graph_redteam,
    graph_replay,
    graph_test,
)
from institutional.cli.output import Json, print_json

app = typer.Typer(
    help="Check, draw and describe governance graphs.", no_args_is_help=True, rich_markup_mode=None
)
GraphFile = Annotated[Path, typer.Argument(help="A governance graph, as YAML.")]


class Form(StrEnum):
    """How to draw."""

    text = "text"
    mermaid = "mermaid"
    svg = "svg"


@app.command()
def show(
    graph: GraphFile,
    form: Annotated[Form, typer.Option("--form", help="How to draw it.")] = Form.text,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a run, or of an experiment; draws how often edges were used."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw a graph as plain text, Mermaid or SVG.

    With --run the SVG shows how often each edge was taken and refused in recorded runs.

    Example: institutional graph show governance_graphs/cournot.yaml --form svg --out cournot.svg
    """
    from institutional.errors import InstitutionalError
    from institutional.governance.draw import as_mermaid, as_text
    from institutional.governance.draw_svg import as_svg
    from institutional.governance.loading import content, load_graph

    loaded = load_graph(graph)
    if as_json:
        print_json(content(loaded.graph))
        return
    if run and form is not Form.svg:
        raise InstitutionalError("--run is drawn in the SVG only: add --form svg")
    taken, refused = _usage(loaded.exact_digest, run) if run else (None, None)
    if form is Form.svg:
        text = as_svg(loaded.graph, taken, refused)
    else:
        text = (as_text if form is Form.text else as_mermaid)(loaded.graph)
    if out is None:
        print(text)
        return
    try:
        out.write_text(text + "\n")
    except OSError as error:
        raise InstitutionalError(f"{out}: cannot be written ({error.strerror})") from error
    print(out)


def _usage(digest: str, folders: list[Path]) -> tuple[dict[str, int], dict[str, int]]:
    """How often each edge was taken and refused in the runs of `folders` under this very graph."""
    import hashlib
    from collections import Counter

    from institutional.errors import InstitutionalError
    from institutional.ledger.reading import read_entries

    graphs = [path for f in folders for path in (f / "graph.yaml", *sorted(f.glob("*/graph.yaml")))]
    ours = [
        path.parent
        for path in graphs
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest
    ]
    if not ours:
        raise InstitutionalError(
            f"no run under this graph in {', '.join(map(str, folders))}\n"
            "  give the folder of a run or an experiment; the graph's bytes must be the same"
        )
    taken: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for folder in ours:
        for entry in read_entries(folder / "ledger"):
            if entry.kind == "ruling":
                taken.update(move["edge"] for move in entry.body["moves"])
                refused.update(refusal["edge"] for refusal in entry.body["refused"])
    return dict(taken), dict(refused)


@app.command()
def schema() -> None:
    """Print the JSON Schema of governance graphs, for editors.

    Example: institutional graph schema > governance_graph.schema.json
    """
    from institutional.governance.schema import json_schema

    print_json(json_schema())


for module in (
    graph_check,
    graph_test,
    graph_explain,
    graph_diff,
    graph_replay,
    graph_deter,
    graph_calibrate,
    graph_new,
    graph_redteam,
):
    module.register(app)
