"""`institutional agent`: who can take a seat."""

from pathlib import Path
from typing import Annotated

import typer

from institutional.cli import agent_serve, agent_show_policy, agent_train
from institutional.cli.output import Json, print_json, print_table

app = typer.Typer(help="List and describe agents.", no_args_is_help=True, rich_markup_mode=None)
agent_train.register(app)
agent_serve.register(app)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the agents.

    Example: institutional agent list
    """
    from agents.catalogue import AGENTS

    if as_json:
        print_json({name: entry.description for name, entry in AGENTS.items()})
        return
    rows = [
        [
            name,
            entry.description,
            "graph" if entry.reads_graph else "text" if entry.reads_text else "",
            "yes" if entry.innocent else "",
        ]
        for name, entry in AGENTS.items()
    ]
    print_table("Agents", ["agent", "what it does", "reads", "innocent"], rows)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An agent, or a file of what was learnt (.npz).")],
    session: Annotated[int, typer.Option(help="Which session of the file.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Show an agent's data sheet, or what learners do once they have learnt.

    Of learnt strategies: the joint actions that repeat for ever, what they earn, and in how many
    states each plays a best reply to the others. Of a policy trained on preferences: what it does
    in some situations, and what it earns where it was trained.

    Example: institutional agent show divider_grim
    """
    from agents.catalogue import AGENTS
    from institutional.errors import InstitutionalError, suggestion

    if name.endswith(".npz"):
        if agent_show_policy.is_policy(Path(name)):
            agent_show_policy.show_policy(Path(name), as_json=as_json)
            return
        _show_learnt(name, session, as_json=as_json)
        return

    if name not in AGENTS:
        raise InstitutionalError(f'there is no agent "{name}".{suggestion(name, AGENTS)}')
    entry = AGENTS[name]
    sheet = {
        "agent": name,
        "description": entry.description,
        "reads_text": entry.reads_text,
        "reads_graph": entry.reads_graph,
        "innocent": entry.innocent,
        "parameters": {k: repr(v) for k, v in entry.parameters.items()},
    }
    if as_json:
        print_json(sheet)
        return
    print(f"{name}: {entry.description}")
    print(f"  reads the graph: {'yes' if entry.reads_graph else 'no'}")
    print(f"  reads text: {'yes' if entry.reads_text else 'no, so it has no constitutional arm'}")
    print(f"  innocent: {'yes, a case against it is a false positive' if entry.innocent else 'no'}")
    print("  parameters: " + ", ".join(f"{k} ({v!r})" for k, v in entry.parameters.items()))


def _show_learnt(name: str, session: int, *, as_json: bool) -> None:
    from agents.q_learning.storage import load
    from agents.q_learning.strategy import best_reply_share, limit_cycle
    from institutional.errors import InstitutionalError

    learnt = load(Path(name))
    if session >= len(learnt.periods):
        raise InstitutionalError(
            f"{name} holds sessions 0 to {len(learnt.periods) - 1}, not {session}\n"
            "  choose one with --session"
        )
    game, learner, strategy = learnt.game, learnt.learner, learnt.strategy[session]
    cycle = limit_cycle(game, strategy, learner.memory, int(learnt.state[session]))
    shares = best_reply_share(game, strategy, learner.memory, discount=learner.discount)
    sheet = {
        "file": name,
        "session": session,
        "sessions": len(learnt.periods),
        "converged": bool(learnt.converged[session]),
        "periods": int(learnt.periods[session]),
        "cycle": len(cycle.joints),
        "actions": {n: a.tolist() for n, a in zip(game.names, cycle.actions, strict=True)},
        "profit": dict(zip(game.names, cycle.profits.mean(axis=0).tolist(), strict=True)),
        "best_reply_share": dict(zip(game.names, shares.tolist(), strict=True)),
    }
    if as_json:
        print_json(sheet)
        return
    ended = "converged" if sheet["converged"] else "was stopped"
    print(f"{name}, session {session} of {len(learnt.periods)}")
    print(f"  {ended} after {learnt.periods[session]:,} periods; memory {learner.memory}")
    print(f"  then {len(cycle.joints)} joint action(s) repeat for ever:")
    for period in range(len(cycle.joints)):
        played = [
            "/".join(f"{number:.4g}" for number in actions[period]) for actions in cycle.actions
        ]
        earned = ", ".join(f"{money:.4g}" for money in cycle.profits[period])
        print(f"    {'  '.join(played)}   earns {earned}")
    for seat, agent in enumerate(game.names):
        print(f"  {agent}: a best reply to the others in {shares[seat]:.0%} of states")
