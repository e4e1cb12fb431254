"""The ledger of one run: an append-only, signed file that survives being killed.

    <run>/ledger/log.wal       entries and signed heads (see `wal`)
    <run>/ledger/checkpoint    the newest head, published when the ledger is closed
    <run>/ledger/quarantine/   bytes of a torn write, set aside on resuming

After `rotate_every` entries a commit ends with an entry that names the next key, and the key that
signed it is forgotten.

`append` returns the re-parsed value of the stored bytes, and decisions are taken from that;
`commit` makes everything appended durable with one write and one fdatasync, and only then may the
world be acted upon. A failed write kills the object: nothing is retried, `Ledger.resume` reads
again what the disk holds. Not for several threads, and not for network filesystems, whose locks
and syncs promise less.
"""

import fcntl
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, replace, sync_folder
from institutional.ledger.keys import next_epoch
from institutional.ledger.manifest import check_name
from institutional.ledger.note import (
    Checkpoint,
    SigningKey,
    VerifyKey,
    sign_checkpoint,
)
from institutional.ledger.tree import leaf_hash

LOG = "log.wal"
CHECKPOINT = "checkpoint"
QUARANTINE = "quarantine"
_EPOCHS_AHEAD = 8
_OWN_KINDS = {"close", wal.ROTATE}
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def exists(folder: Path) -> bool:
    """Whether `folder` holds a log, so that `Ledger.resume` applies and not `Ledger.create`."""
    return (folder / LOG).exists()


Keep = Callable[[SigningKey | None], None]
"""Told the key of the next epoch once the last one's work is durable, and None at the end."""


def _forget(_: SigningKey | None) -> None:
    """Keep no key: it can be derived again."""


class Signing(NamedTuple):
    """How a log is signed.

    `key` is the present one (None: none is left, as after closing), `first` that of the first
    epoch where it is another. `rotate_every` is a number of entries; None never rotates.
    """

    key: SigningKey | None
    first: VerifyKey | None = None
    rotate_every: int | None = None
    keep: Keep = _forget


