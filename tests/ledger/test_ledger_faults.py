"""The disk fails or the process is killed at a call of its own: nothing acknowledged is lost.

A sample of `faults.py`, which run as a program tries every call. It needs strace, from Debian.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from fault_writer import write
from faults import KILL, Fault, full_disk, real, small
from small_run import declare

from institutional.ledger.errors import LedgerError
from institutional.ledger.reading import read_entries


@pytest.fixture(scope="module")
def tracer():
    """Skip where processes cannot be traced; under CI that is a failure."""
    command = ["strace", "-o", os.devnull, "true"]
    if shutil.which("strace") and subprocess.run(command, check=False).returncode == 0:
        return
    reason = "strace is missing or may not trace: apt-get install strace"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=[False, True], ids=["new", "torn"])
def subject(request, tracer, tmp_path):  # noqa: ARG001 - the tracer is needed, not used
    return small(tmp_path / "small", torn=request.param)


def test_a_process_killed_at_any_call_or_whose_call_fails_loses_and_invents_nothing(
    subject, tmp_path
):
    """Killed at every call that changes something, and every ninth of the possible failures.

    It halts with one message and exit 2, touches the log no more, and the continued run ends with
    the bytes of an undisturbed one.
    """
    faults = subject.sweep(tmp_path / "undisturbed")
    killed = [f for f in faults if f.error == KILL and f.call not in {"openat", "read"}]
    failed = [fault for fault in faults if fault.error != KILL][::9]

    assert len(killed) >= 28
    assert len(failed) > 20
    assert [
        wrong for fault in killed + failed for wrong in subject.suffer(tmp_path / "run", fault)
    ] == []


def test_every_act_follows_a_sync_of_the_entries_it_acts_on(subject, tmp_path):
    """Read off the kernel's own record of the process: write, fdatasync, and only then the act."""
    folder = tmp_path / "run"
    subject.begin(folder)
    seen = subject.trace(folder, everything=True)
    acts, on_log = 0, ""
    for call in seen.calls:
        if call["rest"].startswith("1<pipe:") and call["call"] == "write":
            acts += 1
            assert on_log == "fdatasync"
        if "log.wal" in call["rest"] and call["call"] in {"write", "fdatasync"}:
            assert " = -1 " not in call["rest"]
            on_log = call["call"]

    assert acts == len(seen.acts) == 5


def test_a_slow_disk_delays_every_act(tracer, tmp_path):  # noqa: ARG001
    subject = small(tmp_path / "small", torn=False)
    subject.begin(tmp_path / "run")
    started = time.monotonic()
    seen = subject.trace(tmp_path / "run", "inject=fdatasync:delay_exit=150000")

    assert seen.acts == [1, 4, 6, 9, 10]
    assert time.monotonic() - started > 5 * 0.15


@pytest.fixture(scope="module")
def experiment(tracer, tmp_path_factory):  # noqa: ARG001
    return real(tmp_path_factory.mktemp("experiment") / "real")


@pytest.mark.parametrize(
    "fault",
    [Fault("write", 9), Fault("fdatasync", 3, "EIO"), Fault("write", 8, "ENOSPC", once=False)],
    ids=str,
)
def test_an_experiment_whose_disk_fails_halts_and_is_finished_by_the_same_command(
    experiment, tmp_path, fault
):
    """`institutional run` itself: its logs end with the bytes of an undisturbed run."""
    assert experiment.suffer(tmp_path / "run", fault) == []


def test_a_disk_full_at_any_byte_loses_no_acknowledged_entry(tmp_path):
    tried, wrong = full_disk(tmp_path, step=19)

    assert tried > 100
    assert wrong == []


def test_a_removed_log_is_noticed_before_anything_more_is_acknowledged(tmp_path):
    acted = []

    def act(size):
        acted.append(size)
        if size == 4:
            shutil.rmtree(tmp_path / "run" / "ledger")

    subject = small(tmp_path / "small", torn=False)
    subject.begin(tmp_path / "run")
    with pytest.raises(LedgerError, match="the file was removed"):
        write(tmp_path / "run", act, sync=False)
    assert acted == [1, 4]


RACER = """
    import sys
    sys.path.insert(0, {here!r})
    from fault_writer import main
    print("ready", flush=True)
    sys.stdin.readline()
    main({folder!r})
"""


def test_of_processes_that_race_to_open_a_log_one_writes_and_the_others_say_so(tmp_path):
    subject = small(tmp_path / "small", torn=False)
    for number in range(4):
        folder = tmp_path / str(number)
        subject.begin(folder)
        declare(folder)
        program = textwrap.dedent(RACER).format(here=str(Path(__file__).parent), folder=str(folder))
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("go\n")
            racer.stdin.flush()
        ends = [(racer, *racer.communicate(timeout=60)) for racer in racers]

        assert any(racer.returncode == 0 for racer, _, _ in ends)
        for racer, acts, message in ends:
            if racer.returncode:
                assert (racer.returncode, acts) == (2, "")
                assert re.match(
                    r"error: .*(another process is writing|there is a log already)", message
                )
        whole = (subject.reference / "ledger" / "log.wal").read_bytes()
        assert (folder / "ledger" / "log.wal").read_bytes() == whole


FORKED = """
    import os, sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from small_run import KEY, ORIGIN, RUN
    from institutional.ledger.errors import LedgerError
    from institutional.ledger.log import Ledger
    ledger = Ledger.create(Path({folder!r}) / "ledger", origin=ORIGIN, run=RUN, key=KEY)
    ledger.append("open", {{"manifest": "00"}})
    child = os.fork()
    more = lambda: ledger.append("round", {{}})
    for attempt in (ledger.commit, more, lambda: ledger.close({{}})):
        try:
            attempt()
        except LedgerError as error:
            assert "forked" in str(error)
        else:
            assert child, "the child wrote"
    if not child:
        os._exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_writes_nothing_and_its_parent_goes_on(tmp_path):
    program = textwrap.dedent(FORKED).format(here=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [entry.kind for entry in read_entries(tmp_path / "ledger")] == ["open", "round", "close"]
