"""The ledger of one run: an append-only, signed file that survives being killed.

    <run>/ledger/log.wal       entries and signed heads (see `wal`)
    <run>/ledger/checkpoint    the newest head, published when the ledger is closed
    <run>/ledger/quarantine/   bytes of a torn write, set aside on resuming

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
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from institutional.ledger import canonical, wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, replace, sync_folder
from institutional.ledger.manifest import check_name
from institutional.ledger.note import Checkpoint, SigningKey, checkpoint_text, sign_note
from institutional.ledger.tree import leaf_hash

LOG = "log.wal"
CHECKPOINT = "checkpoint"
QUARANTINE = "quarantine"
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


def exists(folder: Path) -> bool:
    """Whether `folder` holds a log, so that `Ledger.resume` applies and not `Ledger.create`."""
    return (folder / LOG).exists()


class Ledger:
    """The one writer of a log; made by `create` or `resume`, and locked until `release`."""

    _end: int
    _head: bytes

    def __init__(self, folder: Path, *, run: str, key: SigningKey, sync: bool, new: bool) -> None:
        self.folder = folder
        self.run = run
        self.origin = key.name
        self.sync_seconds = 0.0
        self.closed = False
        self._key = key
        self._sync = sync
        self._dead: str | None = None
        self._process = os.getpid()
        self._seq = 0
        self._counts: Counter[str] = Counter()
        self._buffer = bytearray()
        self._path = folder / LOG
        try:
            self._file = os.open(self._path, _FLAGS | (os.O_CREAT | os.O_EXCL if new else 0), 0o644)
        except FileExistsError:
            raise LedgerError(f"{self._path}: there is a log already; resume it") from None
        except OSError as error:
            raise LedgerError(f"{self._path}: the log cannot be opened: {error}") from error
        try:
            self._open(new=new)
        except BaseException:
            os.close(self._file)  # and with it the lock
            raise

    @classmethod
    def create(
        cls, folder: Path, *, origin: str, run: str, key: SigningKey, sync: bool = True
    ) -> Self:
        """Begin the log of `run` in `folder`, which is made; its parent must exist.

        `key` is the run's key and is named like `origin`. Without `sync` nothing survives a loss
        of power: for tests and timing only.
        """
        _check(origin, run, key)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise LedgerError(f"{folder}: the ledger cannot be made: {error}") from error
        return cls(folder, run=run, key=key, sync=sync, new=True)

    @classmethod
    def resume(
        cls, folder: Path, *, origin: str, run: str, key: SigningKey, sync: bool = True
    ) -> Self:
        """Continue a log, killed or finished: derive the run again from its seed and append all.

        Entries that are stored already are compared byte for byte and not written twice; commits
        among them do nothing. So a continued run ends with the bytes of an uninterrupted one. A
        torn tail is set aside; damage before a signed head is refused and nothing is touched.
        """
        _check(origin, run, key)
        return cls(folder, run=run, key=key, sync=sync, new=False)

    def append(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add one entry and return its body as it will be read: decide from that, not from `body`.

        The first entry is of kind "open" and names its manifest; "close" is left to `close`.
        Nothing is durable before `commit`.
        """
        if kind == "close":
            raise LedgerError('entries of kind "close" are written by close()')
        return self._append(kind, body)

    def commit(self) -> None:
        """Make every appended entry durable under one signed head."""
        self._check_alive()
        if not self._buffer:
            return
        head = self._sign()
        self._buffer += head
        self._guarded(self._write)
        self._head, self._end = head, self._end + len(self._buffer)
        self._buffer.clear()

    def close(self, body: dict[str, Any]) -> bytes:
        """End the log with a count of entries per kind beside `body`, and publish its last head.

        The stored file is read again and its root recomputed first. Returns the signed head.
        """
        if "counts" in body:
            raise LedgerError('the closing entry counts for itself: leave out "counts"')
        self._append("close", {**body, "counts": dict(self._counts + Counter(close=1))})
        self.commit()
        self.closed = True
        self._guarded(self._publish)
        self.release()
        return self._head

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

    def _open(self, *, new: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerError(f"{self._path}: another process is writing this log") from error
        if new:
            self._guarded(self._sync_folders)
        try:
            with open_regular(self._path) as file:
                prefix = wal.committed(file, self._key.verify_key)
                if not prefix.complete:
                    self._set_aside(file, prefix)
        except OSError as error:
            raise LedgerError(f"{self._path}: the log cannot be read: {error}") from error
        self._frontier = prefix.frontier
        self._committed = prefix.frontier.size
        self._end = prefix.end
        self._head = prefix.head
        self._stored = self._stored_entries(prefix.end)

    def _set_aside(self, file: BinaryIO, prefix: wal.Prefix) -> None:
        """Move what follows the last valid head to quarantine, unless a later head is valid."""
        key = self._key.verify_key
        refuted = wal.why_not_torn(file, key, start=prefix.end, above=prefix.frontier.size)
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
        with open_regular(self._path) as file:
            for record in wal.records(file):
                if record.offset >= end:
                    return
                if isinstance(record, wal.EntryLine):
                    yield record.data

    def _append(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check_alive()
        seq = self._seq
        if not wal.KIND.match(kind):
            raise LedgerError(f"{kind[:80]!a} cannot be a kind: use a-z, then a-z 0-9 _ . -")
        if (kind == "open") != (seq == 0):
            raise LedgerError(f'entry {seq} cannot be "{kind}": a log begins with one "open"')
        if kind == "open" and not isinstance(body.get("manifest"), str):
            raise LedgerError('the body of "open" needs "manifest", the SHA-256 of the payload')
        if kind not in {"close", *self._counts} and len(self._counts) >= wal.MAX_KINDS - 1:
            raise LedgerError(f'"{kind}" is one kind too many; {wal.MAX_KINDS} are allowed')
        data = wal.entry_bytes(run=self.run, seq=seq, kind=kind, body=body)
        if kind != "close" and len(self._buffer) + len(data) >= wal.MAX_COMMIT_BYTES:
            raise LedgerError(f"more than {wal.MAX_COMMIT_BYTES} bytes wait: commit more often")
        parsed: dict[str, Any] = canonical.decode_own(data)["body"]
        if self.replaying:
            self._compare(seq, kind, data)
        else:
            self._buffer += data + b"\n"
            self._frontier.append(leaf_hash(data))
        self._seq += 1
        self._counts[kind] += 1
        return parsed

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

    def _sign(self) -> bytes:
        checkpoint = Checkpoint(self.origin, self._seq, self._frontier.root())
        return sign_note(checkpoint_text(checkpoint), self._key)

    def _write(self) -> None:
        held = os.fstat(self._file).st_size
        if held != self._end:
            raise OSError(f"the file has {held} bytes instead of {self._end}: a second writer?")
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


def read_entries(folder: Path) -> list[wal.Entry]:
    """Return the committed entries of the ledger in `folder`, each checked for its form and place.

    Sizes and roots of the heads are checked, signatures are not: `audit` does that, with a key from
    elsewhere. Raises LedgerError when bytes are damaged or follow the last head.
    """
    path = folder / LOG
    try:
        with open_regular(path) as file:
            prefix = wal.committed(file, None)
            if not prefix.complete:
                raise LedgerError(f"{path}: damaged after byte {prefix.end}: {prefix.problem}")
            file.seek(0)
            return list(entries(file, path))
    except OSError as error:
        raise LedgerError(f"{path}: the log cannot be read: {error}") from error


def entries(file: BinaryIO, path: Path) -> Iterator[wal.Entry]:
    """Yield the entries of an open log in order; raises LedgerError naming the first bad one."""
    run, seq = None, 0
    for record in wal.records(file):
        if isinstance(record, wal.EntryLine):
            try:
                entry = wal.parse_entry(record, run=run, seq=seq)
            except LedgerError as error:
                raise LedgerError(f"{path}: entry {seq} at byte {record.offset}: {error}") from None
            yield entry
            run, seq = entry.run, seq + 1


def _check(origin: str, run: str, key: SigningKey) -> None:
    check_name(origin, what="an origin")
    check_name(run, what="a run id")
    if key.name != origin:
        raise LedgerError(f"the key is named {key.name[:80]!a}; the log's origin is {origin!a}")
