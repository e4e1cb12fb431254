"""`institutional audit disclose`: show one private value to somebody who then need not trust."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json

RunFolder = Annotated[Path, typer.Argument(help="The folder of one run.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(disclose)
    app.command()(check_disclosure)


def disclose(
    run: RunFolder,
    seq: Annotated[int, typer.Argument(min=0, help="The entry that commits to the value.")],
    out: Annotated[Path, typer.Option(help="Where to write the value and its key.")],
    path: Annotated[
        str | None, typer.Option(help="The value's place, where the entry has several.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one private value of RUN, with the key that proves it, to a file to hand over.

    Whoever has the file knows the value for good, and can show that the log committed to it.

    Example: institutional audit disclose runs/private 1 --path /said/firm.1 --out said.json
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.files import replace
    from institutional.ledger.manifest import FILE_NAME, read_manifest
    from institutional.ledger.private.commitment import commitments, item_bytes
    from institutional.ledger.private.items import item_path, read_item
    from institutional.ledger.private.redaction import committed_entry

    _, manifest = read_manifest(run / FILE_NAME)
    try:
        held = dict(commitments(committed_entry(run, manifest, seq).body))
        places = [place for place in held if path in (None, place)]
        if len(places) != 1:
            raise InstitutionalError(
                f"{run}: which private value of entry {seq}? It has {len(held)}: "
                f"{', '.join(held)!a:.400}\n  name one with --path"
            )
        (place,) = places
        kept = item_path(run, held[place])
        if not kept.exists():
            raise InstitutionalError(f"{kept}: not kept here: the value was redacted or withheld")
        replace(out, item_bytes(read_item(kept)), mode=0o600)
    except OSError as error:
        raise InstitutionalError(f"{run}: nothing was disclosed: {error}") from error
    if as_json:
        print_json({"seq": seq, "path": place, "commitment": held[place], "out": str(out)})
        return
    print(f"{out}: the value at {place!a} of entry {seq}, and its key")
    print(f"  whoever has the log can check it: audit check-disclosure {out} {run}")


def check_disclosure(
    disclosure: Annotated[Path, typer.Argument(help="What was handed over.", metavar="FILE")],
    run: RunFolder,
    as_json: Json = False,
) -> None:
    """Check that the log of RUN committed to the value that was handed over, and print the value.

    RUN needs no private values. That its log is genuine is for `audit verify` to say. Exits 0 if
    the entry committed to this value, 1 if not, 2 if the command was wrong.

    Example: institutional audit check-disclosure disclosed.json runs/private
    """
    import json

    from institutional.errors import InstitutionalError
    from institutional.ledger.errors import LedgerError
    from institutional.ledger.files import read_small
    from institutional.ledger.manifest import FILE_NAME, read_manifest
    from institutional.ledger.private.commitment import MAX_ITEM_BYTES, parse_item
    from institutional.ledger.private.openings import check_item
    from institutional.ledger.private.redaction import committed_entry

    _, manifest = read_manifest(run / FILE_NAME)
    try:
        item = parse_item(read_small(disclosure, limit=MAX_ITEM_BYTES))
        entry = committed_entry(run, manifest, item.seq)
    except OSError as error:
        raise InstitutionalError(f"cannot be read: {error}") from error
    try:
        check_item(item, entry)
    except LedgerError as error:
        if as_json:
            print_json({"holds": False, "reason": str(error)})
        else:
            print(f"does not hold: {error}")
        raise typer.Exit(1) from None
    if as_json:
        shown = {"seq": item.seq, "path": item.path, "value": item.value}
        print_json({"holds": True, **shown})
        return
    print(f"entry {item.seq} ({entry.kind}) committed to this at {item.path!a}:")
    print(json.dumps(item.value, indent=2))
