"""What is published is accepted by verifiers that others wrote, and what they refuse ours refuses.

Where the two differ, the difference is named here, and none is left.
"""

import shutil
from collections import Counter

import by_the_book
import pytest
import tampering
from foreign import tlogcheck
from published import SIZES, ours, publication
from small_run import KEY, OPERATOR, RUN

from institutional.ledger.note import Checkpoint, SigningKey, checkpoint_text, sign_note
from institutional.ledger.wal import EntryLine, HeadNote, entry_bytes, records

OTHER = SigningKey("institutional.dev/run/other", b"\x09" * 32)


@pytest.mark.parametrize("size", SIZES)
def test_a_log_of_any_size_is_accepted_by_both_and_laid_out_by_the_book(size, tmp_path):
    folder, key = publication(tmp_path, size)

    with (tmp_path / "run" / "ledger" / "log.wal").open("rb") as file:
        entries = [line.data for line in records(file) if isinstance(line, EntryLine)]
    book = by_the_book.files(entries)
    stored = {
        path.relative_to(folder).as_posix(): path
        for path in (folder / "tile").rglob("*")
        if path.is_file()
    }
    assert len(entries) == size
    assert stored.keys() == book.keys()
    assert all(stored[path].read_bytes() == data for path, data in book.items())
    assert ours(folder)
    assert tlogcheck(folder, key)


def test_a_log_in_epochs_is_accepted_under_the_key_of_its_last_epoch(tmp_path):
    folder, key = publication(tmp_path, 100, commit=10, rotate_every=30)

    assert key != KEY.verify_key
    assert ours(folder)
    assert tlogcheck(folder, key)
    assert not tlogcheck(folder, KEY.verify_key)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A published log of 700 entries, and another run's of the same size; never changed."""
    base = tmp_path_factory.mktemp("logs")
    mine, _ = publication(base / "mine", 700)
    other, _ = publication(base / "other", 700, origin="institutional.dev/run/twin", run="twin")
    return mine, other


@pytest.mark.parametrize("name", tampering.ALL)
def test_both_refuse_a_log_that_was_tampered_with(name, logs, tmp_path):
    mine, other = logs
    folder = tmp_path / "copy"
    shutil.copytree(mine, folder)
    tampering.ALL[name](folder, other)

    assert not tlogcheck(folder, KEY.verify_key)
    assert not ours(folder)


def test_both_refuse_wrong_keys(logs):
    folder, _ = logs
    renamed = KEY.verify_key._replace(name="institutional.dev/run/other")
    impostor = SigningKey(KEY.name, OTHER.seed).verify_key
    for key in (renamed, impostor, OTHER.verify_key, OPERATOR.verify_key):
        assert not tlogcheck(folder, key)
    for key in (renamed, impostor, OTHER.verify_key):
        assert not ours(folder, key)
    assert ours(folder, KEY.verify_key)


def public_files(folder):
    """What every verifier reads: the checkpoint, tiles and bundles."""
    return [folder / "checkpoint", *(path for path in folder.rglob("tile/**/*") if path.is_file())]


def disagreements(folder, changes):
    """Try every (path, bytes) in place of a file; return how often each refused, and disputes.

    The file is put back afterwards.
    """
    refused, differing = Counter(), []
    for path, changed in changes:
        data = path.read_bytes()
        path.write_bytes(changed)
        verdicts = {"theirs": tlogcheck(folder, KEY.verify_key), "ours": ours(folder)}
        path.write_bytes(data)
        refused.update(name for name, accepted in verdicts.items() if not accepted)
        if len(set(verdicts.values())) > 1:
            differing.append((path.name, changed, verdicts))
    return refused, differing


def test_both_refuse_every_flipped_bit_of_a_small_log(tmp_path):
    """One bit of every byte, each bit position in turn."""
    folder, _ = publication(tmp_path, 4)
    changes = []
    for path in public_files(folder):
        data = path.read_bytes()
        for at in range(len(data)):
            changed = bytearray(data)
            changed[at] ^= 1 << at % 8
            changes.append((path, bytes(changed)))

    refused, differing = disagreements(folder, changes)

    assert len(changes) > 700
    assert not differing
    assert refused == dict.fromkeys(("theirs", "ours"), len(changes))


def test_both_refuse_every_byte_put_into_or_taken_from_a_checkpoint(tmp_path):
    folder, _ = publication(tmp_path, 4)
    path = folder / "checkpoint"
    data = path.read_bytes()
    changes = [
        (path, data[:at] + byte + data[at:])
        for at in range(len(data) + 1)
        for byte in (b"\0", b"\n", b" ", b"=")
    ] + [(path, data[:at] + data[at + 1 :]) for at in range(len(data))]

    refused, differing = disagreements(folder, changes)

    assert not differing
    assert refused == dict.fromkeys(("theirs", "ours"), len(changes))


