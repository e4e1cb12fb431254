"""Runs shown to witnesses, over HTTP on this machine and over files; forks that come to light."""

import shutil
import socket

import pytest
from small_run import KEY as LOG
from small_run import OPERATOR, ORIGIN, declare, play, write
from small_witness import EPOCHS, NOON, head, new_witness, write_rotating
from small_witness import ORIGIN as ROTATING

from institutional.ledger.cosignature import cosigned_at, witness_key
from institutional.ledger.errors import DivergedError, LedgerError
from institutional.ledger.log import Ledger
from institutional.ledger.note import SigningKey, note_bytes, open_checkpoint, parse_note
from institutional.ledger.trust import check_quorum, parse_trust
from institutional.ledger.witness import memory
from institutional.ledger.witness.client import over_http, submit
from institutional.ledger.witness.compare import Word, compare, heads_in
from institutional.ledger.witness.cosigned import read_cosigned
from institutional.ledger.witness.exchange import Exchange, answer_files
from institutional.ledger.witness.heads import read_run
from institutional.ledger.witness.protocol import Answer
from institutional.ledger.witness.server import serving

KEYS = (LOG.verify_key,)


def direct(witness):
    """Carries requests to a witness in this program, and counts them."""

    def send(request):
        send.names.append(request.name)
        return witness.answer(request.body)

    send.names = []
    return send


def cosigned(run):
    return (run / "ledger" / "cosigned").read_bytes()


def grow(folder, *, rounds, seed=1, close=False):
    """A run that stops after `rounds` rounds, or goes on from there."""
    digest = declare(folder, seed=seed)
    again = (folder / "ledger" / "log.wal").exists()
    begin = Ledger.resume if again else Ledger.create
    with begin(folder / "ledger", origin=ORIGIN, run="small", key=LOG, sync=False) as ledger:
        play(ledger, digest, rounds=rounds, seed=seed, close=close)


@pytest.fixture
def witness(tmp_path):
    return new_witness(tmp_path / "witness")