class Ledger:
    """The one writer of a log; made by `create`, `resume` or `extend`, locked until `release`."""

    _end: int
    _head: bytes

    def __init__(
        self,
        folder: Path,
        *,
        origin: str,
        run: str,
        signing: Signing,
        sync: bool,
        new: bool,
        follow: bool = True,
    ) -> None:
        check_name(origin, what="an origin")
        check_name(run, what="a run id")
        key, first = signing.key, signing.first
        for name in {named.name for named in (key, first) if named is not None} - {origin}:
            raise LedgerError(f"the key is named {name[:80]!a}; the log's origin is {origin!a}")
        if first is None:
            if key is None:
                raise LedgerError(f"{folder}: without a key a log can be neither read nor written")
            first = key.verify_key
        self.folder = folder
        self.run = run
        self.origin = origin
        self.sync_seconds = 0.0
        self.closed = False
        self._signing = signing
        self._key = key
        self._first = first
        self._sync = sync
        self._dead: str | None = None
        self._process = os.getpid()
        self._seq = 0
        self._counts: Counter[str] = Counter()
        self._buffer = bytearray()
        self._path = folder / LOG
        try:
            if new:
                folder.mkdir(exist_ok=True)
            self._file = os.open(self._path, _FLAGS | (os.O_CREAT | os.O_EXCL if new else 0), 0o644)
        except FileExistsError:
            raise LedgerError(f"{self._path}: there is a log already; resume it") from None
        except OSError as error:
            raise LedgerError(f"{self._path}: the log cannot be opened: {error}") from error
        try:
            self._open(new=new, follow=follow)
        except BaseException:
            os.close(self._file)  # and with it the lock
            raise

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        origin: str,
        run: str,
        key: SigningKey,
        rotate_every: int | None = None,
        keep: Keep = _forget,
        sync: bool = True,
    ) -> Self:
        """Begin the log of `run` in `folder`, which is made; its parent must exist.

        `key` is the run's first key and is named like `origin`. Without `sync` nothing survives a
        loss of power: for tests and timing only.
        """
        signing = Signing(key, None, rotate_every, keep)
        return cls(folder, origin=origin, run=run, signing=signing, sync=sync, new=True)

    @classmethod
    def resume(
        cls,
        folder: Path,
        *,
        origin: str,
        run: str,
        key: SigningKey | None,
        first: VerifyKey | None = None,
        rotate_every: int | None = None,
        keep: Keep = _forget,
        sync: bool = True,
    ) -> Self:
        """Continue a log, killed or finished: derive the run again from its seed and append all.

        Entries that are stored already are compared byte for byte and not written twice; commits
        among them do nothing. So a continued run ends with the bytes of an uninterrupted one. A
        torn tail is set aside; damage before a signed head is refused and nothing is touched.

        `key` may be that of any epoch up to the present one: it is moved forward. A run whose key
        was erased on closing is resumed with None and the `first` epoch's public key.
        """
        signing = Signing(key, first, rotate_every, keep)
        return cls(folder, origin=origin, run=run, signing=signing, sync=sync, new=False)

    @classmethod
    def extend(
        cls,
        folder: Path,
        *,
        origin: str,
        run: str,
        key: SigningKey,
        rotate_every: int | None = None,
        sync: bool = True,
    ) -> Self:
        """Continue a log after its last entry, where nothing can be derived again.

        A torn tail is set aside and damage refused, as by `resume`.
        """
        signing = Signing(key, None, rotate_every)
        return cls(
            folder, origin=origin, run=run, signing=signing, sync=sync, new=False, follow=False
        )

    def append(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add one entry and return its body as it will be read: decide from that, not from `body`.

        The first entry is of kind "open" and names its manifest; "close" is left to `close`.
        Nothing is durable before `commit`.
        """
        if kind in _OWN_KINDS:
            raise LedgerError(f'entries of kind "{kind}" are written by the ledger itself')
        return self._append(kind, body)

    def commit(self) -> None:
        """Make every appended entry durable under one signed head, and end the epoch if it is due.

        The head that covers a rotation is the old key's last.
        """
        self._check_alive()
        every = self._signing.rotate_every
        if every is not None and self._seq - self._epoch_start >= every:
            self._rotate()
        else:
            self._commit()

    def close(self, body: dict[str, Any]) -> bytes:
        """End the log with a count of entries per kind beside `body`, and publish its last head.

        The stored file is read again and its root recomputed first; then the key is forgotten.
        Returns the signed head.
        """
        if "counts" in body:
            raise LedgerError('the closing entry counts for itself: leave out "counts"')
        self._append("close", {**body, "counts": dict(self._counts + Counter(close=1))})
        self._commit()
        self.closed = True
        self.publish()
        self._move_on(None)
        self.release()
        return self._head

    def publish(self) -> None:
        """Read the stored file again, recompute its root and store its newest head as `checkpoint`.

        `close` does so; a log that stays open is published between commits.
        """
        self._guarded(self._publish)

    def release(self) -> None:
        """Let go of the file and its lock; appended entries that were not committed are lost."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._stored.close()

    @property
    def size(self) -> int:
        """How many entries have been appended or, after a resume, derived again."""
        return self._seq

    @property
    def replaying(self) -> bool:
        """Whether the next append is compared with a stored entry rather than written."""
        return self._seq < self._committed

    @property
    def head(self) -> bytes:
        """The newest signed head, empty before the first commit; worth keeping elsewhere."""
        return self._head

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _open(self, *, new: bool, follow: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerError(f"{self._path}: another process is writing this log") from error
        if new:
            self._guarded(self._sync_folders)
        try:
            with open_regular(self._path) as file:
                prefix = wal.committed(file, self._first)
                self._catch_up(prefix)
                if not prefix.complete:
                    self._set_aside(file, prefix)
        except OSError as error:
            raise LedgerError(f"{self._path}: the log cannot be read: {error}") from error
        self._frontier = prefix.frontier
        self._committed = prefix.frontier.size
        self._end = prefix.end
        self._head = prefix.head
        self._epochs = prefix.epochs
        self._epoch = 0
        self._epoch_start = 0
        self._stored = self._stored_entries(prefix.end)
        if not follow:
            for data in self._stored:
                entry = wal.parse_entry(wal.EntryLine(0, data), run=self.run, seq=self._seq)
                self._seq += 1
                self._counts[entry.kind] += 1
                if entry.kind == wal.ROTATE:
                    self._epoch, self._epoch_start = self._epoch + 1, self._seq

    def _catch_up(self, prefix: wal.Prefix) -> None:
        """Move the key forward to the epoch in which the log stands."""
        key = self._key
        if key is None:
            return
        for _ in prefix.epochs:
            if key.verify_key == prefix.epochs[-1]:
                if key != self._key:
                    self._move_on(key)
                return
            key = next_epoch(key)
        raise LedgerError(
            f"{self._path}: signed by another key than the one given, in epoch "
            f"{len(prefix.epochs) - 1}\n  nothing was changed: give the run's own key"
        )

    def _set_aside(self, file: BinaryIO, prefix: wal.Prefix) -> None:
        """Move what follows the last valid head to quarantine, unless a later head is valid."""
        keys, key = list(prefix.epochs), self._key
        # Damage may hide the entry that names the key which signed what follows.
        while key is not None and len(keys) < len(prefix.epochs) + _EPOCHS_AHEAD:
            key = next_epoch(key)
            keys.append(key.verify_key)
        refuted = wal.why_not_torn(file, keys, start=prefix.end, above=prefix.frontier.size)
        if refuted is not None:
            raise LedgerError(
                f"{self._path}: damaged after byte {prefix.end}: {prefix.problem}\n"
                f"  this is no torn write: {refuted}\n"
                "  nothing was changed: restore the file from a copy, or run again elsewhere"
            )
        file.seek(prefix.end)
        tail = file.read()
        folder = self.folder / QUARANTINE
        folder.mkdir(exist_ok=True)
        name = f"{prefix.end}-{hashlib.sha256(tail).hexdigest()}.bin"
        replace(folder / name, tail, sync=self._sync)
        os.ftruncate(self._file, prefix.end)
        self._guarded(self._sync_folders)
        self._guarded(self._sync_file)

    def _stored_entries(self, end: int) -> Generator[bytes]:
        """Yield the committed entries' bytes for comparison, one at a time."""
        try:
            with open_regular(self._path) as file:
                yield from wal.entry_lines(file, end=end)
        except OSError as error:
            raise LedgerError(f"{self._path}: the log cannot be read: {error}") from error

    def _append(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check_alive()
        seq = self._seq
        if kind not in self._counts:
            self._check_kind(kind)
        if (kind == "open") != (seq == 0):
            raise LedgerError(f'entry {seq} cannot be "{kind}": a log begins with one "open"')
        if kind == "open" and not isinstance(body.get("manifest"), str):
            raise LedgerError('the body of "open" needs "manifest", the SHA-256 of the payload')
        data, read = wal.encode_entry(run=self.run, seq=seq, kind=kind, body=body)
        if kind != "close" and len(self._buffer) + len(data) >= wal.MAX_COMMIT_BYTES:
            raise LedgerError(f"more than {wal.MAX_COMMIT_BYTES} bytes wait: commit more often")
        if self.replaying:
            self._compare(seq, kind, data)
        else:
            self._buffer += data + b"\n"
            self._frontier.append(leaf_hash(data))
        self._seq += 1
        self._counts[kind] += 1
        return read

    def _check_kind(self, kind: str) -> None:
        if not wal.KIND.match(kind):
            raise LedgerError(f"{kind[:80]!a} cannot be a kind: use a-z, then a-z 0-9 _ . -")
        if kind not in _OWN_KINDS and len(self._counts) >= wal.MAX_KINDS - len(_OWN_KINDS):
            raise LedgerError(f'"{kind}" is one kind too many; {wal.MAX_KINDS} are allowed')

    def _compare(self, seq: int, kind: str, data: bytes) -> None:
        stored = next(self._stored, b"")
        if stored != data:
            self._dead = f"it diverged from its record at entry {seq}"
            at = next(
                (i for i, (a, b) in enumerate(zip(stored, data, strict=False)) if a != b),
                min(len(stored), len(data)),
            )
            near = slice(max(0, at - 20), at + 60)
            raise LedgerError(
                f'{self._path}: entry {seq} ("{kind}") differs from the one recorded\n'
                f"  recorded: ...{stored[near].decode(errors='replace')!a}\n"
                f"  now:      ...{data[near].decode(errors='replace')!a}\n"
                "  same seed, inputs and package versions give the same entries: what changed?"
            )

    def _commit(self) -> None:
        if not self._buffer:
            return
        head = self._sign()
        self._buffer += head
        self._guarded(self._write)
        self._head, self._end = head, self._end + len(self._buffer)
        self._buffer.clear()

    def _rotate(self) -> None:
        """End the epoch: name the next key, have the old one sign that, and forget the old one."""
        epoch = self._epoch + 1
        following = None
        if epoch < len(self._epochs):  # stored already: its key may no longer be known
            vkey = self._epochs[epoch].vkey
        else:
            following = next_epoch(self._present_key())
            vkey = following.verify_key.vkey
        self._append(wal.ROTATE, {"epoch": epoch, "key": vkey})
        self._commit()
        self._epoch, self._epoch_start = epoch, self._seq
        if following is not None:
            self._epochs = (*self._epochs, following.verify_key)
            self._move_on(following)

    def _move_on(self, key: SigningKey | None) -> None:
        self._guarded(lambda: self._signing.keep(key))
        self._key = key

    def _present_key(self) -> SigningKey:
        if self._key is None:
            self._dead = "its key was erased when it was closed"
            raise LedgerError(
                f"{self._path}: the key of this run is gone, so nothing can be added\n"
                "  it is erased when a run is closed: run again in another folder"
            )
        return self._key

    def _sign(self) -> bytes:
        checkpoint = Checkpoint(self.origin, self._seq, self._frontier.root())
        return sign_checkpoint(checkpoint, self._present_key())

    def _write(self) -> None:
        held = os.fstat(self._file)
        if held.st_nlink == 0:
            raise OSError("the file was removed: what is written now nobody could read")
        if held.st_size != self._end:
            raise OSError(
                f"the file has {held.st_size} bytes instead of {self._end}: a second writer?"
            )
        written = os.write(self._file, self._buffer)
        if written != len(self._buffer):
            raise OSError(f"only {written} of {len(self._buffer)} bytes were written")
        self._sync_file()

    def _publish(self) -> None:
        with open_regular(self._path) as file:
            stored = wal.committed(file, None)
        if stored.head != self._head or stored.frontier.root() != self._frontier.root():
            raise OSError("the stored file does not hold what was written")
        started = time.perf_counter()
        replace(self.folder / CHECKPOINT, self._head, sync=self._sync)
        self.sync_seconds += time.perf_counter() - started

    def _sync_file(self) -> None:
        if self._sync:
            started = time.perf_counter()
            os.fdatasync(self._file)
            self.sync_seconds += time.perf_counter() - started

    def _sync_folders(self) -> None:
        if self._sync:
            started = time.perf_counter()
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
            self.sync_seconds += time.perf_counter() - started

    def _guarded(self, step: Callable[[], None]) -> None:
        """Do one step on the disk; when it fails, this object is dead and nothing is retried."""
        try:
            step()
        except (OSError, LedgerError) as error:
            self._dead = str(error)
            raise LedgerError(
                f"{self._path}: the ledger stopped: {error}\n"
                "  nothing after the last commit counts; make room or repair the disk, then resume"
            ) from error

    def _check_alive(self) -> None:
        if self._dead is not None:
            raise LedgerError(f"{self._path}: the ledger stopped before: {self._dead}")
        if self.closed or self._file < 0:
            raise LedgerError(f"{self._path}: the ledger is closed; nothing can be added")
        if os.getpid() != self._process:
            raise LedgerError(f"{self._path}: a forked process may not write this log")