def test_go_alone_accepts_other_spellings_of_the_last_base64_digit(tmp_path):
    """A signature of 68 bytes leaves two bits of its last digit unused: four digits decode alike.

    The content is the same and the bytes are not, so ours takes the one canonical spelling.
    """
    folder, _ = publication(tmp_path, 4)
    path = folder / "checkpoint"
    data = path.read_bytes()
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    written = digits.index(chr(data[-3]))
    others = [digits[written // 4 * 4 + n] for n in range(4) if n != written % 4]

    refused, differing = disagreements(
        folder, [(path, data[:-3] + other.encode() + data[-2:]) for other in others]
    )

    assert data.endswith(b"=\n")
    assert refused == {"ours": 3}
    assert all(verdicts == {"theirs": True, "ours": False} for _, _, verdicts in differing)


def older_head(run, size):
    """The head of `size` entries in the log of a run."""
    with (run / "ledger" / "log.wal").open("rb") as file:
        heads = [record.data for record in records(file) if isinstance(record, HeadNote)]
    return next(head for head in heads if head.split(b"\n")[1] == b"%d" % size)


def test_nobody_can_tell_a_roll_back_unless_it_leaves_something_over(tmp_path):
    """An older head that was signed: with later tiles beside it ours wonders, without them no one.

    Only what lies elsewhere tells: a remembered head, a witness, a time stamp.
    """
    folder, key = publication(tmp_path, 700, commit=512)
    (folder / "checkpoint").write_bytes(older_head(tmp_path / "run", 512))
    assert tlogcheck(folder, key)
    assert not ours(folder)

    for later in ("entries/002.p", "0/002.p"):
        shutil.rmtree(folder / "tile" / later)
    assert tlogcheck(folder, key)
    assert ours(folder)


def signed_anew(folder, entries):
    """Publish these entries in place of others, under the right key: what its thief could do."""
    shutil.rmtree(folder / "tile")
    for path, data in by_the_book.files(entries).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    root = by_the_book.tree_hash([by_the_book.leaf(entry) for entry in entries])
    text = checkpoint_text(Checkpoint(KEY.name, len(entries), root))
    (folder / "checkpoint").write_bytes(sign_note(text, KEY))


def spelt(seq, kind, body):
    return entry_bytes(run=RUN, seq=seq, kind=kind, body=body)


BEYOND_GO = {
    "text that is no entry": lambda first: [first, b"hello"],
    "an empty entry": lambda first: [first, b""],
    "a number that was used": lambda first: [first, spelt(0, "round", {})],
    "a second opening": lambda first: [first, spelt(1, "open", {"manifest": "0" * 64})],
    "no opening": lambda _: [spelt(0, "round", {})],
    "an opening of another manifest": lambda _: [spelt(0, "open", {"manifest": "0" * 64})],
    "a closing entry that counts wrongly": lambda first: [
        first,
        spelt(1, "close", {"status": "finished", "counts": {"open": 1, "close": 2}}),
    ],
    "an entry after the closing one": lambda first: [
        first,
        spelt(1, "close", {"status": "finished", "counts": {"open": 1, "close": 1}}),
        spelt(2, "round", {}),
    ],
    "a space in an entry": lambda first: [first, spelt(1, "round", {}).replace(b":", b": ", 1)],
    "an entry of another run": lambda first: [
        first,
        entry_bytes(run="other", seq=1, kind="round", body={}),
    ],
}


@pytest.mark.parametrize("name", BEYOND_GO)
def test_ours_alone_refuses_entries_that_say_what_no_run_says(name, tmp_path):
    """Go's packages know nothing of what an entry means; the tree over it is sound."""
    folder, key = publication(tmp_path, 1)
    (first,) = tampering.split((folder / "tile/entries/000.p/1").read_bytes())
    signed_anew(folder, [first, spelt(1, "round", {})])
    assert ours(folder)

    signed_anew(folder, BEYOND_GO[name](first))

    assert tlogcheck(folder, key)
    assert not ours(folder)


@pytest.mark.parametrize("name", ["manifest.dsse.json", "graph.yaml", "keys"])
def test_ours_alone_reads_what_stands_beside_the_log(name, logs, tmp_path):
    folder = shutil.copytree(logs[0], tmp_path / "copy")
    (folder / name).write_bytes((folder / name).read_bytes().replace(b"a", b"b", 1))

    assert tlogcheck(folder, KEY.verify_key)
    assert not ours(folder)
