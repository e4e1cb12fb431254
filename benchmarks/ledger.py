"""What the ledger costs beyond the disk, the canonicaliser and the hash that nobody can avoid.

Ratios of wall time to a floor that is measured in turn: the same disk syncs two hundred times a
second in one minute and five thousand times in the next. Entries are those of the example run's
rounds, over and over.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.timing import Target, medians, paired
from institutional.ledger import canonical, wal
from institutional.ledger.auditing.survey import survey
from institutional.ledger.keys import run_key
from institutional.ledger.log import LOG, Ledger
from institutional.ledger.manifest import FILE_NAME, statement, write_manifest
from institutional.ledger.note import SigningKey
from institutional.ledger.reading import read_entries
from institutional.ledger.tree import Frontier, leaf_hash

EXAMPLE = Path(__file__).parents[1] / "runs/example/institutional-divider_forgiving-0000/ledger"
OPERATOR = SigningKey("institutional/operator/benchmark", bytes(32))
ORIGIN, RUN = "institutional/run/benchmark/0000000000000000/institutional", "institutional"
KEY = run_key(OPERATOR, ORIGIN)
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def measure() -> list[Target]:
    """Ratios of appending and verifying to their floors, and the memory of an audit."""
    with tempfile.TemporaryDirectory() as scratch:
        return [
            *_durable(Path(scratch)),
            *_batched(Path(scratch), 1_000, 20),
            *_batched(Path(scratch), 10_000, 2),
            *_verified(Path(scratch)),
            *_remembered(Path(scratch)),
        ]


def _bodies() -> Iterator[dict[str, Any]]:
    return cycle([entry.body for entry in read_entries(EXAMPLE) if entry.kind == "round"])


def _new(folder: Path, *, sync: bool, manifest: str = "00") -> Ledger:
    ledger = Ledger.create(folder, origin=ORIGIN, run=RUN, key=KEY, sync=sync)
    ledger.append("open", {"manifest": manifest})
    ledger.commit()
    return ledger


def _durable(scratch: Path, *, pairs: int = 1000) -> list[Target]:
    """One entry to a commit, against writing and syncing as many bytes with nothing around it.

    One of each in turn, and the median of their ratios: a disk that lets bursts pass and then
    slows down, or another process on the processor, would otherwise hit one of them alone.
    """
    filler = b"x" * (335 + 5 + len(_new(scratch / "head", sync=False).head))
    file = os.open(scratch / "bare", _APPEND)
    times = []
    with _new(scratch / "one", sync=True) as ledger:
        for body in islice(_bodies(), pairs):
            start = time.perf_counter()
            os.write(file, filler)
            os.fdatasync(file)
            between = time.perf_counter()
            ledger.append("round", body)
            ledger.commit()
            times.append((between - start, time.perf_counter() - between))
    os.close(file)
    floor, taken = (median(each) for each in zip(*times, strict=True))
    ratio = median(bare / logged for bare, logged in times)
    return [
        Target("bare append + fdatasync, per s", f"{1 / floor:,.0f}"),
        Target("durable appends, one entry a commit, per s", f"{1 / taken:,.0f}"),
        Target("  over the bare append", f"{ratio:.2f} x", ">= 0.7 x", ratio >= 0.7),
    ]


def _batched(scratch: Path, batch: int, batches: int) -> list[Target]:
    """Many entries to a commit, against what any durable Merkle log of such entries has to do.

    That ceiling canonicalises the entries, hashes them into a tree, writes and syncs them, and
    nothing else: no signature, no checks, no books. The canonicaliser alone is shown beside it; it
    was nine tenths of the work while it was the reference, and is half of it now.
    """
    bodies, folders = list(islice(_bodies(), batch)), count()

    def canonicalised() -> Iterator[bytes]:
        for seq, body in enumerate(bodies):
            value = {"v": wal.VERSION, "run": RUN, "seq": seq, "kind": "round", "body": body}
            yield canonical.encode_and_read(value)[0]

    def alone() -> None:
        for _ in range(batches):
            for _ in canonicalised():
                pass

    def ceiling() -> None:
        file = os.open(scratch / f"bare{batch}-{next(folders)}", _APPEND)
        tree = Frontier()
        for _ in range(batches):
            waiting = bytearray()
            for data in canonicalised():
                tree.append(leaf_hash(data))
                waiting += data + b"\n"
            os.write(file, waiting)
            os.fdatasync(file)
        os.close(file)

    def logged() -> None:
        with _new(scratch / f"batch{batch}-{next(folders)}", sync=True) as ledger:
            for _ in range(batches):
                for body in bodies:
                    ledger.append("round", body)
                ledger.commit()

    alone_s, taken, over_alone = paired(alone, logged, repeats=5)
    floor, taken, ratio = paired(ceiling, logged, repeats=9)
    entries = batch * batches
    return [
        Target(f"durable appends, {batch:,} entries a commit, per s", f"{entries / taken:,.0f}"),
        Target("  ceiling: canonicalise, hash, write, sync", f"{entries / floor:,.0f}"),
        Target("  over that ceiling", f"{ratio:.2f} x", ">= 0.7 x", ratio >= 0.7),
        Target("  canonicaliser alone, entries/s", f"{entries / alone_s:,.0f}"),
        Target("  over the canonicaliser alone", f"{over_alone:.2f} x"),
    ]


def _verified(scratch: Path, *, entries: int = 50_000) -> list[Target]:
    """Every entry's form, spelling, place and hash, and every head; CPU time.

    With 1,000 entries to a head, and with ten as in short runs, where signatures are half of it.
    """
    stored = json.dumps(next(_bodies())).encode()[:330].ljust(330)

    def hashed() -> None:
        for _ in range(entries):
            hashlib.sha256(stored)

    def surveyed(path: Path) -> None:
        with path.open("rb") as file:
            found = survey(file, KEY.verify_key, run=RUN)
        assert found.size == entries + 2
        assert found.entry is found.head_flaw is found.tail is None

    paths = [
        _written(scratch / f"heads-{every}", entries, every) / "ledger" / LOG
        for every in (1000, 10)
    ]
    hash_s, large_s, small_s = medians(hashed, *(partial(surveyed, path) for path in paths))
    rate, ratio = entries / large_s, hash_s / large_s
    return [
        Target("SHA-256 calls of 330 bytes, per s", f"{entries / hash_s / 1e6:.2f} M"),
        Target(
            "structural verification, entries/s",
            f"{rate:,.0f}",
            ">= 100,000",
            rate >= 100_000 or ratio >= 0.08,
        ),
        Target("  over the SHA-256 calls", f"{ratio:.3f} x", "or >= 0.08 x"),
        Target("  with a signed head every 10 entries", f"{entries / small_s:,.0f}"),
    ]


def _remembered(scratch: Path) -> list[Target]:
    """Peak resident memory of `institutional audit verify` on a short log and on a long one."""
    small, large = (
        _peak_mb(_written(scratch / f"{entries}", entries, 1000), scratch)
        for entries in (10_000, 1_000_000)
    )
    return [
        Target("memory of an audit of 10,000 entries, MB", f"{small:.0f}"),
        Target("  of 1,000,000 entries", f"{large:.0f}", "< 300", large < 300),
    ]


def _written(folder: Path, entries: int, every: int) -> Path:
    folder.mkdir()
    payload = statement(run=RUN, origin=ORIGIN, key=KEY.verify_key, config={}, packages={})
    digest = write_manifest(folder / FILE_NAME, payload, OPERATOR)
    with _new(folder / "ledger", sync=False, manifest=digest) as ledger:
        for number, body in enumerate(islice(_bodies(), entries), start=1):
            ledger.append("round", body)
            if number % every == 0:
                ledger.commit()
        ledger.close({"status": "complete"})
    return folder


def _peak_mb(folder: Path, scratch: Path) -> float:
    key = scratch / "operator.pub"
    key.write_text(OPERATOR.verify_key.vkey + "\n")
    command = [sys.executable, "-m", "institutional.cli.main", "audit", "verify", folder]
    with subprocess.Popen([*command, "--key", key], stdout=subprocess.DEVNULL) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 3, "sound, and no outside anchor was given"
    return used.ru_maxrss / 1024
