"""Whose run this is: from the auditor's key over the signed manifest to the run's first key."""

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
    Envelope,
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


def check_manifest(folder: Path, trusted: Trust, findings: Findings) -> Vouched:
    """Find the run's key: vouched for by the operator's signature, or given by the auditor."""
    try:
        data = read_small(folder / FILE_NAME, limit=MAX_BYTES)
    except (OSError, LedgerError) as error:
        findings.skip("manifest-shape", f"cannot be read: {error}", Word.CANNOT_DECIDE)
        raise StopError from None
    try:
        envelope = parse_envelope(data)
        found = _signed(envelope, trusted, findings) or _given(envelope, trusted, findings)
    except UnknownVersionError as error:
        findings.fail("manifest-shape", str(error), Word.CANNOT_DECIDE)
        raise StopError from None
    except SignatureError as error:
        findings.fail("manifest-signature", str(error), Word.INVALID)
        raise StopError from None
    except LedgerError as error:
        findings.fail("manifest-shape", str(error), Word.INVALID)
        raise StopError from None
    findings.passed("manifest-shape", "an in-toto statement about this run")
    return found


def _signed(envelope: Envelope, trusted: Trust, findings: Findings) -> Vouched | None:
    for key in trusted.keys:
        try:
            manifest = verify_manifest(envelope, key)
        except UnknownKeyError:
            continue
        findings.passed("manifest-signature", f"signed by {key.name}")
        return Vouched(manifest, envelope.payload, key)
    return None


def _given(envelope: Envelope, trusted: Trust, findings: Findings) -> Vouched:
    manifest = parse_statement(envelope.payload)
    for key in trusted.keys:
        if key == manifest.key:
            reason = "the run's own key was given; entry 0 vouches for the manifest's payload"
            findings.skip("manifest-signature", reason)
            return Vouched(manifest, envelope.payload, key)
        if key.name == manifest.origin:
            raise SignatureError(f"the manifest names another key for {key.name}")
    names = ", ".join(key.name for key in trusted.keys[:3])
    reason = f"not signed by {names}: another operator's run, or the wrong key"
    findings.skip("manifest-signature", reason, Word.CANNOT_DECIDE)
    raise StopError
