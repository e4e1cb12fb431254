"""Erasing a private value: nothing else changes, and the audit says what became of it."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from private_run import ARGUMENTS, SAID, log_of, play
from small_run import OPERATOR, RUN, TRUST, declare

from institutional.ledger import canonical, wal
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.log import Ledger
from institutional.ledger.manifest import parse_envelope, sign_envelope
from institutional.ledger.note import SigningKey
from institutional.ledger.private.commitment import commitments
from institutional.ledger.private.items import (
    destroy,
    item_path,
    read_item,
    stored,
    torn,
    write_item,
)
from institutional.ledger.private.openings import State, check_item, openings
from institutional.ledger.private.redaction import (
    Redaction,
    parse_redaction,
    read_redaction,
    redact,
    redaction_path,
    statement,
)
from institutional.ledger.reading import read_entries
from institutional.ledger.tree import inclusion_proof, leaf_hash, root_of, verify_inclusion

PLACE = "/said/firm.1"
REASON = "the speaker asked for it"
STRANGER = SigningKey("someone/else", b"\x08" * 32)


def survey(folder, keys=(OPERATOR.verify_key,)):
    with (folder / "ledger" / "log.wal").open("rb") as log:
        end = wal.committed(log, None).end
        return openings(log, end=end, run_folder=folder, run=RUN, keys=keys)


def committed(folder, seq=1, place=PLACE):
    return dict(commitments(read_entries(folder / "ledger")[seq].body))[place]


def erase(folder, seq=1, path=PLACE, **options):
    return redact(folder, seq=seq, path=path, **{"reason": REASON, "operator": OPERATOR} | options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, play(folder).decode()


@pytest.fixture
def run(tmp_path, whole):
    """A finished run of eight private values."""
    return Path(shutil.copytree(whole[0], tmp_path / "run"))


def test_after_erasing_no_byte_of_the_log_changed_and_every_proof_holds(run, whole):
    _, head = whole
    before, log = audit(run, TRUST, head), log_of(run)
    leaves = [leaf_hash(line) for line in log.splitlines() if line.startswith(b"{")]
    proof = inclusion_proof(leaves, 1)

    (done,) = erase(run)

    assert log_of(run) == log
    after = audit(run, TRUST, head)
    assert after.word == before.word == Word.VERIFIED
    assert [c for c in after.checks if c not in before.checks] == [
        next(c for c in after.checks if c.id == "private")
    ]
    assert "7 opened, 1 redacted" in str(after.as_json())
    assert verify_inclusion(index=1, size=6, leaf=leaves[1], proof=proof, root=root_of(leaves))
    assert str(survey(run)) == "8 private values: 7 opened, 1 redacted"
    assert done == Redaction(RUN, "institutional.dev/run/small", 1, PLACE, committed(run), REASON)


def test_the_erased_value_is_nowhere_in_the_folder_and_the_others_stay(run):
    for seq in (1, 2, 3, 4):
        assert SAID.encode() in b"".join(path.read_bytes() for path in stored(run))
        erase(run, seq=seq)

    assert not [p for p in run.rglob("*") if p.is_file() and SAID.encode() in p.read_bytes()]
    assert len(list(stored(run))) == 4


def test_without_a_place_all_private_values_of_an_entry_are_erased(run):
    done = erase(run, path=None)

    assert [redaction.path for redaction in done] == [PLACE, "/said/firm~12"]
    assert survey(run).counts == {State.OPENED: 6, State.REDACTED: 2}


def test_the_statement_is_in_toto_and_says_which_value_and_why(run):
    erase(run)
    path = redaction_path(run, committed(run))

    assert json.loads(parse_envelope(path.read_bytes()).payload) == {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://institutional.dev/redaction/v1",
        "subject": [{"name": f"entry-1{PLACE}", "digest": {"hmac-sha256": committed(run)}}],
        "predicate": {
            "run": RUN,
            "origin": "institutional.dev/run/small",
            "seq": 1,
            "path": PLACE,
            "reason": REASON,
        },
    }


def test_asking_again_does_nothing_and_the_first_reason_stands(run):
    first = erase(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    assert erase(run, reason="another") == first
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_a_copy_without_private_values_is_no_accusation(run, whole):
    erase(run)
    shutil.rmtree(run / "private")

    assert str(survey(run)) == "8 private values: 1 redacted, 7 withheld"
    assert survey(run).first is None
    assert audit(run, TRUST, whole[1]).word == Word.VERIFIED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"operator": STRANGER}, "only the operator who signed"),
        ({"seq": 0}, "entry 0 holds no private value at"),
        ({"path": "/said/firm.9"}, "holds no private value at '/said/firm.9'"),
        ({"seq": 6}, "no entry 6"),
        ({"reason": ""}, "needs a reason"),
        ({"reason": "two\nlines"}, "needs a reason"),
        ({"reason": "x" * 1001}, "needs a reason"),
    ],
)
def test_what_cannot_be_redacted_is_said_and_nothing_is_touched(run, change, says):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    with pytest.raises(LedgerError, match=says):
        erase(run, **change)

    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_nothing_is_signed_as_erased_that_was_not_kept_here(run):
    shutil.rmtree(run / "private")

    with pytest.raises(LedgerError, match="not kept here"):
        erase(run)

    assert not (run / "redactions").exists()


def test_a_run_in_progress_cannot_be_redacted(tmp_path):
    play(tmp_path, close=False)
    with (
        Ledger.resume(tmp_path / "ledger", **ARGUMENTS, sync=False),
        pytest.raises(LedgerError, match="being written"),
    ):
        erase(tmp_path)

    assert len(erase(tmp_path)) == 1


def test_an_entry_that_no_head_covers_cannot_be_redacted(tmp_path):
    play(tmp_path, close=False)
    log = tmp_path / "ledger" / "log.wal"
    log.write_bytes(log.read_bytes()[:-10])

    with pytest.raises(LedgerError, match="no entry 4"):
        erase(tmp_path, seq=4)
    assert erase(tmp_path, seq=1)


def test_what_a_killed_run_left_at_the_same_place_is_erased_with_it(run):
    item = read_item(item_path(run, committed(run)))
    write_item(run, item._replace(value="an earlier draft", key=bytes(32)))
    half = item_path(run, "0" * 64).with_suffix(".json.tmp")
    half.write_bytes(b'{"key":"00","value":"half a draft')
    assert survey(run).stray == 2

    erase(run)

    assert not [path for path in (run / "private").iterdir() if b"draft" in path.read_bytes()]
    assert survey(run).stray == 0


def test_a_half_destroyed_item_is_no_item_any_more(run, monkeypatch):
    """Killed between overwriting and removing: what is left holds zeros and is swept up later."""
    path = item_path(run, committed(run))
    size = path.stat().st_size

    def killed(*_arguments, **_options):
        raise OSError(5, "killed")

    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", killed)
        with pytest.raises(OSError, match="killed"):
            destroy(path)

    (left,) = torn(run)
    assert left.read_bytes() == bytes(size)
    assert not path.exists()
    assert (survey(run).counts[State.WRONG], survey(run).stray) == (0, 1)


def test_a_link_in_the_place_of_an_item_is_not_followed(run, tmp_path):
    other = tmp_path / "precious"
    other.write_bytes(b"not ours")
    path = item_path(run, committed(run))
    path.unlink()
    path.symlink_to(other)

    with pytest.raises(LedgerError, match="stopped before all was erased"):
        erase(run)

    assert other.read_bytes() == b"not ours"


KILLED = """
    import itertools, os, shutil, sys
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from small_run import OPERATOR
    from institutional.ledger.private.redaction import redact

    def deadly(step, call):
        def stepped(*arguments, **options):
            global left
            left -= 1
            if left < 0:
                os._exit(9)
            return call(*arguments, **options)
        setattr(os, step, stepped)

    for left in itertools.count():
        folder = Path({folder!r}) / str(left)
        shutil.copytree({run!r}, folder)
        child = os.fork()
        if child == 0:
            for step in ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir"):
                deadly(step, getattr(os, step))
            redact(folder, seq=1, reason="why", operator=OPERATOR)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
