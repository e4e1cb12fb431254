"""One broken run per failure, and the verdict each must get."""

import json
import os
import shutil

import pytest
from small_run import GRAPH, KEY, OPERATOR, ORIGIN, RUN, TRUST, declare, write

from institutional.ledger import canonical, keys, wal
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.rules import IDS
from institutional.ledger.auditing.verdict import Outcome, Word
from institutional.ledger.cosignature import witness_key
from institutional.ledger.note import Checkpoint, SigningKey, checkpoint_text, sign_note
from institutional.ledger.tree import leaf_hash, root_of


@pytest.fixture
def run(tmp_path):
    """A finished run and its signed heads, oldest first."""
    return tmp_path / "run", write(tmp_path / "run")


def log(folder):
    return folder / "ledger" / "log.wal"


def finding(verdict, name):
    (check,) = [check for check in verdict.checks if check.id == name]
    return check


def sign(entries, *, key=KEY):
    """A log of these bodies as the holder of the key could make it, one head at the end."""
    lines = [entry if isinstance(entry, bytes) else canonical.encode(entry) for entry in entries]
    root = root_of([leaf_hash(line) for line in lines])
    head = sign_note(checkpoint_text(Checkpoint(key.name, len(lines), root)), key)
    return b"".join(line + b"\n" for line in lines) + head, head


def entry(seq, kind, body, **change):
    return {"v": 1, "run": RUN, "seq": seq, "kind": kind, "body": body} | change


def plant(folder, entries):
    data, head = sign(entries)
    log(folder).write_bytes(data)
    (folder / "ledger" / "checkpoint").write_bytes(head)


def test_a_sound_run_with_a_remembered_head_is_verified(run):
    folder, heads = run

    for head in heads:
        verdict = audit(folder, TRUST, head.decode())
        assert (verdict.word, verdict.exit_code) == (Word.VERIFIED, 0)
        assert verdict.findings == ()
        assert verdict.size == 7
    assert (
        "2 after it rest on the signature alone" in audit(folder, TRUST, heads[-2].decode()).anchor
    )


def test_a_sound_run_without_an_anchor_is_unanchored_and_says_what_that_leaves_open(run):
    verdict = audit(run[0], TRUST, key_source="a printed page")

    assert verdict.exit_code == 3
    text = str(verdict)
    assert "UNANCHORED" in text
    assert "roll-back" in text
    assert "a printed page" in text
    assert len(text.splitlines()) <= 10


def test_the_runs_own_key_also_serves_and_says_that_the_operator_is_unchecked(run):
    verdict = audit(run[0], KEY.verify_key.vkey, run[1][-1].decode())

    assert verdict.word == Word.VERIFIED
    assert finding(verdict, "manifest-signature").outcome == Outcome.SKIPPED


def test_a_policy_serves_and_a_quorum_that_is_not_met_leaves_a_kept_head_as_the_anchor(run):
    folder, heads = run
    witness = witness_key(SigningKey("w", b"\x01" * 32)).vkey
    policy = f"# mine\nlog {KEY.verify_key.vkey}\nwitness W {witness}\n"

    assert audit(folder, policy + "quorum none\n", heads[-1].decode()).exit_code == 0
    verdict = audit(folder, policy + "quorum W\n", heads[-1].decode())
    assert verdict.word == Word.UNANCHORED
    assert finding(verdict, "anchor").outcome == Outcome.PASS
    assert "W" in finding(verdict, "cosignatures").reason


def test_every_check_is_reported_once_and_the_json_names_it(run):
    verdict = audit(run[0], TRUST)
    value = verdict.as_json()

    assert json.loads(json.dumps(value)) == value
    assert (value["verdict"], value["exit_code"]) == ("UNANCHORED", 3)
    names = [check["id"] for check in value["checks"]]
    assert names == list(IDS)
    assert value == audit(run[0], TRUST).as_json()


@pytest.mark.parametrize("text", ["", "x", "institutional/operator/x+00000000+AAAA", "\ud800"])
def test_without_a_usable_key_nothing_is_decided(run, text):
    verdict = audit(run[0], text)

    assert verdict.word == Word.CANNOT_DECIDE
    assert all(c.outcome != Outcome.PASS for c in verdict.checks)


