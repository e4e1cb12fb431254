import errno
import json
import os

import pytest
from small_run import GOLDEN, KEY, ORIGIN, RUN, TRUST, declare, play, write

from institutional.ledger import log as log_module
from institutional.ledger import wal
from institutional.ledger.errors import LedgerError
from institutional.ledger.log import Ledger, exists
from institutional.ledger.note import open_checkpoint
from institutional.ledger.reading import read_entries

ARGUMENTS = {"origin": ORIGIN, "run": RUN, "key": KEY, "sync": False}


def begin(folder, **options):
    ledger = Ledger.create(folder / "ledger", **ARGUMENTS | options)
    ledger.append("open", {"manifest": "00"})
    return ledger


def test_a_written_log_reads_back_in_order(tmp_path):
    write(tmp_path)

    entries = read_entries(tmp_path / "ledger")

    assert [(e.seq, e.kind) for e in entries] == [
        (0, "open"), *((n, "round") for n in range(1, 6)), (6, "close"),
    ]  # fmt: skip
    assert entries[3].body == {"round": 2, "price": 6.5, "text": "Zürich"}
    assert entries[6].body == {"status": "finished", "counts": {"open": 1, "round": 5, "close": 1}}
    assert entries[0].offset == 0


def test_the_golden_log_is_written_again_byte_for_byte(tmp_path):
    """The format is a promise: a change here needs a new version, and readers for the old."""
    write(tmp_path)

    for golden in sorted(path for path in GOLDEN.rglob("*") if path.is_file()):
        assert (tmp_path / golden.relative_to(GOLDEN)).read_bytes() == golden.read_bytes()
    assert (GOLDEN.parent / "operator.pub").read_text() == TRUST + "\n"


def test_append_returns_the_value_as_it_is_stored(tmp_path):
    """Canonical JSON knows no tuple and no 5.0: who decides must see what the auditor will see."""
    with begin(tmp_path) as ledger:
        stored = ledger.append("round", {"quantities": (5.0, 0.1), "price": -0.0})

    assert json.dumps(stored) == '{"price": 0, "quantities": [5, 0.1]}'


def test_nothing_is_on_disk_before_a_commit_and_all_of_it_after(tmp_path):
    with begin(tmp_path) as ledger:
        path = tmp_path / "ledger" / "log.wal"
        assert path.stat().st_size == 0
        ledger.commit()
        once = path.read_bytes()
        ledger.commit()
        assert path.read_bytes() == once
        assert open_checkpoint(ledger.head, KEY.verify_key).size == ledger.size == 1


def test_time_spent_in_syncing_is_counted(tmp_path):
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS | {"sync": True}) as ledger:
        opened = ledger.sync_seconds
        ledger.append("open", {"manifest": "00"})
        ledger.commit()

        assert 0 < opened < ledger.sync_seconds


def test_one_commit_is_one_write_and_one_sync(tmp_path, monkeypatch):
    calls = []
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS | {"sync": True}) as ledger:
        real_write, real_sync = os.write, os.fdatasync
        monkeypatch.setattr(os, "write", lambda f, b: calls.append("write") or real_write(f, b))
        monkeypatch.setattr(os, "fdatasync", lambda f: calls.append("sync") or real_sync(f))
        ledger.append("open", {"manifest": "00"})
        for number in range(10):
            ledger.append("round", {"round": number})
        ledger.commit()

    assert calls == ["write", "sync"]


