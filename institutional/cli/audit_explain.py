"""`institutional audit explain`: what each check of an audit means, and what else follows."""

from typing import Annotated

import typer

from institutional.cli.output import Json, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(explain)


def explain(
    rule: Annotated[str | None, typer.Argument(help="One check, by its id.")] = None,
    as_json: Json = False,
) -> None:
    """List what an audit checks, or say what one RULE means and what to do when it fails.

    Example: institutional audit explain remembered-head
    """
    from institutional.errors import InstitutionalError, suggestion
    from institutional.ledger.publication.check import PROOF_RULES
    from institutional.replay.third_answer import RULES

    known = {found.id: found for found in (*RULES, *PROOF_RULES)}
    if rule is not None and rule not in known:
        raise InstitutionalError(
            f'there is no check "{rule}".{suggestion(rule, known)}\n'
            "  `institutional audit explain` lists them"
        )
    chosen = list(known.values()) if rule is None else [known[rule]]
    if as_json:
        print_json([found._asdict() for found in chosen])
    elif rule is None:
        rows = [(found.id, str(found.question), found.title) for found in chosen]
        print_table("Checks of an audit", ("check", "question", "holds if"), rows)
    else:
        only = chosen[0]
        print(f"{only.id} ({only.question}): holds if {only.title}\n\n{only.otherwise}")
