"""One witness's folder: what is remembered, under which lock, and what a kill leaves behind."""

import shutil
import stat
import subprocess
import sys
import textwrap
import threading

import pytest
from small_run import KEY as LOG
from small_run import OPERATOR, ORIGIN, declare
from small_witness import NOON, head, new_witness

from institutional.ledger.cosignature import cosigned_at, parse_witness_vkey
from institutional.ledger.errors import LedgerError
from institutional.ledger.note import (
    SigningKey,
    open_checkpoint,
    parse_note,
    parse_vkey,
)
from institutional.ledger.tree import consistency_proof, leaf_hash
from institutional.ledger.witness import memory
from institutional.ledger.witness.protocol import submission_bytes
from institutional.ledger.witness.service import Witness

LEAVES = [leaf_hash(bytes([n])) for n in range(8)]


def forked(number, size=8):
    """A history that leaves the others' after the third entry."""
    return [*LEAVES[:3], *(leaf_hash(bytes([n, number])) for n in range(3, size))]


def request(leaves, size, *, old=0, key=LOG):
    proof = tuple(consistency_proof(leaves[:size], old)) if old else ()
    return submission_bytes(old_size=old, proof=proof, head=head(leaves[:size], key))


@pytest.fixture
def witness(tmp_path):
    return new_witness(tmp_path / "witness", listed=(LOG.verify_key,))


def remembered(folder):
    (where,) = memory.places(folder)
    return memory.load(where).checkpoint


def test_a_witness_is_made_with_a_key_that_only_its_owner_reads(tmp_path):
    folder = tmp_path / "w"
    key = memory.create(folder, name="witness.example/w1", listed=[LOG.verify_key])

    assert stat.S_IMODE((folder / "witness.key").stat().st_mode) == 0o600
    assert parse_witness_vkey((folder / "witness.pub").read_text().strip()) == key
    assert Witness(folder).key == key
    assert memory.listed_keys(folder) == (LOG.verify_key,)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w"]


@pytest.mark.parametrize("name", ["", "two words", "a+b", "line\n"])
def test_a_name_that_no_key_may_have_leaves_nothing_behind(tmp_path, name):
    with pytest.raises(LedgerError, match="not a key name"):
        memory.create(tmp_path / "w", name=name, listed=[LOG.verify_key])
    assert list(tmp_path.iterdir()) == []


def test_a_witness_is_never_made_over_another(witness):
    before = (witness.folder / "witness.key").read_bytes()
    with pytest.raises(LedgerError, match="exists already"):
        memory.create(witness.folder, name="w", listed=[LOG.verify_key])
    assert (witness.folder / "witness.key").read_bytes() == before


def test_a_key_that_others_may_read_is_refused(witness):
    (witness.folder / "witness.key").chmod(0o640)
    with pytest.raises(LedgerError, match="chmod 600"):
        Witness(witness.folder)


def test_one_more_log_is_listed_and_the_keepers_own_lines_stay(witness):
    path = witness.folder / "policy"
    path.write_text("# mine\n" + path.read_text().rstrip("\n"))

    memory.add_listed(witness.folder, OPERATOR.verify_key)

    assert memory.listed_keys(witness.folder) == (LOG.verify_key, OPERATOR.verify_key)
    assert path.read_text().startswith("# mine\n")
    with pytest.raises(LedgerError, match="twice"):
        memory.add_listed(witness.folder, OPERATOR.verify_key)


def test_a_head_is_cosigned_and_remembered_as_a_note_that_both_have_signed(witness):
    answer = witness.add_checkpoint(request(LEAVES, 5))

    assert answer.status == 200
    stored = witness.head(memory.place(witness.folder, ORIGIN).name)
    assert stored == head(LEAVES[:5], LOG) + answer.body
    assert open_checkpoint(stored, LOG.verify_key).size == 5
    assert cosigned_at(parse_note(stored), witness.key) == NOON


def test_what_was_remembered_outlives_the_program(witness):
    witness.add_checkpoint(request(LEAVES, 5))

    again = Witness(witness.folder)
    assert again.add_checkpoint(request(LEAVES, 8)).body == b"5\n"
    assert again.add_checkpoint(request(LEAVES, 8, old=5)).status == 200
    assert remembered(witness.folder).size == 8


def test_a_log_that_nobody_listed_gets_no_folder(witness):
    stranger = SigningKey("stranger.example", b"\5" * 32)

    assert witness.add_checkpoint(request(LEAVES, 5, key=stranger)).status == 404
    assert memory.places(witness.folder) == []


