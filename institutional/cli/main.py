"""The command line: `institutional NOUN VERB`. Thin: each command calls one function and prints.

Commands import what they need when they run, so that `--help` loads neither numpy nor pydantic.
Every command exits 0 (holds, succeeded), 1 (a finding) or 2 (wrong usage or input); `audit` has
the finer codes of its own help. A user's mistake prints one message and no traceback.
"""

import sys

import typer

from institutional.cli import (
    agent,
    audit,
    doctor,
    environment,
    experiment,
    fork,
    graph,
    learn,
    study,
    transcript,
)
from institutional.cli.guard import check_packages
from institutional.errors import InstitutionalError

INTERRUPTED = 130
"""What typer exits with after Control-C."""

app = typer.Typer(
    name="institutional",
    help="Run societies of agents under public institutions, and prove what the institution did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help starts twice as fast
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
experiment.register(app)
fork.register(app)
transcript.register(app)
learn.register(app)
app.add_typer(graph.app, name="graph")
app.add_typer(audit.app, name="audit")
app.add_typer(environment.app, name="environment")
app.add_typer(agent.app, name="agent")
app.add_typer(study.app, name="study")
doctor.register(app)


def main() -> None:
    """Run the command line; the console script's entry point."""
    try:
        check_packages()
        app()
    except InstitutionalError as error:
        _stop(error)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("interrupted; the same command continues where it stopped", file=sys.stderr)
        raise
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:
        # The two bottom packages know no InstitutionalError; theirs are users' mistakes as well.
        if type(error).__name__ in {"UnplayableError", "AgentError"}:
            _stop(error)
        raise


def _stop(error: Exception) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
