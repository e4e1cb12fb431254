"""The threat model, a test per row: what stops it, what reveals it, and what nothing here can see.

Actors: A, an outsider who can change files; B, the thief of a signing key; C, the operator himself.
The README's table links to these tests by name.
"""

import json
import os
import resource
import signal
from pathlib import Path

import pytest
from authority import Authority
from small_run import GRAPH, KEY, OPERATOR, ORIGIN, RUN, TRUST, declare, play, write
from small_witness import new_witness
from test_ledger_epochs import thieves_log, written

from environments import presets
from institutional.episode import Seat, Table
from institutional.experiments.plan import load_plan
from institutional.experiments.sealing import resolved
from institutional.governance.loading import parse_graph
from institutional.ledger import canonical, keys, wal
from institutional.ledger.audit import Brought, audit
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.holdings import hold
from institutional.ledger.index import End, Start, read_index, register
from institutional.ledger.log import Ledger, read_entries
from institutional.ledger.note import (
    Checkpoint,
    SigningKey,
    from_base64,
    open_note,
    parse_vkey,
    sign_checkpoint,
)
from institutional.ledger.revocation import Revocation, revoke
from institutional.ledger.timestamp import request
from institutional.ledger.tree import inclusion_proof, leaf_hash, root_of, verify_inclusion
from institutional.ledger.verdict import Word
from institutional.ledger.witness.client import submit
from institutional.ledger.witness.exchange import Exchange, answer_files

SPECIFICATIONS = Path(__file__).parents[2] / "runs"
THIEF = SigningKey(ORIGIN, b"\x13" * 32)
ARGUMENTS = {"origin": ORIGIN, "run": RUN, "key": KEY, "sync": False}
NOT_A_PASS = set(Word) - {Word.VERIFIED, Word.UNANCHORED}


@pytest.fixture
def run(tmp_path):
    """A closed run and its signed heads, oldest first."""
    return tmp_path / "run", write(tmp_path / "run")


def log_of(folder):
    return folder / "ledger" / "log.wal"


def records(folder):
    """The entries and heads of a log, newlines included."""
    data = log_of(folder).read_bytes()
    with log_of(folder).open("rb") as file:
        starts = [record.offset for record in wal.records(file)]
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def word_with(folder, changed, *, head=None):
    """The verdict's word with the log made of these records instead."""
    log_of(folder).write_bytes(b"".join(changed))
    return audit(folder, TRUST, head).word


def signed_again(lines, key=KEY):
    """A log of these entries as the holder of the key could sign it, and its head."""
    head = sign_checkpoint(
        Checkpoint(key.name, len(lines), root_of([leaf_hash(line) for line in lines])), key
    )
    return b"".join(line + b"\n" for line in lines) + head, head


def plant(folder, lines, key=KEY):
    data, head = signed_again(lines, key)
    log_of(folder).write_bytes(data)
    (folder / "ledger/checkpoint").write_bytes(head)
    return head


def test_threat_01_a_truncated_tail_is_refused(run):
    folder, _ = run
    whole = records(folder)

    assert {word_with(folder, whole[:count]) for count in range(len(whole))} <= NOT_A_PASS


def test_threat_02_reordered_entries_are_refused(run):
    folder, _ = run
    whole = records(folder)
    swapped = [whole[0], whole[1], whole[3], whole[2], *whole[4:]]

    assert word_with(folder, swapped) == Word.INVALID
    leaves = [leaf_hash(record[:-1]) for record in whole if record.startswith(b"{")]
    proof, root = inclusion_proof(leaves, 2), root_of(leaves)
    right = {"size": 7, "leaf": leaves[2], "proof": proof, "root": root}
    assert verify_inclusion(index=2, **right)
    assert not any(verify_inclusion(index=i, **right) for i in (0, 1, 3, 4, 5, 6))


def test_threat_03_an_insertion_a_deletion_and_an_edit_are_located(run):
    folder, _ = run
    whole = records(folder)
    for changed in (
        [*whole[:3], whole[2], *whole[3:]],
        [*whole[:2], *whole[3:]],
        [*whole[:2], whole[2].replace(b"6.5", b"9.5"), *whole[3:]],
    ):
        log_of(folder).write_bytes(b"".join(changed))
        verdict = audit(folder, TRUST)
        assert verdict.word == Word.INVALID
        assert {check.seq for check in verdict.findings} & {1, 2}


