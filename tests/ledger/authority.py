"""A throw-away time-stamping authority: certificates of our own making, stamps by OpenSSL.

Run as a program, it writes the golden stamp anew: only a new format may need that.
"""

import datetime as dt
import hashlib
import subprocess
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from institutional.ledger.timestamp import request

GOLDEN = Path(__file__).parents[1] / "golden" / "ledger" / "timestamp"
STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
CONFIGURATION = """
[stamping]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
accuracy = {accuracy}
"""


def year(number):
    return dt.datetime(number, 1, 1, tzinfo=dt.UTC)


def der(tag, *parts):
    """One DER element."""
    content = b"".join(parts)
    if len(content) < 128:
        return bytes([tag, len(content)]) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def openssl(*words, cwd, check=True):
    return subprocess.run(["openssl", *map(str, words)], cwd=cwd, check=check, capture_output=True)


class Authority:
    """A root and one certificate below it, in `folder`; valid from 2020 to 2120 if not told."""

    def __init__(
        self, folder, *, usage=STAMPING, critical=True, leaf=(2020, 2120), root=(2020, 2120)
    ):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.root, self.root_key = self._certificate("Root", None, root)
        (folder / "root.pem").write_bytes(self.root)
        self.add("leaf", usage=usage, critical=critical, valid=leaf)
        (folder / "serial").write_text("01\n")

    def add(self, name, *, usage=STAMPING, critical=True, valid=(2020, 2120), number=None):
        """Issue a certificate NAME.pem with its key; return it."""
        pem, key = self._certificate(name, (usage, critical), valid, number)
        (self.folder / f"{name}.pem").write_bytes(pem)
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pem

    def _certificate(self, name, leaf, valid, number=None):
        number = number or x509.random_serial_number()
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Throw-away {name}")])
        issuer, signing_key = subject, key
        if leaf is not None:
            issuer, signing_key = x509.load_pem_x509_certificate(self.root).subject, self.root_key
        builder = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), number)
            .not_valid_before(year(valid[0]))
            .not_valid_after(year(valid[1]))
            .add_extension(x509.BasicConstraints(ca=leaf is None, path_length=None), critical=True)
        )
        if leaf is not None and leaf[0] is not None:
            builder = builder.add_extension(leaf[0], critical=leaf[1])
        signed = builder.sign(signing_key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), key

    def answer(
        self, request, *, signer="leaf", accuracy="secs:1", digests="sha256, sha384, sha512"
    ):
        """What `openssl ts` answers to a request."""
        (self.folder / "request.tsq").write_bytes(request)
        configuration = CONFIGURATION.format(accuracy=accuracy, digests=digests)
        (self.folder / "ts.cnf").write_text(configuration)
        words = ["-signer", f"{signer}.pem", "-inkey", f"{signer}.key", "-out", "answer.tsr"]
        words = ["-config", "ts.cnf", "-section", "stamping", "-queryfile", "request.tsq", *words]
        openssl("ts", "-reply", *words, cwd=self.folder)
        return (self.folder / "answer.tsr").read_bytes()

    def forge(self, note, *, signers=("leaf",), when="20300101000000Z", span=b"", extra=()):
        """An answer that OpenSSL would not give: any certificate, any time."""
        sha256 = bytes.fromhex("300d06096086480165030402010500")
        info = der(
            0x30,
            bytes.fromhex("020101 06042a030401"),  # version 1, policy 1.2.3.4.1
            der(0x30, sha256, der(0x04, hashlib.sha256(note).digest())),
            bytes.fromhex("020102"),  # serial number
            der(0x18, when.encode()),
            span,
        )
        (self.folder / "info").write_bytes(info)
        words = [word for s in signers for word in ("-signer", f"{s}.pem", "-inkey", f"{s}.key")]
        words += ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-binary", "-nodetach", *extra]
        words += ["-md", "sha256", "-nosmimecap", "-outform", "DER", "-in", "info", "-out", "token"]
        openssl("cms", "-sign", *words, cwd=self.folder)
        granted = bytes.fromhex("3003020100")
        return der(0x30, granted, (self.folder / "token").read_bytes())

    def openssl_accepts(self, note, answer):
        """Whether `openssl ts -verify` takes it."""
        (self.folder / "note").write_bytes(note)
        (self.folder / "judged.tsr").write_bytes(answer)
        words = ["-data", "note", "-in", "judged.tsr", "-CAfile", "root.pem"]
        return openssl("ts", "-verify", *words, cwd=self.folder, check=False).returncode == 0


def main():
    """Write the golden stamp: a head, the authority's root, and its answer."""
    note = (GOLDEN.parent / "small" / "ledger" / "checkpoint").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        answer = authority.answer(request(note))
    GOLDEN.mkdir(exist_ok=True)
    for name, data in (("head", note), ("root.pem", authority.root), ("head.tsr", answer)):
        (GOLDEN / name).write_bytes(data)


if __name__ == "__main__":
    main()