def test_an_entry_may_have_65535_bytes_and_not_one_more(tmp_path):
    with begin(tmp_path) as ledger:
        spare = wal.MAX_ENTRY_BYTES - len(
            wal.entry_bytes(run=RUN, seq=1, kind="round", body={"text": ""})
        )
        with pytest.raises(LedgerError, match="65536 bytes; 65535 are allowed"):
            ledger.append("round", {"text": "x" * (spare + 1)})
        ledger.append("round", {"text": "x" * spare})
        ledger.close({})

    assert len(read_entries(tmp_path / "ledger")) == 3


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("Round", {}, "cannot be a kind"),
        ("", {}, "cannot be a kind"),
        ("round\n", {}, "cannot be a kind"),
        ("open", {"manifest": "00"}, "begins with one"),
        ("close", {}, "written by the ledger itself"),
        ("rotate", {}, "written by the ledger itself"),
        ("round", {"x": float("nan")}, "not representable"),
        ("round", {"x": {1, 2}}, "unsupported type"),
        ("round", {"x": 1e20}, "beyond 2"),
    ],
)
def test_a_refused_entry_leaves_the_ledger_as_it_was(tmp_path, kind, body, message):
    with begin(tmp_path) as ledger:
        with pytest.raises(LedgerError, match=message):
            ledger.append(kind, body)
        ledger.append("round", {})
        ledger.close({})

    assert [e.kind for e in read_entries(tmp_path / "ledger")] == ["open", "round", "close"]


def test_a_log_begins_with_open_and_its_manifest(tmp_path):
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS) as ledger:
        with pytest.raises(LedgerError, match="begins with"):
            ledger.append("round", {})
        with pytest.raises(LedgerError, match='needs "manifest"'):
            ledger.append("open", {})


def test_a_commit_has_a_limit_that_a_torn_write_cannot_exceed(tmp_path, monkeypatch):
    monkeypatch.setattr(wal, "MAX_COMMIT_BYTES", 400)
    with begin(tmp_path) as ledger:
        with pytest.raises(LedgerError, match="commit more often"):
            ledger.append("round", {"text": "x" * 300})
        ledger.commit()
        ledger.append("round", {"text": "x" * 300})
        ledger.close({})


def test_a_log_has_at_most_256_kinds_two_of_them_its_own(tmp_path):
    with begin(tmp_path) as ledger:
        for number in range(253):
            ledger.append(f"kind{number}", {})
        with pytest.raises(LedgerError, match="too many"):
            ledger.append("another", {})
        ledger.close({})

    assert len(read_entries(tmp_path / "ledger")[-1].body["counts"]) == 255


def test_a_closed_ledger_takes_nothing_more(tmp_path):
    with begin(tmp_path) as ledger:
        ledger.close({"status": "finished"})
        for attempt in (lambda: ledger.append("round", {}), lambda: ledger.close({})):
            with pytest.raises(LedgerError, match="closed"):
                attempt()


def test_a_finished_log_is_resumed_by_deriving_it_again_and_cannot_be_prolonged(tmp_path):
    write(tmp_path)
    before = (tmp_path / "ledger" / "log.wal").read_bytes()
    digest = declare(tmp_path)

    with Ledger.resume(tmp_path / "ledger", **ARGUMENTS) as ledger:
        play(ledger, digest)
    with (
        Ledger.resume(tmp_path / "ledger", **ARGUMENTS) as ledger,
        pytest.raises(LedgerError, match="entry 6"),
    ):
        play(ledger, digest, rounds=6)

    assert (tmp_path / "ledger" / "log.wal").read_bytes() == before


def test_a_run_that_diverges_from_its_record_is_stopped_at_the_entry(tmp_path):
    write(tmp_path, close=False)

    with Ledger.resume(tmp_path / "ledger", **ARGUMENTS) as ledger:
        assert ledger.replaying
        ledger.append("open", {"manifest": declare(tmp_path)})
        with pytest.raises(LedgerError, match=r'entry 1 \("round"\) differs'):
            ledger.append("round", {"round": 0, "price": 7, "text": "Zürich"})
        with pytest.raises(LedgerError, match="stopped before: it diverged"):
            ledger.append("round", {})


