"""`institutional audit timestamp`: an outside authority's word on when a head existed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from institutional.cli.output import Json, print_json

if TYPE_CHECKING:
    from institutional.ledger.note import Checkpoint

RunFolder = Annotated[Path, typer.Argument(help="The folder of one run.")]
timestamp = typer.Typer(
    help="Show that a signed head existed before some moment, by an outside authority (RFC 3161).",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(timestamp, name="timestamp")


@timestamp.command()
def request(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Where to write the request.")],
    as_json: Json = False,
) -> None:
    """Write the request for a time stamp on the newest signed head of RUN.

    Nothing is sent: the command to do that with is printed.

    Example: institutional audit timestamp request
    runs/example/institutional-divider_forgiving-0000 --out head.tsq
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger import wal
    from institutional.ledger.files import open_regular, replace
    from institutional.ledger.log import LOG
    from institutional.ledger.manifest import FILE_NAME, read_manifest
    from institutional.ledger.timestamp import request as request_for

    _, manifest = read_manifest(run / FILE_NAME)
    try:
        with open_regular(run / "ledger" / LOG) as log:
            head = wal.committed(log, manifest.key).head
        if not head:
            raise InstitutionalError(f"{run}: the log has no signed head yet")
        replace(out, request_for(head))
    except OSError as error:
        raise InstitutionalError(f"{run}: no request was written: {error}") from error
    checkpoint = _said(head)
    if as_json:
        print_json({"size": checkpoint.size, "root": checkpoint.root.hex(), "request": str(out)})
        return
    print(f"{out}: asks for a time stamp on the head of {checkpoint.size} entries")
    print(f"  root {checkpoint.root.hex()}")
    print("send it to an authority that your auditors trust:")
    print("  curl -H 'Content-Type: application/timestamp-query' \\")
    print(f"    --data-binary @{out} AUTHORITY_URL -o {out.with_suffix('.tsr')}")


@timestamp.command()
def verify(
    run: RunFolder,
    answer: Annotated[Path, typer.Argument(help="The authority's answer (.tsr).")],
    authority: Annotated[
        Path, typer.Option(help="Its root certificate and others (PEM), from elsewhere than RUN.")
    ],
    keep: Annotated[bool, typer.Option(help="Store a genuine answer in RUN/timestamps.")] = False,
    as_json: Json = False,
) -> None:
    """Check offline that a head of RUN existed before some moment.

    That the head itself is genuine is for `audit verify` to say. Exits 0 if the stamp holds and is
    on a head of this log, 1 if not, 2 if the command was wrong.

    Example: institutional audit timestamp verify
    runs/example/institutional-divider_forgiving-0000 head.tsr --authority authority.pem
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.errors import SignatureError
    from institutional.ledger.files import open_regular, read_small, replace
    from institutional.ledger.log import LOG
    from institutional.ledger.timestamp import (
        FOLDER,
        MAX_AUTHORITIES_BYTES,
        MAX_TOKEN_BYTES,
        check_timestamp,
        stamped_head,
    )

    if authority.resolve().is_relative_to(run.resolve()):
        raise InstitutionalError(
            f"{authority}: lies inside the run that it is to vouch for\n"
            "  take it from where the authority publishes it"
        )
    try:
        token = read_small(answer, limit=MAX_TOKEN_BYTES)
        certificates = read_small(authority, limit=MAX_AUTHORITIES_BYTES)
        with open_regular(run / "ledger" / LOG) as log:
            head = stamped_head(log, token)
    except OSError as error:
        raise InstitutionalError(f"cannot be read: {error}") from error
    if head is None:
        reason = "it stamps no head of this log: it is another log's, or this one was rolled back"
        _fail(reason, as_json=as_json)
    try:
        stamp = check_timestamp(head, token, certificates)
    except SignatureError as error:
        _fail(str(error), as_json=as_json)
    checkpoint = _said(head)
    if keep:
        folder = run / FOLDER
        try:
            folder.mkdir(exist_ok=True)
            replace(folder / f"{checkpoint.size}.tsr", token)
        except OSError as error:
            raise InstitutionalError(f"{folder}: cannot be kept: {error}") from error
    if as_json:
        print_json(
            {
                "holds": True,
                "size": checkpoint.size,
                "root": checkpoint.root.hex(),
                "before": stamp.before.isoformat(),
                "stamped": stamp.time.isoformat(),
                "authority": stamp.authority,
            }
        )
        return
    print(f"the head of {checkpoint.size} entries existed before {stamp.before.isoformat()}")
    print(f"  root    {checkpoint.root.hex()}")
    print(f"  stamped {stamp.time.isoformat()} by {stamp.authority!a}")


def _said(head: bytes) -> "Checkpoint":
    from institutional.ledger.note import parse_checkpoint, parse_note

    return parse_checkpoint(parse_note(head).text)


def _fail(reason: str, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"holds": False, "reason": reason})
    else:
        print(f"the time stamp proves nothing here: {reason}")
    raise typer.Exit(1)
