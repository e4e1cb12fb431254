"""`institutional graph`: look at an institution before anyone plays under it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from institutional.cli import graph_calibrate, graph_deter, graph_new, graph_test
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
def check(
    graph: GraphFile,
    environment: Annotated[
        str | None, typer.Option(help="Preset to check signals and benchmarks against.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read a graph strictly and check every name in it.

    Without --environment, the first preset of the kind that the graph names is used.

    Example: institutional graph check governance_graphs/cournot.yaml
    """
    from environments import presets
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph
    from institutional.governance.program import compile_graph

    loaded = load_graph(graph)
    names = [environment] if environment else list(presets.PRESETS)
    cores = ((name, presets.make(name)) for name in names)
    found = next(((n, c) for n, c in cores if c.name == loaded.graph.environment), None)
    if found is None and environment is not None:
        raise InstitutionalError(
            f"{graph}: written for {loaded.graph.environment} markets; {environment} is none"
        )
    if found is not None:
        core = found[1]
        points = {name: point.record for name, point in core.benchmarks().items()}
        compile_graph(loaded, agents=core.agents, signals=core.signals, references=points)
    facts = {
        "graph": str(graph),
        "name": loaded.graph.name,
        "states": len(loaded.graph.states),
        "edges": len(loaded.graph.edges),
        "evidence": len(loaded.graph.evidence),
        "norms": len(loaded.graph.norms),
        "checked_against": found[0] if found else None,
        "canonical_digest": loaded.canonical_digest,
        "exact_digest": loaded.exact_digest,
    }
    if as_json:
        print_json(facts)
        return
    against = f"checked against {found[0]}" if found else "signals not checked: no such market here"
    print(
        f"{graph}: well formed, {against}\n"
        f"  {facts['states']} states, {facts['edges']} edges, {facts['evidence']} evidence, "
        f"{facts['norms']} norms\n"
        f"  canonical digest {loaded.canonical_digest}\n  exact digest     {loaded.exact_digest}"
    )


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
    from institutional.ledger.log import read_entries

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


for module in (graph_new, graph_test, graph_calibrate, graph_deter):
    module.register(app)