def test_another_operators_key_decides_nothing(run):
    stranger = SigningKey(OPERATOR.name, b"\x09" * 32).verify_key.vkey

    verdict = audit(run[0], stranger)

    assert verdict.word == Word.CANNOT_DECIDE
    assert "wrong key" in finding(verdict, "manifest-signature").reason


def test_another_key_under_the_runs_own_name_is_a_forgery(run):
    assert audit(run[0], SigningKey(ORIGIN, b"\x09" * 32).verify_key.vkey).word == Word.INVALID


def test_a_missing_folder_manifest_log_or_graph_cannot_be_decided(run, tmp_path):
    folder, heads = run
    assert audit(tmp_path / "nowhere", TRUST).word == Word.CANNOT_DECIDE
    for name in ["manifest.dsse.json", "ledger/log.wal", "ledger", "graph.yaml"]:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        target = copy / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        assert audit(copy, TRUST, heads[-1].decode()).word == Word.CANNOT_DECIDE
        shutil.rmtree(copy)


def test_pipes_and_folders_in_place_of_files_do_not_stop_the_auditor(run, tmp_path):
    folder, _ = run
    for name in ["manifest.dsse.json", "ledger/log.wal", "graph.yaml", "ledger/checkpoint"]:
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        (copy / name).unlink()
        os.mkfifo(copy / name)
        assert audit(copy, TRUST).word in {Word.CANNOT_DECIDE, Word.INVALID}
        (copy / name).unlink()
        (copy / name).mkdir()
        assert audit(copy, TRUST).word in {Word.CANNOT_DECIDE, Word.INVALID}
        shutil.rmtree(copy)


def test_an_altered_entry_is_named_with_both_roots(run):
    folder, _ = run
    data = log(folder).read_bytes()
    log(folder).write_bytes(data.replace(b'"price":6.5,"round":4', b'"price":9.5,"round":4'))

    check = finding(audit(folder, TRUST), "heads")

    assert check.word == Word.INVALID
    assert (check.seq, check.offset) == (5, data.index(b'{"body":{"price":6.5,"round":4'))
    assert "one of entries 5 to 6" in check.reason
    assert check.expected != check.found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"round":1,', b'"round": 1,'),
        (b'"price":6.5,"round":1', b'"round":1,"price":6.5'),
        (b'"price":6.5,"round":1', b'"price":6.50,"round":1'),
        (b'"round":1,"text":"Z', b'"round":1,"text":"\\u005a'),
        (b'"round":1,', b'"round":1,"round":1,'),
        (b'"seq":2', b'"seq":3'),
        (b'"run":"small","seq":2', b'"run":"other","seq":2'),
        (b'"kind":"round","run":"small","seq":2', b'"kind":"Round","run":"small","seq":2'),
    ],
)
def test_a_respelt_or_misplaced_entry_is_named_exactly(run, old, new):
    folder, _ = run
    data = log(folder).read_bytes()
    assert data.count(old) == 1
    log(folder).write_bytes(data.replace(old, new))

    verdict = audit(folder, TRUST)

    assert verdict.word == Word.INVALID
    assert finding(verdict, "entries").seq == 2


def test_a_closed_log_that_was_cut_is_told_by_its_published_head(run):
    """Rolled back to each older head: the published head still signs more."""
    folder, heads = run
    data = log(folder).read_bytes()
    for head in heads[:-1]:
        log(folder).write_bytes(data[: data.index(head) + len(head)])
        assert audit(folder, TRUST).word == Word.INVALID


def test_a_roll_back_of_everything_is_revealed_only_by_a_remembered_head(run):
    """The published head is gone too: without an anchor the log merely looks unfinished."""
    folder, heads = run
    data = log(folder).read_bytes()
    (folder / "ledger" / "checkpoint").unlink()
    for head in heads[:-1]:
        log(folder).write_bytes(data[: data.index(head) + len(head)])
        assert audit(folder, TRUST).word == Word.INCOMPLETE
        verdict = audit(folder, TRUST, heads[-1].decode())
        assert verdict.word == Word.DIVERGED
        assert "rolled back" in finding(verdict, "remembered-head").reason
        assert verdict.evidence == (heads[-1].decode(), head.decode())


