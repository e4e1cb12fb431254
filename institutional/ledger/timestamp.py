"""Time stamps: an outside authority's word that a signed head existed before some moment.

RFC 3161, over the exact bytes of one checkpoint note. Making a request and checking an answer need
no network; carrying the one to an authority and the other back is left to the user, for example

    curl -H 'Content-Type: application/timestamp-query' --data-binary @head.tsq URL -o head.tsr

A stamp bounds when the log's first entries existed, against an operator who would date them back.
Brought by the auditor from elsewhere it is also a remembered head: the log must still hold it.

The auditor names the authorities to trust, as certificates. The chain is judged at the time that
the stamp states, not now, so that a stamp outlives its authority's certificate; the price is trust
in the authority's key for as long as the stamp is to count. Not checked: revocation lists, which
would need the network, and the certificate's hash among the signed attributes (`openssl ts
-verify` does), without which an authority could only be mistaken for itself.

The parsing and the cryptography are those of rfc3161-client (Trail of Bits), an optional extra.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError, SignatureError

FOLDER = "timestamps"
MAX_TOKEN_BYTES = 65_536
MAX_AUTHORITIES_BYTES = 1_048_576
_A_SECOND = timedelta(seconds=1)
_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
_VAGUEST_SECONDS = 86_400
_HASHES = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}
_WHY = re.compile(r'(?:reason|data): "([^"]{1,200})"')


class Stamp(NamedTuple):
    """What an authority certified: that the bytes existed at `time` (UTC, whole seconds)."""

    time: datetime
    accuracy: timedelta
    authority: str

    @property
    def before(self) -> datetime:
        """When the bytes existed at the latest, by the authority's clock and its accuracy."""
        return self.time + _A_SECOND + self.accuracy  # the parser drops fractions of a second


def request(note: bytes) -> bytes:
    """Return the request (DER) for a time stamp over the exact bytes of `note`.

    The same bytes for the same note: there is no nonce, as an old answer says more, not less.
    """
    client = _client()
    builder = client.TimestampRequestBuilder(note, client.HashAlgorithm.SHA256, nonce=False)
    return bytes(builder.build().as_bytes())


def check_timestamp(note: bytes, token: bytes, authorities: bytes) -> Stamp:
    """Return what an authority certified of `note`, once its answer `token` is found genuine.

    `token` is the answer as it came (DER, TimeStampResp). `authorities` are certificates (PEM):
    the root that a chain must end in, and any others on the way; if a certificate that can only
    stamp is among them, the stamp must be by that one.

    Raises LedgerError for what is no answer, no authority, or a stamp on other bytes;
    SignatureError for one that is altered, by another authority, by a certificate that was not
    valid at that time, or not for time stamping alone.
    """
    client = _client()
    chain = _chain(authorities)
    response, imprint = _parsed(token)
    if not imprint.is_of(note):
        raise LedgerError("a time stamp on other bytes than these")
    with _refusing(SignatureError, "the time stamp does not hold"):
        verifier = client.VerifierBuilder(roots=chain.roots, intermediates=chain.others).build()
        verifier.verify_message(response, note)
        signer = _signer(response)
        time, accuracy = response.tst_info.gen_time, response.tst_info.accuracy
        authority = signer.subject.rfc4514_string()
    if chain.stampers and signer not in chain.stampers:
        raise SignatureError(f"the time stamp is by {authority!a:.200}, not by the one given")
    return Stamp(time, _span(accuracy), authority)


def stamped_head(log: BinaryIO, token: bytes) -> bytes | None:
    """Return the head in `log` that `token` stamps, or None; nothing is verified.

    Raises LedgerError when `token` is no answer of an authority.
    """
    _, imprint = _parsed(token)
    log.seek(0)
    for record in wal.records(log):
        if isinstance(record, wal.HeadNote) and imprint.is_of(record.data):
            return record.data
    return None