def test_threat_04_a_log_forged_from_nothing_has_no_signature_that_counts(run):
    folder, _ = run
    lines = [record[:-1] for record in records(folder) if record.startswith(b"{")]
    plant(folder, lines, THIEF)
    assert audit(folder, TRUST).word == Word.INVALID

    forger = SigningKey("institutional/operator/forged00", b"\x14" * 32)
    write(folder.parent / "forged", operator=forger, key=keys.run_key(forger, ORIGIN))
    assert audit(folder.parent / "forged", TRUST).word == Word.CANNOT_DECIDE


def test_threat_05_a_roll_back_is_seen_by_any_anchor_and_by_nothing_local(tmp_path):
    """A log that stays open, such as an index: an old state of it is as good as the newest."""
    starts = [Start(f"r{n}", f"o/{n}", "0" * 64, "e", "p") for n in range(3)]
    heads = []
    for start in starts:
        register(tmp_path, OPERATOR, [start])
        heads.append((tmp_path / "ledger/checkpoint").read_bytes())
    data = log_of(tmp_path).read_bytes()
    log_of(tmp_path).write_bytes(data[: data.index(heads[0]) + len(heads[0])])
    (tmp_path / "ledger/checkpoint").write_bytes(heads[0])

    assert audit(tmp_path, TRUST).word == Word.UNANCHORED
    assert audit(tmp_path, TRUST, heads[-1].decode()).word == Word.DIVERGED


def test_threat_06_a_fork_verifies_alone_and_not_beside_the_other_side(run, tmp_path):
    _, heads = run
    other = write(tmp_path / "other", rounds=6)

    assert audit(tmp_path / "other", TRUST).word == Word.UNANCHORED
    verdict = audit(tmp_path / "other", TRUST, heads[-1].decode())
    assert verdict.word == Word.DIVERGED
    assert verdict.evidence == (heads[-1].decode(), other[-1].decode())


def test_threat_07_a_thief_of_the_newest_key_cannot_alter_a_closed_epoch(tmp_path):
    written(tmp_path)
    forged, head = thieves_log(log_of(tmp_path).read_bytes(), 3, 2)
    log_of(tmp_path).write_bytes(forged)
    (tmp_path / "ledger/checkpoint").write_bytes(head)

    assert audit(tmp_path, TRUST).word == Word.INVALID


def test_threat_08_after_a_revocation_only_what_an_outsider_saw_still_counts(run):
    """The key is stolen after 5 of 7 entries; a head over all 7 settles it, one over 5 does not."""
    folder, heads = run
    stolen = revoke(Revocation(KEY.verify_key, 5, "a laptop"), OPERATOR)

    def word(head, statement=stolen):
        head = None if head is None else head.decode()
        return audit(folder, TRUST, brought=Brought(head=head, revoked=(statement,))).word

    assert word(None) == word(heads[-2]) == Word.CANNOT_DECIDE
    assert word(heads[-1]) == Word.VERIFIED
    late = revoke(Revocation(KEY.verify_key, 7, "later"), OPERATOR)
    assert word(None, late) == Word.UNANCHORED
    assert word(heads[-1], revoke(Revocation(KEY.verify_key, 0, "x"), THIEF)) == Word.CANNOT_DECIDE


def test_threat_09_a_stamp_bounds_a_run_from_above_and_a_beacon_from_below(run, tmp_path):
    folder, heads = run
    authority = Authority(tmp_path / "authority")
    token = authority.answer(request(heads[-1]))
    brought = Brought(token=token, authorities=authority.root)
    assert "before 20" in audit(folder, TRUST, brought=brought).anchor

    text = (SPECIFICATIONS / "example.yaml").read_text().replace("../governance_graphs", "graphs")
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs/cournot.yaml").write_bytes(
        (SPECIFICATIONS.parent / "governance_graphs/cournot.yaml").read_bytes()
    )
    (tmp_path / "spec.yaml").write_text(text + "beacon: drand round 4242, 8f3a\n")
    plan = load_plan(tmp_path / "spec.yaml")
    assert resolved(plan, plan.runs()[0])["beacon"] == "drand round 4242, 8f3a"


def test_threat_10_the_machines_clock_is_claimed_nowhere(tmp_path, monkeypatch):
    """Entries hold no time: under a clock ten years fast the same bytes are written."""
    write(tmp_path / "now")
    monkeypatch.setattr("time.time", lambda: 2e9)
    write(tmp_path / "later")

    assert log_of(tmp_path / "now").read_bytes() == log_of(tmp_path / "later").read_bytes()