@pytest.fixture
def run(tmp_path):
    write(tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_is_cosigned_over_http_and_the_head_is_kept(witness, run):
    with serving(witness) as url:
        receipt = submit(run, witness.key, over_http(url))

    assert receipt[:2] == ("witness.example", 7)
    assert receipt.time_s == NOON
    note = cosigned(run)
    assert note.startswith((run / "ledger" / "checkpoint").read_bytes())
    assert open_checkpoint(note, LOG.verify_key).root.hex() == receipt.root
    policy = f"log {OPERATOR.verify_key.vkey}\nwitness W {witness.key.vkey}\nquorum W\n"
    assert check_quorum(parse_trust(policy), note).met


def test_a_run_that_goes_on_is_cosigned_again_and_again(witness, tmp_path):
    """3, 5 and 7 entries: each head comes with the proof that it continues the last."""
    send = direct(witness)
    growing = tmp_path / "growing"
    for rounds, close, size in ((2, False, 3), (4, False, 5), (5, True, 7)):
        grow(growing, rounds=rounds, close=close)
        assert submit(growing, witness.key, send).size == size
    assert send.names == ["add-key", "add-checkpoint"] * 3
    assert cosigned(growing).startswith((growing / "ledger" / "checkpoint").read_bytes())


def test_a_client_that_forgot_what_is_cosigned_is_told(witness, run, tmp_path):
    grow(tmp_path / "growing", rounds=2)
    submit(tmp_path / "growing", witness.key, direct(witness))
    send = direct(witness)

    assert submit(run, witness.key, send).size == 7
    assert send.names == ["add-key", "add-checkpoint", "add-checkpoint"]


def test_two_witnesses_lines_are_kept_side_by_side_over_one_head(witness, run, tmp_path):
    second = new_witness(tmp_path / "second", name="second.example")
    submit(run, witness.key, direct(witness))
    first_line = cosigned(run)
    submit(run, second.key, direct(second))

    assert cosigned(run).startswith(first_line)
    policy = (
        f"log {OPERATOR.verify_key.vkey}\nwitness A {witness.key.vkey}\n"
        f"witness B {second.key.vkey}\ngroup G all A B\nquorum G\n"
    )
    assert not check_quorum(parse_trust(policy), first_line).met
    assert check_quorum(parse_trust(policy), cosigned(run)).met


def test_the_earlier_time_of_one_witness_over_one_head_stays(witness, run):
    submit(run, witness.key, direct(witness))
    later = submit(run, witness.key, direct(witness))

    assert later.time_s > NOON
    assert cosigned_at(parse_note(cosigned(run)), witness.key) == NOON


def test_a_false_line_that_was_kept_is_replaced(witness, run):
    submit(run, witness.key, direct(witness))
    note = parse_note(cosigned(run))
    false = note.signatures[1]._replace(signature=bytes(72))
    path = run / "ledger" / "cosigned"
    path.write_bytes(note_bytes(note._replace(signatures=(note.signatures[0], false))))

    submit(run, witness.key, direct(witness))

    assert cosigned_at(parse_note(cosigned(run)), witness.key) > NOON


def test_a_kept_head_that_is_no_head_is_one_message(witness, run):
    (run / "ledger" / "cosigned").write_text("x")

    with pytest.raises(LedgerError, match="not a cosigned head"):
        submit(run, witness.key, direct(witness))


# --- forks and roll-backs


def test_a_fork_shown_to_the_same_witness_is_refused_and_kept(witness, run, tmp_path):
    """Log A is shown first; B has the same name, key and size."""
    write(tmp_path / "fork", seed=2)
    submit(run, witness.key, direct(witness))

    with pytest.raises(DivergedError, match="another history"):
        submit(tmp_path / "fork", witness.key, direct(witness))

    (kept,) = memory.conflicts(witness.folder)
    heads = [
        open_checkpoint((kept / n).read_bytes(), LOG.verify_key)
        for n in ("remembered", "submitted")
    ]
    assert heads == [read_run(run).checkpoint, read_run(tmp_path / "fork").checkpoint]
    assert not (tmp_path / "fork" / "ledger" / "cosigned").exists()
    one, other = (heads_in(kept / name, KEYS) for name in ("remembered", "submitted"))
    assert [c.word for c in compare(one, other, {})] == [Word.FORK]


def test_a_fork_shown_to_another_witness_comes_to_light_when_the_two_are_compared(
    witness, run, tmp_path
):
    second = new_witness(tmp_path / "second", name="second.example")
    write(tmp_path / "fork", seed=2)
    assert submit(run, witness.key, direct(witness)).size == 7
    assert submit(tmp_path / "fork", second.key, direct(second)).size == 7

    (found,) = compare(heads_in(witness.folder, ()), heads_in(second.folder, ()), {})

    assert found.word == Word.FORK
    assert found.reason == "two roots for 7 entries: the log has shown two histories"
    assert (found.one.root, found.other.root) == (
        read_run(run).checkpoint.root,
        read_run(tmp_path / "fork").checkpoint.root,
    )


def test_witnesses_that_saw_one_history_agree(witness, run, tmp_path):
    second = new_witness(tmp_path / "second", name="second.example")
    for each in (witness, second):
        submit(run, each.key, direct(each))

    (found,) = compare(heads_in(witness.folder, ()), heads_in(second.folder, ()), {})
    assert found.word == Word.AGREE


@pytest.mark.parametrize(("seed", "word"), [(1, Word.AGREE), (2, Word.FORK)])
def test_heads_of_different_sizes_are_told_apart_by_the_log(witness, run, tmp_path, seed, word):
    """The second witness saw five entries of the same log, or of a fork."""
    second = new_witness(tmp_path / "second", name="second.example")
    grow(tmp_path / "other", rounds=4, seed=seed)
    submit(run, witness.key, direct(witness))
    submit(tmp_path / "other", second.key, direct(second))
    one, other = heads_in(witness.folder, ()), heads_in(second.folder, ())

    assert [c.word for c in compare(one, other, {})] == [Word.UNDECIDED]
    logs = {ORIGIN: read_run(run)}
    assert [c.word for c in compare(one, other, logs)] == [word]
    short = {ORIGIN: read_run(tmp_path / "other")}
    assert [c.word for c in compare(one, other, short)] == [Word.UNDECIDED]


def test_a_made_up_log_accuses_nobody(witness, run, tmp_path):
    """Whoever judges by a log that the log's key has not signed gets an error, not a fork."""
    second = new_witness(tmp_path / "second", name="second.example")
    grow(tmp_path / "short", rounds=2)
    submit(run, witness.key, direct(witness))
    submit(tmp_path / "short", second.key, direct(second))
    write(tmp_path / "forged", seed=3, key=SigningKey(ORIGIN, b"\x66" * 32))

    logs = {ORIGIN: read_run(tmp_path / "forged")}
    with pytest.raises(LedgerError, match="no known key"):
        compare(heads_in(witness.folder, ()), heads_in(second.folder, ()), logs)


def test_two_logs_of_one_name_under_different_keys_are_no_fork(witness, run, tmp_path):
    key = SigningKey(ORIGIN, b"\x66" * 32)
    second = new_witness(tmp_path / "second", name="second.example", listed=(key.verify_key,))
    write(tmp_path / "other", key=key)
    submit(run, witness.key, direct(witness))
    submit(tmp_path / "other", second.key, direct(second))

    (found,) = compare(heads_in(witness.folder, ()), heads_in(second.folder, ()), {})
    assert found.word == Word.UNDECIDED
    assert "different keys" in found.reason


def test_a_head_in_a_file_needs_the_log_s_key(run):
    path = run / "ledger" / "checkpoint"

    assert heads_in(path, KEYS)[ORIGIN].checkpoint.size == 7
    for keys in ((), (OPERATOR.verify_key,)):
        with pytest.raises(LedgerError, match="no known key"):
            heads_in(path, keys)


def test_a_log_that_was_rolled_back_is_told_by_its_witness(witness, run, tmp_path):
    submit(run, witness.key, direct(witness))
    grow(tmp_path / "short", rounds=2)

    with pytest.raises(DivergedError, match="cosigned 7 entries of this log; here are 3"):
        submit(tmp_path / "short", witness.key, direct(witness))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_log_that_lost_or_changed_what_was_cosigned_is_told_by_the_kept_head(
    witness, run, tmp_path, seed
):
    submit(run, witness.key, direct(witness))
    other = tmp_path / "other"
    grow(other, rounds=2 if seed == 1 else 9, seed=seed)
    shutil.copy(run / "ledger" / "cosigned", other / "ledger" / "cosigned")

    with pytest.raises(DivergedError, match="does not have"):
        read_cosigned(other, read_run(other))


# --- a log whose key changes


def test_a_witness_follows_a_log_through_its_epochs(witness, tmp_path):
    """Three keys: 4, 7 and 9 entries; only the first is vouched for by the operator."""
    heads = write_rotating(tmp_path / "run")
    send = direct(witness)

    receipt = submit(tmp_path / "run", witness.key, send)

    assert receipt.size == 9
    assert send.names == ["add-key"] + ["add-checkpoint", "add-key"] * 2 + ["add-checkpoint"]
    record = memory.load(memory.place(witness.folder, ROTATING))
    assert record.keys == tuple(key.verify_key for key in EPOCHS)
    assert cosigned(tmp_path / "run").startswith(heads[-1])


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_log_may_be_shown_between_the_changes_of_its_key(witness, tmp_path, epochs):
    """First up to the head at which an epoch ends (4, 7 entries) or at the end, then to the end."""
    heads = write_rotating(tmp_path / "run")
    data = (tmp_path / "run" / "ledger" / "log.wal").read_bytes()
    first = tmp_path / "first"
    shutil.copytree(tmp_path / "run", first)
    cut = data.index(heads[epochs - 1]) + len(heads[epochs - 1])
    (first / "ledger" / "log.wal").write_bytes(data[:cut])

    assert submit(first, witness.key, direct(witness)).size == [4, 7, 9][epochs - 1]
    assert submit(tmp_path / "run", witness.key, direct(witness)).size == 9
    assert submit(tmp_path / "run", witness.key, direct(witness)).size == 9


def test_a_thief_of_an_old_key_has_nothing_cosigned_any_more(witness, tmp_path):
    write_rotating(tmp_path / "run")
    submit(tmp_path / "run", witness.key, direct(witness))
    forged = tmp_path / "forged"
    shutil.copytree(tmp_path / "run", forged)
    (forged / "ledger" / "cosigned").unlink()
    stolen = write_with_old_key(forged)

    with pytest.raises(LedgerError, match=r"refuses \(403\)"):
        submit(forged, witness.key, direct(witness))
    assert stolen != (tmp_path / "run" / "ledger" / "log.wal").read_bytes()


def write_with_old_key(folder):
    """The newest head of the same entries, signed by the first epoch's key."""
    path = folder / "ledger" / "log.wal"
    newest = read_run(folder)
    data = path.read_bytes().removesuffix(newest.head) + head(newest.leaves, EPOCHS[0])
    path.write_bytes(data)
    return data


# --- by files


def test_a_run_is_cosigned_by_files_that_somebody_carries(witness, run, tmp_path):
    """One way there and back: the manifest and the head travel together."""
    folder = tmp_path / "post"
    assert submit(run, witness.key, Exchange(folder)) is None
    assert [status for _, status in answer_files(witness, folder)] == [200, 200]
    assert answer_files(witness, folder) == []

    exchange = Exchange(folder)
    assert submit(run, witness.key, exchange).size == 7
    exchange.clear()
    assert list(folder.iterdir()) == []


def test_by_files_a_log_with_three_keys_takes_as_many_ways_as_it_has_heads(witness, tmp_path):
    write_rotating(tmp_path / "run")
    folder = tmp_path / "post"
    ways = 0
    while submit(tmp_path / "run", witness.key, Exchange(folder)) is None:
        answer_files(witness, folder)
        ways += 1
    assert ways == 3


def test_one_request_file_is_answered_beside_it(witness, run, tmp_path):
    folder = tmp_path / "post"
    submit(run, witness.key, Exchange(folder))
    first = min(folder.iterdir())

    assert answer_files(witness, first) == [(first, 200)]
    assert first.with_suffix(".answer").read_bytes() == b"200\n"
    with pytest.raises(LedgerError, match="cannot be answered"):
        answer_files(witness, folder / "nowhere.request")


@pytest.mark.parametrize(
    "data", [b"", b"2", b"200", b"2000\n", b"200 \n", b"x00\nabc", b"\xff" * 9]
)
def test_an_answer_file_that_is_none_is_one_message(witness, run, tmp_path, data):
    folder = tmp_path / "post"
    submit(run, witness.key, Exchange(folder))
    for path in list(folder.iterdir()):
        path.with_suffix(".answer").write_bytes(data)
    with pytest.raises(LedgerError, match="not a witness's answer"):
        submit(run, witness.key, Exchange(folder))


# --- witnesses that do not do as they should


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(200, b""), "no cosignature"),
        (Answer(200, b"OK\n"), "no cosignature"),
        (Answer(200, "— w AAAA\n".encode()), "no cosignature"),
        (Answer(200, b"\xff\n"), "no cosignature"),
        (Answer(404, b"who?\n"), "must list the operator's key"),
        (Answer(403, b"no\n"), "must list the operator's key"),
        (Answer(409, b"7 \n"), "409 without a size"),
        (Answer(409, b"+7\n"), "409 without a size"),
        (Answer(409, b""), "409 without a size"),
        (Answer(409, b"3\n"), "another size each time"),
        (Answer(400, b"what?\n"), r"refuses \(400\): what\?"),
        (Answer(500, b"\xff" * 5000), r"refuses \(500\)"),
        (Answer(301, b""), r"refuses \(301\)"),
    ],
)
def test_a_wrong_answer_is_one_message_and_nothing_is_kept(run, answer, says):
    key = witness_key(SigningKey("w.example", b"\5" * 32))
    with pytest.raises(LedgerError, match=says):
        submit(run, key, lambda _: answer)
    assert not (run / "ledger" / "cosigned").exists()


