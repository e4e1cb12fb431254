"""`institutional audit`: check a run offline, with a key from elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli import (
    audit_diff,
    audit_disclose,
    audit_explain,
    audit_index,
    audit_inspect,
    audit_prove,
    audit_publish,
    audit_redact,
    audit_revoke,
    audit_selftest,
    audit_timestamp,
    audit_witness,
)
from institutional.cli.files import read_bytes, read_text, write_text
from institutional.cli.output import Json, print_json

if TYPE_CHECKING:
    from institutional.ledger.auditing.verdict import Verdict, Word

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
Head = Annotated[Path | None, typer.Option(help="A signed head of this log that you kept.")]
IndexFolder = Annotated[
    Path | None, typer.Option("--index", help="A copy of the operator's index, from elsewhere.")
]
IndexHead = Annotated[Path | None, typer.Option(help="A signed head of the index that you kept.")]


@app.command()
def verify(
    run: RunFolder,
    *,
    key: Key = None,
    policy: Policy = None,
    head: Head = None,
    index: IndexFolder = None,
    index_head: IndexHead = None,
    token: Annotated[
        Path | None, typer.Option(help="A time stamp (RFC 3161) over a head, that you kept.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option(help="The time-stamp authority's certificates (PEM).")
    ] = None,
    revoked: Annotated[
        list[Path] | None, typer.Option(help="The operator's statement on a stolen key.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here too.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF here too.")] = None,
    attest: Annotated[
        Path | None, typer.Option(help="Write a summary signed with your own key here.")
    ] = None,
    accept: Annotated[
        list[str] | None, typer.Option(help="Exit 0 also for this word: unanchored, incomplete.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer three questions about RUN: integrity, completeness, conformance.

    Was it signed as it is? Is it all, and the only history? Does what was decided follow from the
    record? Exits 0 only if all of it was checked and holds, and something from outside (a head
    that you kept, witnesses, an anchored index) vouches that nothing was rolled back.

    Example: institutional audit verify runs/example/institutional-divider_forgiving-0000
    --key runs/keys/example.pub --head runs/keys/example.head
    """
    from institutional.ledger.auditing import reports
    from institutional.replay.third_answer import RULES, answered

    accepted = _accepted(accept or [])
    verdict = _verdict(
        run,
        key=key,
        policy=policy,
        head=head,
        index=index,
        index_head=index_head,
        token=token,
        authority=authority,
        revoked=tuple(revoked or ()),
    )
    verdict = answered(verdict, run)
    if as_json:
        print_json(verdict.as_json())
    else:
        print(verdict)
    if junit is not None:
        write_text(junit, reports.as_junit(verdict))
    if sarif is not None:
        write_text(sarif, json.dumps(reports.as_sarif(verdict, RULES), indent=2) + "\n")
    if attest is not None:
        _attest(attest, verdict, read_text(_given(key, policy)))
    raise typer.Exit(0 if verdict.word in accepted else verdict.exit_code)


