"""`institutional audit`: check a run offline, with a key from elsewhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from institutional.cli import audit_prove, audit_publish
from institutional.cli.output import Json, print_json

app = typer.Typer(
    help="Check a run offline. Exit codes: 0 verified, 1 invalid, 2 cannot decide, "
    "3 sound but unanchored, 4 incomplete, 5 diverged, 6 replay mismatch.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
RunFolder = Annotated[Path, typer.Argument(help="The folder of one run.")]
Key = Annotated[
    Path | None, typer.Option(help="The operator's or the run's public key, from elsewhere.")
]
Policy = Annotated[Path | None, typer.Option(help="A C2SP tlog-policy file instead of a key.")]
Head = Annotated[Path | None, typer.Option(help="A signed head of this log that you remember.")]


@app.command()
def verify(
    run: RunFolder, key: Key = None, policy: Policy = None, head: Head = None, as_json: Json = False
) -> None:
    """Check that nobody rewrote the log of RUN and that nothing is missing at its end.

    Without a remembered head an older state of the log cannot be told from its end: exit 3.

    Example: institutional audit verify runs/example/institutional-divider_forgiving-0000
    --key runs/keys/example.pub
    """
    verdict = _verdict(run, key, policy, head)
    if as_json:
        print_json(verdict.as_json())
    else:
        print(verdict)
    raise typer.Exit(int(verdict.exit_code))


@app.command()
def replay(
    run: RunFolder, key: Key = None, policy: Policy = None, head: Head = None, as_json: Json = False
) -> None:
    """Derive every decision of RUN again from its record and graph; name the first difference.

    The log is verified first. Exits 0 if every decision follows, 6 if one does not.

    Example: institutional audit replay runs/example/institutional-divider_forgiving-0000
    --key runs/keys/example.pub
    """
    from institutional.ledger.log import read_entries
    from institutional.replay import replay as derive_again

    verdict = _verdict(run, key, policy, head)
    if int(verdict.exit_code) not in (0, 3, 4):
        print(verdict)
        raise typer.Exit(int(verdict.exit_code))
    graph = run / "graph.yaml"
    found = derive_again(
        read_entries(run / "ledger"), graph.read_bytes() if graph.is_file() else None
    )
    if as_json:
        difference = found.difference
        print_json(
            {
                "replay": found.word,
                "rounds": found.rounds,
                "decisions": found.decisions,
                "difference": None if difference is None else vars(difference),
                "audit": verdict.as_json(),
            }
        )
    else:
        print(f"{found.word}: {found.rounds} rounds, {found.decisions} decisions derived again")
        if found.difference is not None:
            print(found.difference)
    raise typer.Exit(6 if found.word == "mismatch" else 0)


@app.command()
def show(
    run: RunFolder,
    seq: Annotated[int | None, typer.Option(min=0, help="Only this entry.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind.")] = None,
    as_json: Json = False,
) -> None:
    """Show the entries of a log: who was found at fault, what was decided, what was refused.

    Example: institutional audit show runs/example/institutional-divider_forgiving-0000
    --kind ruling
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.log import read_entries

    entries = [
        entry
        for entry in read_entries(run / "ledger")
        if seq in (None, entry.seq) and kind in (None, entry.kind)
    ]
    if not entries:
        raise InstitutionalError(f"{run}: no such entry in this log")
    if as_json or seq is not None:
        found = [
            {"seq": e.seq, "kind": e.kind, "offset": e.offset, "body": e.body} for e in entries
        ]
        print_json(found[0] if seq is not None else found)
        return
    for entry in entries:
        print(f"{entry.seq:>5}  {entry.kind:<6}  {_line(entry.kind, entry.body)}")


def _line(kind: str, body: dict[str, Any]) -> str:
    if kind == "round":
        record = body["record"]
        return f"round {body['round']}: " + ", ".join(f"{k} {v}" for k, v in record.items())
    if kind == "ruling":
        said = [f"{m['agent']} {m['edge']}" + _fine(m) for m in body["moves"]]
        said += [f"{r['agent']} {r['edge']} refused ({r['reason']})" for r in body["refused"]]
        standings = "/".join(standing["state"] for standing in body["standings"])
        return f"round {body['round']}: {standings}" + "".join(f"; {s}" for s in said)
    return ", ".join(f"{k} {v}" for k, v in body.items() if k in ("status", "counts", "manifest"))


def _fine(move: dict[str, Any]) -> str:
    return f" (fine {move['fine']:.2f})" if "fine" in move else ""


def _verdict(run: Path, key: Path | None, policy: Path | None, head: Path | None) -> Any:
    from institutional.errors import InstitutionalError
    from institutional.ledger.audit import audit

    if (key is None) == (policy is None):
        raise InstitutionalError(
            "give --key or --policy: what a log says of its own key proves nothing\n"
            "  the operator publishes it; on the operator's machine it is operator.pub"
        )
    given = key or policy
    assert given is not None  # noqa: S101 - one of the two was just found
    for path in (given, head):
        if path is not None and path.resolve().is_relative_to(run.resolve()):
            raise InstitutionalError(
                f"{path}: lies inside the run that it is to vouch for\n"
                "  take it from where the operator published it, or where you kept it"
            )
    remembered = None if head is None else _text(head)
    return audit(run, _text(given), head=remembered, key_source=str(given))


def _text(path: Path) -> str:
    from institutional.errors import InstitutionalError

    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InstitutionalError(f"{path}: cannot be read ({error})") from error


for module in (audit_publish, audit_prove):
    module.register(app)
