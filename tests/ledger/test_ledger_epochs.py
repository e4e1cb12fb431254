"""Epochs: the signing key moves on, and its thief cannot touch what was signed before."""

import io
import itertools

import pytest
from small_run import KEY, ORIGIN, RUN, TRUST, declare, play

from institutional.ledger import keys, wal
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.log import Ledger
from institutional.ledger.note import Checkpoint, SigningKey, checkpoint_text, sign_note
from institutional.ledger.reading import read_entries
from institutional.ledger.tree import Frontier, leaf_hash

ARGUMENTS = {"origin": ORIGIN, "run": RUN, "key": KEY, "sync": False, "rotate_every": 2}


def written(folder, *, rounds=8, **options):
    """A closed run in epochs of two entries and a rotation each; returns its heads."""
    digest = declare(folder)
    with Ledger.create(folder / "ledger", **ARGUMENTS | options) as ledger:
        return play(ledger, digest, rounds=rounds)


def log_of(folder):
    return folder / "ledger" / "log.wal"


@pytest.fixture
def run(tmp_path):
    return tmp_path, written(tmp_path)


def epoch_keys(count):
    found = [KEY]
    while len(found) < count:
        found.append(keys.next_epoch(found[-1]))
    return found


def test_a_run_in_epochs_verifies_from_its_first_key_alone(run):
    folder, heads = run
    kinds = [entry.kind for entry in read_entries(folder / "ledger")]

    assert kinds == ["open", *["round", "round", "rotate"] * 4, "close"]
    verdict = audit(folder, TRUST, heads[-1].decode())
    assert verdict.word == Word.VERIFIED
    with log_of(folder).open("rb") as file:
        assert wal.committed(file, KEY.verify_key).epochs == tuple(
            key.verify_key for key in epoch_keys(5)
        )


def test_a_remembered_head_of_an_earlier_epoch_anchors_the_run(run):
    folder, heads = run
    for head in heads:
        assert audit(folder, TRUST, head.decode()).word == Word.VERIFIED


def test_the_head_over_a_rotation_is_the_old_keys_last(run):
    folder, _ = run
    data = log_of(folder).read_bytes()
    end = data.index(b'"kind":"rotate"')
    boundary = data[data.index(b"\n", end) + 1 :].split(b"\n\xe2\x80\x94")[1]

    assert boundary.split(b" ")[1] == ORIGIN.encode()
    other = data.replace(b"\n4\n", b"\n4\n", 1)
    assert other == data
    note = next(r.data for r in heads_of(data) if b"\n4\n" in r.data)
    text = note.split(b"\n\n")[0].decode() + "\n"
    resigned = data.replace(note, sign_note(text, epoch_keys(2)[1]))
    log_of(folder).write_bytes(resigned)
    assert audit(folder, TRUST).word == Word.INVALID


def heads_of(data):
    return [r for r in wal.records(io.BytesIO(data)) if isinstance(r, wal.HeadNote)]


def thieves_log(data, epoch, target):
    """The best a thief of the key of `epoch` can do: alter one entry, sign all later heads anew."""
    stolen = epoch_keys(epoch + 6)
    frontier, out, number, rotated = Frontier(), b"", 0, False
    for record in wal.records(io.BytesIO(data)):
        line = record.data
        if isinstance(record, wal.EntryLine):
            if frontier.size == target:
                line = line.replace(b'"price":6.5', b'"price":9.5')
                assert line != record.data
            rotated = rotated or b'"kind":"rotate"' in line
            frontier.append(leaf_hash(line))
            out += line + b"\n"
            continue
        key = stolen[max(number, epoch)]
        if frontier.size > target:
            line = sign_note(
                checkpoint_text(Checkpoint(ORIGIN, frontier.size, frontier.root())), key
            )
        out += line
        if rotated:
            number, rotated = number + 1, False
    return out, line


