"""A run with private values: what lies where, and what a kill or a full disk leaves behind."""

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from private_run import ARGUMENTS, SAID, body, counted, log_of, play
from small_run import OPERATOR, RUN, TRUST, declare

from institutional.ledger import wal
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.log import Ledger, exists
from institutional.ledger.private.commitment import MAX_ITEM_BYTES, Private, commitments
from institutional.ledger.private.items import item_path, read_item, stored, torn
from institutional.ledger.private.openings import State, openings
from institutional.ledger.private.redaction import redact
from institutional.ledger.private.vault import Vault
from institutional.ledger.reading import read_entries


def counts(folder):
    with (folder / "ledger" / "log.wal").open("rb") as log:
        end = wal.committed(log, None).end
        keys = [OPERATOR.verify_key]
        found = openings(log, end=end, run_folder=folder, run=RUN, keys=keys)
    return dict(found.counts), found.stray


def committed_by(folder, seq):
    return dict(commitments(read_entries(folder / "ledger")[seq].body))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The log of an uninterrupted run whose keys are counted from 0."""
    folder = tmp_path_factory.mktemp("whole")
    head = play(folder, draw=counted())
    assert audit(folder, TRUST, head.decode()).word == Word.VERIFIED
    return log_of(folder)


def test_the_log_holds_commitments_and_the_values_lie_beside_it(tmp_path):
    head = play(tmp_path)

    assert SAID.encode() not in log_of(tmp_path)
    said = committed_by(tmp_path, 1)
    assert list(said) == ["/said/firm.1", "/said/firm~12"]
    assert read_item(item_path(tmp_path, said["/said/firm.1"])).value == SAID
    assert len(list(stored(tmp_path))) == 8
    assert counts(tmp_path) == ({State.OPENED: 8}, 0)
    assert audit(tmp_path, TRUST, head.decode()).word == Word.VERIFIED


def test_only_the_owner_can_read_private_values(tmp_path):
    before = os.umask(0)
    try:
        play(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in stored(tmp_path)} == {0o600}


def test_the_same_words_said_twice_cannot_be_told_from_different_ones(tmp_path):
    play(tmp_path)

    found = [committed_by(tmp_path, seq)["/said/firm.1"] for seq in (1, 2, 3, 4)]

    assert len(set(found)) == 4


def test_a_run_without_private_values_has_no_such_folder_and_the_same_log(tmp_path):
    for name, bodies in (("public", lambda number: {"round": number}), ("none", None)):
        (tmp_path / name).mkdir()
        play(tmp_path / name, rounds=4 if bodies else 0, bodies=bodies)
        assert not (tmp_path / name / "private").exists()


def test_what_is_decided_from_is_the_body_as_the_log_has_it(tmp_path):
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(tmp_path, ledger, draw=counted())
        vault.append("open", {"manifest": "00"})
        read = vault.append("round", {"said": Private("a"), "price": 6.0})
        vault.commit()

    assert read == read_entries(tmp_path / "ledger")[1].body


def test_a_finished_run_derived_again_takes_the_stored_keys(tmp_path):
    play(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    play(tmp_path)

    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_value_changed_after_it_was_appended_is_kept_as_it_was(tmp_path):
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(tmp_path, ledger)
        vault.append("open", {"manifest": "00"})
        vault.append("round", {"said": Private(words := ["first"])})
        words.append("second thought")
        vault.commit()

    assert counts(tmp_path) == ({State.OPENED: 1}, 0)
    (path,) = stored(tmp_path)
    assert read_item(path).value == ["first"]


KILLED = """
    import itertools, os, sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from private_run import counted, play

    def deadly(step, call):
        def stepped(*arguments, **options):
            global left
            left -= 1
            if left < 0:
                if call is os.write:  # half of it arrives
                    call(arguments[0], bytes(arguments[1][: len(arguments[1]) // 2]))
                os._exit(9)
            return call(*arguments, **options)
        setattr(os, step, stepped)

    for left in itertools.count():
        folder = Path({folder!r}) / str(left)
        folder.mkdir()
        child = os.fork()
        if child == 0:
            for step in ("open", "write", "fsync", "fdatasync", "replace", "unlink", "mkdir"):
                deadly(step, getattr(os, step))
            play(folder, sync=True, draw=counted())
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
"""


def test_a_run_killed_at_any_step_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path, whole):
    """At every open, write, sync, rename and mkdir of log and items; nothing committed is lost."""
    program = KILLED.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(folders) > 60
    leftovers = 0
    for folder in folders:
        if exists(folder / "ledger"):
            assert set(counts(folder)[0]) <= {State.OPENED}
            leftovers += counts(folder)[1]
        kept = len(list(stored(folder)))

        head = play(folder, draw=counted(kept))

        assert log_of(folder) == whole
        assert counts(folder) == ({State.OPENED: 8}, 0)
        assert not list(torn(folder))
    assert leftovers > 20  # items whose entries the kill kept from being committed, met again
    assert audit(folder, TRUST, head.decode()).word == Word.VERIFIED


@pytest.mark.parametrize("step", ["mkdir", "open", "fsync", "replace"])
def test_a_full_disk_stops_the_run_before_the_log_commits_to_what_is_not_kept(
    tmp_path, whole, monkeypatch, step
):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    digest = declare(tmp_path)
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(tmp_path, ledger, draw=counted())
        vault.append("open", {"manifest": digest})
        vault.commit()
        vault.append("round", body(0))
        with monkeypatch.context() as broken:
            broken.setattr(os, step, full)
            with pytest.raises(LedgerError, match=r"cannot be kept.*No space left"):
                vault.commit()
    assert len(read_entries(tmp_path / "ledger")) == 1

    play(tmp_path, draw=counted(len(list(stored(tmp_path)))))

    assert log_of(tmp_path) == whole


def killed_before_committing(folder, words):
    """Leave a run whose round 0 was stored in the vault and never committed."""
    with Ledger.create(folder / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(folder, ledger)
        vault.append("open", {"manifest": "00"})
        vault.commit()
        vault.append("round", {"said": Private(words)})
        ledger.release()
        with pytest.raises(LedgerError, match="closed"):
            vault.commit()


@pytest.mark.parametrize(("again", "left"), [("one", 0), ("other", 1)])
def test_words_that_no_entry_came_to_name_are_destroyed_on_closing(tmp_path, again, left):
    killed_before_committing(tmp_path, "one")
    (first,) = stored(tmp_path)
    with Ledger.resume(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(tmp_path, ledger)
        vault.append("open", {"manifest": "00"})
        vault.append("round", {"said": Private(again)})
        vault.commit()
        assert counts(tmp_path) == ({State.OPENED: 1}, left)
        vault.close({})

    assert counts(tmp_path) == ({State.OPENED: 1}, 0)
    assert first.exists() == (left == 0)
    (kept,) = stored(tmp_path)
    assert read_item(kept).value == again


def test_another_value_at_a_committed_place_is_refused_and_the_stored_one_stays(tmp_path):
    play(tmp_path)
    before = sorted(stored(tmp_path))

    with pytest.raises(LedgerError, match=r"entry 3 .* differs from the one recorded"):
        play(tmp_path, bodies=lambda n: body(n) | ({"said": Private("no")} if n == 2 else {}))

    assert sorted(stored(tmp_path)) == before
    assert counts(tmp_path) == ({State.OPENED: 8}, 0)


def test_an_entry_that_is_refused_leaves_no_item(tmp_path):
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(tmp_path, ledger)
        vault.append("open", {"manifest": "00"})
        with pytest.raises(LedgerError, match="allowed"):
            vault.append("round", {"said": Private("a"), "long": "x" * 70_000})
        vault.append("round", {"said": Private("b")})
        vault.close({})

    assert [read_item(path).value for path in stored(tmp_path)] == ["b"]


def test_a_private_value_may_be_longer_than_an_entry_and_is_bounded(tmp_path):
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        vault = Vault(tmp_path, ledger)
        vault.append("open", {"manifest": "00"})
        with pytest.raises(LedgerError, match=f"{MAX_ITEM_BYTES} are allowed"):
            vault.append("round", {"said": Private("x" * MAX_ITEM_BYTES)})
        vault.append("round", {"said": Private("x" * 500_000)})
        vault.close({})

    assert counts(tmp_path) == ({State.OPENED: 1}, 0)


@pytest.mark.parametrize("data", [b"", b"{}\n", b"\xff" * 99, b"x" * (MAX_ITEM_BYTES + 1)])
def test_a_damaged_item_stops_the_run_and_is_named(tmp_path, data):
    play(tmp_path, close=False)
    damaged = min(stored(tmp_path))
    damaged.write_bytes(data)

    with pytest.raises(LedgerError, match=damaged.name):
        play(tmp_path)


def test_a_run_that_changes_its_key_keeps_private_values_just_so(tmp_path):
    """Entry 2 is the rotation after the first commit; items name the places that entries got."""
    for _ in range(2):
        begin = Ledger.resume if exists(tmp_path / "ledger") else Ledger.create
        with begin(tmp_path / "ledger", **ARGUMENTS, rotate_every=2, sync=False) as ledger:
            vault = Vault(tmp_path, ledger)
            vault.append("open", {"manifest": "00"})
            for number in range(4):
                vault.append("round", body(number))
                vault.commit()
            vault.close({})

    kinds = [entry.kind for entry in read_entries(tmp_path / "ledger")]
    assert kinds[:4] == ["open", "round", "rotate", "round"]
    assert counts(tmp_path) == ({State.OPENED: 8}, 0)
    assert list(committed_by(tmp_path, 3)) == ["/said/firm.1", "/said/firm~12"]


def test_a_value_erased_before_the_run_went_on_keeps_its_commitment_and_is_not_stored_again(
    tmp_path, whole
):
    play(tmp_path, rounds=2, close=False, draw=counted())
    redact(tmp_path, seq=1, path="/said/firm.1", reason="asked to", operator=OPERATOR)

    play(tmp_path, draw=counted(4))

    assert log_of(tmp_path) == whole
    assert counts(tmp_path) == ({State.OPENED: 7, State.REDACTED: 1}, 0)
