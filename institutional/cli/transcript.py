"""`institutional transcript`: what an agent was told, answered and did, beside what was ruled."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from institutional.cli.output import Json, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from institutional.transcript.moment import Moment
    from institutional.transcript.words import Line

SIDE_BY_SIDE = 80
"""Columns from which there is room for two sides."""

_WIDTH = 100  # where nobody's terminal says how wide it is
_WIDEST = 160  # longer lines are hard to read
_LABELS = 11
_MOST = 4000  # characters of one text; --json has all of them


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(transcript)


def transcript(
    run: Annotated[Path, typer.Argument(help="The folder of one run.")],
    *,
    agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
    round_: Annotated[
        int | None, typer.Option("--round", min=0, help="Only this round, from 0 as in the log.")
    ] = None,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Every prompt as it was sent, and every answer whole.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what an agent was told, answered and did, beside what the institution made of it.

    Every answer is read from the run's cassette and held against the address that the ledger has
    for it. The log's signatures are not checked here: `audit verify` does that.

    Example: institutional transcript runs/example/institutional-divider_forgiving-0000
    --agent firm_1 --round 3
    """
    from institutional.transcript.reading import transcript as read_transcript

    moments = read_transcript(run, agent, round_)
    if prompt:
        _require_prompts(run, moments)
    if as_json:
        print_json([moment.as_json() for moment in moments])
        return
    print("Rounds count from 0 here and in the log, from 1 in texts.\n")
    width = min(shutil.get_terminal_size((_WIDTH, 24)).columns, _WIDEST)
    for moment in moments:
        print(as_text(moment, width=width))
        for line in exchanges(moment, width=width) if prompt else ():
            print(line)


def _require_prompts(run: Path, moments: "Sequence[Moment]") -> None:
    from institutional.errors import InstitutionalError

    answered = [moment.answered for moment in moments if moment.answered is not None]
    if not answered:
        raise InstitutionalError(f"{run}: no language model was asked here, so there is no prompt")
    if answered[0].problem:
        raise InstitutionalError(f"{run}: {answered[0].problem}\n  leave out --prompt")


def as_text(moment: "Moment", *, width: int) -> str:
    """One moment in `width` columns: two sides where there is room, else one below the other."""
    from rich.table import Table

    from institutional.transcript.words import agent_side, institution_side

    title = f"round {moment.round}, {moment.agent} "
    left, right = agent_side(moment, most=_MOST), institution_side(moment, most=_MOST)
    grid = Table.grid(padding=(0, 2), expand=True)
    grid.add_column(ratio=1)
    if width >= SIDE_BY_SIDE:
        grid.add_column(ratio=1)
        grid.add_row("AGENT", "INSTITUTION")
        grid.add_row(_side(left), _side(right))
    else:
        for part in ("AGENT", _side(left), "", "INSTITUTION", _side(right)):
            grid.add_row(part)
    return "\n".join([title + "-" * (width - len(title)), *_drawn(grid, width), ""])


def exchanges(moment: "Moment", *, width: int) -> "Iterator[str]":
    """Every prompt and answer of a move in full.

    A line of a text begins behind a bar and goes on behind a colon, so that none passes for ours.
    """
    from institutional.transcript.words import harmless

    for attempt in () if moment.answered is None else moment.answered.attempts:
        asked, said = attempt.request, attempt.reply
        if asked is None or said is None:
            continue
        yield (
            f"{attempt.by}: {attempt.outcome}; model {harmless(asked.model, 40)}, "
            f"temperature {asked.temperature:g}, seed {asked.seed}, "
            f"{attempt.prompt_tokens} + {attempt.completion_tokens} tokens"
        )
        texts = [(message.role, message.content) for message in asked.messages]
        for role, text in (*texts, ("answer", said.text)):
            yield f"  {role}"
            yield from _barred(harmless(text, len(text)), width)
        yield ""


def _barred(text: str, width: int) -> "Iterator[str]":
    from rich.cells import chop_cells

    for line in text.split("\n"):
        for place, part in enumerate(chop_cells(line, max(width - 4, 20)) or [""]):
            yield f"  {':' if place else '|'} {part}".rstrip()


def _side(lines: "Iterable[Line]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=_LABELS, no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(Text(("! " if line.marked else "  ") + line.label), Text(line.text))
    return table


def _drawn(grid: "Table", width: int) -> Sequence[str]:
    """The lines of a table, without colour and without blanks at their ends."""
    import io

    from rich.console import Console

    page = io.StringIO()
    Console(file=page, width=width, color_system=None, force_terminal=False).print(grid)
    return [line.rstrip() for line in page.getvalue().splitlines()]