def test_the_thief_of_a_key_cannot_alter_a_closed_epoch(run):
    """Rounds stand at 1, 2 | 4, 5 | 7, 8 | 10, 11: epochs 0 to 3; the thief has the last's key."""
    folder, _ = run
    data = log_of(folder).read_bytes()
    refused, accepted = [], []
    for epoch, target in itertools.product(range(4), (1, 2, 4, 5, 7, 8, 10, 11)):
        forged, head = thieves_log(data, epoch, target)
        log_of(folder).write_bytes(forged)
        (folder / "ledger" / "checkpoint").write_bytes(head)
        found = audit(folder, TRUST).word
        (accepted if found == Word.UNANCHORED else refused).append((epoch, (target - 1) // 3))

    assert all(at >= stolen for stolen, at in accepted)
    assert all(at < stolen for stolen, at in refused)
    assert len(refused) == 2 * (1 + 2 + 3)


def test_without_an_anchor_the_thief_of_the_present_key_is_not_seen_but_a_kept_head_reveals_him(
    run,
):
    folder, heads = run
    forged, head = thieves_log(log_of(folder).read_bytes(), 3, 11)
    log_of(folder).write_bytes(forged)
    (folder / "ledger" / "checkpoint").write_bytes(head)

    assert audit(folder, TRUST).word == Word.UNANCHORED
    assert audit(folder, TRUST, heads[-1].decode()).word == Word.DIVERGED


@pytest.mark.parametrize(
    "body",
    [
        {"epoch": 2, "key": epoch_keys(2)[1].verify_key.vkey},
        {"epoch": 1, "key": SigningKey("other", b"\x01" * 32).verify_key.vkey},
        {"epoch": 1, "key": KEY.verify_key.vkey},
        {"epoch": 1, "key": "nonsense"},
        {"epoch": 1},
        {"epoch": 1, "key": epoch_keys(2)[1].verify_key.vkey, "more": 0},
    ],
)
def test_a_rotation_that_names_no_next_key_is_refused_though_signed(tmp_path, body):
    digest = declare(tmp_path)
    lines = [
        wal.entry_bytes(run=RUN, seq=0, kind="open", body={"manifest": digest}),
        wal.entry_bytes(run=RUN, seq=1, kind="rotate", body=body),
    ]
    signed(tmp_path, lines)

    verdict = audit(tmp_path, TRUST)

    assert verdict.word == Word.INVALID
    assert any(check.seq == 1 for check in verdict.findings)


def test_an_entry_between_a_rotation_and_its_head_is_refused_though_signed(tmp_path):
    digest = declare(tmp_path)
    following = {"epoch": 1, "key": epoch_keys(2)[1].verify_key.vkey}
    lines = [
        wal.entry_bytes(run=RUN, seq=0, kind="open", body={"manifest": digest}),
        wal.entry_bytes(run=RUN, seq=1, kind="rotate", body=following),
        wal.entry_bytes(run=RUN, seq=2, kind="round", body={}),
    ]
    signed(tmp_path, lines)

    assert audit(tmp_path, TRUST).word == Word.INVALID


def signed(folder, lines):
    frontier = Frontier()
    for line in lines:
        frontier.append(leaf_hash(line))
    head = sign_note(checkpoint_text(Checkpoint(ORIGIN, frontier.size, frontier.root())), KEY)
    (folder / "ledger").mkdir()
    log_of(folder).write_bytes(b"".join(line + b"\n" for line in lines) + head)


def test_killed_at_any_byte_a_run_in_epochs_ends_like_an_uninterrupted_one(tmp_path):
    written(tmp_path / "whole")
    data = log_of(tmp_path / "whole").read_bytes()
    for cut in range(0, len(data) + 1, 3):
        folder = tmp_path / str(cut)
        digest = declare(folder)
        (folder / "ledger").mkdir()
        log_of(folder).write_bytes(data[:cut])
        with Ledger.resume(folder / "ledger", **ARGUMENTS) as ledger:
            play(ledger, digest, rounds=8)
        assert log_of(folder).read_bytes() == data


def test_damage_before_a_later_epochs_head_is_never_cut_off(run):
    """Also when both the rotation that names the later key and the head over it are hurt."""
    folder, _ = run
    whole = log_of(folder).read_bytes()
    at = whole.index(b'"key":"') + 20
    head = next(r for r in heads_of(whole) if b"\n4\n" in r.data)
    hurt = bytearray(whole)
    hurt[at] ^= 1
    hurt[head.offset + len(head.data) - 20] ^= 1
    for broken in (bytes(hurt), whole[:at] + whole[at + 1 :]):
        log_of(folder).write_bytes(broken)
        with pytest.raises(LedgerError, match="nothing was changed"):
            Ledger.resume(folder / "ledger", **ARGUMENTS)
        assert log_of(folder).read_bytes() == broken


# --- fresh keys, which are kept in a file until the run is closed


@pytest.fixture
def kept(tmp_path):
    return keys.KeptKey.of(ORIGIN, tmp_path / "run", tmp_path / "home")


def test_a_kept_key_is_drawn_once_moves_on_with_each_epoch_and_is_erased_on_closing(tmp_path, kept):
    first = kept.draw(ORIGIN)
    assert kept.draw(ORIGIN) == first
    assert kept.path.stat().st_mode & 0o777 == 0o600
    seen = [first]

    def keep(key):
        kept.keep(key)
        seen.append(kept.load())

    written(tmp_path / "run", key=first, keep=keep)

    assert seen == [*itertools.chain([first], after(first, 4)), None]
    assert not kept.path.exists()


def after(key, count):
    for _ in range(count):
        key = keys.next_epoch(key)
        yield key


def test_a_kept_key_that_lags_one_epoch_behind_its_log_is_moved_on_at_resuming(tmp_path, kept):
    """Killed between the boundary head and the erasure of the key that signed it."""
    first = kept.draw(ORIGIN)
    digest = declare(tmp_path / "run", key=first)
    options = {**ARGUMENTS, "key": first}
    with Ledger.create(tmp_path / "run/ledger", **options) as ledger:
        play(ledger, digest, rounds=4, close=False)
    assert kept.load() == first

    options["first"] = first.verify_key
    with Ledger.resume(tmp_path / "run/ledger", **options, keep=kept.keep) as ledger:
        assert kept.load() == list(after(first, 2))[-1]
        play(ledger, digest, rounds=8)
    assert audit(tmp_path / "run", TRUST).word == Word.UNANCHORED


def test_a_closed_run_whose_key_is_erased_can_be_resumed_but_not_added_to(tmp_path, kept):
    first = kept.draw(ORIGIN)
    digest = declare(tmp_path / "run", key=first)
    written_options = {**ARGUMENTS, "key": first, "keep": kept.keep}
    with Ledger.create(tmp_path / "run/ledger", **written_options) as ledger:
        play(ledger, digest, rounds=3)
    (tmp_path / "run/ledger/checkpoint").unlink()
    options = {**ARGUMENTS, "key": kept.load(), "first": first.verify_key}
    with Ledger.resume(tmp_path / "run/ledger", **options) as ledger:
        play(ledger, digest, rounds=3)
    assert audit(tmp_path / "run", TRUST).word == Word.UNANCHORED

    data = log_of(tmp_path / "run").read_bytes()
    log_of(tmp_path / "run").write_bytes(data[: data.index(b'{"body":{"counts"')])
    with (
        Ledger.resume(tmp_path / "run/ledger", **options) as ledger,
        pytest.raises(LedgerError, match="the key of this run is gone"),
    ):
        play(ledger, digest, rounds=3)


def test_another_runs_key_changes_nothing(run):
    folder, _ = run
    before = log_of(folder).read_bytes()
    options = {**ARGUMENTS, "key": SigningKey(ORIGIN, b"\x05" * 32), "first": KEY.verify_key}
    with pytest.raises(LedgerError, match="another key"):
        Ledger.resume(folder / "ledger", **options)
    assert log_of(folder).read_bytes() == before


def test_a_log_is_extended_after_its_last_entry_without_deriving_it_again(tmp_path):
    digest = declare(tmp_path)
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS) as ledger:
        play(ledger, digest, rounds=4, close=False)
    for _ in range(2):
        with Ledger.extend(tmp_path / "ledger", **ARGUMENTS) as ledger:
            ledger.append("note", {"size": ledger.size})
            ledger.commit()
            ledger.publish()

    entries = read_entries(tmp_path / "ledger")
    assert [entry.kind for entry in entries] == [
        *["open", "round", "round", "rotate", "round", "round", "rotate"],
        *["note", "note", "rotate"],
    ]
    assert audit(tmp_path, TRUST).word == Word.INCOMPLETE
    verdict = {check.id: str(check.outcome) for check in audit(tmp_path, TRUST).checks}
    assert verdict["heads"] == verdict["entries"] == verdict["checkpoint-file"] == "pass"


def test_a_roll_back_over_an_epochs_end_is_revealed_by_a_kept_head(run):
    """Proved with the later epoch's key in the policy; without it, no accusation but no pass."""
    folder, heads = run
    data = log_of(folder).read_bytes()
    early = next(r for r in heads_of(data) if b"\n4\n" in r.data)
    log_of(folder).write_bytes(data[: early.offset + len(early.data)])
    (folder / "ledger" / "checkpoint").unlink()

    verdict = audit(folder, TRUST, heads[-1].decode())
    assert verdict.word == Word.INCOMPLETE
    assert "rolled back" in str(verdict)

    last = epoch_keys(5)[-1].verify_key.vkey
    policy = f"log {TRUST}\nlog {last}\nquorum none\n"
    assert audit(folder, policy, heads[-1].decode()).word == Word.DIVERGED
