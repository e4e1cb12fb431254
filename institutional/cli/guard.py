"""Stop at the door if `agents` or `environments` is somebody else's package.

Both are generic names (`openai-agents` installs `agents`, too). Whichever comes first on the path
wins, and what fails then fails far from the cause.
"""

from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

from institutional.errors import InstitutionalError

_OURS = b"of Institutional; see README.md in this folder."


def check_packages() -> None:
    """Raise InstitutionalError if `agents` or `environments` does not resolve to ours."""
    for name in ("agents", "environments"):
        spec = find_spec(name)
        if spec is None:
            raise InstitutionalError(
                f'the package "{name}" is missing\n  install Institutional again: it comes with it'
            )
        origin = Path(spec.origin) if spec.origin else None
        if origin is not None and origin.is_file() and _OURS in origin.read_bytes()[:200]:
            continue
        place = spec.origin or ", ".join(spec.submodule_search_locations or ["nowhere"])
        others = [d for d in packages_distributions().get(name, []) if d != "institutional"]
        owner = f' of the distribution "{others[0]}"' if others else ""
        raise InstitutionalError(
            f'the package "{name}" at {place} is not ours but one{owner}\n'
            "  both cannot be imported under one name: install Institutional in a virtual "
            "environment of its own"
        )
