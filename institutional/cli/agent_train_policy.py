"""`institutional agent train policy`: a policy that learns from preferences found in play."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.experiment import Bar
from institutional.cli.output import Json, print_json, print_table

if TYPE_CHECKING:
    from institutional.practice.train import Measured


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(policy)


def policy(
    *,
    environment: Annotated[str, typer.Option(help="Preset of the market to learn in.")],
    graph: Annotated[
        Path | None, typer.Option(help="Institution to learn under; default: none.")
    ] = None,
    method: Annotated[str, typer.Option(help="A row of the method table: dpo, kto, ...")] = "dpo",
    seats: Annotated[
        str, typer.Option(help="Who learns: each for itself, the cartel as one, or one agent.")
    ] = "each",
    others: Annotated[
        str, typer.Option(help="Benchmark that the other agents keep to, beside one agent.")
    ] = "nash",
    source: Annotated[
        str,
        typer.Option(help="Who answers: online, mixture, offline; own: as the method says."),
    ] = "own",
    answers: Annotated[
        int | None, typer.Option(min=2, help="Answers tried in a situation; default 2.")
    ] = None,
    levels: Annotated[int, typer.Option(min=2, help="Levels of each number.")] = 11,
    hold: Annotated[
        int | None,
        typer.Option(min=1, help="Rounds a choice is kept; default 1, under a graph 10."),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="References to move on to; default 30.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a run.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("policy.npz"),
    quick: Annotated[bool, typer.Option("--quick", help="Seconds, to see that it works.")] = False,
    as_json: Json = False,
) -> None:
    """Train a policy on preferences between actions that it tried in play.

    In each situation answers are tried, each from the same state of the market and the institution,
    and a Bradley-Terry judge prefers what earned more, net of fines. Any row of the method table
    learns from that. Play the file as {agent: preference_policy, file: policy.npz}.

    Example: institutional agent train policy --environment lin2024 --method ipo --quick
    """
    from dataclasses import replace

    from agents.policies.entries import require_torch

    require_torch()
    from agents.alignment.methods import method as row
    from agents.policies.level_saving import save
    from environments import presets
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph
    from institutional.practice.train import FULL, QUICK, taught

    loaded = None if graph is None else load_graph(graph)
    core = presets.make(environment, rounds=rounds)
    if loaded is not None and core.name != loaded.graph.environment:
        raise InstitutionalError(
            f"{graph}: written for {loaded.graph.environment} markets; {environment} is none"
        )
    chosen = {"iterations": iterations, "answers": answers, "source": source}
    given: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    effort = replace(QUICK if quick else FULL, **given)
    bar = Bar("iterations", enabled=not as_json and sys.stderr.isatty())
    try:
        found = taught(
            core,
            loaded,
            row(method),
            seats=seats,
            others=others,
            effort=effort,
            levels=levels,
            hold=hold,
            seed=seed,
            report_progress=lambda done, _loss: bar.show(done, effort.iterations),
        )
    finally:
        bar.close()
    try:
        save(out, found.habit)
    except OSError as error:
        raise InstitutionalError(f"{out}: cannot be written ({error.strerror})") from error
    if as_json:
        print_json(
            {
                "file": str(out),
                "method": method,
                "environment": environment,
                "graph": graph and str(graph),
                "seed": seed,
                "before": found.before.as_json(core.agents),
                "after": found.after.as_json(core.agents),
            }
        )
        return
    governed = f"under {graph}" if graph else "ungoverned"
    print_table(
        f"{out}: {method} in {environment}, {governed}, {seats}; money per round",
        ["agent", "earned before", "earns", "a best reply would", "fined", "plays on average"],
        [
            [agent, f"{found.before.profits[seat]:.4g}", *cells(found.after, seat)]
            for seat, agent in enumerate(core.agents)
        ],
    )


def cells(played: "Measured", seat: int) -> list[str]:
    """What an agent earns before fines, what a best reply would, its fines and its actions."""
    money = (played.profits[seat], played.replies[seat], played.fines[seat])
    return [*(f"{each:.4g}" for each in money), numbers(played.actions[seat].tolist())]


def numbers(action: list[float]) -> str:
    """An action in few characters."""
    return " / ".join(f"{number:.4g}" for number in action)
