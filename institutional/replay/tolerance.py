"""How near two numbers must be of which one was computed elsewhere.

Decisions are derived to the byte and need none of this: they use elementary arithmetic alone. A
benchmark, a demand shock or a mean may differ in the last bits between machines and versions.
"""

RELATIVE = 1e-9
"""Share of the larger number; of one, where both are smaller than that."""


def near(one: float, other: float) -> bool:
    """Whether two finite numbers agree within `RELATIVE`."""
    return abs(one - other) <= RELATIVE * max(1.0, abs(one), abs(other))
