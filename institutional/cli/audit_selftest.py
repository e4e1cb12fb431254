"""`institutional audit selftest`: what would be noticed if somebody attacked this run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from institutional.cli.files import read_text
from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.ledger.note import SigningKey


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(selftest)


def selftest(
    run: Annotated[Path, typer.Argument(help="The folder of a run; a copy is attacked.")],
    key: Annotated[Path, typer.Option(help="The operator's public key.")],
    spread: Annotated[
        int, typer.Option(min=1, max=100_000, help="Variants of each attack, evenly over the run.")
    ] = 12,
    as_json: Json = False,
) -> None:
    """Attack a copy of RUN in every known way and print what an audit says of it.

    Each attack is audited twice: with the key alone, and with the head that is published now as a
    kept one. Where the first is not enough, the table names what is needed from outside. On the
    operator's machine the attack that takes the run's own key is tried, too. Exits 0 if everything
    tried is caught once a head is kept, 1 if not.

    Example: institutional audit selftest runs/example/institutional-divider_forgiving-0000
    --key runs/keys/example.pub --spread 2
    """
    import tempfile

    from institutional.selftest.selftest import selftest as attacked

    with tempfile.TemporaryDirectory() as scratch:
        rows = attacked(
            run, read_text(key), scratch=Path(scratch), spread=spread, key=_own_key(run, key)
        )
    if as_json:
        print_json([row._asdict() | {"caught": row.caught} for row in rows])
    else:
        shown = [
            (
                row.attack,
                "not tried" if not row.tried else f"{row.alone} of {row.tried}",
                "" if not row.tried else f"{row.anchored} of {row.tried}",
                ", ".join(row.words),
                row.needs or "nothing",
            )
            for row in rows
        ]
        header = ("the attacker", "caught alone", "with a head", "said alone", "needs from outside")
        print_table(f"Attacks on a copy of {run}", header, shown)
        for row in rows:
            print(f"{row.attack:<15} {row.says}; seen by {', '.join(row.checks[:4]) or 'nobody'}")
    if not all(row.caught for row in rows):
        raise typer.Exit(1)


def _own_key(run: Path, key: Path) -> "SigningKey | None":
    """The run's first key, where the operator whose public key this is works on this machine."""
    from institutional.ledger import keys
    from institutional.ledger.manifest import FILE_NAME, read_manifest

    if not (keys.home() / "operator.key").exists():
        return None
    operator = keys.load(keys.home())
    if operator.verify_key.vkey != read_text(key).strip():
        return None
    declared = read_manifest(run / FILE_NAME)[1]
    derived = keys.run_key(operator, declared.origin)
    return derived if derived.verify_key == declared.key else None
