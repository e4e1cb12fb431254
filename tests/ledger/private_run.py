"""A run whose agents speak in private, small enough to kill at every step.

Four rounds, two to a commit; in each, two agents say something that the log only commits to.
"""

import hashlib
import itertools

from small_run import KEY, ORIGIN, RUN, declare

from institutional.ledger.log import Ledger, exists
from institutional.ledger.private.commitment import Private
from institutional.ledger.private.vault import Vault

SAID = "I hold prices up if you do."
ARGUMENTS = {"origin": ORIGIN, "run": RUN, "key": KEY}


def counted(start=0):
    """Keys anyone can work out: the SHA-256 of 0, 1, 2, ..."""
    numbers = itertools.count(start)
    return lambda size: hashlib.sha256(b"%d" % next(numbers)).digest()[:size]


def body(number):
    """What is recorded of a round; in every round the agents say the same."""
    said = {"firm.1": Private(SAID), "firm/2": Private({"offer": number % 2})}
    return {"round": number, "price": 6.5, "said": said}


def play(folder, *, rounds=4, close=True, sync=False, bodies=body, **draw):
    """Begin or continue the run in `folder`; return its last signed head."""
    digest = declare(folder)
    begin = Ledger.resume if exists(folder / "ledger") else Ledger.create
    with begin(folder / "ledger", **ARGUMENTS, sync=sync) as ledger:
        vault = Vault(folder, ledger, **draw)
        vault.append("open", {"manifest": digest})
        vault.commit()
        for number in range(rounds):
            vault.append("round", bodies(number))
            if number % 2:
                vault.commit()
        if close:
            return vault.close({"status": "finished"})
        vault.commit()
        return ledger.head


def log_of(folder):
    return (folder / "ledger" / "log.wal").read_bytes()
