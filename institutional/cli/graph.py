"""`institutional graph`: look at an institution before anyone plays under it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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
    as_json: Json = False,
) -> None:
    """Draw a graph as plain text, Mermaid or SVG.

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
    drawn = {Form.text: as_text, Form.mermaid: as_mermaid, Form.svg: as_svg}[form]
    text = drawn(loaded.graph)
    if out is None:
        print(text)
        return
    try:
        out.write_text(text + "\n")
    except OSError as error:
        raise InstitutionalError(f"{out}: cannot be written ({error.strerror})") from error
    print(out)


@app.command()
def schema() -> None:
    """Print the JSON Schema of governance graphs, for editors.

    Example: institutional graph schema > governance_graph.schema.json
    """
    from institutional.governance.schema import json_schema

    print_json(json_schema())