def test_threat_11_one_runs_log_cannot_pass_for_anothers(run, tmp_path):
    folder, _ = run
    key = keys.run_key(OPERATOR, "institutional.dev/run/other")
    write(tmp_path / "other", run="other", key=key)
    theirs = records(tmp_path / "other")
    assert word_with(folder, theirs) == Word.INVALID

    lines = [record[:-1] for record in theirs if record.startswith(b"{")]
    plant(folder, lines)
    assert audit(folder, TRUST).word == Word.INVALID


def test_threat_12_a_run_that_is_hidden_leaves_a_gap_in_the_index(run, tmp_path):
    folder, heads = run
    plan = "1" * 64
    digest = canonical.decode(records(folder)[0][:-1])["body"]["manifest"]
    begun = [Start(name, f"o/{name}", digest, "e", plan) for name in ("run", "hidden")]
    begun[0] = begun[0]._replace(origin=ORIGIN)
    register(tmp_path / "index", OPERATOR, [*begun, End("run", ORIGIN, heads[-1].decode())])
    shown = tmp_path / "shown"
    (shown / "run").parent.mkdir()
    folder.rename(shown / "run")
    lines = {line.run: line for line in hold(read_index(tmp_path / "index"), None)}
    assert (lines["run"].ended, lines["hidden"].ended) == ("once", "not yet")


@pytest.mark.parametrize(
    "respelt",
    [
        lambda e: e.replace(b":", b": ", 1),
        lambda e: e.replace(b'"v":1', b'"v":1.0'),
        lambda e: e.replace(b'"body"', b'"\\u0062ody"'),
        lambda e: e[:-1] + b',"v":1}',
        lambda e: json.dumps(dict(reversed(json.loads(e).items())), separators=(",", ":")).encode(),
        lambda e: b"\xef\xbb\xbf" + e,
    ],
)
def test_threat_13_another_spelling_is_refused_even_when_it_is_signed(run, respelt):
    folder, _ = run
    lines = [record[:-1] for record in records(folder) if record.startswith(b"{")]
    lines[2] = respelt(lines[2])
    plant(folder, lines)

    assert audit(folder, TRUST).word == Word.INVALID


def test_threat_14_an_unknown_version_or_algorithm_decides_nothing(run):
    folder, _ = run
    lines = [record[:-1] for record in records(folder) if record.startswith(b"{")]
    lines[2] = lines[2].replace(b'"v":1', b'"v":2')
    plant(folder, lines)
    assert audit(folder, TRUST).word == Word.CANNOT_DECIDE

    with pytest.raises(LedgerError):
        parse_vkey(TRUST.replace("+A", "+B", 1))
    with pytest.raises(UnknownVersionError):
        wal.parse_entry(wal.EntryLine(0, lines[2]), run=RUN, seq=2)


def opens(note):
    try:
        open_note(note, KEY.verify_key)
    except LedgerError:
        return False
    return True


