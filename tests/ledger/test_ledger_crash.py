"""Killed at every byte: what is resumed ends as if nothing had happened, or is refused."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from small_run import KEY, ORIGIN, RUN, TRUST, declare, play, write

from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.log import Ledger, exists
from institutional.ledger.note import open_checkpoint

ARGUMENTS = {"origin": ORIGIN, "run": RUN, "key": KEY, "sync": False}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    heads = write(folder, rounds=3)
    return (folder / "ledger" / "log.wal").read_bytes(), heads


def left_behind(folder, data):
    """A run folder whose log holds `data`; returns the manifest's digest."""
    digest = declare(folder)
    (folder / "ledger").mkdir(exist_ok=True)
    (folder / "ledger" / "log.wal").write_bytes(data)
    return digest


def resume_and_finish(folder, digest):
    with Ledger.resume(folder / "ledger", **ARGUMENTS) as ledger:
        play(ledger, digest, rounds=3)


def test_a_run_killed_at_any_byte_ends_like_an_uninterrupted_one(tmp_path, whole):
    data, heads = whole
    for cut in range(len(data) + 1):
        folder = tmp_path / str(cut)
        digest = left_behind(folder, data[:cut])
        resume_and_finish(folder, digest)

        assert (folder / "ledger" / "log.wal").read_bytes() == data
        assert (folder / "ledger" / "checkpoint").read_bytes() == heads[-1]
        if cut % 50 == 0:
            assert audit(folder, TRUST, heads[-1].decode()).word == Word.VERIFIED


@pytest.mark.parametrize("tail", [b"\0" * 512, b"garbage\n" * 9, b"{}\n", b"{", b"\n" * 20])
def test_a_planted_tail_is_never_adopted_and_is_kept_aside(tmp_path, whole, tail):
    data, heads = whole
    for number, head in enumerate(heads[:-1]):
        end = data.index(head) + len(head)
        folder = tmp_path / str(number)
        digest = left_behind(folder, data[:end] + tail)
        resume_and_finish(folder, digest)

        (aside,) = (folder / "ledger" / "quarantine").iterdir()
        assert aside.read_bytes() == tail
        assert aside.name.startswith(f"{end}-")
        assert (folder / "ledger" / "log.wal").read_bytes() == data
        again = data[end:].startswith(tail)
        found = audit(folder, TRUST, heads[-1].decode())
        assert found.word == (Word.VERIFIED if again else Word.INCOMPLETE)


def test_entries_under_a_forged_head_are_not_adopted(tmp_path, whole):
    data, heads = whole
    end = data.index(heads[1]) + len(heads[1])
    entry = b'{"body":{},"kind":"round","run":"small","seq":3,"v":1}\n'
    forged = entry + heads[2].replace(b"\n5\n", b"\n4\n")
    digest = left_behind(tmp_path, data[:end] + forged)

    resume_and_finish(tmp_path, digest)

    assert (tmp_path / "ledger" / "log.wal").read_bytes() == data


def test_damage_before_a_valid_head_is_refused_and_not_a_byte_is_touched(tmp_path, whole):
    data, heads = whole
    digest = left_behind(tmp_path, data)
    path = tmp_path / "ledger" / "log.wal"
    last = data.index(heads[-1])
    refused = 0
    for at in range(last):
        broken = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        path.write_bytes(broken)
        with pytest.raises(LedgerError, match="nothing was changed"):
            resume_and_finish(tmp_path, digest)
        assert path.read_bytes() == broken
        refused += 1
    assert refused == last
    assert not (tmp_path / "ledger" / "quarantine").exists()


def test_resuming_twice_after_a_kill_between_setting_aside_and_cutting_is_harmless(tmp_path, whole):
    data, heads = whole
    end = data.index(heads[1]) + len(heads[1])
    digest = left_behind(tmp_path, data[: end + 7])
    Ledger.resume(tmp_path / "ledger", **ARGUMENTS).release()
    left_behind(tmp_path, data[: end + 7])

    resume_and_finish(tmp_path, digest)

    assert len(list((tmp_path / "ledger" / "quarantine").iterdir())) == 1
    assert (tmp_path / "ledger" / "log.wal").read_bytes() == data


def test_a_later_head_is_found_across_the_blocks_in_which_the_file_is_read(tmp_path, whole):
    """Damage at the start of a log of several megabytes whose only other head is at its end."""
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS) as ledger:
        ledger.append("open", {"manifest": "00"})
        for number in range(50):
            ledger.append("round", {"round": number, "text": "x" * 60_000})
        ledger.close({})
    path = tmp_path / "ledger" / "log.wal"
    data = path.read_bytes()
    for size in range(len(data) - 300, len(data) - 700, -40):  # moves the head over a block's end
        moved = b"#" + data[: 1_048_576 - 200 + len(data) - size - 500] + whole[1][-1] + b"#" * 6000
        path.write_bytes(moved)
        with pytest.raises(LedgerError, match="nothing was changed"):
            Ledger.resume(tmp_path / "ledger", **ARGUMENTS)
        assert path.read_bytes() == moved


ENDLESS = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from small_run import KEY, ORIGIN, RUN
    from institutional.ledger.log import Ledger
    ledger = Ledger.create(Path({folder!r}) / "ledger", origin=ORIGIN, run=RUN, key=KEY)
    ledger.append("open", {{"manifest": "00"}})
    for number in range(10**9):
        ledger.append("round", {{"round": number}})
        ledger.commit()
        print(ledger.size, flush=True)
"""


def test_a_killed_process_loses_no_acknowledged_entry_and_leaves_no_lock(tmp_path):
    program = textwrap.dedent(ENDLESS).format(here=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        acknowledged = [int(child.stdout.readline()) for _ in range(20)][-1]
        child.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, child.stdout.read().split())])

    assert exists(tmp_path / "ledger")
    with Ledger.resume(tmp_path / "ledger", **ARGUMENTS) as ledger:
        assert open_checkpoint(ledger.head, KEY.verify_key).size >= acknowledged
