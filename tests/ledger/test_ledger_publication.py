"""A published log: what is written, when it is refused, and every way to damage it."""

import errno
import fcntl
import os
import resource
import shutil

import pytest
from rotated_run import KEYS, Writer, write_rotated
from small_run import GOLDEN, KEY, OPERATOR, ORIGIN, RUN, declare, play, write

from institutional.ledger import tree
from institutional.ledger.errors import LedgerError
from institutional.ledger.log import Ledger
from institutional.ledger.note import SigningKey, checkpoint_text, open_checkpoint, sign_note
from institutional.ledger.publication.fsck import MAX_FINDINGS, fsck
from institutional.ledger.publication.prove import prove
from institutional.ledger.publication.publish import publish
from institutional.ledger.verdict import Word

TRUSTED = [OPERATOR.verify_key]


def contents(folder):
    """Every file in `folder`, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def growing(folder, sizes):
    """A run whose log grows: yields after each of `sizes` entries were committed."""
    log = Writer(folder)
    log.append("open", {"manifest": log.digest})
    for size in sizes:
        log.rounds(size - log.tree.size)
        yield log.commit(KEY)


@pytest.fixture
def small(tmp_path):
    write(tmp_path / "run")
    publish(tmp_path / "run", tmp_path / "out")
    return tmp_path / "out"


def test_the_golden_run_is_published_byte_for_byte(tmp_path):
    done = publish(GOLDEN, tmp_path)

    assert contents(tmp_path) == contents(GOLDEN.with_name("published"))
    assert set(contents(tmp_path)) == {
        "checkpoint",
        "graph.yaml",
        "keys",
        "manifest.dsse.json",
        "tile/0/000.p/7",
        "tile/entries/000.p/7",
    }
    assert (done.size, done.earlier, done.written) == (7, 0, 5)
    assert (tmp_path / "checkpoint").read_bytes() == (GOLDEN / "ledger/checkpoint").read_bytes()
    assert fsck(tmp_path, TRUSTED).findings == []


def test_what_is_published_is_what_the_run_recorded(small, tmp_path):
    lines = (tmp_path / "run/ledger/log.wal").read_bytes().splitlines()
    entries = [line for line in lines if line.startswith(b"{")]
    bundle = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
    hashes = [tree.leaf_hash(entry) for entry in entries]

    assert (small / "tile/entries/000.p/7").read_bytes() == bundle
    assert (small / "tile/0/000.p/7").read_bytes() == b"".join(hashes)
    head = open_checkpoint((small / "checkpoint").read_bytes(), KEY.verify_key)
    assert (head.size, head.root) == (7, tree.root_of(hashes))
    assert (small / "keys").read_text() == KEY.verify_key.vkey + "\n"


def test_publishing_again_writes_nothing(small, tmp_path):
    before = contents(small)

    done = publish(tmp_path / "run", small)

    assert (done.earlier, done.size, done.written) == (7, 7, 0)
    assert contents(small) == before


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 512, 1000])
def test_a_log_of_any_size_is_published_and_verifies(tmp_path, size):
    (_,) = growing(tmp_path / "run", [size])

    publish(tmp_path / "run", tmp_path / "out")
    found = fsck(tmp_path / "out", TRUSTED)

    assert found.findings == []
    assert (found.size, found.entries, found.counts.total()) == (size, size, size)
    assert found.files == len([name for name in contents(tmp_path / "out") if "tile" in name])


def both(*names):
    """The hash tiles of level 0 and the bundles with these names."""
    return {f"tile/{kind}/{name}" for kind in ("0", "entries") for name in names}


def test_a_grown_log_extends_its_publication_and_ends_like_one_published_at_once(tmp_path):
    """Partial tiles of published heads stay until their full tile is there, as the format says."""
    run, out = tmp_path / "run", tmp_path / "out"
    superseded = [set(), set(), both("000.p/3", "000.p/200"), set(), both("001.p/1")]
    earlier = 0
    for number, _ in enumerate(growing(run, [3, 200, 256, 257, 600])):
        before = contents(out) if earlier else {}
        done = publish(run, out)
        after = contents(out)

        assert done.earlier == earlier
        assert fsck(out, TRUSTED).findings == []
        gone = {name for name in before if name not in after}
        kept = {name for name in before if "tile" in name} - gone
        assert all(before[name] == after[name] for name in kept)
        assert gone == superseded[number]
        earlier = done.size
    publish(run, tmp_path / "at once")
    at_once = contents(tmp_path / "at once")
    assert contents(out) == at_once | {"tile/1/000.p/1": before["tile/1/000.p/1"]}


def test_every_epoch_is_published_with_its_key_and_its_last_head(tmp_path):
    heads = write_rotated(tmp_path / "run")
    publish(tmp_path / "run", tmp_path / "out")
    found = fsck(tmp_path / "out", TRUSTED)

    assert found.findings == []
    assert [key.vkey for key in found.keys] == [key.verify_key.vkey for key in KEYS]
    assert (tmp_path / "out/keys").read_text().split() == [key.verify_key.vkey for key in KEYS]
    assert (tmp_path / "out/heads/4").read_bytes() == heads[0]
    assert (tmp_path / "out/heads/300").read_bytes() == heads[1]
    assert (tmp_path / "out/checkpoint").read_bytes() == heads[2]


def test_a_log_that_rotates_its_key_by_itself_is_published_and_proven(tmp_path):
    """Three entries to an epoch, written by the ledger itself: the entries prove alike."""
    run, out = tmp_path / "run", tmp_path / "out"
    digest = declare(run)
    arguments = {"origin": ORIGIN, "run": RUN, "key": KEY, "sync": False, "rotate_every": 3}
    with Ledger.create(run / "ledger", **arguments) as ledger:
        play(ledger, digest, rounds=7)
    publish(run, out)
    found = fsck(out, TRUSTED)

    assert found.findings == []
    assert len(found.keys) == found.counts["rotate"] + 1 > 2
    for seq in range(found.size):
        assert prove(out, seq) == prove(run, seq)


def test_a_log_that_ends_in_a_rotation_is_under_the_old_key_and_grows_under_the_new(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    log = Writer(run)
    log.append("open", {"manifest": log.digest})
    log.rotate(1)
    boundary = log.commit(KEYS[0])
    publish(run, out)
    assert (out / "checkpoint").read_bytes() == (out / "heads/2").read_bytes() == boundary
    assert fsck(out, TRUSTED).findings == []

    log.rounds(3)
    log.commit(KEYS[1])
    publish(run, out)

    assert fsck(out, TRUSTED).findings == []
    assert (out / "heads/2").read_bytes() == boundary


def test_a_cosigned_head_is_published_and_not_replaced_by_a_plain_one(tmp_path):
    write(tmp_path / "run")
    kept = tmp_path / "run/ledger/cosigned"
    plain = (tmp_path / "run/ledger/checkpoint").read_bytes()
    text = plain.decode().partition("\n\n")[0] + "\n"
    cosigned = sign_note(text, KEY, SigningKey("witness.example", b"\x21" * 32))
    kept.write_bytes(cosigned)
    publish(tmp_path / "run", tmp_path / "out")
    assert (tmp_path / "out/checkpoint").read_bytes() == cosigned
    kept.unlink()

    publish(tmp_path / "run", tmp_path / "out")

    assert (tmp_path / "out/checkpoint").read_bytes() == cosigned
    assert fsck(tmp_path / "out", TRUSTED).findings == []


# --- what is refused


def test_every_altered_byte_of_a_log_stops_its_publication(tmp_path):
    write(tmp_path / "run", rounds=2)
    path = tmp_path / "run/ledger/log.wal"
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        with pytest.raises(LedgerError, match="the log is not whole"):
            publish(tmp_path / "run", tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tail", [b"{", b"{}\n", b"\0" * 100, b"rest\n"])
def test_a_log_that_does_not_end_in_a_head_is_not_published(tmp_path, tail):
    write(tmp_path / "run", close=False)
    with (tmp_path / "run/ledger/log.wal").open("ab") as file:
        file.write(tail)

    with pytest.raises(LedgerError, match="set aside when the run is resumed"):
        publish(tmp_path / "run", tmp_path / "out")


def test_a_folder_without_a_run_is_one_message(tmp_path):
    with pytest.raises(LedgerError, match="not a run that can be read"):
        publish(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda log: log.rotate(2),
        lambda log: log.rotate(1, KEYS[0]),
        lambda log: log.rotate(1, SigningKey("another/log", b"\x11" * 32)),
        lambda log: log.rotate(1, more=True),
        lambda log: log.rotate(1, epoch=True),
        lambda log: (log.rotate(1), log.rounds(1)),
        lambda log: (log.rotate(1), log.commit(KEYS[1])),
        lambda log: (log.rotate(1), log.commit(KEYS[0]), log.rounds(1)),
    ],
    ids=[
        "number",
        "old key",
        "other name",
        "field",
        "boolean",
        "not last",
        "too early",
        "old signer",
    ],
)
def test_a_rotation_that_breaks_the_rules_is_not_published(tmp_path, spoil):
    log = Writer(tmp_path / "run")
    log.append("open", {"manifest": log.digest})
    spoil(log)
    if log.lines:
        log.commit(KEYS[0])

    with pytest.raises(LedgerError, match="the log is not whole"):
        publish(tmp_path / "run", tmp_path / "out")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([("round", {})], "a log begins with one open"),
        ([("open", {"manifest": 1})], "names another manifest"),
        ([("open", {}), ("open", {})], "names another manifest"),
        ([None, ("open", {})], "a log begins with one open"),
        ([None, ("close", {"counts": {"open": 1}})], "the closing entry counts otherwise"),
        (
            [None, ("close", {"counts": {"open": 1, "close": 1}}), ("round", {})],
            "stands after the closing entry",
        ),
        ([None, *((f"kind{number}", {}) for number in range(256))], "one kind too many"),
    ],
)
def test_a_signed_log_whose_entries_break_the_rules_gets_no_head(tmp_path, entries, says):
    log = Writer(tmp_path / "run")
    for entry in entries:
        log.append(*(entry or ("open", {"manifest": log.digest})))
    log.commit(KEYS[0])

    with pytest.raises(LedgerError, match=says):
        publish(tmp_path / "run", tmp_path / "out")

    assert not (tmp_path / "out/checkpoint").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    write(tmp_path / "run")
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("precious")

    with pytest.raises(LedgerError, match="holds something else"):
        publish(tmp_path / "run", out)
    with pytest.raises(LedgerError, match="holds something else"):
        publish(tmp_path / "run", tmp_path / "run")

    assert contents(out) == {"thesis.tex": b"precious"}


def test_the_publication_of_another_run_is_left_alone(small, tmp_path):
    key = SigningKey("institutional.dev/run/other", b"\x05" * 32)
    write(tmp_path / "other", run="other", key=key)
    before = contents(small)

    with pytest.raises(LedgerError, match="holds something else"):
        publish(tmp_path / "other", small)

    assert contents(small) == before


def test_a_second_history_under_the_same_key_is_not_published_over_the_first(small, tmp_path):
    digest = declare(tmp_path / "second")
    arguments = {"origin": ORIGIN, "run": RUN, "key": KEY, "sync": False}
    with Ledger.create(tmp_path / "second/ledger", **arguments) as ledger:
        play(ledger, digest, rounds=6, seed=2)
    before = contents(small)

    with pytest.raises(LedgerError, match="two histories under one key"):
        publish(tmp_path / "second", small)

    assert contents(small) == before


def test_a_log_that_was_rolled_back_is_not_published_over_a_longer_one(small, tmp_path):
    write(tmp_path / "older", rounds=3, close=False)
    before = contents(small)

    with pytest.raises(LedgerError, match="7 entries are published, this log has 4"):
        publish(tmp_path / "older", small)

    assert contents(small) == before


def test_an_altered_publication_is_not_repaired_in_silence(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    log = growing(run, [300, 310])
    next(log)
    publish(run, out)
    next(log)
    for name in ("tile/0/000", "tile/entries/000", "tile/0/001.p/44", "graph.yaml"):
        good = (out / name).read_bytes()
        (out / name).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        head = (out / "checkpoint").read_bytes()

        with pytest.raises(LedgerError, match=r"not what was published|does not verify"):
            publish(run, out)

        assert (out / "checkpoint").read_bytes() == head
        (out / name).write_bytes(good)
    publish(run, out)
    assert fsck(out, TRUSTED).findings == []


def test_two_publishers_do_not_meet(small, tmp_path):
    descriptor = os.open(small, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(LedgerError, match="another process is publishing"):
            publish(tmp_path / "run", small)
    finally:
        os.close(descriptor)


# --- interrupted


def states_in_between(before, after):
    """Every state that a killed publication can leave, as files by their path."""
    new = [name for name in after if name not in before or before[name] != after[name]]
    order = sorted(new, key=lambda name: (name == "checkpoint", name == "keys"))
    if not before:
        order.sort(key=lambda name: name != "manifest.dsse.json")
    for count in range(len(order) + 1):
        done = before | {name: after[name] for name in order[:count]}
        yield done
        yield done | {".part": b"half a fi"}


def lay_out(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_a_publication_killed_at_any_file_is_finished_by_the_next(tmp_path):
    run, out, torn = tmp_path / "run", tmp_path / "out", tmp_path / "torn"
    log = Writer(run)
    log.append("open", {"manifest": log.digest})
    log.rounds(2)
    log.commit(KEYS[0])
    publish(run, out)
    first = contents(out)
    log.rotate(1)
    log.commit(KEYS[0])
    log.rounds(300)
    log.commit(KEYS[1])
    publish(run, out)
    second = contents(out)
    # The tiles of the first head are superseded and go last: they are there in between.
    whole = second | {name: data for name, data in first.items() if name not in second}

    for before in ({}, first):
        for state in states_in_between(before, whole if before else second):
            lay_out(torn, state)
            if before and state.get("checkpoint") == first["checkpoint"]:
                words = {finding.word for finding in fsck(torn, TRUSTED).findings}
                assert words <= {Word.INCOMPLETE}
            torn.mkdir(exist_ok=True)
            publish(run, torn)
            (torn / ".part").unlink(missing_ok=True)
            assert contents(torn) == second


def test_a_full_disk_stops_a_publication_and_the_old_head_stands(tmp_path):
    """No file may grow beyond a limit, which is what each write of a full disk looks like."""
    run, out = tmp_path / "run", tmp_path / "out"
    log = growing(run, [3, 300])
    next(log)
    publish(run, out)
    first = contents(out)
    next(log)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    stopped = 0
    for limit in [*range(0, 8192, 500), 8191]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(LedgerError, match="make room") as failure:
                publish(run, out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert failure.value.__cause__.errno == errno.EFBIG
        held = contents(out)
        assert {name: held[name] for name in first} == first
        assert {finding.word for finding in fsck(out, TRUSTED).findings} <= {Word.INCOMPLETE}
        stopped += 1

    publish(run, out)

    assert stopped == 18
    assert fsck(out, TRUSTED).findings == []


# --- damage, told by fsck


def flips(folder):
    """Flip one bit of every byte of every file, one at a time, and put it back."""
    for name, data in contents(folder).items():
        for at in range(len(data)):
            (folder / name).write_bytes(
                data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
            )
            yield name, at
        (folder / name).write_bytes(data)


def test_every_altered_byte_of_a_published_log_is_a_finding(small):
    looked_at = 0
    for name, at in flips(small):
        named = {finding.path for finding in fsck(small, TRUSTED).findings}
        # An altered entry is named by its hash, an altered size by what is missing then.
        assert name in named or (named and name in {"tile/entries/000.p/7", "checkpoint"}), at
        looked_at += 1

    assert looked_at == sum(map(len, contents(small).values()))
    assert fsck(small, TRUSTED).findings == []


def test_every_altered_byte_of_a_log_with_epochs_is_a_finding(tmp_path):
    write_rotated(tmp_path / "run", (2, 3, 5))
    publish(tmp_path / "run", tmp_path / "out")
    for name, at in flips(tmp_path / "out"):
        assert fsck(tmp_path / "out", TRUSTED).findings, (name, at)


def test_a_missing_file_is_named_and_is_no_accusation(small):
    for name, data in contents(small).items():
        (small / name).unlink()
        (finding,) = fsck(small, TRUSTED).findings
        assert (finding.path, finding.word) == (name, Word.CANNOT_DECIDE)
        assert finding.reason == "is missing"
        (small / name).write_bytes(data)


def test_an_altered_entry_is_named_with_its_tile_and_its_number(small):
    bundle = small / "tile/entries/000.p/7"
    bundle.write_bytes(bundle.read_bytes().replace(b'"round":2', b'"round":9'))

    first, second = fsck(small, TRUSTED).findings

    assert (first.path, first.seq) == ("tile/0/000.p/7", 3)
    assert first.reason == "hash 3 is not that of entry 3"
    assert second.path == "checkpoint"
    assert "not those that were signed" in second.reason
    assert (first.word, second.word) == (Word.INVALID, Word.INVALID)


def test_an_altered_tile_over_sound_entries_is_the_only_finding(small):
    tile = small / "tile/0/000.p/7"
    data = bytearray(tile.read_bytes())
    data[5 * 32] ^= 1
    tile.write_bytes(data)

    (finding,) = fsck(small, TRUSTED).findings

    assert (finding.path, finding.seq) == ("tile/0/000.p/7", 5)
    assert finding.found == bytes(data[5 * 32 : 6 * 32]).hex()


@pytest.mark.parametrize("size", [2, 300])
def test_a_boundary_head_of_the_wrong_epoch_is_refused(tmp_path, size):
    """A thief of the newest key signs the end of an epoch that was closed before."""
    sizes = (2, 300, 310)
    write_rotated(tmp_path / "run", sizes)
    out = tmp_path / "out"
    publish(tmp_path / "run", out)
    text = (out / f"heads/{size}").read_text().partition("\n\n")[0] + "\n"
    (out / f"heads/{size}").write_bytes(sign_note(text, KEYS[2]))

    (finding,) = fsck(out, TRUSTED).findings

    assert (finding.path, finding.word) == (f"heads/{size}", Word.INVALID)


def test_a_boundary_head_that_claims_another_size_is_refused(tmp_path):
    write_rotated(tmp_path / "run", (2, 4, 6))
    out = tmp_path / "out"
    publish(tmp_path / "run", out)
    head = open_checkpoint((out / "heads/2").read_bytes(), KEYS[0].verify_key)
    text = checkpoint_text(head._replace(size=3))
    (out / "heads/2").write_bytes(sign_note(text, KEYS[0]))

    (finding,) = fsck(out, TRUSTED).findings

    assert str(finding) == "heads/2: signs 3 entries, not 2"


def test_a_checkpoint_under_a_key_of_an_earlier_epoch_is_refused(tmp_path):
    write_rotated(tmp_path / "run")
    out = tmp_path / "out"
    publish(tmp_path / "run", out)
    text = (out / "checkpoint").read_text().partition("\n\n")[0] + "\n"
    (out / "checkpoint").write_bytes(sign_note(text, KEYS[0]))

    (finding,) = fsck(out, TRUSTED).findings

    assert (finding.path, finding.word) == ("checkpoint", Word.INVALID)


def test_a_key_of_somebody_else_decides_nothing(small):
    (finding,) = fsck(small, [SigningKey("stranger", b"\x01" * 32).verify_key]).findings

    assert (finding.path, finding.word) == ("manifest.dsse.json", Word.CANNOT_DECIDE)
    assert fsck(small, [KEY.verify_key]).findings == []


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tile/0/000.p/8", Word.INCOMPLETE),
        ("tile/0/001", Word.INCOMPLETE),
        ("tile/entries/000", Word.INCOMPLETE),
        ("tile/7/000", Word.INCOMPLETE),
        ("tile/README", Word.INCOMPLETE),
        ("tile/0/\x1b[31m\n", Word.INCOMPLETE),
        ("tile/0/000.p/3", Word.INVALID),
        ("tile/entries/000.p/3", Word.INVALID),
    ],
)
def test_files_among_the_tiles_that_do_not_belong_there_are_told(small, name, word):
    (small / name).parent.mkdir(exist_ok=True)
    (small / name).write_bytes(b"something else")

    (finding,) = fsck(small, TRUSTED).findings

    assert finding.word == word
    assert finding.path.isprintable()


def test_a_superseded_tile_that_begins_its_successor_is_no_finding(small):
    tile = (small / "tile/0/000.p/7").read_bytes()
    bundle = (small / "tile/entries/000.p/7").read_bytes()
    cut = 2 + int.from_bytes(bundle[:2], "big")
    (small / "tile/0/000.p/1").write_bytes(tile[:32])
    (small / "tile/entries/000.p/1").write_bytes(bundle[:cut])
    assert fsck(small, TRUSTED).findings == []

    (small / "tile/0/000.p/1").write_bytes(tile[:31])
    (small / "tile/entries/000.p/1").write_bytes(bundle[: cut + 1])
    assert [finding.word for finding in fsck(small, TRUSTED).findings] == [Word.INVALID] * 2


@pytest.mark.parametrize("name", ["checkpoint", "keys", "manifest.dsse.json", "tile/0/000.p/7"])
def test_what_is_no_file_ends_in_a_finding(small, name):
    path = small / name
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(path)):
        path.unlink(missing_ok=True)
        make()
        assert fsck(small, TRUSTED).findings[0].path == name
        if path.is_dir():
            path.rmdir()


def test_hostile_sizes_and_heaps_of_damage_stay_bounded(tmp_path):
    """A head that claims 10**15 entries is read as far as there are bundles, and no further."""
    (_,) = growing(tmp_path / "long", [300])
    out = tmp_path / "long out"
    publish(tmp_path / "long", out)
    note = (out / "checkpoint").read_bytes()
    (out / "checkpoint").write_bytes(note.replace(b"\n300\n", b"\n999999999999999\n"))
    assert fsck(out, TRUSTED).findings[0].path == "tile/entries/001"
    (out / "checkpoint").write_bytes(note)
    for name in ("tile/entries/000", "tile/entries/001.p/44"):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole.replace(b'"v":1}', b'"v":2}'))

    found = fsck(out, TRUSTED)

    assert len(found.findings) == MAX_FINDINGS
    assert found.more == 300 + 2 + 2 - MAX_FINDINGS  # entries, tiles of level 0 and 1, and the head
    assert found.findings[0].seq == 0
    assert found.findings[0].word == Word.CANNOT_DECIDE
