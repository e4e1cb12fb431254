"""Breaks the disk under a writing process, call by call, and judges what is left.

    python tests/ledger/faults.py       every fault: half an hour
    python tests/ledger/faults.py 10    every tenth of them

The kernel's tracer (strace, from Debian) kills the process at its k-th call, or has that call fail
once or from then on, without that anything of ours knows. Every k that an undisturbed process
reaches is tried, for a small run and for `institutional run`. The test suite takes a sample.

Killing never loses what the kernel holds: that a loss of power loses only what was not synced is
for `test_ledger_crash`, which cuts a log at every byte.
"""

import io
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fault_writer import write
from small_run import KEY, OPERATOR, TRUST, declare

from institutional.ledger import wal
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.keys import KeptKey, private_line
from institutional.ledger.manifest import parse_envelope, parse_statement
from institutional.ledger.note import VerifyKey

WRITER = Path(__file__).with_name("fault_writer.py")
ERRORS = {
    "openat": ("EROFS", "ENOSPC", "EMFILE"),
    "mkdir": ("EROFS", "ENOSPC"),
    "flock": ("ENOLCK",),
    "read": ("EIO",),
    "write": ("ENOSPC", "EIO", "EROFS"),
    "fdatasync": ("EIO", "ENOSPC"),
    "fsync": ("EIO", "ENOSPC"),
    "ftruncate": ("EIO",),
    "rename": ("EROFS", "EIO"),
    "unlink": ("EROFS",),
}
# What a run does beyond its ledger (plots, tables, reports) reads files too: not tried there.
OF_A_RUN = {
    "openat": (),
    "mkdir": ("EROFS",),
    "write": ("ENOSPC", "EIO"),
    "fdatasync": ("EIO",),
    "fsync": ("EIO",),
    "rename": ("EIO",),
}
KILL = "SIGKILL"
_LINE = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<rest>.*)")
_COMMAND = (sys.executable, "-m", "institutional.cli.main")
_SPECIFICATION = """\
format: institutional.experiment/1
name: faulty
environment: {{preset: lin2024, rounds: 6}}
regimes:
  ungoverned: {{}}
  institutional: {{graph: {graph}}}
pairings:
  dividers: [divider_forgiving, divider_forgiving]
seeds: 1
commit_every: 2
"""


class Fault(NamedTuple):
    """What happens to which call: `error` is an errno's name or KILL; `once`, or from then on."""

    call: str
    number: int
    error: str = KILL
    once: bool = True

    def __str__(self) -> str:
        return f"{self.error} at {self.call} {self.number}" + ("" if self.once else " and after")

    @property
    def injection(self) -> str:
        """As strace spells it."""
        what = "signal=KILL" if self.error == KILL else f"error={self.error}"
        return f"inject={self.call}:{what}:when={self.number}{'' if self.once else '+'}"


class Seen(NamedTuple):
    """What a traced process did: its exit code, what it printed, and its calls in order."""

    code: int
    output: str
    message: str
    calls: tuple[re.Match[str], ...]

    @property
    def acts(self) -> list[int]:
        """The numbers of entries that `fault_writer` went on from."""
        return [int(line) for line in self.output.split()]


