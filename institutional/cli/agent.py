"""`institutional agent`: who can take a seat."""

from typing import Annotated

import typer

from institutional.cli.output import Json, print_json, print_table

app = typer.Typer(help="List and describe agents.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the agents.

    Example: institutional agent list
    """
    from agents.catalogue import AGENTS

    if as_json:
        print_json({name: entry.description for name, entry in AGENTS.items()})
        return
    rows = [
        [
            name,
            entry.description,
            "graph" if entry.reads_graph else "text" if entry.reads_text else "",
            "yes" if entry.innocent else "",
        ]
        for name, entry in AGENTS.items()
    ]
    print_table("Agents", ["agent", "what it does", "reads", "innocent"], rows)


@app.command()
def show(name: Annotated[str, typer.Argument(help="An agent.")], as_json: Json = False) -> None:
    """Show an agent's data sheet: what it does, reads and can be told.

    Example: institutional agent show divider_grim
    """
    from agents.catalogue import AGENTS
    from institutional.errors import InstitutionalError, suggestion

    if name not in AGENTS:
        raise InstitutionalError(f'there is no agent "{name}".{suggestion(name, AGENTS)}')
    entry = AGENTS[name]
    sheet = {
        "agent": name,
        "description": entry.description,
        "reads_text": entry.reads_text,
        "reads_graph": entry.reads_graph,
        "innocent": entry.innocent,
        "parameters": {k: repr(v) for k, v in entry.parameters.items()},
    }
    if as_json:
        print_json(sheet)
        return
    print(f"{name}: {entry.description}")
    print(f"  reads the graph: {'yes' if entry.reads_graph else 'no'}")
    print(f"  reads text: {'yes' if entry.reads_text else 'no, so it has no constitutional arm'}")
    print(f"  innocent: {'yes, a case against it is a false positive' if entry.innocent else 'no'}")
    print("  parameters: " + ", ".join(f"{k} ({v!r})" for k, v in entry.parameters.items()))
