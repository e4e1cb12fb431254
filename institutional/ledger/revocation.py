"""The operator's signed word that a run's signing key was stolen, and since when.

"When" is a number of entries, not a date: a thief can date what he signs as he likes, but he cannot
put it before what was already signed. Entries up to `trusted_size` stand as before; those after it
rest on nothing unless somebody out of the thief's reach saw a head that covers them in time.

An in-toto Statement v1 in a DSSE envelope under the operator's key. It is published like that key,
and brought by the auditor: whoever holds a run folder could leave it out.
"""

from collections.abc import Sequence
from typing import NamedTuple

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownKeyError, UnknownVersionError
from institutional.ledger.manifest import (
    STATEMENT_TYPE,
    check_envelope,
    parse_envelope,
    sign_envelope,
)
from institutional.ledger.note import SigningKey, VerifyKey, parse_vkey

PREDICATE_TYPE = "https://institutional.dev/revocation/v1"
MAX_STATEMENT_BYTES = 65_536
MAX_REASON = 1000


class Revocation(NamedTuple):
    """This key signed nothing that counts after `trusted_size` entries, and why that is said."""

    key: VerifyKey
    trusted_size: int
    reason: str


def revoke(revocation: Revocation, operator: SigningKey) -> bytes:
    """Return the statement, signed; raises LedgerError for a reason that is empty or too long."""
    if not 0 < len(revocation.reason) <= MAX_REASON:
        raise LedgerError(f"a revocation needs a reason of at most {MAX_REASON} characters")
    payload = canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": [
                {
                    "name": revocation.key.name,
                    "digest": {"ed25519": revocation.key.public.hex()},
                }
            ],
            "predicate": {
                "key": revocation.key.vkey,
                "trusted_size": revocation.trusted_size,
                "reason": revocation.reason,
            },
        }
    )
    data = sign_envelope(payload, operator)
    read_revocation(data, [operator.verify_key])
    return data


def read_revocation(data: bytes, operators: Sequence[VerifyKey]) -> Revocation:
    """Return what a statement by one of `operators` says.

    Raises UnknownKeyError for somebody else's, SignatureError for a forged one.
    """
    if len(data) > MAX_STATEMENT_BYTES:
        raise LedgerError(f"a revocation of {len(data)} bytes; {MAX_STATEMENT_BYTES} are allowed")
    envelope = parse_envelope(data)
    for key in operators:
        try:
            check_envelope(envelope, key)
        except UnknownKeyError:
            continue
        return _parse(envelope.payload)
    raise UnknownKeyError("the revocation is not by the operator")


def _parse(payload: bytes) -> Revocation:
    value = canonical.decode(payload)
    match value:
        case {"_type": str(kind), "predicateType": str(about)} if (kind, about) != (
            STATEMENT_TYPE,
            PREDICATE_TYPE,
        ):
            raise UnknownVersionError(f"not a revocation: {kind!a:.80}, {about!a:.80}")
        case {
            "_type": _,
            "predicateType": _,
            "subject": [{"name": str(name), "digest": {"ed25519": str(public), **no_digest}}],
            "predicate": {
                "key": str(vkey),
                "trusted_size": int(size),
                "reason": str(reason),
                **no_more,
            },
            **nothing_else,
        } if not (no_digest or no_more or nothing_else) and not isinstance(size, bool):
            key = parse_vkey(vkey)
            named = (key.name, key.public.hex()) == (name, public)
            if named and size >= 0 and 0 < len(reason) <= MAX_REASON:
                return Revocation(key, size, reason)
    raise LedgerError("not a revocation (key, trusted_size, reason)")
