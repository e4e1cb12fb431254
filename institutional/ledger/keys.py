"""Where the operator's key lives, and how a run's key follows from it.

The operator has one Ed25519 key, `operator.key` (mode 0600), and its public line `operator.pub`,
which auditors need from somewhere else than a run folder. The private file holds one line in the
note format's spelling for signers, PRIVATE+KEY+NAME+KEYID+BASE64.

A run's key is derived from the operator's key and the run's origin (HKDF-SHA256, RFC 5869) and is
never stored: the same operator, inputs and origin give the same bytes, so a killed run can be
continued and a finished one reproduced. The price is forward security: who steals the operator's
key can sign for every past run too, and who runs one origin twice signs two histories. Against
both only an outside anchor helps, such as a remembered head. Epochs with erased keys come later.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small, replace, sync_folder
from institutional.ledger.note import (
    ED25519,
    SigningKey,
    VerifyKey,
    check_name,
    from_base64,
    parse_vkey,
    to_base64,
)

_PREFIX = "PRIVATE+KEY+"
_RUN_SALT = b"institutional/run-key/v1"


def home() -> Path:
    """Return the folder of the operator's key.

    $INSTITUTIONAL_HOME, or $XDG_CONFIG_HOME/institutional, or ~/.config/institutional.
    """
    if chosen := os.environ.get("INSTITUTIONAL_HOME"):
        return Path(chosen)
    if config := os.environ.get("XDG_CONFIG_HOME"):
        return Path(config) / "institutional"
    return Path.home() / ".config" / "institutional"


def run_key(operator: SigningKey, origin: str) -> SigningKey:
    """Return the key that signs the log called `origin`, and nothing else."""
    seed = HKDF(algorithm=SHA256(), length=32, salt=_RUN_SALT, info=origin.encode()).derive(
        operator.seed
    )
    return SigningKey(check_name(origin), seed)


def operator_key(folder: Path | None = None) -> SigningKey:
    """Return the operator's key, made at first use."""
    folder = home() if folder is None else folder
    if not (folder / "operator.key").exists():
        with contextlib.suppress(FileExistsError):  # another process was faster: use its key
            generate(folder)
    return load(folder)


def generate(folder: Path) -> SigningKey:
    """Make an operator's key in `folder`; raises FileExistsError where there is one already."""
    seed = secrets.token_bytes(32)
    public = SigningKey("unnamed", seed).verify_key.public
    key = SigningKey(f"institutional/operator/{hashlib.sha256(public).hexdigest()[:8]}", seed)
    path = folder / "operator.key"
    temporary = folder / f"operator.key.{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(private_line(key).encode())
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike rename, never replaces a key that is there
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise LedgerError(f"{path}: the operator's key cannot be stored: {error}") from error
    return load(folder)


def load(folder: Path) -> SigningKey:
    """Return the key in `folder`; refuses one that other users can read.

    Writes `operator.pub` anew where it is missing, and refuses one of another key.
    """
    path, public = folder / "operator.key", folder / "operator.pub"
    try:
        status = path.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise LedgerError(
                f"{path}: other users may read this private key or own it\n"
                f"  if nobody did, make it yours alone: chmod 600 {path}"
            )
        key = parse_private_line(read_small(path, limit=4096), where=str(path))
        line = key.verify_key.vkey + "\n"
        if not public.exists():
            replace(public, line.encode())
        if read_small(public, limit=4096) != line.encode():
            raise LedgerError(
                f"{public}: not the public half of operator.key beside it\n"
                "  remove it to have it written anew"
            )
    except FileNotFoundError as error:
        raise LedgerError(f"{path}: there is no operator's key") from error
    except OSError as error:
        raise LedgerError(f"{path}: the operator's key cannot be read: {error}") from error
    return key


def load_public(path: Path) -> VerifyKey:
    """Return the key in a file that holds one verifier key line."""
    try:
        return parse_vkey(read_small(path, limit=4096).decode().removesuffix("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path}: not a public key that can be read: {error}") from error


def private_line(key: SigningKey) -> str:
    """Return the line that stores `key`. Keep it secret."""
    public = key.verify_key
    return f"{_PREFIX}{key.name}+{public.key_id.hex()}+{to_base64(ED25519 + key.seed)}\n"


def parse_private_line(data: bytes, *, where: str) -> SigningKey:
    """Return the key of a stored line; the error never repeats what the file holds."""
    problem = LedgerError(f"{where}: not a private key of this program")
    try:
        name, _, encoded = data.decode().removeprefix(_PREFIX).split("+", 2)
        typed = from_base64(encoded.removesuffix("\n"))
        key = SigningKey(check_name(name), typed[1:])
        if len(typed) != 33 or private_line(key).encode() != data:
            raise problem
    except (ValueError, LedgerError):
        raise problem from None
    return key
