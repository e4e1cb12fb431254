"""Verifiers that others wrote, behind one function each: True for accepted, False for refused.

`make interop` gets them. Where one is missing its tests skip with the reason, or fail under CI.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TLOGCHECK = HERE.parents[1] / ".tools" / "interop" / "tlogcheck"
SIGSTORE = HERE / "sigstore"
# SubjectPublicKeyInfo of an Ed25519 key is this and its 32 bytes (RFC 8410).
SPKI = bytes.fromhex("302a300506032b6570032100")
OPENSSL_FILES = [*("-pubin", "-keyform", "DER", "-inkey", "key"), *("-rawin", "-in", "text")]
OPENSSL_FILES += ["-sigfile", "sig"]


def need(present, what):
    """Skip the test unless `present`; under CI nothing may be missing."""
    if not present:
        reason = f"{what} is not here; `make interop` gets what it can and says why not"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


def tlogcheck(folder, key):
    """Go's note and tlog over a whole published folder."""
    need(TLOGCHECK.exists(), "tlogcheck")
    done = subprocess.run(
        [TLOGCHECK, folder, key.name, key.vkey], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split(":")[0]) in {(0, "ok"), (1, "refused")}, done
    return done.returncode == 0


def sigstore(checkpoint, key, proofs):
    """The sigstore of npm: whether the checkpoint is signed, and whether each entry is in its tree.

    `proofs` are (index, entry, hashes).
    """
    there = (SIGSTORE / "node_modules" / "@sigstore" / "verify").is_dir()
    need(there and shutil.which("node"), "npm's @sigstore/verify")
    question = {
        "checkpoint": checkpoint.decode(),
        "name": key.name,
        "keyId": key.key_id.hex(),
        "publicKey": base64.b64encode(SPKI + key.public).decode(),
        "entries": [
            {
                "index": index,
                "body": base64.b64encode(entry).decode(),
                "hashes": [base64.b64encode(found).decode() for found in hashes],
            }
            for index, entry, hashes in proofs
        ],
    }
    done = subprocess.run(
        ["node", "check.js"],
        cwd=SIGSTORE,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    return answer["signed"], answer["included"]


def openssl(message, signature, public):
    """OpenSSL's command line over one Ed25519 signature."""
    need(shutil.which("openssl"), "OpenSSL")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("key", SPKI + public), ("text", message), ("sig", signature)):
            Path(folder, name).write_bytes(data)
        done = subprocess.run(
            ["openssl", "pkeyutl", "-verify", *OPENSSL_FILES],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    verdict = {
        (0, "Signature Verified Successfully"): True,
        (1, "Signature Verification Failure"): False,
    }.get((done.returncode, done.stdout.strip()))
    need(verdict is not None, f"an OpenSSL that verifies Ed25519 ({done.stderr.strip()[:200]})")
    return verdict