def test_threat_15_a_signature_has_one_spelling(run):
    """The last character of base64 holds bits that mean nothing; four spellings decode alike."""
    note = run[1][-1]
    text = note.rstrip(b"\n").decode()
    assert text.endswith("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = text.index("=", text.rindex(" ")) - 1
    respelt = [(text[:at] + letter + text[at + 1 :] + "\n").encode() for letter in alphabet]
    assert [opens(note) for note in respelt].count(True) == 1
    with pytest.raises(LedgerError, match="one spelling"):
        from_base64("AB==")


def test_threat_16_killed_at_any_byte_a_run_resumes_to_the_same_bytes(run, tmp_path):
    folder, heads = run
    whole = log_of(folder).read_bytes()
    for cut in range(0, len(whole), 41):
        torn = tmp_path / str(cut)
        digest = declare(torn)
        (torn / "ledger").mkdir()
        log_of(torn).write_bytes(whole[:cut])
        with Ledger.resume(torn / "ledger", **ARGUMENTS) as ledger:
            play(ledger, digest)
        assert log_of(torn).read_bytes() == whole
        assert audit(torn, TRUST, heads[-1].decode()).word == Word.VERIFIED


@pytest.mark.parametrize(
    "tail", [b"\0" * 64, b'{"body":{},"kind":"round","run":"small"}\n', b"plant"]
)
def test_threat_17_a_zero_filled_or_planted_tail_is_never_signed(run, tmp_path, tail):
    folder, heads = run
    end = log_of(folder).read_bytes().index(heads[1]) + len(heads[1])
    torn = tmp_path / "torn"
    digest = declare(torn)
    (torn / "ledger").mkdir()
    log_of(torn).write_bytes(log_of(folder).read_bytes()[:end] + tail)

    assert audit(torn, TRUST).word == Word.INCOMPLETE
    with Ledger.resume(torn / "ledger", **ARGUMENTS) as ledger:
        play(ledger, digest)
    assert tail not in log_of(torn).read_bytes()
    assert [path.read_bytes() for path in (torn / "ledger/quarantine").iterdir()] == [tail]


def test_threat_18_damage_in_the_middle_is_refused_and_not_repaired(run):
    folder, _ = run
    data = bytearray(log_of(folder).read_bytes())
    data[len(data) // 2] ^= 4
    log_of(folder).write_bytes(data)

    with pytest.raises(LedgerError, match="nothing was changed"):
        Ledger.resume(folder / "ledger", **ARGUMENTS)
    assert log_of(folder).read_bytes() == bytes(data)
    assert audit(folder, TRUST).word == Word.INVALID


def test_threat_19_a_full_disk_stops_the_run_and_acknowledges_nothing(tmp_path):
    digest = declare(tmp_path)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ledger = Ledger.create(tmp_path / "ledger", **ARGUMENTS)
    try:
        ledger.append("open", {"manifest": digest})
        ledger.commit()
        acknowledged, size = ledger.head, log_of(tmp_path).stat().st_size
        ledger.append("round", {"round": 0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        with pytest.raises(LedgerError, match="the ledger stopped"):
            ledger.commit()
        with pytest.raises(LedgerError, match="stopped before"):
            ledger.append("round", {"round": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
        ledger.release()
    with log_of(tmp_path).open("rb") as file:
        prefix = wal.committed(file, KEY.verify_key)
    assert (prefix.head, prefix.complete) == (acknowledged, False)


def test_threat_20_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    digest = declare(tmp_path)
    with Ledger.create(tmp_path / "ledger", **ARGUMENTS) as ledger:
        with pytest.raises(LedgerError, match="another process"):
            Ledger.resume(tmp_path / "ledger", **ARGUMENTS)
        play(ledger, digest)
    assert audit(tmp_path, TRUST).word == Word.UNANCHORED


def test_threat_21_a_log_under_another_manifest_is_refused(run, tmp_path):
    folder, _ = run
    declare(tmp_path / "other", seed=2)
    (folder / "manifest.dsse.json").write_bytes(
        (tmp_path / "other/manifest.dsse.json").read_bytes()
    )

    verdict = audit(folder, TRUST)
    assert verdict.word == Word.INVALID
    assert [check.id for check in verdict.findings if check.word == Word.INVALID] == ["genesis"]


def test_threat_22_evidence_that_was_swapped_is_refused_and_missing_evidence_is_no_pass(run):
    folder, _ = run
    (folder / "graph.yaml").write_bytes(GRAPH + b"# milder\n")
    assert audit(folder, TRUST).word == Word.INVALID
    (folder / "graph.yaml").unlink()
    assert audit(folder, TRUST).word == Word.CANNOT_DECIDE


def test_threat_23_nothing_checked_is_never_verified(run, tmp_path):
    folder, heads = run
    assert audit(folder, "", heads[-1].decode()).exit_code != 0
    assert audit(tmp_path / "nowhere", TRUST, heads[-1].decode()).exit_code != 0
    log_of(folder).write_bytes(b"")
    assert audit(folder, TRUST, heads[-1].decode()).exit_code != 0


def test_threat_24_there_is_no_unsigned_mode(run):
    folder, _ = run
    unsigned = [record for record in records(folder) if record.startswith(b"{")]
    assert word_with(folder, unsigned) in NOT_A_PASS
    with pytest.raises(LedgerError):
        Ledger.resume(folder / "ledger", origin=ORIGIN, run=RUN, key=None)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)])
def test_threat_25_a_key_under_which_anybody_can_sign_is_refused(point):
    weak = KEY.verify_key._replace(public=point)
    with pytest.raises(LedgerError, match="low order"):
        parse_vkey(weak.vkey)


@pytest.mark.parametrize(
    "log",
    [b"{" * 70_000, b"[" * 5_000 + b"\n", b'{"a":' * 500 + b"\n", b"\n" * 10_000, b"\xff" * 9_999],
)
def test_threat_26_a_hostile_log_ends_in_a_verdict(run, log):
    folder, _ = run
    log_of(folder).write_bytes(log)
    assert str(audit(folder, TRUST))
    log_of(folder).unlink()
    os.mkfifo(log_of(folder))
    assert audit(folder, TRUST).word == Word.CANNOT_DECIDE


def test_threat_27_nobody_hears_of_a_ruling_that_could_not_be_recorded():
    """No log, no action: the journal fails in round 3, and no agent learns of that round."""
    graph = SPECIFICATIONS.parent / "governance_graphs/cournot.yaml"
    table = Table(presets.make("lin2024"), parse_graph(graph.read_bytes(), "cournot.yaml"))
    heard = []

    def journal(kind, body):
        if kind == "ruling" and body["round"] == 3:
            raise LedgerError("the disk is full")
        return json.loads(json.dumps(body))

    agents = table.seat([Seat("nash"), Seat("nash")])
    for agent in agents.values():
        agent.learn = lambda _seen, _did, _earned, _following: heard.append(1)
    with pytest.raises(LedgerError, match="full"):
        table.play(agents, seed=1, journal=journal)
    assert len(heard) == 3 * len(agents)


# --- promise 7: whatever anchor the auditor brings reveals a roll-back, a fork and another run


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A run with every anchor over its last head, and three attacks on it by the operator."""
    base = tmp_path_factory.mktemp("attacked")
    folder = base / "run"
    digest = declare(folder)
    index = base / "index"
    register(index, OPERATOR, [Start(RUN, ORIGIN, digest, "e", "1" * 64)])
    heads = write(folder)
    register(index, OPERATOR, [End(RUN, ORIGIN, heads[-1].decode())])
    authority = Authority(base / "authority")
    witness = new_witness(base / "witness")
    key = witness.key
    while submit(folder, key, Exchange(base / "exchange")) is None:
        answer_files(witness, base / "exchange")
    cosigned = (folder / "ledger/cosigned").read_text()
    (folder / "ledger/cosigned").unlink()
    policy = f"log {TRUST}\nwitness w {key.vkey}\nquorum w\n"
    anchors = {
        "none": (TRUST, Brought()),
        "remembered head": (TRUST, Brought(head=heads[-1].decode())),
        "witness": (policy, Brought(head=cosigned)),
        "time stamp": (
            TRUST,
            Brought(token=authority.answer(request(heads[-1])), authorities=authority.root),
        ),
        "index": (
            TRUST,
            Brought(index=index, index_head=(index / "ledger/checkpoint").read_text()),
        ),
    }
    rolled = base / "rolled"
    write(rolled)
    data = log_of(rolled).read_bytes()
    log_of(rolled).write_bytes(data[: data.index(heads[1]) + len(heads[1])])
    (rolled / "ledger/checkpoint").write_bytes(heads[1])
    write(base / "fork", rounds=6)
    write(base / "swapped", seed=2)
    attacks = {"roll-back": rolled, "fork": base / "fork", "other run": base / "swapped"}
    return folder, anchors, attacks


@pytest.mark.parametrize("anchor", ["remembered head", "witness", "time stamp", "index"])
def test_every_anchor_verifies_the_run_and_reveals_every_attack(attacked, anchor):
    folder, anchors, attacks = attacked
    trust, brought = anchors[anchor]

    assert audit(folder, trust, brought=brought).word == Word.VERIFIED
    for name, copy in attacks.items():
        assert audit(copy, trust, brought=brought).word in NOT_A_PASS, name


def test_without_an_anchor_a_fork_and_another_run_pass_for_sound_and_are_called_unanchored(
    attacked,
):
    folder, anchors, attacks = attacked
    trust, brought = anchors["none"]
    words = {name: audit(copy, trust, brought=brought).word for name, copy in attacks.items()}

    assert audit(folder, trust, brought=brought).word == Word.UNANCHORED
    assert words == {
        "roll-back": Word.INCOMPLETE,
        "fork": Word.UNANCHORED,
        "other run": Word.UNANCHORED,
    }


def test_the_log_says_what_it_is_not(run):
    """Against an operator who controls everything a log shows what he chose to log, not truth."""
    entries = read_entries(run[0] / "ledger")
    assert entries[0].kind == "open"
    assert "second history" in str(audit(run[0], TRUST))