class Subject(NamedTuple):
    """A process under test: how it begins in an empty folder, and what it leaves when undisturbed.

    `judge` names what is wrong with a folder after a fault; it continues the run.
    """

    name: str
    begin: Callable[[Path], None]
    command: Callable[[Path], list[str]]
    reference: Path
    judge: Callable[[Path, Seen], list[str]]
    errors: Mapping[str, tuple[str, ...]]

    def trace(self, folder: Path, *injections: str, everything: bool = False) -> Seen:
        """Run it in `folder` under the tracer; only calls on its own files count."""
        trace = folder.with_name(folder.name + ".trace")
        files = [] if everything else self._files(folder)
        done = subprocess.run(
            [
                *("strace", "-f", "-qq", "-y", "-o", str(trace)),
                *("-e", f"trace={','.join(self.errors)}"),
                *(f"-P{file}" for file in files),
                *(part for injection in injections for part in ("-e", injection)),
                *self.command(folder),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        calls = tuple(filter(None, map(_LINE.match, trace.read_text().splitlines())))
        trace.unlink()
        return Seen(done.returncode, done.stdout, done.stderr, calls)

    def sweep(self, folder: Path) -> list[Fault]:
        """All faults of every call that an undisturbed process makes and that succeeds.

        Of its first thread only: the tracer counts for each thread, and the others write tables.
        """
        self.begin(folder)
        seen = self.trace(folder)
        assert seen.code == 0, seen.message
        counts: Counter[str] = Counter()
        faults = []
        for call in seen.calls:
            name = call["call"]
            if call["thread"] != seen.calls[0]["thread"]:
                continue
            counts[name] += 1
            if " = -1 " not in call["rest"]:
                faults.append(Fault(name, counts[name]))
                faults += [
                    Fault(name, counts[name], error, once)
                    for error in self.errors[name]
                    for once in (True, False)
                ]
        return faults

    def suffer(self, folder: Path, fault: Fault) -> list[str]:
        """Begin in `folder`, which is removed in the end, have `fault` happen, and judge."""
        self.begin(folder)
        seen = self.trace(folder, fault.injection)
        wrong = _halted(seen, fault) + self.judge(folder, seen)
        shutil.rmtree(folder)
        return [f"{self.name}: {fault}: {problem}" for problem in wrong]

    def _files(self, folder: Path) -> Iterable[Path]:
        """All that the undisturbed process leaves or writes on the way, in terms of `folder`.

        The graph is left out: the ledger only names it, and the small run's test helper writes it.
        """
        yield folder
        left = [path for path in self.reference.rglob("*") if path.name != "graph.yaml"]
        for path in [*left, self.reference / "run.key"]:
            place = folder / path.relative_to(self.reference)
            yield from (place.with_name(place.name + end) for end in ("", ".tmp", ".part"))


def small(scratch: Path, *, torn: bool) -> Subject:
    """Return `fault_writer` as a subject: from nothing, or from a log that a kill has torn."""
    reference = scratch / "reference"
    log = b""
    if torn:
        _begin_small(scratch / "whole", b"")
        write(scratch / "whole", sync=False)
        whole = (scratch / "whole" / "ledger" / "log.wal").read_bytes()
        log = whole[: len(whole) * 2 // 3]
    begin = partial(_begin_small, log=log)
    begin(reference)
    write(reference, sync=False)
    return Subject(
        "torn" if torn else "new",
        begin,
        lambda folder: [sys.executable, str(WRITER), str(folder)],
        reference,
        partial(_judge_small, reference=reference),
        ERRORS,
    )


def _begin_small(folder: Path, log: bytes) -> None:
    folder.mkdir(parents=True)
    KeptKey(folder / "run.key").keep(KEY)
    if log:
        declare(folder)
        (folder / "ledger").mkdir()
        (folder / "ledger" / "log.wal").write_bytes(log)


def _judge_small(folder: Path, seen: Seen, *, reference: Path) -> list[str]:
    log = reference / "ledger" / "log.wal"
    stored = committed(folder / "ledger" / "log.wal", log, KEY.verify_key)
    wrong = [] if stored is not None else ["the log holds entries that the run never made"]
    if stored is not None and stored < max(seen.acts, default=0):
        wrong.append(f"acted on {max(seen.acts)} entries; {stored} are stored")
    write(folder, sync=False)
    head = (reference / "ledger" / "checkpoint").read_text()
    verdict = audit(folder, TRUST, head)
    if verdict.word != Word.VERIFIED:
        wrong.append(f"the continued run is {verdict.word}")
    return wrong + _differing(folder, reference)


def real(scratch: Path) -> Subject:
    """Return `institutional run` on a small experiment as a subject, its operator's index with it.

    A folder holds the experiment's own, `out`, and the operator's, `home`.
    """
    scratch.mkdir(parents=True)
    specification = scratch / "faulty.yaml"
    graph = Path(__file__).parents[2] / "governance_graphs" / "cournot.yaml"
    specification.write_text(_SPECIFICATION.format(graph=graph))

    def command(folder: Path) -> list[str]:
        run = [*_COMMAND, "run", str(specification), "--out", str(folder / "out"), "--jobs", "1"]
        return ["env", f"INSTITUTIONAL_HOME={folder / 'home'}", *run]

    reference = scratch / "reference"
    _begin_real(reference)
    subprocess.run(command(reference), check=True, capture_output=True)
    judge = partial(_judge_real, command=command, reference=reference)
    return Subject("institutional run", _begin_real, command, reference, judge, OF_A_RUN)


def _begin_real(folder: Path) -> None:
    (folder / "home").mkdir(parents=True)
    private = folder / "home" / "operator.key"
    private.touch(mode=0o600)
    private.write_text(private_line(OPERATOR))
    (folder / "home" / "operator.pub").write_text(OPERATOR.verify_key.vkey + "\n")


def _judge_real(
    folder: Path, _: Seen, *, command: Callable[[Path], list[str]], reference: Path
) -> list[str]:
    wrong = []
    for log in reference.rglob("log.wal"):
        manifest = (log.parents[1] / "manifest.dsse.json").read_bytes()
        key = parse_statement(parse_envelope(manifest).payload).key
        if committed(folder / log.relative_to(reference), log, key) is None:
            wrong.append(f"{log.relative_to(reference)} holds entries that its run never made")
    done = subprocess.run(command(folder), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return [*wrong, f"the same command again exits {done.returncode}: {done.stderr}"]
    return wrong + _differing(folder, reference)


def committed(path: Path, whole: Path, key: VerifyKey) -> int | None:
    """How many entries of `path` are committed; None if they are not those of `whole`."""
    stored = path.read_bytes() if path.exists() else b""
    prefix = wal.committed(io.BytesIO(stored), key)
    return prefix.frontier.size if whole.read_bytes().startswith(stored[: prefix.end]) else None


def _differing(folder: Path, reference: Path) -> list[str]:
    """The signed files in which a continued run is not an undisturbed one."""
    names = ("manifest.dsse.json", "log.wal", "checkpoint", "graph.yaml")
    return [
        f"continued, {path.relative_to(reference)} is not that of an undisturbed run"
        for name in names
        for path in reference.rglob(name)
        if not _same(folder / path.relative_to(reference), path)
    ]


def _same(path: Path, other: Path) -> bool:
    return path.is_file() and path.read_bytes() == other.read_bytes()


def _halted(seen: Seen, fault: Fault) -> list[str]:
    """What is wrong with how the process ended; a failed call on the log is never retried."""
    if fault.error == KILL:
        return [] if seen.code == -9 else [f"exit {seen.code} instead of being killed"]
    wrong = []
    if seen.code != 2:
        wrong.append(f"exit {seen.code}: it did not halt")
    if not seen.message.startswith("error: ") or "Traceback" in seen.message:
        wrong.append(f"not one message: {seen.message}")
    failed = [n for n, call in enumerate(seen.calls) if "(INJECTED)" in call["rest"]]
    if not failed:
        return [*wrong, "nothing was injected"]
    later = [
        call["call"]
        for call in seen.calls[failed[0] + 1 :]
        if "log.wal" in call["rest"] and call["call"] in {"write", "fdatasync", "fsync"}
    ]
    return [*wrong, f"went on with {', '.join(later)}"] if later else wrong


def full_disk(scratch: Path, *, step: int) -> tuple[int, list[str]]:
    """Have every file of a small run end at each byte in turn; return how many, and what is wrong.

    The limit is the kernel's (RLIMIT_FSIZE), so a write really is short.
    """
    subject = small(scratch / "full", torn=False)
    size = (subject.reference / "ledger" / "log.wal").stat().st_size
    wrong = []
    limits = range(0, size, step)
    for limit in limits:
        folder, acts = scratch / str(limit), []
        subject.begin(folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(folder, acts.append, sync=False)
            wrong.append(f"disk full at byte {limit}: it went unnoticed")
        except (LedgerError, OSError):  # OSError: the graph, which is no part of the ledger
            pass
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        seen = Seen(2, " ".join(map(str, acts)), "", ())
        wrong += [f"disk full at byte {limit}: {each}" for each in subject.judge(folder, seen)]
        shutil.rmtree(folder)
    return len(limits), wrong


def main() -> None:
    """Try everything, say how much that was, and exit 1 if anything was wrong."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        started = time.monotonic()
        tried, found = full_disk(scratch / "disk", step=every)
        print(f"disk full at a byte: {tried} tried, {len(found)} wrong", flush=True)
        wrong += found
        for subject in (
            small(scratch / "new", torn=False),
            small(scratch / "torn", torn=True),
            real(scratch / "real"),
        ):
            faults = subject.sweep(scratch / "undisturbed")[::every]
            shutil.rmtree(scratch / "undisturbed")
            found = [each for fault in faults for each in subject.suffer(scratch / "run", fault)]
            kinds = Counter(f"{fault.error} at {fault.call}" for fault in faults)
            print(f"{subject.name}: {len(faults)} faults, {len(found)} problems", flush=True)
            print("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
            wrong += found
    print(*wrong, sep="\n")
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
