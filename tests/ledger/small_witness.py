"""Witnesses, a line under an ML-DSA-44 key, and a run whose key changes twice."""

import itertools

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from small_run import OPERATOR, RUN, declare

from institutional.ledger.cosignature import ML_DSA_44, WitnessKey, cosigned_message
from institutional.ledger.note import (
    Checkpoint,
    NoteSignature,
    SigningKey,
    checkpoint_text,
    sign_note,
)
from institutional.ledger.tree import leaf_hash, root_of
from institutional.ledger.wal import entry_bytes
from institutional.ledger.witness import memory
from institutional.ledger.witness.service import Witness

ORIGIN = "institutional.dev/run/rotating"
EPOCHS = [SigningKey(ORIGIN, bytes([0x31 + n]) * 32) for n in range(3)]
NOON = 1_700_000_000


def ml_dsa_line(text, *, time_s):
    """A fixed ML-DSA-44 witness's key, and its line on this checkpoint."""
    private = MLDSA44PrivateKey.from_seed_bytes(b"\x03" * 32)
    key = WitnessKey("pq.example", ML_DSA_44, private.public_key().public_bytes_raw())
    signed = private.sign(cosigned_message(text, key, time_s=time_s))
    return key, NoteSignature(key.name, key.key_id, time_s.to_bytes(8, "big") + signed)


def new_witness(folder, *, name="witness.example", listed=(OPERATOR.verify_key,), start=NOON):
    """A witness in `folder`, whose clock gains a second with each look at it."""
    memory.create(folder, name=name, listed=listed)
    return Witness(folder, clock=itertools.count(start).__next__)


def head(leaves, key):
    """The checkpoint note over these leaves, signed by `key`."""
    return sign_note(checkpoint_text(Checkpoint(key.name, len(leaves), root_of(leaves))), key)


def write_rotating(folder, *, rounds=2, seed=1, epochs=3, operator=OPERATOR):
    """A run folder whose log has `epochs` keys, each for `rounds` entries and a rotate entry.

    Returns every head. The last epoch has no rotate entry: its head is not a boundary.
    """
    digest = declare(folder, key=EPOCHS[0], seed=seed, operator=operator)
    bodies = [("open", {"manifest": digest})]
    heads, leaves, data = [], [], b""
    for epoch, key in enumerate(EPOCHS[:epochs]):
        bodies += [("round", {"price": seed, "round": n, "epoch": epoch}) for n in range(rounds)]
        if epoch + 1 < epochs:
            vkey = EPOCHS[epoch + 1].verify_key.vkey
            bodies.append(("rotate", {"epoch": epoch + 1, "key": vkey}))
        for kind, body in bodies:
            line = entry_bytes(run=RUN, seq=len(leaves), kind=kind, body=body)
            leaves.append(leaf_hash(line))
            data += line + b"\n"
        bodies.clear()
        heads.append(head(leaves, key))
        data += heads[-1]
    (folder / "ledger").mkdir()
    (folder / "ledger" / "log.wal").write_bytes(data)
    return heads
