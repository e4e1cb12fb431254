"""`institutional audit prove` and `check-proof`: one decision, shown to a stranger."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from institutional.cli.files import read_bytes, read_text
from institutional.cli.output import Json, print_json

BODY_SHOWN = 1000


def register(app: typer.Typer) -> None:
    """Add the two commands to `app`."""
    app.command()(prove)
    app.command()(check_proof)


def prove(
    run: Annotated[Path, typer.Argument(help="The folder of one run, or a published log.")],
    seq: Annotated[int, typer.Argument(min=0, help="The entry's number: see `audit show`.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The file to write, by default RUN-SEQ.tlog-proof here.")
    ] = None,
    entry: Annotated[
        Path | None, typer.Option(help="Write the entry's exact bytes to this file as well.")
    ] = None,
    bare: Annotated[
        bool, typer.Option("--bare", help="Enclose neither the entry nor the run's manifest.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the proof that entry SEQ stands in the signed log of RUN: one file for a stranger.

    C2SP tlog-proof. Its extra line carries the entry and the manifest, so that whoever has the
    operator's public key needs nothing else: see `audit check-proof`.

    Example: institutional audit prove runs/example/institutional-divider_forgiving-0000 8
    """
    from institutional.ledger.publication.proof import MAX_PORTABLE_LINE, SUFFIX
    from institutional.ledger.publication.prove import prove as make

    proven = make(run, seq, bare=bare)
    path = out or Path(f"{run.resolve().name}-{seq}{SUFFIX}")
    _write(path, proven.data)
    if entry is not None:
        _write(entry, proven.entry)
    verdict, parts = proven.checked.verdict, proven.checked.entry
    assert parts is not None  # noqa: S101 - an entry that was proven was parsed
    longest = max(map(len, proven.data.split(b"\n")))
    if as_json:
        print_json(
            {
                "proof": str(path),
                "bytes": len(proven.data),
                "entry_file": None if entry is None else str(entry),
                "bare": bare,
                "longest_line": longest,
                "run": verdict.run,
                "origin": verdict.origin,
                "size": verdict.size,
                "root": verdict.root,
                "seq": seq,
                "kind": parts.kind,
            }
        )
        return
    print(f"proof     {path}, {len(proven.data)} bytes")
    print(f"entry     {seq} of 0 to {verdict.size - 1}, {parts.kind}")
    print(f"origin    {verdict.origin}")
    print(f"head      {verdict.size} entries, root {verdict.root}")
    if entry is not None:
        print(f"bytes     {entry}, {len(proven.entry)} bytes, as they were hashed")
    if longest > MAX_PORTABLE_LINE:
        print(f"note      a line of {longest} bytes: some verifiers read 65535; see --bare")
    needs = f"{entry or 'ENTRY'} --key RUN.pub" if bare else "OPERATOR.pub"
    print(
        f"check     institutional audit check-proof {path} {'--entry' if bare else '--key'} {needs}"
    )


def check_proof(
    proof: Annotated[Path, typer.Argument(help="A .tlog-proof file.")],
    *,
    key: Annotated[
        Path | None, typer.Option(help="The operator's or the run's public key, from elsewhere.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="A C2SP tlog-policy file instead of a key.")
    ] = None,
    entry: Annotated[
        Path | None, typer.Option(help="The entry's exact bytes, if PROOF does not carry them.")
    ] = None,
    head: Annotated[
        Path | None, typer.Option(help="A signed head of the log that you remember.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check offline that an entry stands in a signed log, and show the entry.

    Exits like `audit verify`: 0 only under a head that others vouch for, too; 3 if only the
    operator does; 1 if PROOF does not hold.

    Example: institutional audit check-proof runs/keys/example.tlog-proof
    --key runs/keys/example.pub
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.publication.check import check_proof as check
    from institutional.ledger.publication.proof import MAX_PROOF_BYTES

    given = key or policy
    if given is None or (key is not None and policy is not None):
        raise InstitutionalError(
            "give --key or --policy: what a proof says of its own key proves nothing\n"
            "  the operator publishes it; on the operator's machine it is operator.pub"
        )
    found = check(
        read_bytes(proof, limit=MAX_PROOF_BYTES),
        read_text(given),
        entry=None if entry is None else read_bytes(entry, limit=MAX_PROOF_BYTES),
        head=None if head is None else read_text(head),
        key_source=str(given),
    )
    if as_json:
        print_json(found.verdict.as_json() | {"entry": _as_json(found.entry)})
    else:
        print(found.verdict)
        if found.entry is not None:
            print(
                f"entry         {found.entry.seq}, {found.entry.kind}: {_shown(found.entry.body)}"
            )
    raise typer.Exit(found.verdict.exit_code)


def _as_json(entry: Any) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"seq": entry.seq, "kind": entry.kind, "run": entry.run, "body": entry.body}


def _shown(body: dict[str, Any]) -> str:
    text = json.dumps(body)
    if len(text) <= BODY_SHOWN:
        return text
    return f"{text[:BODY_SHOWN]}... ({len(text)} characters; --json shows all)"


def _write(path: Path, data: bytes) -> None:
    from institutional.errors import InstitutionalError
    from institutional.ledger.files import replace

    try:
        replace(path, data)
    except OSError as error:
        raise InstitutionalError(f"{path}: cannot be written ({error})") from error