def test_a_fork_is_refused_and_both_heads_are_kept_for_anyone_to_check(witness):
    witness.add_checkpoint(request(LEAVES, 5))
    for old in (0, 5, 5):  # the same evidence is kept once
        assert witness.add_checkpoint(request(forked(1), 5, old=old)).status in (409, 422)

    (kept,) = memory.conflicts(witness.folder)
    assert kept.name.startswith("fork-")
    one, other = (kept / "remembered").read_bytes(), (kept / "submitted").read_bytes()
    first, second = (open_checkpoint(note, LOG.verify_key) for note in (one, other))
    assert first.size == second.size == 5
    assert first.root != second.root
    assert cosigned_at(parse_note(one), witness.key) == NOON
    assert remembered(witness.folder) == first


def test_a_head_without_a_proof_is_kept_as_unproven_and_accuses_nobody(witness):
    witness.add_checkpoint(request(LEAVES, 5))
    data = submission_bytes(old_size=5, proof=(), head=head(forked(1), LOG))

    assert witness.add_checkpoint(data).status == 422
    (kept,) = memory.conflicts(witness.folder)
    assert kept.name.startswith("unproven-")


def test_conflicts_are_kept_up_to_a_number(witness, monkeypatch):
    monkeypatch.setattr(memory, "MAX_CONFLICTS", 3)
    witness.add_checkpoint(request(LEAVES, 5))
    for number in range(5):
        assert witness.add_checkpoint(request(forked(number), 5)).status == 409
    assert len(memory.conflicts(witness.folder)) == 3


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("checkpoint", lambda data: data[:-1]),
        ("checkpoint", lambda data: data.replace(b"\n5\n", b"\n4\n")),
        ("checkpoint", lambda data: data[:0]),
        ("checkpoint", lambda data: data.partition(b"\n\n")[0] + b"\n\n" + data.split(b"\n")[-2]),
        ("keys", lambda data: data[:0]),
        ("keys", lambda data: data[:-2]),
        ("keys", lambda data: data.splitlines(keepends=True)[0]),
        ("keys", None),
        ("checkpoint", "folder"),
    ],
)
def test_damage_is_never_taken_for_a_first_contact(witness, name, change):
    """A witness that forgets could be made to cosign a second history."""
    witness.add_checkpoint(request(LEAVES, 5))
    (where,) = memory.places(witness.folder)
    path = where / name
    if change is None:
        path.unlink()
    elif change == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(change(path.read_bytes()))

    for data in (request(forked(1), 5), request(forked(1), 8)):
        answer = witness.add_checkpoint(data)
        assert answer.status == 500
        assert answer.body.startswith(b"nothing was cosigned")


@pytest.mark.parametrize("text", ["", "log x\n", "quorum none\n", "\xff", "witness"])
def test_a_list_that_cannot_be_read_cosigns_nothing(witness, text):
    (witness.folder / "policy").write_text(text, encoding="latin-1")

    assert witness.add_checkpoint(request(LEAVES, 5)).status == 500
    with pytest.raises(LedgerError, match="not a list of logs"):
        Witness(witness.folder)


def test_a_head_that_cannot_be_stored_is_not_cosigned(witness):
    """A file stands where the log's folder would be made."""
    memory.place(witness.folder, ORIGIN).write_text("")

    answer = witness.add_checkpoint(request(LEAVES, 5))

    assert answer.status == 500
    assert "—".encode() not in answer.body


# --- keys that are vouched for


def manifest(folder, **options):
    declare(folder, **options)
    return (folder / "manifest.dsse.json").read_bytes()


def test_a_run_is_cosigned_once_its_operator_vouches_for_it(tmp_path):
    witness = new_witness(tmp_path / "witness")
    assert witness.add_checkpoint(request(LEAVES, 5)).status == 404

    assert witness.add_key(manifest(tmp_path / "run")).status == 200
    assert witness.add_checkpoint(request(LEAVES, 5)).status == 200
    assert witness.add_key(manifest(tmp_path / "run")).status == 200
    (where,) = memory.places(witness.folder)
    assert [parse_vkey(line) for line in (where / "keys").read_text().splitlines()] == [
        OPERATOR.verify_key,
        LOG.verify_key,
    ]


def test_a_manifest_of_another_operator_or_with_a_false_signature_vouches_for_nothing(tmp_path):
    witness = new_witness(tmp_path / "witness")
    stranger = SigningKey("stranger", b"\5" * 32)
    false = manifest(tmp_path / "run").replace(b'"sig":"', b'"sig":"AAAA')

    other = manifest(tmp_path / "other", operator=stranger)
    assert witness.add_key(other).status == 403
    assert witness.add_key(false).status == 403
    assert witness.add_key(other[:-1]).status == 400
    assert witness.add_key(b"{}").status == 400
    assert memory.places(witness.folder) == []