"""


def test_erasing_that_is_killed_at_any_step_is_ended_by_the_same_command(run, tmp_path):
    """Never gone without a word: a value is opened, unfinished or redacted."""
    (tmp_path / "killed").mkdir()
    program = KILLED.format(
        here=str(Path(__file__).parent), folder=str(tmp_path / "killed"), run=str(run)
    )
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True)
    seen = set()
    folders = list((tmp_path / "killed").iterdir())
    for folder in folders:
        counts = survey(folder).counts
        seen |= set(counts)
        assert counts.total() == 8
        assert set(counts) <= {State.OPENED, State.UNFINISHED, State.REDACTED}

        redact(folder, seq=1, reason="why", operator=OPERATOR)

        assert survey(folder).counts == {State.OPENED: 6, State.REDACTED: 2}
        assert not list(torn(folder))
    assert len(folders) > 20
    assert State.UNFINISHED in seen


def test_an_item_that_was_only_removed_is_withheld_and_not_redacted(run):
    destroy(item_path(run, committed(run)))

    assert survey(run).counts == {State.OPENED: 7, State.WITHHELD: 1}


def test_a_redaction_by_a_key_that_the_auditor_does_not_know_counts_for_nothing(run):
    erase(run)

    assert survey(run, keys=()).counts == {State.OPENED: 7, State.WITHHELD: 1}
    with pytest.raises(UnknownKeyError):
        read_redaction(redaction_path(run, committed(run)), [STRANGER.verify_key])


def broken_items(run):
    """Ways to spoil the item of entry 1."""
    path = item_path(run, committed(run))
    item = read_item(path)
    yield (
        "another value",
        canonical.encode({**json.loads(path.read_bytes()), "value": "no"}) + b"\n",
    )
    yield "cut off", path.read_bytes()[:-1]
    yield "not canonical", path.read_bytes().replace(b'{"key"', b'{ "key"')
    yield "another place", canonical.encode({**json.loads(path.read_bytes()), "seq": 2}) + b"\n"
    yield "another run", canonical.encode({**json.loads(path.read_bytes()), "run": "x"}) + b"\n"
    yield "another item", item_path(run, committed(run, seq=2)).read_bytes()
    yield "too long", b"x" * 2_000_000
    yield "empty", b""
    assert item.value == SAID


def test_an_item_that_is_not_what_was_committed_to_is_wrong_and_named(run):
    path = item_path(run, committed(run))
    spoilt = 0
    for _, data in broken_items(run):
        path.write_bytes(data)
        found = survey(run)
        assert found.counts == {State.OPENED: 7, State.WRONG: 1}
        assert (found.first.seq, found.stray) == (1, 1)
        assert found.first.offset == log_of(run).index(b"\n", log_of(run).index("—".encode())) + 1
        spoilt += 1
    assert spoilt == 8


def test_a_pipe_or_a_folder_in_the_place_of_an_item_neither_blocks_nor_crashes(run):
    path = item_path(run, committed(run))
    path.unlink()
    os.mkfifo(path)
    assert survey(run).counts[State.WRONG] == 1
    path.unlink()
    path.mkdir()
    assert survey(run).counts[State.WRONG] == 1


def test_every_flipped_bit_of_a_statement_is_noticed(run):
    """Only the key id may name another signer, who is then unknown: no more than withheld."""
    erase(run)
    path = redaction_path(run, committed(run))
    data = path.read_bytes()
    hint = data.index(b'"keyid":"') + len(b'"keyid":"')
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found = survey(run).counts
        assert found in ({State.OPENED: 7, State.WRONG: 1}, {State.OPENED: 7, State.WITHHELD: 1})
        assert found[State.WITHHELD] <= (hint <= at < hint + 8)


def test_a_statement_about_another_value_or_run_is_wrong(run):
    (done,) = erase(run)
    path = redaction_path(run, committed(run))
    for change in ({"seq": 2}, {"path": "/said"}, {"run": "x"}, {"commitment": "0" * 64}):
        path.write_bytes(sign_envelope(statement(done._replace(**change)), OPERATOR))
        assert survey(run).counts == {State.OPENED: 7, State.WRONG: 1}
        with pytest.raises(LedgerError):
            erase(run)
    path.write_bytes(sign_envelope(statement(done), STRANGER))
    with pytest.raises(UnknownKeyError):
        erase(run)


def test_a_forged_statement_is_wrong(run):
    (done,) = erase(run)
    path = redaction_path(run, committed(run))
    forged = json.loads(sign_envelope(statement(done), STRANGER))
    forged["signatures"][0]["keyid"] = OPERATOR.verify_key.key_id.hex()
    path.write_bytes(canonical.encode(forged) + b"\n")

    with pytest.raises(SignatureError):
        read_redaction(path, [OPERATOR.verify_key])
    assert survey(run).counts == {State.OPENED: 7, State.WRONG: 1}


def test_a_manifest_cannot_pass_for_a_redaction(run):
    erase(run)
    path = redaction_path(run, committed(run))
    shutil.copy(run / "manifest.dsse.json", path)

    with pytest.raises(UnknownVersionError):
        read_redaction(path, [OPERATOR.verify_key])


REDACTION = Redaction(RUN, "o", 1, PLACE, "0" * 64, REASON)


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"subject": []},
        {"subject": [{"name": "x", "digest": {"hmac-sha256": "0" * 64}}]},
        {"subject": [{"name": f"entry-1{PLACE}", "digest": {"hmac-sha256": "A" * 64}}]},
        {"predicate": {}},
        {"predicate": {**REDACTION._asdict(), "seq": True}},
        {"predicate": {k: v for k, v in REDACTION._asdict().items() if k != "reason"}},
    ],
)
def test_a_statement_of_another_shape_is_refused(change):
    assert parse_redaction(statement(REDACTION)) == REDACTION

    with pytest.raises(LedgerError):
        parse_redaction(canonical.encode(json.loads(statement(REDACTION)) | change))


@pytest.mark.parametrize("change", [{"seq": -1}, {"seq": True}, {"reason": "\x1b[2J"}])
def test_a_statement_that_says_what_it_must_not_is_refused(change):
    with pytest.raises(LedgerError):
        parse_redaction(statement(REDACTION._replace(**change)))


@given(st.binary(max_size=200))
def test_any_other_bytes_are_an_error_and_never_a_crash(data):
    with pytest.raises(LedgerError):
        parse_redaction(data)


def test_a_malformed_commitment_under_a_valid_signature_is_wrong(tmp_path):
    digest = declare(tmp_path)
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS, sync=False) as ledger:
        ledger.append("open", {"manifest": digest})
        ledger.append("round", {"said": {"hmac-sha256": "0" * 63}})
        ledger.append("round", {"said": '{"hmac-sha256":"text that looks like one"}'})
        ledger.close({})

    found = survey(tmp_path)

    assert found.counts == {State.WRONG: 1}
    assert found.first.seq == 1
    assert "not a commitment at '/said'" in found.first.reason


def test_one_value_is_disclosed_by_its_item_alone(run):
    entry = read_entries(run / "ledger")[1]
    item = read_item(item_path(run, committed(run)))

    check_item(item, entry)

    other = read_entries(run / "ledger")[2]
    for wrong, where in [
        (item._replace(value="no"), entry),
        (item._replace(key=bytes(32)), entry),
        (item._replace(path="/said/firm~12"), entry),
        (item._replace(path="/price"), entry),
        (item._replace(run="x"), entry),
        (item, other),
        (item._replace(seq=2), other),
    ]:
        with pytest.raises(LedgerError):
            check_item(wrong, where)
