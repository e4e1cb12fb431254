"""A run of seven entries under a fixed key, small enough to break in every way there is.

Run as a program, it writes the golden copy anew: only a new format version may need that.
"""

import hashlib
from pathlib import Path

from institutional.ledger import keys
from institutional.ledger.log import Ledger
from institutional.ledger.manifest import statement, write_manifest
from institutional.ledger.note import SigningKey
from institutional.ledger.publication.prove import prove
from institutional.ledger.publication.publish import publish

OPERATOR = SigningKey("institutional/operator/00test00", b"\x07" * 32)
ORIGIN = "institutional.dev/run/small"
RUN = "small"
KEY = keys.run_key(OPERATOR, ORIGIN)
TRUST = OPERATOR.verify_key.vkey
GRAPH = b"states: [active, suspended]\n"
GOLDEN = Path(__file__).parents[1] / "golden" / "ledger" / "small"


def declare(folder, *, run=RUN, key=KEY, seed=1, operator=OPERATOR):
    """Write graph and manifest into `folder`, which is made; return the manifest's digest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "graph.yaml").write_bytes(GRAPH)
    payload = statement(
        run=run,
        origin=key.name,
        key=key.verify_key,
        config={"seed": seed},
        packages={"institutional": "0.1.0"},
        plan=hashlib.sha256(b"plan").hexdigest(),
        digests={"graph.yaml": hashlib.sha256(GRAPH).hexdigest()},
    )
    return write_manifest(folder / "manifest.dsse.json", payload, operator)


def play(ledger, manifest, *, rounds=5, seed=1, close=True):
    """Append the run's entries, two rounds to a commit; return every signed head."""
    heads = []
    ledger.append("open", {"manifest": manifest})
    ledger.commit()
    heads.append(ledger.head)
    for number in range(rounds):
        ledger.append("round", {"round": number, "price": 6.5 * seed, "text": "Zürich"})
        if number % 2:
            ledger.commit()
            heads.append(ledger.head)
    if close:
        heads.append(ledger.close({"status": "finished"}))
    else:
        ledger.commit()
        heads.append(ledger.head)
        ledger.release()
    return heads


def write(folder, *, run=RUN, key=KEY, seed=1, operator=OPERATOR, **options):
    """Write a whole run folder and return its signed heads."""
    digest = declare(folder, run=run, key=key, seed=seed, operator=operator)
    with Ledger.create(folder / "ledger", origin=key.name, run=run, key=key, sync=False) as ledger:
        return play(ledger, digest, seed=seed, **options)


if __name__ == "__main__":
    write(GOLDEN)
    publish(GOLDEN, GOLDEN.with_name("published"))
    (GOLDEN.parent / "small-3.tlog-proof").write_bytes(prove(GOLDEN, 3).data)
    (GOLDEN.parent / "operator.pub").write_text(TRUST + "\n")
