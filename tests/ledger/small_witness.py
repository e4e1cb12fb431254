"""A line under an ML-DSA-44 key."""

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from institutional.ledger.cosignature import ML_DSA_44, WitnessKey, cosigned_message
from institutional.ledger.note import NoteSignature


def ml_dsa_line(text, *, time_s):
    """A fixed ML-DSA-44 witness's key, and its line on this checkpoint."""
    private = MLDSA44PrivateKey.from_seed_bytes(b"\x03" * 32)
    key = WitnessKey("pq.example", ML_DSA_44, private.public_key().public_bytes_raw())
    signed = private.sign(cosigned_message(text, key, time_s=time_s))
    return key, NoteSignature(key.name, key.key_id, time_s.to_bytes(8, "big") + signed)