@app.command()
def replay(
    run: RunFolder,
    key: Key = None,
    policy: Policy = None,
    head: Head = None,
    *,
    sufficiency: Annotated[
        bool,
        typer.Option("--sufficiency", help="Alter every logged field and see that it is noticed."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Derive every decision of RUN again from its record and graph; name the first difference.

    The log is verified first. Then what entry 0 promises, every action that was allowed, every
    ruling, the market's answers and the published numbers are derived again. Exits 0 if all of it
    follows, 6 if something does not, 2 if it cannot be decided.

    With --sufficiency each field of the log is altered and removed in a copy: exits 1 if there is
    one that nobody would have noticed.

    Example: institutional audit replay runs/example/institutional-divider_forgiving-0000
    --key runs/keys/example.pub
    """
    from institutional.cli.audit_replay import (
        show_conformance,
        show_sufficiency,
        sufficiency_json,
    )
    from institutional.replay.conformance import conform, exhibits

    verdict = _verdict(run, key=key, policy=policy, head=head)
    if int(verdict.exit_code) not in (0, 3, 4):
        print_json(verdict.as_json()) if as_json else print(verdict)
        raise typer.Exit(int(verdict.exit_code))
    given = exhibits(run)
    if sufficiency:
        from institutional.replay.sufficiency import sufficiency as each_field

        fields = each_field(given)
        told = sufficiency_json(fields)
        print_json(told) if as_json else show_sufficiency(fields)
        raise typer.Exit(0 if told["sufficient"] else 1)
    found = conform(given)
    if as_json:
        print_json(found.as_json() | {"audit": verdict.as_json()})
    else:
        show_conformance(found, given)
    # A log in which nothing could be asked is no success.
    raise typer.Exit(2 if found.word is None else int(found.word))


@app.command()
def show(
    run: RunFolder,
    *,
    seq: Annotated[int | None, typer.Option(min=0, help="Only this entry.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only entries of this kind.")] = None,
    as_json: Json = False,
) -> None:
    """Show the entries of a log: who was found at fault, what was decided, what was refused.

    Example: institutional audit show runs/example/institutional-divider_forgiving-0000
    --kind ruling
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.reading import read_entries

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
        print(f"{entry.seq:>5}  {entry.kind:<7}  {_line(entry.kind, entry.body)}")


def _line(kind: str, body: dict[str, Any]) -> str:
    if kind == "round":
        record = body["record"]
        return f"round {body['round']}: " + ", ".join(f"{k} {v}" for k, v in record.items())
    if kind == "ruling":
        said = [f"{m['agent']} {m['edge']}" + _fine(m) for m in body["moves"]]
        said += [f"{r['agent']} {r['edge']} refused ({r['reason']})" for r in body["refused"]]
        standings = "/".join(standing["state"] for standing in body["standings"])
        return f"round {body['round']}: {standings}" + "".join(f"; {s}" for s in said)
    if kind == "answers":
        told = (_answered(agent, answer) for agent, answer in body["answers"].items())
        return f"round {body['round']}: " + "; ".join(told)
    return ", ".join(f"{k} {v}" for k, v in body.items() if k in ("status", "counts", "manifest"))


def _answered(agent: str, answer: dict[str, Any]) -> str:
    """What became of all that was asked for one move: `firm_1 malformed, played (931 tokens)`."""
    outcomes = ", ".join(exchange["outcome"] for exchange in answer["exchanges"])
    tokens = sum(sum(exchange["tokens"]) for exchange in answer["exchanges"])
    fallback = ", then the fallback" if answer["fallback"] else ""
    return f"{agent} {outcomes}{fallback} ({tokens:,} tokens)"


def _fine(move: dict[str, Any]) -> str:
    return f" (fine {move['fine']:.2f})" if "fine" in move else ""


def _accepted(words: list[str]) -> "set[Word]":
    from institutional.errors import InstitutionalError, suggestion
    from institutional.ledger.auditing.verdict import Word

    may = {"unanchored": Word.UNANCHORED, "incomplete": Word.INCOMPLETE}
    for word in words:
        if word.lower() not in may:
            raise InstitutionalError(
                f'"{word}" cannot be accepted: only {" and ".join(may)} can.{suggestion(word, may)}'
            )
    return {may[word.lower()] for word in words}


def _attest(path: Path, verdict: "Verdict", policy: str) -> None:
    """Sign the verdict as the auditor that uses this machine."""
    from institutional.ledger.auditing.reports import summary
    from institutional.ledger.keys import operator_key
    from institutional.ledger.manifest import sign_envelope

    auditor = operator_key()
    payload = summary(verdict, verifier=auditor.verify_key.vkey, policy=policy)
    write_text(path, sign_envelope(payload, auditor).decode())


def _given(key: Path | None, policy: Path | None) -> Path:
    from institutional.errors import InstitutionalError

    given = key or policy
    if given is None or (key and policy):
        raise InstitutionalError(
            "give --key or --policy: what a log says of its own key proves nothing\n"
            "  the operator publishes it; on the operator's machine it is operator.pub"
        )
    return given


def _verdict(
    run: Path,
    *,
    key: Path | None,
    policy: Path | None,
    head: Path | None,
    index: Path | None = None,
    index_head: Path | None = None,
    token: Path | None = None,
    authority: Path | None = None,
    revoked: tuple[Path, ...] = (),
) -> "Verdict":
    from institutional.errors import InstitutionalError
    from institutional.ledger.auditing.audit import audit
    from institutional.ledger.auditing.outside import Brought
    from institutional.ledger.auditing.revocation import MAX_STATEMENT_BYTES
    from institutional.ledger.timestamp import MAX_AUTHORITIES_BYTES, MAX_TOKEN_BYTES

    if (token is None) != (authority is None):
        raise InstitutionalError("a time stamp is checked with --token and --authority together")
    given = _given(key, policy)
    for path in (given, head, index, index_head, token, authority, *revoked):
        if path is not None and path.resolve().is_relative_to(run.resolve()):
            raise InstitutionalError(
                f"{path}: lies inside the run that it is to vouch for\n"
                "  take it from where the operator published it, or where you kept it"
            )
    brought = Brought(
        head=None if head is None else read_text(head),
        index=index,
        index_head=None if index_head is None else read_text(index_head),
        token=None if token is None else read_bytes(token, limit=MAX_TOKEN_BYTES),
        authorities=b""
        if authority is None
        else read_bytes(authority, limit=MAX_AUTHORITIES_BYTES),
        revoked=tuple(read_bytes(path, limit=MAX_STATEMENT_BYTES) for path in revoked),
    )
    return audit(run, read_text(given), brought=brought, key_source=str(given))


for command in (
    audit_index,
    audit_inspect,
    audit_diff,
    audit_explain,
    audit_publish,
    audit_prove,
    audit_disclose,
    audit_redact,
    audit_revoke,
    audit_selftest,
    audit_timestamp,
    audit_witness,
):
    command.register(app)
