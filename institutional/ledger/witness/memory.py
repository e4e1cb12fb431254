"""What a witness keeps on disk: its key, whom it listens to, and one head for each log.

    DIR/witness.key, witness.pub      its private key (mode 0600), and the line that auditors need
    DIR/policy                        a C2SP trust policy: the logs, or operators, that it cosigns
    DIR/logs/<SHA-256 of the origin>/ one folder for each log that it remembers
        checkpoint                    the newest head, with the log's line and the witness's own
        keys                          the listed key that vouched for it, then its keys by epoch
    DIR/conflicts/<kind>-.../         two signed heads that contradict each other (see `protocol`)

`logs` is what C2SP calls a monitoring prefix: any web server may serve it. A head is written
durably before its cosignature leaves, and a log is looked up and written under one lock. A witness
restored from a backup has forgotten what it said since: give it a new key. Local disks only.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from institutional.ledger import files
from institutional.ledger.cosignature import WitnessKey, witness_key
from institutional.ledger.errors import LedgerError, UnknownKeyError
from institutional.ledger.files import read_small, replace, sync_folder
from institutional.ledger.keys import private_line, read_private
from institutional.ledger.note import (
    MAX_NOTE_BYTES,
    SigningKey,
    VerifyKey,
    check_name,
    open_checkpoint,
    parse_vkey,
)
from institutional.ledger.trust import NO_QUORUM, parse_trust
from institutional.ledger.witness.protocol import Conflict, Record

KEY = "witness.key"
PUBLIC = "witness.pub"
POLICY = "policy"
LOGS = "logs"
CHECKPOINT = "checkpoint"
KEYS = "keys"
CONFLICTS = "conflicts"
MAX_CONFLICTS = 1000
_MAX_KEYS_BYTES = 1_048_576
_MAX_POLICY_BYTES = 65_536
_POLICY = """\
# Whose logs this witness cosigns: c2sp.org/tlog-policy. The key of an operator stands for
# every run whose manifest it has signed. Remove a line, and what rests on it is cosigned no more.
"""


def create(folder: Path, *, name: str, listed: Sequence[VerifyKey]) -> WitnessKey:
    """Make a witness called `name` in `folder`, which must not exist: all of it or nothing.

    `listed` are keys of logs or operators, at least one.
    """
    key = SigningKey(check_name(name), secrets.token_bytes(32))
    policy = _POLICY + "".join(f"log {key.vkey}\n" for key in listed) + f"quorum {NO_QUORUM}\n"
    parse_trust(policy)
    temporary = folder.with_name(f"{folder.name}.{secrets.token_hex(8)}.tmp")
    if folder.exists():
        raise LedgerError(f"{folder}: exists already; a witness needs a folder of its own")
    try:
        temporary.mkdir()
        (temporary / LOGS).mkdir()
        (temporary / CONFLICTS).mkdir()
        descriptor = os.open(temporary / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(private_line(key).encode())
            file.flush()
            os.fsync(file.fileno())
        replace(temporary / PUBLIC, f"{witness_key(key).vkey}\n".encode())
        replace(temporary / POLICY, policy.encode())
        temporary.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise LedgerError(f"{folder}: the witness cannot be made: {error}") from error
    return witness_key(key)


def add_listed(folder: Path, key: VerifyKey) -> None:
    """Put one more log or operator on the list; raises LedgerError when it is there already."""
    listed_keys(folder)
    path = folder / POLICY
    try:
        text = read_small(path, limit=_MAX_POLICY_BYTES).decode()
        text += ("" if text.endswith("\n") else "\n") + f"log {key.vkey}\n"
        parse_trust(text)
        replace(path, text.encode())
    except (OSError, LedgerError) as error:
        raise LedgerError(f"{path}: {key.name} cannot be added: {error}") from error


def listed_keys(folder: Path) -> tuple[VerifyKey, ...]:
    """Return the keys of logs and operators whose heads this witness cosigns."""
    path = folder / POLICY
    try:
        trust = parse_trust(read_small(path, limit=_MAX_POLICY_BYTES).decode())
    except (OSError, UnicodeDecodeError, LedgerError) as error:
        raise LedgerError(f"{path}: not a list of logs: {error}") from error
    if trust.quorum != NO_QUORUM:
        raise LedgerError(f"{path}: a witness asks no other: end it with the line: quorum none")
    return trust.keys


def signing_key(folder: Path) -> SigningKey:
    """Return the witness's key; refuses one that other users can read."""
    path = folder / KEY
    try:
        return read_private(path)
    except FileNotFoundError as error:
        raise LedgerError(
            f"{folder}: not the folder of a witness\n"
            "  make one: institutional audit witness init DIR --name NAME --log KEY"
        ) from error
    except OSError as error:
        raise LedgerError(f"{path}: the witness's key cannot be read: {error}") from error


