"""`institutional graph redteam`: an adversary that learns to get around an institution."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from institutional.cli.experiment import Bar
from institutional.cli.output import Json, print_json

if TYPE_CHECKING:
    from institutional.redteam.attack import Report


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(redteam)


def redteam(
    graph: Annotated[Path, typer.Argument(help="A governance graph, as YAML.")],
    *,
    environment: Annotated[str, typer.Option(help="Preset of the market to attack.")],
    adversary: Annotated[
        str, typer.Option(help="The whole cartel, or the name of one agent.")
    ] = "cartel",
    others: Annotated[
        str, typer.Option(help="Benchmark that the other agents keep to, against one agent.")
    ] = "nash",
    learner: Annotated[str, typer.Option(help="ppo or reinforce, with torch, or search.")] = "ppo",
    plays: Annotated[
        str, typer.Option(help="free: any action; plans: those that the bound knows.")
    ] = "free",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of a run.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    seeds: Annotated[int | None, typer.Option(min=1, help="Learners trained; default 5.")] = None,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Runs that each learner trains on; default 150.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda, for the networks.")] = "cpu",
    tolerate: Annotated[
        float | None,
        typer.Option(help="Gain per round that is no exploit; default 5 % of the ceiling."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds, to see that it works.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write report.json and the best policy to this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train an adversary against a graph; exits 1 if it gains more than is tolerated.

    It plays the real market under the real institution, sees what every agent is shown, and
    learns from its earnings net of fines. The gain is what it plays in the end, without exploring,
    brings beyond Nash play. Finding no exploit proves nothing; the bound of `graph deter` is
    printed beside it.

    Example: institutional graph redteam governance_graphs/minimal.yaml --environment lin2024
    --quick --tolerate 400
    """
    from dataclasses import replace

    from environments import presets
    from institutional.errors import InstitutionalError
    from institutional.governance.loading import load_graph
    from institutional.redteam.attack import FULL, QUICK, attack
    from institutional.redteam.target import aim
    from institutional.redteam.words import as_data, text

    loaded = load_graph(graph)
    core = presets.make(environment, rounds=rounds)
    if core.name != loaded.graph.environment:
        raise InstitutionalError(
            f"{graph}: written for {loaded.graph.environment} markets; {environment} is none"
        )
    if out is not None and out.exists() and not out.is_dir():
        raise InstitutionalError(f"{out}: not a folder\n  choose another with --out")
    effort = QUICK if quick else FULL
    chosen = {"seeds": seeds, "updates": updates}
    effort = replace(effort, **{name: n for name, n in chosen.items() if n is not None})
    bar = Bar("training", enabled=not as_json and sys.stderr.isatty())
    try:
        report = attack(
            aim(loaded, core, adversary=adversary, others=others, seed=seed),
            learner=learner,
            plays=plays,
            effort=effort,
            seed=seed,
            device=device,
            tolerated=tolerate,
            advance=bar.show,
        )
    finally:
        bar.close()
    data = {"graph": str(graph), "environment": environment, "learner": learner, "plays": plays}
    data |= {"seed": seed} | as_data(report)
    if out is not None:
        _write(out, data, report)
    if as_json:
        print_json(data)
    else:
        print(f"{graph} in {environment}, attacked by {learner}\n\n{text(report)}")
        if out is not None:
            print(f"\n{out}")
    raise typer.Exit(1 if report.exploited else 0)


def _write(out: Path, data: dict[str, Any], report: "Report") -> None:
    import json

    from institutional.errors import InstitutionalError

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        if report.best.policy is not None:
            from agents.policies.saving import save

            save(out / "policy.npz", report.best.policy)
    except OSError as error:
        raise InstitutionalError(f"{out}: cannot be written ({error.strerror})") from error