def test_a_cosignature_by_another_key_is_no_cosignature(witness, run):
    other = witness_key(SigningKey("witness.example", b"\5" * 32))
    with pytest.raises(LedgerError, match="no cosignature by that key"):
        submit(run, other, direct(witness))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "ftp://127.0.0.1",
        "http://",
        "http://[",
        "http://a:b@c",
        "http://c/?q",
        "http://c/#f",
    ],
)
def test_what_is_no_address_is_one_message(url):
    with pytest.raises(LedgerError, match="address"):
        over_http(url)


def test_a_witness_that_is_not_there_is_one_message(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        key = witness_key(SigningKey("w.example", b"\5" * 32))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LedgerError, match="cannot be reached"):
            submit(run, key, over_http(url))


@pytest.mark.parametrize(
    "change", ["no log", "no manifest", "no head", "wrong root", "two origins"]
)
def test_a_log_that_cannot_be_shown_is_one_message(run, change):
    path = run / "ledger" / "log.wal"
    data = path.read_bytes()
    if change == "no log":
        path.unlink()
    elif change == "no manifest":
        (run / "manifest.dsse.json").unlink()
    elif change == "no head":
        path.write_bytes(data.split(b"institutional.dev")[0])
    elif change == "wrong root":
        path.write_bytes(data.replace(b"6.5", b"6.6"))
    else:
        first, mark, rest = data.partition(f"{ORIGIN}\n3\n".encode())
        assert mark
        path.write_bytes(first + mark.replace(b"small", b"large") + rest)
    with pytest.raises(LedgerError, match=r"log\.wal|not a run"):
        read_run(run)


def test_what_is_being_written_is_not_shown(run):
    path = run / "ledger" / "log.wal"
    whole = read_run(run)
    path.write_bytes(path.read_bytes() + b'{"body":{}}\n{"bo')

    assert read_run(run) == whole
