"""`institutional audit witness`: cosign others' logs, have one's own cosigned, find a fork."""

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.ledger.cosignature import WitnessKey

app = typer.Typer(
    help="Keep a witness, or show a run to one: who saw which head of a log, and when.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a witness.")]
PublicKey = Annotated[Path, typer.Argument(help="The public key of an operator, or of one run.")]


def register(audit: typer.Typer) -> None:
    """Add the group of commands to `audit`."""
    audit.add_typer(app, name="witness")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is not there yet.")],
    name: Annotated[str, typer.Option(help="The witness's name, such as witness.example/w1.")],
    log: Annotated[
        list[Path], typer.Option(help="The public key of an operator or a run to cosign for.")
    ],
    as_json: Json = False,
) -> None:
    """Make a witness with a key of its own, and print the key that auditors put into a policy.

    Example: institutional audit witness init my-witness --name witness.example/w1
    --log runs/keys/example.pub
    """
    from institutional.ledger.keys import load_public
    from institutional.ledger.witness import memory

    key = memory.create(folder, name=name, listed=[load_public(path) for path in log])
    if as_json:
        print_json({"witness": str(folder), "key": key.vkey})
    else:
        print(key.vkey)
        print(f"next: institutional audit witness serve {folder}")


@app.command()
def add(folder: Folder, key: PublicKey, as_json: Json = False) -> None:
    """Let a witness cosign one more log, or the runs of one more operator.

    Example: institutional audit witness add witness runs/keys/example.pub
    """
    from institutional.ledger.keys import load_public
    from institutional.ledger.witness import memory

    added = load_public(key)
    memory.add_listed(folder, added)
    if as_json:
        print_json({"witness": str(folder), "added": added.vkey})
    else:
        print(f"{added.name} is listed")


@app.command()
def show(folder: Folder, as_json: Json = False) -> None:
    """Show which head of each log a witness remembers, and the conflicts it has kept.

    Exits 1 if it has kept proof of a fork.

    Example: institutional audit witness show witness
    """
    from institutional.ledger.cosignature import cosigned_at, time_text
    from institutional.ledger.note import parse_checkpoint, parse_note
    from institutional.ledger.witness import memory
    from institutional.ledger.witness.service import Witness

    key = Witness(folder).key
    heads = []
    for where in memory.places(folder):
        record = memory.load(where)
        if record is not None and record.head is not None:
            note = parse_note(record.head)
            origin, size, root = parse_checkpoint(note.text)
            heads.append((origin, size, root.hex(), cosigned_at(note, key)))
    conflicts = memory.conflicts(folder)
    if as_json:
        fields = ("origin", "size", "root", "time_s")
        print_json(
            {
                "key": key.vkey,
                "heads": [dict(zip(fields, head, strict=True)) for head in heads],
                "conflicts": [str(path) for path in conflicts],
            }
        )
    else:
        rows = [(origin, str(size), root[:16], time_text(t)) for origin, size, root, t in heads]
        print_table(key.vkey, ("log", "entries", "root", "cosigned"), rows)
        for path in conflicts:
            print(f"conflict: {path}")
    raise typer.Exit(1 if any(path.name.startswith("fork-") for path in conflicts) else 0)


