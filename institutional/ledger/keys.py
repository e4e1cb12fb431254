"""Where the operator's key lives, and how a run's key follows from it.

The operator has one Ed25519 key, `operator.key` (mode 0600), and its public line `operator.pub`,
which auditors need from somewhere else than a run folder. The private file holds one line in the
note format's spelling for signers, PRIVATE+KEY+NAME+KEYID+BASE64.

A run's key signs one log and nothing else. It begins in one of two ways:

    derived   from the operator's key and the run's origin (HKDF-SHA256, RFC 5869): the same
              operator, inputs and origin give the same bytes, and nothing needs to be stored
    fresh     drawn at random and kept in `runs/` beside the operator's key until the run is
              closed, so that who steals the operator's key later cannot sign for a closed run

Within a run it only moves forward: the key of the next epoch follows from the present one, never
the other way round, and the present one is then forgotten. So the thief of a signing key cannot
touch a closed epoch. A thief of the operator's key can vouch for runs of his own making, and
derive the keys of derived runs; against him, and against the operator, only outside anchors help.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path
from typing import NamedTuple

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
_EPOCH_SALT = b"institutional/epoch-key/v1"
_CASSETTE_SALT = b"institutional/cassette-key/v1"


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
    """Return the derived key with which the log called `origin` begins."""
    return SigningKey(check_name(origin), _derived(operator.seed, _RUN_SALT, origin))


def next_epoch(key: SigningKey) -> SigningKey:
    """Return the key of the epoch after that of `key`, from which `key` cannot be computed."""
    return SigningKey(key.name, _derived(key.seed, _EPOCH_SALT, key.name))


def cassette_key(key: SigningKey) -> bytes:
    """Return the key of a run's cassette, 32 bytes, from which its signing `key` is not found."""
    return _derived(key.seed, _CASSETTE_SALT, key.name)


def _derived(seed: bytes, salt: bytes, origin: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=origin.encode()).derive(seed)


class KeptKey(NamedTuple):
    """The file that holds the present key of a fresh run, and no key before it.

    A disk that journals or copies on write may hold the bytes of erased keys a while longer.
    """

    path: Path

    @classmethod
    def of(cls, origin: str, run: Path, folder: Path | None = None) -> "KeptKey":
        """Return the place of the key for `origin` as run in the folder `run`.

        It lies below the operator's folder: a run folder is made to be given away.
        """
        folder = home() if folder is None else folder
        name = hashlib.sha256(f"{origin}\n{run.resolve()}".encode()).hexdigest()
        return cls(folder / "runs" / f"{name}.key")

    def draw(self, origin: str) -> SigningKey:
        """Return the key kept here, or a new random one, which is then kept."""
        found = self.load()
        if found is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = SigningKey(check_name(origin), secrets.token_bytes(32))
            self.keep(found)
        return found

    def load(self) -> SigningKey | None:
        """Return the key kept here, if there is one."""
        try:
            return parse_private_line(read_small(self.path, limit=4096), where=str(self.path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LedgerError(f"{self.path}: the run's key cannot be read: {error}") from error

    def keep(self, key: SigningKey | None) -> None:
        """Keep `key` durably in place of the one before it; None erases what is kept."""
        if key is not None:
            replace(self.path, private_line(key).encode(), mode=0o600)
        elif self.path.exists():
            self.path.unlink()
            sync_folder(self.path.parent)


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
        key = read_private(path)
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


def read_private(path: Path) -> SigningKey:
    """Return the private key stored at `path`; refuses one that other users can read.

    Raises OSError when there is none, or it cannot be read.
    """
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LedgerError(
            f"{path}: other users may read this private key or own it\n"
            f"  if nobody did, make it yours alone: chmod 600 {path}"
        )
    return parse_private_line(read_small(path, limit=4096), where=str(path))


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
