"""`institutional graph explain`: why a move was made, refused, or not made."""

from pathlib import Path
from typing import Annotated, Any

import typer

from institutional.cli.output import Json, print_json


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(explain)


def explain(
    graph: Annotated[Path, typer.Argument(help="A governance graph, as YAML.")],
    *,
    run: Annotated[Path | None, typer.Option(help="The folder of a run under this graph.")] = None,
    agent: Annotated[str, typer.Option(help="Whose move.")] = "agent",
    round_: Annotated[
        int | None, typer.Option("--round", min=0, help="Which round, from 0 as in the log.")
    ] = None,
    why_not: Annotated[
        str | None, typer.Option(help="Say why this edge was not applied.", metavar="EDGE")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option(help="Evidence that holds, instead of --run; repeatable.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="With --given: the agent's state.")] = None,
    signal: Annotated[
        list[str] | None, typer.Option(help="With --given: NAME=VALUE, for fines; repeatable.")
    ] = None,
    rounds_in_state: Annotated[int, typer.Option(min=0, help="With --given.")] = 1,
    clean: Annotated[int, typer.Option(min=0, help="With --given: clean rounds before.")] = 0,
    credits_: Annotated[int, typer.Option("--credits", min=0, help="With --given.")] = 0,
    offences: Annotated[int, typer.Option(min=0, help="With --given.")] = 0,
    streak: Annotated[int, typer.Option(min=0, help="With --given: cases in a row before.")] = 0,
    as_json: Json = False,
) -> None:
    """Explain a decision, from the signals' values to the sanction's arithmetic.

    Either of a recorded round (--run, --agent, --round) or of evidence typed by hand (--given).
    The log's signatures are not checked here: `audit verify` does that.

    Example: institutional graph explain
    runs/example/institutional-divider_forgiving-0000/graph.yaml
    --run runs/example/institutional-divider_forgiving-0000 --agent firm_1 --round 3
    """
    from institutional.errors import InstitutionalError
    from institutional.governance.explain import explain_given, words
    from institutional.governance.explain import why_not as why_not_applied
    from institutional.governance.hypothetical import compile_on_paper
    from institutional.governance.loading import load_graph

    loaded = load_graph(graph)
    if (run is None) == (given is None and state is None):
        raise InstitutionalError(
            "say what to explain: --run RUN --agent AGENT --round T, or --given EVIDENCE ..."
        )
    if run is not None:
        if round_ is None:
            raise InstitutionalError("say which round of the run: --round T, from 0")
        program, found = _recorded(run, loaded, agent, round_)
    else:
        program = compile_on_paper(loaded, [agent])
        found = explain_given(
            program,
            agent,
            given or [],
            state=state,
            signals=_signals(signal or []),
            rounds_in_state=rounds_in_state,
            clean_rounds=clean,
            credits_=credits_,
            offences=offences,
            streak=streak,
        )
    reason = None if why_not is None else why_not_applied(program, found, why_not)
    if as_json:
        print_json(found.as_json() | {"why_not": None if reason is None else reason.as_json()})
        return
    print(words(found))
    if reason is not None:
        print(f"\nWHY NOT {reason.edge}\n  {reason.words}")


def _recorded(run: Path, loaded: Any, agent: str, round_: int) -> Any:
    """The run's program and the explanation, which must agree with the recorded ruling."""
    from institutional.cli.graph_replay import read_run
    from institutional.errors import InstitutionalError
    from institutional.governance.explain import explain as explain_round

    recording = read_run(run)
    if not recording.is_own(loaded):
        what = "was not governed" if recording.loaded is None else "ran under another graph"
        raise InstitutionalError(
            f"{run}: {what}\n  explain {run / 'graph.yaml'}, if there is one; "
            "graph replay asks what another graph would have decided"
        )
    program = recording.program
    found = explain_round(
        program,
        recording.records,
        recording.suspended(),
        agent,
        round_,
        lottery=recording.lottery or 0,
    )
    moves = recording.rulings[round_]["moves"]
    recorded = next((move["edge"] for move in moves if move["agent"] == agent), None)
    if recorded != found.applied:
        raise InstitutionalError(
            f"{run}: round {round_} records {recorded or 'no move'} of {agent}, but "
            f"{found.applied or 'none'} follows from the evidence\n  audit replay says more"
        )
    return program, found


def _signals(written: list[str]) -> dict[str, float]:
    from institutional.errors import InstitutionalError

    signals = {}
    for text in written:
        name, _, value = text.partition("=")
        try:
            signals[name] = float(value)
        except ValueError:
            raise InstitutionalError(f'"{text}": write a signal as NAME=VALUE') from None
    return signals
