"""Whose run this is: from the auditor's key over the signed manifest to the run's first key."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.files import read_small
from institutional.ledger.findings import Findings, StopError
from institutional.ledger.manifest import (
    FILE_NAME,
    MAX_BYTES,
    Manifest,
    parse_envelope,
    parse_statement,
    verify_manifest,
)
from institutional.ledger.note import VerifyKey
from institutional.ledger.trust import Trust, parse_trust
from institutional.ledger.verdict import Word


class Vouched(NamedTuple):
    """A manifest, its signed bytes, and the key that vouches for it."""

    manifest: Manifest
    payload: bytes
    key: VerifyKey


def check_trust(text: str, findings: Findings) -> Trust:
    """Return what the auditor trusts; raises StopError when it cannot be read."""
    try:
        trusted = parse_trust(text)
    except LedgerError as error:
        findings.fail("trust", str(error), Word.CANNOT_DECIDE)
        raise StopError from None
    findings.passed("trust", f"{len(trusted.keys)} key(s) to check with")
    return trusted


def vouch(data: bytes, keys: Sequence[VerifyKey]) -> Vouched:
    """Return what a stored manifest says, and which of `keys` vouches for it.

    The operator's key signs it; the run's own key, which it names, is believed where it is given.
    Raises UnknownKeyError for the manifest of others, SignatureError for a forged one.
    """
    envelope = parse_envelope(data)
    for key in keys:
        with contextlib.suppress(UnknownKeyError):
            return Vouched(verify_manifest(envelope, key), envelope.payload, key)
    manifest = parse_statement(envelope.payload)
    for key in keys:
        if key == manifest.key:
            return Vouched(manifest, envelope.payload, key)
        if key.name == manifest.origin:
            raise SignatureError(f"the manifest names another key for {key.name}")
    names = ", ".join(key.name for key in keys[:3])
    raise UnknownKeyError(f"not signed by {names}: another operator's run, or the wrong key")


def check_manifest(folder: Path, trusted: Trust, findings: Findings) -> Vouched:
    """Find the run's key: vouched for by the operator's signature, or given by the auditor."""
    try:
        data = read_small(folder / FILE_NAME, limit=MAX_BYTES)
    except (OSError, LedgerError) as error:
        findings.skip("manifest-shape", f"cannot be read: {error}", Word.CANNOT_DECIDE)
        raise StopError from None
    try:
        found = vouch(data, trusted.keys)
    except UnknownVersionError as error:
        findings.fail("manifest-shape", str(error), Word.CANNOT_DECIDE)
        raise StopError from None
    except SignatureError as error:
        findings.fail("manifest-signature", str(error), Word.INVALID)
        raise StopError from None
    except UnknownKeyError as error:
        findings.skip("manifest-signature", str(error), Word.CANNOT_DECIDE)
        raise StopError from None
    except LedgerError as error:
        findings.fail("manifest-shape", str(error), Word.INVALID)
        raise StopError from None
    if found.key == found.manifest.key:
        reason = "the run's own key was given; entry 0 vouches for the manifest's payload"
        findings.skip("manifest-signature", reason)
    else:
        findings.passed("manifest-signature", f"signed by {found.key.name}")
    findings.passed("manifest-shape", "an in-toto statement about this run")
    return found
