"""One seed per run, from which every random stream is derived by name.

Streams are independent of each other and of the regime: the same seed gives the same shocks and
the same trembles under every institution, which is what makes runs comparable in pairs.
"""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """Return the seed of the stream called `names` under the run's `seed`, in [0, 2**63)."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def environment_seed(seed: int) -> int:
    """Return the seed of the environment's shocks in the run of `seed`."""
    return derive(seed, "environment")


def lottery_of(environment: int | None) -> int:
    """The word, below 2**53, that decides what a graph leaves to chance under this seed."""
    return derive(environment or 0, "audits") >> 10
