"""The one error a user can cause."""

import difflib
from collections.abc import Iterable


class InstitutionalError(Exception):
    """A user's mistake or a broken input: the message says where, what and what next.

    The command line prints it without a traceback and exits 2. Our own mistakes are assertions.
    """


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "..."?' for a misspelt `name`, or nothing when no name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""
