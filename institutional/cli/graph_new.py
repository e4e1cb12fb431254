"""`institutional graph new` and `graph fmt`: a file to start from, and its layout."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the two commands to `app`."""
    app.command()(new)
    app.command()(fmt)


def new(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
    as_json: Json = False,
) -> None:
    """Write a commented graph to start from; it passes every check.

    Example: institutional graph new my_institution.yaml
    """
    import re
    from importlib.resources import files

    from institutional.errors import InstitutionalError

    name = re.sub(r"[^A-Za-z0-9_]", "_", file.stem)
    if not name[:1].isalpha():
        raise InstitutionalError(f"{file}: begin the name with a letter; it names the graph")
    text = files("institutional.governance").joinpath("starter.yaml").read_text("utf-8")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text.replace("name: NAME", f"name: {name}", 1))
    except FileExistsError:
        raise InstitutionalError(f"{file}: exists already; choose another name") from None
    except OSError as error:
        raise InstitutionalError(f"{file}: cannot be written ({error.strerror})") from error
    if as_json:
        print_json({"graph": str(file), "name": name})
    else:
        print(f"{file}\nnext: institutional graph check {file}")


def fmt(
    graph: Annotated[Path, typer.Argument(help="A governance graph, as YAML.")],
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if it would.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a graph's file into the house's layout; comments and meaning stay.

    Example: institutional graph fmt governance_graphs/bertrand.yaml
    """
    from institutional.errors import InstitutionalError
    from institutional.governance.document import read_document
    from institutional.governance.layout import formatted
    from institutional.governance.loading import check_document

    loaded = check_document(read_document(graph))  # not what an alteration makes of another
    result = formatted(loaded)
    changes = result != loaded.document.raw
    if changes and not only_check:
        temporary = graph.with_name(graph.name + ".part")
        try:
            temporary.write_bytes(result)
            temporary.replace(graph)
        except OSError as error:
            raise InstitutionalError(f"{graph}: cannot be written ({error.strerror})") from error
    if as_json:
        print_json(
            {"graph": str(graph), "changed": changes and not only_check, "clean": not changes}
        )
    else:
        words = "in the house's layout" if not changes else "would change"
        print(f"{graph}: {words if only_check or not changes else 'formatted'}")
    raise typer.Exit(1 if changes and only_check else 0)
