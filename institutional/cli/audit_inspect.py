"""`institutional audit inspect`: check a published log, from its folder and a key alone."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.files import read_text
from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(inspect)


def inspect(
    folder: Annotated[Path, typer.Argument(help="A published log, such as a copy of a web site.")],
    key: Annotated[Path, typer.Option(help="The operator's public key, or a policy.")],
    as_json: Json = False,
) -> None:
    """Re-derive every tile and the root of a published log, and check every signature and entry.

    What `audit publish` wrote can be checked by verifiers that others wrote, too. Exits 3 if it is
    sound: a folder alone cannot show that it is the newest; otherwise as `audit verify` does.

    Example: institutional audit inspect runs/published --key runs/keys/example.pub
    """
    from institutional.ledger.auditing.verdict import Word, gravest
    from institutional.ledger.publication.fsck import fsck
    from institutional.ledger.trust import parse_trust

    found = fsck(folder, parse_trust(read_text(key)).keys)
    word = gravest([finding.word for finding in found.findings] or [Word.UNANCHORED])
    if as_json:
        print_json(
            {
                "verdict": str(word),
                "exit_code": int(word),
                "size": found.size,
                "root": found.root,
                "files": found.files,
                "epochs": len(found.keys),
                "findings": [f._asdict() | {"word": str(f.word)} for f in found.findings],
                "more": found.more,
            }
        )
    else:
        named = found.manifest
        print(f"run       {named.run if named else 'unknown'}")
        print(f"origin    {named.origin if named else 'unknown'}")
        print(f"log       {found.size} entries, root {found.root or 'none'}")
        print(
            f"read      {found.entries} entries and {found.files} tiles, {len(found.keys)} epochs"
        )
        print(f"verdict   {word}")
        for finding in found.findings:
            print(f"- {finding.word}: {finding.path}: {finding.reason}")
        if found.more:
            print(f"- and {found.more} more")
    raise typer.Exit(int(word))
