"""Published logs of any size, ours and small."""

import small_run

from institutional.ledger import keys
from institutional.ledger.log import Ledger
from institutional.ledger.note import parse_vkey
from institutional.ledger.publication.fsck import fsck
from institutional.ledger.publication.publish import publish

SIZES = (1, 2, 3, 255, 256, 257, 512, 1000, 65_536, 70_000)


def publication(
    folder, size, *, origin=small_run.ORIGIN, run=small_run.RUN, commit=4096, rotate_every=None
):
    """Publish a log of `size` entries, rotations included, below `folder`; `commit` to a head.

    Returns the published folder and the key that signs its newest head.
    """
    key = keys.run_key(small_run.OPERATOR, origin)
    digest = small_run.declare(folder / "run", run=run, key=key)
    with Ledger.create(
        folder / "run" / "ledger",
        origin=origin,
        run=run,
        key=key,
        sync=False,
        rotate_every=rotate_every,
    ) as ledger:
        ledger.append("open", {"manifest": digest})
        while ledger.size < size - 1:
            ledger.append("round", {"round": ledger.size, "price": 6.5, "text": "Zürich"})
            if ledger.size % commit == 0:
                ledger.commit()
        ledger.commit() if size == 1 else ledger.close({"status": "finished"})
    publish(folder / "run", folder / "out")
    newest = (folder / "out" / "keys").read_text().splitlines()[-1]
    return folder / "out", parse_vkey(newest)


def ours(folder, trusted=small_run.KEY.verify_key):
    """Whether our own check of a published folder finds nothing wrong.

    Like the others it is given the run's key, that of the first epoch, and not the operator's.
    """
    return not fsck(folder, [trusted]).findings