def test_a_second_history_under_one_origin_diverges_from_the_remembered_head(run, tmp_path):
    other = write(tmp_path / "other", seed=2)

    verdict = audit(run[0], TRUST, other[2].decode())

    assert verdict.word == Word.DIVERGED
    assert "another history" in finding(verdict, "remembered-head").reason
    assert "DIVERGED" in str(verdict)


def test_a_torn_tail_is_incomplete_and_an_empty_log_is_no_success(run):
    folder, heads = run
    data = log(folder).read_bytes()
    (folder / "ledger" / "checkpoint").unlink()
    for cut in [0, 1, 100, data.index(heads[0]), len(data) - 1]:
        log(folder).write_bytes(data[:cut])
        verdict = audit(folder, TRUST)
        assert verdict.word == Word.INCOMPLETE, cut
    assert finding(verdict, "tail").offset == data.index(heads[2]) + len(heads[2])


def test_bytes_after_the_closing_head_are_a_forgery_and_not_a_torn_write(run):
    folder, heads = run
    data = log(folder).read_bytes()
    for tail in [b"\0", b"{", b'{"body":{}}\n', heads[-1], heads[0]]:
        log(folder).write_bytes(data + tail)
        assert audit(folder, TRUST).word == Word.INVALID


def test_the_log_of_another_run_or_another_manifest_is_refused(run, tmp_path):
    """Every part of run A with every part of run B: only a whole run holds."""
    parts = ["manifest.dsse.json", "ledger"]
    one, _ = run
    other_key = keys.run_key(OPERATOR, "institutional.dev/run/other")
    others = [tmp_path / "seed", tmp_path / "name"]
    write(others[0], seed=2)
    write(others[1], run="other", key=other_key)
    for other in others:
        for part in parts:
            mixed = tmp_path / "mixed"
            shutil.copytree(one, mixed)
            target = mixed / part
            shutil.rmtree(target) if target.is_dir() else target.unlink()
            source = other / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
            assert audit(mixed, TRUST).word == Word.INVALID
            shutil.rmtree(mixed)


def test_a_graph_other_than_the_declared_one_is_refused(run):
    (run[0] / "graph.yaml").write_bytes(GRAPH + b"#")

    check = finding(audit(run[0], TRUST), "graph")

    assert check.word == Word.INVALID
    assert check.expected != check.found


def test_a_missing_published_head_of_a_closed_run_is_incomplete(run):
    (run[0] / "ledger" / "checkpoint").unlink()

    assert audit(run[0], TRUST, run[1][-1].decode()).word == Word.INCOMPLETE


def test_an_older_head_in_the_place_of_the_newest_is_refused(run):
    (run[0] / "ledger" / "checkpoint").write_bytes(run[1][1])

    assert finding(audit(run[0], TRUST), "checkpoint-file").word == Word.INVALID


def test_a_run_that_was_not_closed_is_incomplete_even_with_an_anchor(tmp_path):
    heads = write(tmp_path, close=False)

    verdict = audit(tmp_path, TRUST, heads[-1].decode())

    assert verdict.word == Word.INCOMPLETE
    assert finding(verdict, "remembered-head").outcome == Outcome.PASS


def test_what_was_set_aside_and_not_written_again_is_incomplete(run):
    folder, heads = run
    aside = folder / "ledger" / "quarantine"
    aside.mkdir()
    assert audit(folder, TRUST, heads[-1].decode()).word == Word.VERIFIED
    (aside / ("0-" + "0" * 64 + ".bin")).write_bytes(log(folder).read_bytes()[:40])
    assert audit(folder, TRUST, heads[-1].decode()).word == Word.VERIFIED
    (aside / "note.txt").write_text("x")
    assert audit(folder, TRUST, heads[-1].decode()).word == Word.INCOMPLETE


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("", "not a signed note"),
        ("x\n1\n\n", "not a signed note"),
        ("\ud800", "surrogates"),
        (sign([], key=KEY)[1].decode(), "no entries proves nothing"),
        (sign([], key=SigningKey("other", b"\1" * 32))[1].decode(), "it is of 'other'"),
    ],
)
def test_an_unusable_remembered_head_never_counts_as_an_anchor(run, head, reason):
    verdict = audit(run[0], TRUST, head)

    assert verdict.word == Word.CANNOT_DECIDE
    assert reason in finding(verdict, "remembered-head").reason