def test_a_second_first_key_for_one_log_is_refused(tmp_path):
    """An operator who vouches twice for one name, with two keys, is told so."""
    witness = new_witness(tmp_path / "witness")
    witness.add_key(manifest(tmp_path / "run"))
    second = SigningKey(ORIGIN, b"\6" * 32)

    assert witness.add_key(manifest(tmp_path / "second", key=second)).status == 403
    assert witness.add_checkpoint(request(LEAVES, 5, key=second)).status == 403
    assert witness.add_checkpoint(request(LEAVES, 5)).status == 200


def test_an_operator_who_is_taken_off_the_list_is_cosigned_no_more(tmp_path):
    witness = new_witness(tmp_path / "witness", listed=(OPERATOR.verify_key,))
    witness.add_key(manifest(tmp_path / "run"))
    witness.add_checkpoint(request(LEAVES, 5))
    path = witness.folder / "policy"
    other = SigningKey("other", b"\5" * 32).verify_key
    path.write_text(path.read_text().replace(OPERATOR.verify_key.vkey, other.vkey))

    assert witness.add_checkpoint(request(LEAVES, 8, old=5)).status == 404
    assert remembered(witness.folder).size == 5


# --- several at once, and killed


def together(witness, requests):
    """The answers to requests that are made at one time, a thread each."""
    answers = [None] * len(requests)
    start = threading.Barrier(len(requests))

    def ask(number):
        start.wait()
        answers[number] = witness.add_checkpoint(requests[number])

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("old", [0, 3])
def test_of_many_forks_that_arrive_together_one_is_cosigned(witness, old):
    if old:
        witness.add_checkpoint(request(LEAVES, old))
    answers = together(witness, [request(forked(n), 8, old=old) for n in range(8)])

    (won,) = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert {answer.status for answer in answers} == {200, 409}
    assert remembered(witness.folder) == open_checkpoint(head(forked(won), LOG), LOG.verify_key)


RACER = """
    import sys
    from pathlib import Path
    from institutional.ledger.witness.service import Witness
    witness = Witness(Path(sys.argv[1]))
    sys.stdin.readline()
    for path in sorted(Path(sys.argv[2]).iterdir()):
        print(witness.add_checkpoint(path.read_bytes()).status)
"""


def test_two_processes_over_one_folder_never_cosign_a_fork(tmp_path):
    logs = [SigningKey(f"log{n}.example", bytes([n + 1]) * 32) for n in range(12)]
    witness = new_witness(tmp_path / "witness", listed=[log.verify_key for log in logs])
    for side in (0, 1):
        (tmp_path / str(side)).mkdir()
        for n, log in enumerate(logs):
            data = request(forked(side), 4, key=log)
            (tmp_path / str(side) / f"{n:02d}").write_bytes(data)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(RACER), witness.folder, tmp_path / str(side)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side in (0, 1)
    ]
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate()[0].split() for racer in racers]

    assert [sorted(pair) for pair in zip(*said, strict=True)] == [["200", "409"]] * len(logs)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from institutional.ledger.witness.service import Witness
    witness, data = Witness(Path(sys.argv[1])), Path(sys.argv[2]).read_bytes()
    left = int(sys.argv[3])
    def count(event, arguments):
        global left
        if event in ("open", "os.rename", "os.mkdir", "fcntl.flock"):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
    sys.addaudithook(count)
    answer = witness.add_checkpoint(data)
    if "answer" not in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdout.buffer.write(answer.body)
"""


def killed(folder, data, steps, *more):
    path = folder.with_name("data")
    path.write_bytes(data)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), folder, path, str(steps), *more],
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("old", [0, 5])
def test_killed_at_any_step_a_witness_either_knows_the_head_or_never_saw_it(witness, tmp_path, old):
    if old:
        witness.add_checkpoint(request(LEAVES, old))
    for steps in range(100):
        folder = tmp_path / f"{steps}" / "witness"
        shutil.copytree(witness.folder, folder)
        done = killed(folder, request(LEAVES, 8, old=old), steps, "answer")
        again = Witness(folder)
        answer = again.add_checkpoint(request(LEAVES, 8, old=old))
        if answer.status == 409:
            assert answer.body == b"8\n"
            answer = again.add_checkpoint(request(LEAVES, 8, old=8))
        assert answer.status == 200
        assert again.add_checkpoint(request(forked(1), 8, old=8)).status == 422
        if done.returncode == 0:
            break
        assert done.stdout == b""
    assert steps > 5  # there were steps to be killed at


def test_killed_between_remembering_and_answering_it_tells_the_size_and_signs_again(witness):
    done = killed(witness.folder, request(LEAVES, 5), -1)
    assert (done.returncode, done.stdout) == (-9, b"")

    again = Witness(witness.folder)
    assert again.add_checkpoint(request(forked(1), 5)).body == b"5\n"
    assert again.add_checkpoint(request(forked(1), 5, old=5)).status == 422
    assert again.add_checkpoint(request(LEAVES, 5, old=5)).status == 200