def test_a_second_writer_is_refused_and_a_failed_opening_keeps_no_lock(tmp_path):
    with begin(tmp_path) as ledger:
        ledger.commit()
        with pytest.raises(LedgerError, match="another process"):
            Ledger.resume(tmp_path / "ledger", **ARGUMENTS)
        with pytest.raises(LedgerError, match="there is a log already"):
            Ledger.create(tmp_path / "ledger", **ARGUMENTS)
    path = tmp_path / "ledger" / "log.wal"
    good = path.read_bytes()
    path.write_bytes(b"x" + good[1:])  # damage before a valid head: opening fails
    with pytest.raises(LedgerError, match="damaged"):
        Ledger.resume(tmp_path / "ledger", **ARGUMENTS)
    path.write_bytes(good)
    Ledger.resume(tmp_path / "ledger", **ARGUMENTS).release()


def test_a_file_that_grew_behind_our_back_stops_the_ledger(tmp_path):
    with begin(tmp_path) as ledger:
        ledger.commit()
        with (tmp_path / "ledger" / "log.wal").open("ab") as file:
            file.write(b"x")
        ledger.append("round", {})
        with pytest.raises(LedgerError, match="a second writer"):
            ledger.commit()


def test_a_forked_child_may_not_write(tmp_path, monkeypatch):
    with begin(tmp_path) as ledger:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LedgerError, match="forked"):
            ledger.append("round", {})


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_a_failing_disk_kills_the_ledger_and_nothing_is_retried(tmp_path, monkeypatch, call, code):
    def fail(*_):
        calls.append(call)
        raise OSError(code, os.strerror(code))

    calls = []
    with begin(tmp_path, sync=True) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(LedgerError, match=os.strerror(code)):
                ledger.commit()
        for attempt in (
            ledger.commit,
            lambda: ledger.append("round", {}),
            lambda: ledger.close({}),
        ):
            with pytest.raises(LedgerError, match="stopped before"):
                attempt()
    assert calls == [call]


def test_a_short_write_kills_the_ledger_and_a_resume_recovers(tmp_path, monkeypatch):
    real = os.write
    declare(tmp_path)
    with begin(tmp_path) as ledger, monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda f, b: real(f, bytes(b[:10])))
        with pytest.raises(LedgerError, match="only 10 of"):
            ledger.commit()
    with Ledger.resume(tmp_path / "ledger", **ARGUMENTS) as ledger:
        ledger.append("open", {"manifest": "00"})
        ledger.close({})
    assert len(read_entries(tmp_path / "ledger")) == 2


def test_a_stored_file_that_changed_is_noticed_before_publishing(tmp_path, monkeypatch):
    """As in the Yeti log of 2022: what was written is read again before its head is published."""
    with begin(tmp_path) as ledger:
        real = os.write

        def flip(file, data):
            return real(file, bytes(data).replace(b'"manifest":"00"', b'"manifest":"01"'))

        monkeypatch.setattr(os, "write", flip)
        with pytest.raises(LedgerError, match="does not hold what was written"):
            ledger.close({})
    assert not (tmp_path / "ledger" / "checkpoint").exists()


@pytest.mark.parametrize("change", [{"origin": "other"}, {"run": "a b"}, {"origin": "x y"}])
def test_names_are_checked_before_anything_is_written(tmp_path, change):
    with pytest.raises(LedgerError):
        Ledger.create(tmp_path / "ledger", **ARGUMENTS | change)
    assert not (tmp_path / "ledger").exists()


def test_missing_folders_are_one_clear_message(tmp_path):
    assert not exists(tmp_path / "ledger")
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.resume(tmp_path / "ledger", **ARGUMENTS)
    with pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.create(tmp_path / "no" / "ledger", **ARGUMENTS)
    with pytest.raises(LedgerError, match="cannot be read"):
        read_entries(tmp_path / "ledger")


def test_reading_refuses_a_torn_log_and_a_spliced_one(tmp_path):
    write(tmp_path)
    path = tmp_path / "ledger" / log_module.LOG
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(LedgerError, match="damaged after byte"):
        read_entries(tmp_path / "ledger")
    path.write_bytes(data.replace(b'"round":1', b'"round":9'))
    with pytest.raises(LedgerError, match="damaged after byte"):
        read_entries(tmp_path / "ledger")
