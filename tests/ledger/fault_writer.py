"""A process that writes one small run and acts on each commit; `faults` breaks the disk under it.

    python fault_writer.py FOLDER

Each line on standard output is an act on the world: the run has gone on from so many entries, as
they were durable. The key moves on every three entries, is kept in a file and erased at the end.
Exits 0, or 2 with one message as the command line does.
"""

import os
import sys
from pathlib import Path

from small_run import KEY, ORIGIN, RUN, declare

from institutional.errors import InstitutionalError
from institutional.ledger.keys import KeptKey
from institutional.ledger.log import Ledger, exists

ROUNDS = 6


def write(folder, act=lambda _: None, *, sync=True):
    """Make the run in `folder`, which holds its key in `run.key`, or continue it to its end."""
    kept = KeptKey(folder / "run.key")
    digest = declare(folder)
    arguments = {"origin": ORIGIN, "run": RUN, "rotate_every": 3, "keep": kept.keep, "sync": sync}
    key = kept.load()
    if exists(folder / "ledger"):
        first = KEY.verify_key
        ledger = Ledger.resume(folder / "ledger", key=key, first=first, **arguments)
    else:
        ledger = Ledger.create(folder / "ledger", key=key, **arguments)
    with ledger:
        ledger.append("open", {"manifest": digest})
        ledger.commit()
        act(ledger.size)
        for number in range(ROUNDS):
            ledger.append("round", {"round": number, "price": 6.5, "text": "Zürich"})
            if number % 2:
                ledger.commit()
                act(ledger.size)
        ledger.close({"status": "finished"})
        act(ledger.size)


def main(folder):
    """Write, say what was acted upon, and end as the command line does."""
    try:
        write(Path(folder), lambda size: os.write(1, b"%d\n" % size))
    except InstitutionalError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1])