OPEN = {"manifest": None}


@pytest.mark.parametrize(
    ("entries", "check", "word"),
    [
        ([entry(0, "open", {"manifest": "0" * 64})], "genesis", Word.INVALID),
        ([entry(0, "open", {})], "genesis", Word.INVALID),
        ([entry(0, "round", {})], "entries", Word.INVALID),
        ([entry(1, "open", OPEN)], "entries", Word.INVALID),
        ([entry(0, "open", OPEN, v=2)], "entries", Word.CANNOT_DECIDE),
        ([entry(0, "open", OPEN, v=True)], "entries", Word.INVALID),
        ([entry(0, "open", OPEN, more=1)], "entries", Word.INVALID),
        ([entry(0, "open", OPEN, run="other")], "entries", Word.INVALID),
        ([entry(0, "open", [])], "entries", Word.INVALID),
        ([entry(0, "open", OPEN), entry(0, "round", {})], "entries", Word.INVALID),
        ([entry(0, "open", OPEN), entry(1, "open", OPEN)], "entries", Word.INVALID),
        ([entry(0, "open", OPEN), b"{ }"], "entries", Word.INVALID),
        ([entry(0, "open", OPEN), b"{" * 60_000], "entries", Word.INVALID),
        ([entry(0, "open", OPEN), entry(1, "close", {})], "close", Word.INVALID),
        (
            [entry(0, "open", OPEN), entry(1, "close", {"counts": {"open": 1, "close": 2}})],
            "close",
            Word.INVALID,
        ),
        (
            [
                entry(0, "open", OPEN),
                entry(1, "close", {"counts": {"open": 1, "close": 1}}),
                entry(2, "round", {}),
            ],
            "entries",
            Word.INVALID,
        ),
        ([entry(n, f"k{n}" if n else "open", {}) for n in range(300)], "entries", Word.INVALID),
    ],
)
def test_what_the_key_holder_signed_wrongly_is_still_found(tmp_path, entries, check, word):
    digest = declare(tmp_path)
    (tmp_path / "ledger").mkdir()
    for item in entries:
        if isinstance(item, dict) and item["body"] == OPEN:
            item["body"] = {"manifest": digest}
    plant(tmp_path, entries)

    verdict = audit(tmp_path, TRUST)

    assert finding(verdict, check).word == word
    assert verdict.word in {word, Word.INVALID}


def test_a_hostile_log_does_not_write_to_the_terminal(tmp_path):
    digest = declare(tmp_path)
    (tmp_path / "ledger").mkdir()
    plant(tmp_path, [entry(0, "open", {"manifest": digest}), entry(1, "\x1b[2J\x07", {})])

    assert audit(tmp_path, TRUST).word == Word.INVALID
    assert str(audit(tmp_path, TRUST)).replace("\n", "").isprintable()


def test_a_huge_log_without_a_line_end_is_refused_at_once(run):
    with log(run[0]).open("wb") as file:
        file.truncate(1 << 40)  # a sparse terabyte of zeros
    verdict = audit(run[0], TRUST)
    assert verdict.word == Word.INVALID
    assert "more than one commit can hold" in finding(verdict, "heads").reason


def test_an_entry_one_byte_too_long_is_refused_by_the_reader(tmp_path):
    digest = declare(tmp_path)
    (tmp_path / "ledger").mkdir()
    spare = wal.MAX_ENTRY_BYTES - len(canonical.encode(entry(1, "round", {"x": ""})))
    for extra, ok in [(0, True), (1, False)]:
        body = {"x": "x" * (spare + extra)}
        plant(tmp_path, [entry(0, "open", {"manifest": digest}), entry(1, "round", body)])
        assert (audit(tmp_path, TRUST).word == Word.INCOMPLETE) is ok