def place(folder: Path, origin: str) -> Path:
    """Return where the log called `origin` is remembered."""
    return folder / LOGS / hashlib.sha256(origin.encode()).hexdigest()


def places(folder: Path) -> list[Path]:
    """Return where each remembered log is kept, in the order of their names."""
    try:
        return sorted(path for path in (folder / LOGS).iterdir() if path.is_dir())
    except OSError as error:
        raise LedgerError(f"{folder}: not the folder of a witness: {error}") from error


@contextlib.contextmanager
def locked(where: Path) -> Iterator[None]:
    """Hold the place of one log, which is made, alone among threads and processes."""
    if not where.is_dir():
        where.mkdir(exist_ok=True)
        sync_folder(where.parent)
    with files.locked(where):
        yield


def load(where: Path) -> Record | None:
    """Return what is remembered of a log; None before the first contact.

    Damage is an error and never a first contact: a witness that forgets can be made to lie.
    """
    try:
        root, *keys = [
            parse_vkey(line)
            for line in read_small(where / KEYS, limit=_MAX_KEYS_BYTES).decode().splitlines()
        ]
    except FileNotFoundError:
        if (where / CHECKPOINT).exists():
            raise LedgerError(f"{where}: a remembered head without its keys") from None
        return None
    except (ValueError, LedgerError) as error:
        raise LedgerError(f"{where / KEYS}: damaged: {error}") from error
    try:
        head = read_small(where / CHECKPOINT, limit=MAX_NOTE_BYTES)
    except FileNotFoundError:
        head = None
    if not keys or (head is not None and not _signed_by_any(head, keys)):
        raise LedgerError(f"{where}: damaged: the remembered head is not by the log's key")
    return Record(root, tuple(keys), head)


def save(where: Path, record: Record, before: Record | None) -> None:
    """Write what has changed since `before`, durably; keys first, as a head needs its key."""
    if before is None or (before.root, before.keys) != (record.root, record.keys):
        lines = [key.vkey for key in (record.root, *record.keys)]
        replace(where / KEYS, "".join(f"{line}\n" for line in lines).encode())
    if record.head is not None and (before is None or before.head != record.head):
        replace(where / CHECKPOINT, record.head)


def keep(folder: Path, origin: str, conflict: Conflict) -> Path | None:
    """Keep both heads of a conflict, once; None when there are `MAX_CONFLICTS` already."""
    digest = hashlib.sha256(conflict.remembered + conflict.submitted).hexdigest()
    name = f"{conflict.kind}-{place(folder, origin).name[:16]}-{digest[:16]}"
    where = folder / CONFLICTS / name
    if not where.exists() and len(conflicts(folder)) >= MAX_CONFLICTS:
        return None
    where.mkdir(exist_ok=True)
    replace(where / "remembered", conflict.remembered)
    replace(where / "submitted", conflict.submitted)
    sync_folder(where.parent)
    return where


def conflicts(folder: Path) -> list[Path]:
    """Return where each conflict is kept, forks before pairs that nobody has proved."""
    try:
        return sorted((folder / CONFLICTS).iterdir())
    except OSError as error:
        raise LedgerError(f"{folder}: not the folder of a witness: {error}") from error


def _signed_by_any(head: bytes, keys: list[VerifyKey]) -> bool:
    for key in reversed(keys):
        try:
            open_checkpoint(head, key)
        except UnknownKeyError:
            continue
        except LedgerError:
            return False
        return True
    return False
