"""`institutional audit revoke`: say that a run's signing key was stolen."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.files import write_text
from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(revoke)


def revoke(
    key: Annotated[str, typer.Argument(help="The stolen key, as NAME+KEYID+BASE64.")],
    *,
    trusted_size: Annotated[
        int, typer.Option(min=0, help="How many entries were signed before the theft.")
    ],
    reason: Annotated[str, typer.Option(help="Why: it is signed and stays readable.")],
    out: Annotated[Path, typer.Option(help="Where to write the signed statement.")],
    as_json: Json = False,
) -> None:
    """Sign that a run's KEY signed nothing that counts after so many entries.

    Needs the operator's key. Publish the statement where auditors find your public key; they give
    it to `audit verify --revoked`. Entries that an outsider saw in time stay valid.

    Example: institutional audit revoke
    run/7+828c9a2c+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs
    --trusted-size 40 --reason "a laptop was stolen" --out revoked.dsse.json
    """
    from institutional.ledger import keys
    from institutional.ledger.note import parse_vkey
    from institutional.ledger.revocation import Revocation
    from institutional.ledger.revocation import revoke as signed

    revocation = Revocation(parse_vkey(key), trusted_size, reason)
    write_text(out, signed(revocation, keys.load(keys.home())).decode())
    if as_json:
        print_json({"key": key, "trusted_size": trusted_size, "reason": reason, "file": str(out)})
    else:
        print(f"revoked after {trusted_size} entries: {key}\n  signed in {out}")