@app.command()
def serve(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 0,
    as_json: Json = False,
) -> None:
    """Answer over HTTP on this machine, as c2sp.org/tlog-witness says, until interrupted.

    Example: institutional audit witness serve witness --port 0
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.witness.server import serving
    from institutional.ledger.witness.service import Witness

    witness = Witness(folder)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with serving(witness, port=port) as url:
            if as_json:
                print_json({"url": url, "key": witness.key.vkey})
            else:
                print(f"{witness.key.vkey}\nanswering at {url} until interrupted")
            sys.stdout.flush()  # a pipe holds back what its reader waits for
            ended.wait()
    except OSError as error:
        raise InstitutionalError(f"port {port} cannot be used: {error}") from error


@app.command()
def answer(
    folder: Folder,
    requests: Annotated[
        Path, typer.Argument(help="A request file, or a folder with some, from `submit --to`.")
    ],
    as_json: Json = False,
) -> None:
    """Answer requests that came as files; each answer is written beside its request.

    Exits 1 if a request contradicts what this witness has seen; both heads are kept.

    Example: institutional audit witness answer witness requests
    """
    from institutional.ledger.witness import memory
    from institutional.ledger.witness.exchange import answer_files
    from institutional.ledger.witness.service import Witness

    witness = Witness(folder)
    before = set(memory.conflicts(folder))
    answered = answer_files(witness, requests)
    conflicts = [path for path in memory.conflicts(folder) if path not in before]
    if as_json:
        print_json(
            {
                "answered": {str(path): status for path, status in answered},
                "conflicts": [str(path) for path in conflicts],
            }
        )
    else:
        for path, status in answered:
            print(f"{status}  {path.name}")
        for path in conflicts:
            print(f"conflict: {path}")
        print(f"{len(answered)} answered")
    contradicted = conflicts or any(status == 422 for _, status in answered)
    raise typer.Exit(1 if contradicted else 0)


@app.command()
def submit(
    run: Annotated[Path, typer.Argument(help="The folder of one run.")],
    to: Annotated[str, typer.Option(help="The witness's address, or a folder to exchange files.")],
    witness_key: Annotated[Path, typer.Option(help="The witness's public key, from its keeper.")],
    as_json: Json = False,
) -> None:
    """Have the newest head of RUN cosigned, and keep the cosigned head in RUN/ledger/cosigned.

    Exits 0 once it is cosigned, 1 if the witness has seen another history of this log, 3 if its
    answer is yet to come: by files it takes a second call, when the answers are there.

    Example: institutional audit witness submit runs/example/institutional-divider_forgiving-0000
    --to requests --witness-key witness/witness.pub
    """
    from institutional.ledger.cosignature import time_text
    from institutional.ledger.errors import DivergedError
    from institutional.ledger.witness import client
    from institutional.ledger.witness.cosigned import COSIGNED
    from institutional.ledger.witness.exchange import Exchange

    key = _witness_key(witness_key)
    exchange = None if "://" in to else Exchange(Path(to))
    try:
        receipt = client.submit(run, key, exchange or client.over_http(to))
    except DivergedError as error:
        if as_json:
            print_json({"state": "diverged", "reason": str(error)})
        else:
            print(f"diverged: {error}")
        raise typer.Exit(1) from None
    if receipt is None:
        if as_json:
            print_json({"state": "waiting", "requests": to})
        else:
            print(f"not cosigned yet: the requests are in {to}")
            print(f"  there: institutional audit witness answer DIR {to}, then this again")
        raise typer.Exit(3)
    if exchange is not None:
        exchange.clear()
    if as_json:
        print_json({"state": "cosigned", **receipt._asdict()})
    else:
        when = time_text(receipt.time_s)
        print(f"{receipt.size} entries cosigned by {receipt.witness} at {when}")
        print(f"root {receipt.root}\nkept in {run / 'ledger' / COSIGNED}")


@app.command()
def compare(
    one: Annotated[Path, typer.Argument(help="The folder of a witness, or a signed head.")],
    other: Annotated[Path, typer.Argument(help="Another witness's folder, or a head from there.")],
    key: Annotated[
        list[Path] | None, typer.Option(help="The log's public key: a head in a file needs it.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="The log itself, to judge heads of different sizes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare what two witnesses saw of the same logs, and name each log that has forked.

    Exits 0 if they agree on every log that both know, 1 if a log has forked, 2 if that cannot be
    decided.

    Example: institutional audit witness compare witness other-witness
    """
    from institutional.errors import InstitutionalError
    from institutional.ledger.keys import load_public
    from institutional.ledger.witness import compare as comparing
    from institutional.ledger.witness.heads import read_run

    keys = tuple(load_public(path) for path in key or [])
    logs = [] if run is None else [read_run(run)]
    found = comparing.compare(
        comparing.heads_in(one, keys),
        comparing.heads_in(other, keys),
        {log.checkpoint.origin: log for log in logs},
    )
    if not found:
        raise InstitutionalError(f"{one} and {other} know no log in common: nothing was compared")
    if as_json:
        print_json([{"log": c.origin, "verdict": c.word, "reason": c.reason} for c in found])
    else:
        for each in found:
            print(f"{each.word:<9}  {each.origin}: {each.reason}")
    words = {each.word for each in found}
    forked, undecided = comparing.Word.FORK in words, comparing.Word.UNDECIDED in words
    raise typer.Exit(1 if forked else 2 if undecided else 0)


def _witness_key(path: Path) -> "WitnessKey":
    from institutional.errors import InstitutionalError
    from institutional.ledger.cosignature import parse_witness_vkey
    from institutional.ledger.files import read_small

    try:
        return parse_witness_vkey(read_small(path, limit=8192).decode().removesuffix("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise InstitutionalError(f"{path}: not a public key that can be read: {error}") from error