class _Imprint(NamedTuple):
    """The digest in a time stamp, and its algorithm as an object identifier."""

    algorithm: str
    digest: bytes

    def is_of(self, data: bytes) -> bool:
        hashed = _HASHES.get(self.algorithm)
        return hashed is not None and hashed(data).digest() == self.digest


class _Chain(NamedTuple):
    """The auditor's certificates: trust ends in `roots`; `stampers` can only stamp."""

    roots: list[x509.Certificate]
    others: list[x509.Certificate]
    stampers: list[x509.Certificate]


def _client() -> ModuleType:
    try:
        import rfc3161_client  # noqa: PLC0415 - an optional extra, imported here only
    except ImportError as error:
        raise LedgerError(
            "time stamps need a package that is not installed\n"
            "  pip install 'institutional[timestamp]'"
        ) from error
    return rfc3161_client


@contextlib.contextmanager
def _refusing(kind: type[LedgerError], what: str) -> Iterator[None]:
    """One refusal for whatever the parsers of certificates and answers raise on hostile bytes."""
    try:
        yield
    except Exception as error:
        why = "; ".join(_WHY.findall(str(error))) or f"{type(error).__name__}: {error}"
        raise kind(f"{what}: {why!a:.300}") from error


def _parsed(token: bytes) -> tuple[Any, _Imprint]:
    client = _client()
    if len(token) > MAX_TOKEN_BYTES:
        raise LedgerError(f"a time stamp of {len(token)} bytes; {MAX_TOKEN_BYTES} are allowed")
    with _refusing(LedgerError, "not an authority's answer (DER)"):
        response = client.decode_timestamp_response(token)
        status, words = response.status, response.status_string
    if status != 0:
        raise LedgerError(f"the authority granted no time stamp: status {status}, {words!a:.200}")
    with _refusing(LedgerError, "an answer without a proper time stamp"):
        imprint = response.tst_info.message_imprint
        return response, _Imprint(imprint.hash_algorithm.dotted_string, imprint.message)


def _chain(authorities: bytes) -> _Chain:
    if len(authorities) > MAX_AUTHORITIES_BYTES:
        raise LedgerError(f"certificates of more than {MAX_AUTHORITIES_BYTES} bytes")
    with _refusing(LedgerError, "not certificates (PEM)"):
        found = x509.load_pem_x509_certificates(authorities)
        roots = [each for each in found if each.issuer == each.subject]
        others = [each for each in found if each.issuer != each.subject]
        stampers = [each for each in found if _only_stamps(each)]
    if not roots:
        raise LedgerError(
            "the certificates hold no root, so nothing to trust\n"
            "  add the root certificate that the authority publishes"
        )
    return _Chain(roots, others, stampers)


def _only_stamps(certificate: x509.Certificate) -> bool:
    held = {type(extension.value): extension.value for extension in certificate.extensions}
    usage, constraints = held.get(x509.ExtendedKeyUsage), held.get(x509.BasicConstraints)
    stamps = isinstance(usage, x509.ExtendedKeyUsage) and _STAMPING in usage
    return stamps and not (isinstance(constraints, x509.BasicConstraints) and constraints.ca)


def _signer(response: Any) -> x509.Certificate:
    """Return the embedded certificate by which an answer is signed, as it was verified before."""
    (signed,) = response.signed_data.signer_infos
    embedded = map(x509.load_der_x509_certificate, response.signed_data.certificates)
    name = signed.issuer, signed.serial_number
    (signer,) = (each for each in embedded if (each.issuer, each.serial_number) == name)
    return signer


def _span(accuracy: Any) -> timedelta:
    """Return the accuracy that an authority states, 0 where it states none."""
    if accuracy is None:
        return timedelta()
    seconds = accuracy.seconds or 0
    if seconds > _VAGUEST_SECONDS:
        raise LedgerError(f"a time stamp that is accurate to {seconds} seconds: too vague to count")
    return timedelta(
        seconds=seconds, milliseconds=accuracy.millis or 0, microseconds=accuracy.micros or 0
    )
