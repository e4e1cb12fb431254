"""The manifest of a run: what the operator declared before the first entry, and signed.

An in-toto Statement v1 in a DSSE envelope, stored canonically with one newline as
`manifest.dsse.json`. The signature covers the payload's bytes, which are parsed only after it is
verified; `keyid` is the operator's note key id and a hint only. Exactly one signature.

    subject    config, and every file or graph digest given, as SHA-256
    predicate  run, origin, key (the run's verifier key), config, packages, plan
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownKeyError, UnknownVersionError
from institutional.ledger.files import read_small, replace
from institutional.ledger.note import (
    SigningKey,
    VerifyKey,
    check_signature,
    from_base64,
    parse_vkey,
    to_base64,
)

FILE_NAME = "manifest.dsse.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://institutional.dev/run/v1"
MAX_BYTES = 4_194_304
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/=,@-]{0,199}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Envelope(NamedTuple):
    """A DSSE envelope, taken apart; nothing is verified yet."""

    payload: bytes
    payload_type: str
    keyid: str
    signature: bytes


class Manifest(NamedTuple):
    """What a manifest says of a run."""

    run: str
    origin: str
    key: VerifyKey
    config: dict[str, Any]
    packages: dict[str, str]
    plan: str | None
    subjects: dict[str, str]


def check_name(name: str, *, what: str) -> str:
    """Return `name` if it may name a run or an origin: plain ASCII of at most 200 characters."""
    if not NAME.match(name):
        raise LedgerError(
            f"{name[:80]!a} cannot be {what}: use ASCII letters, digits and ._~:/=,@- only"
        )
    return name


def statement(
    *,
    run: str,
    origin: str,
    key: VerifyKey,
    config: Mapping[str, Any],
    packages: Mapping[str, str],
    plan: str | None = None,
    digests: Mapping[str, str] | None = None,
) -> bytes:
    """Return the payload of a manifest: an in-toto statement in canonical bytes.

    `key` is the run's, named like `origin`; `plan` is a SHA-256 in hex; `digests` maps names (such
    as "graph.yaml") to SHA-256 in hex. The digest of `config` is always among the subjects.
    """
    subjects = {"config": hashlib.sha256(canonical.encode(dict(config))).hexdigest()}
    subjects.update(digests or {})
    payload = canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": [
                {"name": name, "digest": {"sha256": digest}}
                for name, digest in sorted(subjects.items())
            ],
            "predicate": {
                "run": run,
                "origin": origin,
                "key": key.vkey,
                "config": dict(config),
                "packages": dict(packages),
                "plan": plan,
            },
        }
    )
    parse_statement(payload)
    return payload


def write_manifest(path: Path, payload: bytes, key: SigningKey) -> str:
    """Sign `payload` with the operator's key, store it, and return its SHA-256 in hex.

    The same manifest may be written again, which does nothing; another one at the same place is
    refused: a run folder belongs to one set of inputs.
    """
    data = sign_envelope(payload, key)
    if len(data) > MAX_BYTES:
        raise LedgerError(f"{path}: a manifest of {len(data)} bytes; {MAX_BYTES} are allowed")
    try:
        if not path.exists():
            replace(path, data)
        elif read_small(path, limit=MAX_BYTES) != data:
            raise LedgerError(
                f"{path}: this folder belongs to a run with other inputs, packages or operator\n"
                "  choose another folder, or restore what the manifest names"
            )
    except OSError as error:
        raise LedgerError(f"{path}: the manifest cannot be stored: {error}") from error
    return hashlib.sha256(payload).hexdigest()


def read_manifest(path: Path) -> tuple[bytes, Manifest]:
    """Return the payload bytes and what they say. No signature is verified: see `audit`."""
    try:
        envelope = parse_envelope(read_small(path, limit=MAX_BYTES))
    except OSError as error:
        raise LedgerError(f"{path}: the manifest cannot be read: {error}") from error
    return envelope.payload, parse_statement(envelope.payload)


def verify_manifest(envelope: Envelope, key: VerifyKey) -> Manifest:
    """Return what the manifest says once `key` is known to have signed it.

    Raises UnknownKeyError when it names another signer, SignatureError when the signature is wrong.
    """
    check_envelope(envelope, key)
    return parse_statement(envelope.payload)


def sign_envelope(payload: bytes, key: SigningKey) -> bytes:
    """Return an in-toto payload in a DSSE envelope that `key` has signed, as it is stored."""
    signed = key.sign(pae(PAYLOAD_TYPE, payload))
    envelope = {
        "payload": to_base64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key.verify_key.key_id.hex(), "sig": to_base64(signed)}],
    }
    return canonical.encode(envelope) + b"\n"


def check_envelope(envelope: Envelope, key: VerifyKey) -> None:
    """Raise UnknownKeyError if `envelope` names another signer, SignatureError if it is forged."""
    if envelope.keyid != key.key_id.hex():
        raise UnknownKeyError(
            f"it names signer {envelope.keyid[:80]!a}, not {key.key_id.hex()} ({key.name})"
        )
    check_signature(key, pae(envelope.payload_type, envelope.payload), envelope.signature)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs: type and payload, each with its length. DSSE v1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(data: bytes) -> Envelope:
    """Return the parts of a stored envelope; raises LedgerError for any other spelling."""
    if not data.endswith(b"\n"):
        raise LedgerError("not a DSSE envelope: it does not end in a newline")
    match canonical.decode(data[:-1]):
        case {
            "payload": str(payload),
            "payloadType": str(payload_type),
            "signatures": [{"keyid": str(keyid), "sig": str(signature), **no_more}],
            **nothing_else,
        } if not no_more and not nothing_else:
            return Envelope(from_base64(payload), payload_type, keyid, from_base64(signature))
    raise LedgerError("not a DSSE envelope with exactly one signature")


def parse_statement(payload: bytes) -> Manifest:
    """Return what a payload says; raises UnknownVersionError for another kind of statement."""
    value = canonical.decode(payload)
    if not isinstance(value, dict):
        raise LedgerError("the manifest's payload is not an object")
    kinds = value.get("_type"), value.get("predicateType")
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise UnknownVersionError(
            f"the manifest is of a kind unknown here: {kinds[0]!a:.80}, {kinds[1]!a:.80}"
        )
    match value:
        case {
            "_type": _,
            "predicateType": _,
            "subject": list(subjects),
            "predicate": {
                "run": str(run),
                "origin": str(origin),
                "key": str(vkey),
                "config": dict(config),
                "packages": dict(packages),
                "plan": str() | None as plan,
                **no_more,
            },
            **nothing_else,
        } if not no_more and not nothing_else:
            pass
        case _:
            raise LedgerError("the manifest's statement lacks a field or has one too many")
    key = parse_vkey(vkey)
    if key.name != check_name(origin, what="an origin"):
        raise LedgerError(f"the run's key is named {key.name[:80]!a}, not like its origin")
    if not all(isinstance(version, str) for version in packages.values()):
        raise LedgerError("a package version in the manifest is not text")
    if plan is not None:
        _check_digest(plan)
    found = dict(_subject(subject) for subject in subjects)
    digest = hashlib.sha256(canonical.encode(config)).hexdigest()
    if len(found) != len(subjects) or found.get("config") != digest:
        raise LedgerError("the manifest's subjects repeat a name or do not hold its config")
    if list(found) != sorted(found):
        raise LedgerError("the manifest's subjects are not in the order of their names")
    return Manifest(check_name(run, what="a run id"), origin, key, config, packages, plan, found)


def _subject(value: object) -> tuple[str, str]:
    match value:
        case {"name": str(name), "digest": {"sha256": str(digest), **no_more}, **nothing_else} if (
            not no_more and not nothing_else
        ):
            return check_name(name, what="a subject"), _check_digest(digest)
    raise LedgerError("a subject of the manifest is not a name with one SHA-256")


def _check_digest(text: str) -> str:
    if not _DIGEST.match(text):
        raise LedgerError(f"not a SHA-256 in hex: {text[:80]!a}")
    return text
