"""`institutional audit redact`: erase a private value; the log keeps its proofs."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(redact)


def redact(
    run: Annotated[Path, typer.Argument(help="The folder of one run.")],
    seq: Annotated[int, typer.Argument(min=0, help="The entry that commits to the value.")],
    *,
    reason: Annotated[str, typer.Option(help="Why: it is signed and stays readable.")],
    path: Annotated[
        str | None, typer.Option(help="Only the value at this place, such as /said/firm.1")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase: it cannot be undone.")] = False,
    as_json: Json = False,
) -> None:
    """Erase private values of an entry of RUN, and sign that and why it was done.

    The log does not change, and all its proofs stay valid. Needs the operator's key. Copies that
    were handed out, backups and snapshots are out of reach.

    Example: institutional audit redact runs/private 1 --path /said/firm.1
    --reason "the speaker asked for it" --yes
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger import keys
    from institutional.ledger.private.redaction import redact as erase
    from institutional.ledger.private.redaction import redaction_path

    if not yes:
        raise InstitutionalError(
            f"nothing was erased: what entry {seq} of {run} keeps would be gone for good\n"
            "  give --yes to do so"
        )
    done = erase(run, seq=seq, path=path, reason=reason, operator=keys.load(keys.home()))
    if as_json:
        print_json([redaction._asdict() for redaction in done])
        return
    for redaction in done:
        print(f"redacted  entry {redaction.seq} at {redaction.path!a}: {redaction.reason!a}")
        print(f"  signed in {redaction_path(run, redaction.commitment)}")
