"""`institutional agent show FILE` for a policy that was trained on preferences."""

from pathlib import Path

from institutional.cli.agent_train_policy import cells, numbers
from institutional.cli.output import print_json, print_table


def is_policy(path: Path) -> bool:
    """Whether `path` is a file of such a policy."""
    from agents.policies.archive import LEVEL_POLICY, is_of

    return is_of(path, LEVEL_POLICY)


def show_policy(path: Path, *, as_json: bool) -> None:
    """Print how the policy came about, what it does, and what it earns where it was trained."""
    from agents.policies.entries import require_torch

    require_torch()
    from agents.policies.level_saving import load
    from institutional.practice.situations import situations
    from institutional.practice.train import home, measured

    habit = load(path)
    table = home(habit)
    agents, origin = table.core.agents, habit.origin
    played, found = measured(table, habit), situations(table, habit)
    governed = table.program is not None
    if as_json:
        print_json(
            {
                "file": str(path),
                "method": origin.method,
                "seed": origin.seed,
                "environment": origin.environment,
                "graph": origin.graph or None,
                "seats": origin.seats,
                "others": origin.others,
                "levels": habit.shape.levels,
                "hold": habit.shape.hold,
                "earns": played.as_json(agents),
                "situations": [situation._asdict() for situation in found],
            }
        )
        return
    where = f"{origin.environment['name']}, {'governed' if governed else 'ungoverned'}"
    print(f"{path}: trained by {origin.method} in {where}; {origin.seats}, seed {origin.seed}")
    print(f"  {habit.shape.levels} levels a number, a choice kept for {habit.shape.hold} round(s)")
    print_table(
        "Where it was trained, money per round",
        ["agent", "earns", "a best reply would", "fined", "plays on average"],
        [[agent, *cells(played, seat)] for seat, agent in enumerate(agents)],
    )
    print_table(
        "What it likes best",
        ["agent", "after a round of", "standing", "plays", "likelihood"],
        [
            [each.agent, each.after, each.status, numbers(each.action), f"{each.likelihood:.0%}"]
            for each in found
        ],
    )
