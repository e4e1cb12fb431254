"""The proof of one entry: its form, its verdict, and every way to tamper with either."""

import itertools
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rotated_run import KEYS, Writer, write_rotated
from small_run import GOLDEN, KEY, OPERATOR, ORIGIN, RUN, TRUST, write

from institutional.ledger import canonical, wal
from institutional.ledger.cosignature import cosign, witness_key
from institutional.ledger.errors import LedgerError, UnknownVersionError
from institutional.ledger.note import (
    Checkpoint,
    Note,
    SigningKey,
    checkpoint_text,
    note_bytes,
    parse_note,
    sign_note,
    to_base64,
)
from institutional.ledger.publication.check import check_proof
from institutional.ledger.publication.proof import (
    Enclosure,
    Proof,
    Rotation,
    parse_enclosure,
    parse_proof,
    write_enclosure,
    write_proof,
)
from institutional.ledger.publication.prove import prove
from institutional.ledger.publication.publish import publish
from institutional.ledger.tree import consistency_proof, inclusion_proof, leaf_hash, root_of
from institutional.ledger.verdict import Word

HEAD = (GOLDEN / "ledger/checkpoint").read_text()
THIEF = SigningKey(ORIGIN, b"\x66" * 32)


@pytest.fixture(scope="module")
def proven():
    return prove(GOLDEN, 3)


@pytest.fixture(scope="module")
def rotated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rotated")
    heads = write_rotated(folder / "run")
    publish(folder / "run", folder / "out")
    return folder, heads


def word(data, trust=TRUST, **options):
    return check_proof(data, trust, **options).verdict.word


def refusal(data, trust=TRUST, **options):
    """The word and the reason of the one check that failed."""
    verdict = check_proof(data, trust, **options).verdict
    failed = verdict.findings[0]
    assert str(verdict)
    assert verdict.as_json()["exit_code"] not in (0, 3)
    return failed.word, failed.id, failed.reason


# --- what a stranger gets


def test_the_operators_key_and_the_proof_are_enough(proven):
    checked = check_proof(proven.data, TRUST)

    assert checked.verdict.word == Word.UNANCHORED
    assert (checked.entry.seq, checked.entry.kind) == (3, "round")
    assert checked.entry.body == {"price": 6.5, "round": 2, "text": "Zürich"}
    assert checked.data == proven.entry
    assert checked.verdict.size == 7


def test_under_a_remembered_head_the_proof_is_verified(proven):
    assert word(proven.data, head=HEAD) == Word.VERIFIED


def test_the_golden_proof_is_made_again_byte_for_byte(proven):
    assert proven.data == (GOLDEN.parent / "small-3.tlog-proof").read_bytes()


def test_the_text_is_that_of_the_specification(proven):
    """Seven leaves: entry 3 has its neighbour 2, the pair 0-1, and the three after them."""
    lines = (GOLDEN / "ledger/log.wal").read_bytes().split(b"\n")
    leaves = [leaf_hash(line) for line in lines if line.startswith(b"{")]
    bare = prove(GOLDEN, 3, bare=True).data

    assert bare.decode() == (
        "c2sp.org/tlog-proof@v1\n"
        "index 3\n"
        f"{to_base64(leaves[2])}\n"
        f"{to_base64(root_of(leaves[:2]))}\n"
        f"{to_base64(root_of(leaves[4:]))}\n"
        "\n" + HEAD
    )
    extra = to_base64(parse_proof(proven.data).extra)
    assert proven.data == bare.replace(b"index", f"extra {extra}\nindex".encode(), 1)


@pytest.mark.parametrize("seq", range(7))
def test_every_entry_is_proven_alike_from_the_run_and_from_its_publication(seq):
    run, published = prove(GOLDEN, seq), prove(GOLDEN.with_name("published"), seq)

    assert run == published
    assert word(run.data) == Word.UNANCHORED
    assert check_proof(run.data, TRUST).entry.seq == seq


def test_a_bare_proof_needs_the_entry_and_the_logs_own_key(proven):
    bare = prove(GOLDEN, 3, bare=True).data
    own = KEY.verify_key.vkey

    assert word(bare, own, entry=proven.entry) == Word.UNANCHORED
    assert word(bare, own, entry=proven.entry, head=HEAD) == Word.VERIFIED
    assert refusal(bare, own)[:2] == (Word.CANNOT_DECIDE, "proof-inclusion")
    assert refusal(bare, TRUST, entry=proven.entry)[:2] == (Word.CANNOT_DECIDE, "proof-key")


def test_the_extra_line_of_another_program_is_no_hindrance(proven):
    other = write_proof(parse_proof(proven.data)._replace(extra=b"age-v1.2.1"))

    assert word(other, KEY.verify_key.vkey, entry=proven.entry) == Word.UNANCHORED
    assert refusal(other)[:2] == (Word.CANNOT_DECIDE, "proof-key")


# --- epochs


@pytest.mark.parametrize("seq", [0, 2, 3, 4, 255, 256, 299, 300, 309])
def test_an_entry_of_any_epoch_is_proven_with_the_operators_key(rotated, seq):
    folder, heads = rotated
    run, published = prove(folder / "run", seq), prove(folder / "out", seq)

    assert run == published
    assert len(parse_enclosure(parse_proof(run.data).extra).rotations) == 2
    assert word(run.data) == Word.UNANCHORED
    assert word(run.data, head=heads[2].decode()) == Word.VERIFIED


@pytest.mark.parametrize("key", KEYS)
def test_the_first_and_the_newest_key_of_a_log_will_do_and_no_other(rotated, key):
    """The manifest vouches for the first, and the newest has signed the head itself."""
    data = prove(rotated[0] / "run", 5).data
    expected = Word.INVALID if key == KEYS[1] else Word.UNANCHORED

    assert word(data, key.verify_key.vkey) == expected


def test_a_thief_of_the_newest_key_cannot_prove_another_past(rotated):
    """He signs a head over a rewritten entry 2, of the first epoch, and keeps all else."""
    folder, _ = rotated
    honest = parse_proof(prove(folder / "run", 2).data)
    lines = (folder / "run/ledger/log.wal").read_bytes().split(b"\n")
    entries = [line for line in lines if line.startswith(b"{")]
    entries[2] = entries[2].replace(b'"round":2', b'"round":7')
    leaves = [leaf_hash(entry) for entry in entries]
    note = sign_note(checkpoint_text(Checkpoint(ORIGIN, 310, root_of(leaves))), KEYS[2])
    extra = parse_enclosure(honest.extra)._replace(entry=entries[2])
    hashes = tuple(inclusion_proof(leaves, 2))
    forged = Proof(2, hashes, note, write_enclosure(extra))

    found = refusal(write_proof(forged))

    assert found == (Word.INVALID, "proof-key", "the head does not continue the epoch of 4 entries")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda r: r[1:], "signed by"),
        (lambda r: r[:1], "signed by"),
        (lambda r: r[:0], "signed by"),
        (lambda r: r[::-1], "signed by"),
        (lambda r: (r[0], r[0]), "signed by"),
        (lambda r: (r[0], r[1]._replace(consistency=r[1].consistency[1:])), "does not continue"),
        (lambda r: (r[0], r[1]._replace(consistency=r[0].consistency)), "does not continue"),
        (lambda r: (r[0]._replace(proof=r[0].proof._replace(extra=b"{}")), r[1]), "no such"),
        (lambda r: (r[0]._replace(proof=r[0].proof._replace(extra=None)), r[1]), "no such"),
        (lambda r: (r[0]._replace(proof=r[0].proof._replace(seq=2)), r[1]), "no such"),
        (lambda r: (r[0]._replace(proof=r[0].proof._replace(hashes=())), r[1]), "no such"),
    ],
)
def test_a_chain_of_keys_with_a_gap_leads_nowhere(rotated, spoil, says):
    proof = parse_proof(prove(rotated[0] / "run", 5).data)
    extra = parse_enclosure(proof.extra)
    broken = extra._replace(rotations=tuple(spoil(extra.rotations)))

    found, check, reason = refusal(write_proof(proof._replace(extra=write_enclosure(broken))))

    assert check in ("proof-key", "proof-head")
    assert found == Word.INVALID
    assert says in reason


def assembled(log, seq, head, *closed):
    """A proof put together by hand; `closed` are (entry, head, size) for each epoch's end."""
    entries = [line for line in log.path.read_bytes().split(b"\n") if line.startswith(b"{")]
    leaves = [leaf_hash(entry) for entry in entries]
    rotations = tuple(
        Rotation(
            Proof(last, tuple(inclusion_proof(leaves[:size], last)), note, entries[last]),
            tuple(consistency_proof(leaves, size)),
        )
        for last, note, size in closed
    )
    manifest = (log.path.parents[1] / "manifest.dsse.json").read_bytes()
    extra = write_enclosure(Enclosure(entries[seq], manifest, rotations))
    return write_proof(Proof(seq, tuple(inclusion_proof(leaves, seq)), head, extra))


@pytest.fixture
def log(tmp_path):
    log = Writer(tmp_path)
    log.append("open", {"manifest": log.digest})
    return log


def test_a_proof_put_together_by_hand_is_sound(log):
    log.rotate(1)
    first = log.commit(KEYS[0])
    log.rounds(1)
    head = log.commit(KEYS[1])

    assert word(assembled(log, 2, head, (1, first, 2))) == Word.UNANCHORED


def test_epochs_that_end_in_the_wrong_order_lead_nowhere(log):
    """Epoch 2 begins at entry 1 and epoch 1 at entry 2: every signature holds, the order not."""
    log.rotate(2)
    early = log.commit(KEYS[1])
    log.rotate(1)
    late = log.commit(KEYS[0])
    log.rounds(1)
    head = log.commit(KEYS[2])

    found = refusal(assembled(log, 3, head, (2, late, 3), (1, early, 2)))

    assert found == (Word.INVALID, "proof-key", "the head does not continue the epoch of 2 entries")


def test_the_next_key_cannot_sign_the_end_of_the_epoch_before(log):
    log.rotate(1)
    first = log.commit(KEYS[0])
    head = log.commit(KEYS[1])

    found = refusal(assembled(log, 0, head, (1, first, 2)))

    assert found == (Word.INVALID, "proof-key", "the head does not continue the epoch of 2 entries")


def test_a_rotation_that_does_not_end_its_head_begins_no_epoch(log):
    log.rotate(1)
    log.rounds(1)
    first = log.commit(KEYS[0])
    log.rounds(1)
    head = log.commit(KEYS[1])

    found = refusal(assembled(log, 0, head, (1, first, 3)))

    assert found == (Word.INVALID, "proof-key", "no such rotation ended the epoch of 3 entries")


def test_an_entry_of_another_kind_that_looks_like_a_rotation_begins_no_epoch(log):
    log.append("round", {"epoch": 1, "key": KEYS[1].verify_key.vkey})
    first = log.commit(KEYS[0])
    log.rounds(1)
    head = log.commit(KEYS[1])

    assert refusal(assembled(log, 0, head, (1, first, 2)))[2] == "entry 1 is no rotation"


def test_an_entry_of_another_run_is_not_proven(log):
    data = wal.entry_bytes(run="other", seq=1, kind="round", body={})
    log.tree.append(leaf_hash(data))
    log.lines += data + b"\n"
    head = log.commit(KEYS[0])

    assert refusal(assembled(log, 1, head)) == (
        Word.INVALID, "proof-entry", "belongs to run 'other', not to 'small'",
    )  # fmt: skip


def test_the_operator_may_cosign_the_head_of_a_log(proven):
    proof = parse_proof(proven.data)
    text = proof.note.decode().partition("\n\n")[0] + "\n"
    cosigned = proof._replace(note=sign_note(text, OPERATOR, KEY))

    assert word(write_proof(cosigned)) == Word.UNANCHORED


def test_a_log_that_ends_in_a_rotation_is_proven_under_the_old_key(log):
    log.rotate(1)
    log.commit(KEYS[0])

    assert word(prove(log.path.parents[1], 1).data) == Word.UNANCHORED


# --- tampering


def test_every_flipped_bit_of_a_proof_is_refused(proven):
    """The operator's key and a remembered head: only the proof itself is VERIFIED."""
    data = proven.data
    words = set()
    for bit in range(len(data) * 8):
        at = bit // 8
        mutant = data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]
        found = word(mutant, head=HEAD)
        assert found not in (Word.VERIFIED, Word.UNANCHORED), at
        words.add(found)

    assert words == {Word.INVALID, Word.CANNOT_DECIDE}


def test_every_truncation_and_insertion_is_refused(proven):
    data = proven.data
    for at in range(len(data)):
        assert word(data[:at]) in (Word.INVALID, Word.CANNOT_DECIDE)
        for byte in (b"\0", b"\n", b" ", b"=", b"a"):
            mutant = data[:at] + byte + data[at:]
            assert mutant == data or word(mutant) in (Word.INVALID, Word.CANNOT_DECIDE), at


def test_every_altered_byte_of_the_enclosed_chain_is_refused(rotated):
    """Flipped below the base64, so that each part is met and not only its wrapping."""
    proof = parse_proof(prove(rotated[0] / "run", 5).data)
    for at in range(0, len(proof.extra), 3):
        byte = bytes([proof.extra[at] ^ 1 << at % 7])
        mutant = proof.extra[:at] + byte + proof.extra[at + 1 :]
        assert word(write_proof(proof._replace(extra=mutant))) in (
            Word.INVALID,
            Word.CANNOT_DECIDE,
        )


def test_a_proof_of_another_place_size_or_entry_is_refused(proven):
    proof = parse_proof(proven.data)
    others = [proof._replace(seq=seq) for seq in (0, 1, 2, 4, 5, 6, 7, 10**15)]
    others += [
        proof._replace(hashes=tuple(hashes))
        for count in range(5)
        for hashes in itertools.product(set(proof.hashes), repeat=count)
        if tuple(hashes) != proof.hashes
    ]
    for other in others:
        found, check, reason = refusal(write_proof(other))
        assert (found, check) == (Word.INVALID, "proof-inclusion")
        assert reason.startswith(f"these bytes are not entry {other.seq} of the 7 signed")
    for entry in (b"", b"{}", prove(GOLDEN, 4).entry, proven.entry + b"\n"):
        assert refusal(proven.data, entry=entry)[:2] == (Word.INVALID, "proof-inclusion")
    assert "ends in a newline" in refusal(proven.data, entry=proven.entry + b"\n")[2]


def test_another_size_under_the_same_signature_is_refused(proven):
    mutant = proven.data.replace(b"\n7\n", b"\n8\n")

    assert refusal(mutant)[:2] == (Word.INVALID, "proof-head")


def test_a_head_of_another_signer_under_the_logs_name_is_refused(proven):
    proof = parse_proof(proven.data)
    text = proof.note.decode().partition("\n\n")[0] + "\n"
    stolen = proof._replace(note=sign_note(text, THIEF))

    assert refusal(write_proof(stolen))[:2] == (Word.INVALID, "proof-head")


def test_the_manifest_of_another_run_does_not_vouch(proven, tmp_path):
    key = SigningKey("institutional.dev/run/other", b"\x05" * 32)
    write(tmp_path, run="other", key=key)
    proof = parse_proof(proven.data)
    manifest = (tmp_path / "manifest.dsse.json").read_bytes()
    extra = write_enclosure(parse_enclosure(proof.extra)._replace(manifest=manifest))

    found = refusal(write_proof(proof._replace(extra=extra)))

    assert found[:2] == (Word.INVALID, "proof-key")


def test_the_key_of_a_stranger_decides_nothing(proven):
    stranger = SigningKey("stranger", b"\x01" * 32).verify_key.vkey

    assert refusal(proven.data, stranger)[:2] == (Word.CANNOT_DECIDE, "proof-key")
    assert refusal(proven.data, "no key")[:2] == (Word.CANNOT_DECIDE, "trust")


def test_a_signed_line_that_is_no_entry_is_told():
    """The operator signs a head over bytes that no log of ours may hold."""
    for data, says in [(b"{}", "not an entry"), (b'{"v":1 }', "not canonical")]:
        root = leaf_hash(data)
        note = sign_note(checkpoint_text(Checkpoint(ORIGIN, 1, root)), KEY)
        found = refusal(
            write_proof(Proof(0, (), note)), KEY.verify_key.vkey, entry=data, head=note.decode()
        )
        assert found[:2] == (Word.INVALID, "proof-entry")
        assert says in found[2]


# --- anchors


def test_a_head_of_another_history_is_divergence_with_both_heads_as_evidence(proven):
    other = sign_note(checkpoint_text(Checkpoint(ORIGIN, 7, b"\x01" * 32)), KEY).decode()

    verdict = check_proof(proven.data, TRUST, head=other).verdict

    assert verdict.word == Word.DIVERGED
    assert verdict.evidence == (other, HEAD)


def test_a_head_of_another_size_anchors_nothing(proven):
    other = sign_note(checkpoint_text(Checkpoint(ORIGIN, 5, b"\x01" * 32)), KEY).decode()

    assert word(proven.data, head=other) == Word.UNANCHORED
    assert refusal(proven.data, head="no head")[:2] == (Word.CANNOT_DECIDE, "remembered-head")


WITNESS = SigningKey("witness.example", b"w" * 32)
POLICY = f"log {TRUST}\nwitness one {witness_key(WITNESS).vkey}\nquorum one\n"


def cosigned(data, signature):
    """The proof with one more line under its head."""
    proof = parse_proof(data)
    note = parse_note(proof.note)
    lines = (*note.signatures, signature)
    return write_proof(proof._replace(note=note_bytes(Note(note.text, lines))))


def test_a_witness_on_the_head_anchors_the_proof(proven):
    seen = cosigned(proven.data, cosign(HEAD.partition("\n\n")[0] + "\n", WITNESS, time_s=1))

    verdict = check_proof(seen, POLICY).verdict

    assert verdict.word == Word.VERIFIED
    assert "cosigned by one (1970-01-01 00:00:01 UTC)" in verdict.anchor
    assert word(seen, TRUST) == Word.UNANCHORED
    other = sign_note(checkpoint_text(Checkpoint(ORIGIN, 5, b"\x01" * 32)), KEY).decode()
    assert word(seen, POLICY, head=other) == Word.VERIFIED


def test_without_the_witness_that_the_policy_asks_for_it_is_unanchored(proven):
    assert word(proven.data, POLICY) == Word.UNANCHORED
    assert word(proven.data, POLICY, head=HEAD) == Word.UNANCHORED


def test_a_line_that_the_witness_did_not_sign_is_a_forgery(proven):
    line = cosign("another\n1\n", WITNESS, time_s=1)

    assert refusal(cosigned(proven.data, line), POLICY)[:2] == (Word.INVALID, "cosignatures")


# --- making one


@pytest.mark.parametrize("seq", [7, 10**9, -1])
def test_an_entry_that_is_not_there_is_not_proven(seq):
    with pytest.raises(LedgerError, match=f"no entry {seq}; there are entries 0 to 6"):
        prove(GOLDEN, seq)
    with pytest.raises(LedgerError, match=f"no entry {seq}; there are entries 0 to 6"):
        prove(GOLDEN.with_name("published"), seq)


def test_a_folder_with_neither_log_is_one_message(tmp_path):
    with pytest.raises(LedgerError, match="no proof can be made"):
        prove(tmp_path, 0)


@pytest.mark.parametrize("name", ["tile/0/000.p/7", "tile/entries/000.p/7", "checkpoint"])
def test_a_damaged_publication_gives_no_proof(tmp_path, name):
    """Every flipped byte: no proof, or the very same one where its way leads past the damage."""
    published = GOLDEN.with_name("published")
    good = prove(published, 3)
    folder = tmp_path / "out"
    shutil.copytree(published, folder)
    data = (folder / name).read_bytes()
    refused = 0
    for at in range(len(data)):
        (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        try:
            assert prove(folder, 3) == good
        except LedgerError:
            refused += 1
    # The own hash of entry 3 is not on its way; of the bundle its entry and all lengths are.
    expected = {"tile/0/000.p/7": 6 * 32, "checkpoint": len(data)}
    assert refused == expected.get(name, refused)
    assert refused > 100


# --- form


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1\n", ""),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1 \n"),
        ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\r\n"),
        ("index 3\n", ""),
        ("index 3\n", "index 3\nindex 3\n"),
        ("index 3\n", "index 03\n"),
        ("index 3\n", "index +3\n"),
        ("index 3\n", "index  3\n"),
        ("index 3\n", "index 3 \n"),
        ("index 3\n", "index -3\n"),
        ("index 3\n", "index 1_0\n"),
        ("index 3\n", "index ٣\n"),
        ("index 3\n", "index 99999999999999999\n"),
        ("index 3\n", "Index 3\n"),
        ("index 3\n", "extra\nindex 3\n"),
        ("index 3\n", "extra \nindex 3\n"),
        ("index 3\n", "extra YQ\nindex 3\n"),
        ("index 3\n", "extra YR==\nindex 3\n"),
        ("index 3\n", "extra YQ==\nextra YQ==\nindex 3\n"),
        ("index 3\n", "index 3\nextra YQ==\n"),
        ("index 3\n", "index 3\nAAAA\n"),
        ("index 3\n", "index 3\n" + "A" * 43 + "=\n" * 200),
        ("index 3\n", "index 3\n\n"),
        ("=\n\ninst", "=\n\n\ninst"),
        ("=\n\ninst", "=\ninst"),
        ("small\n7\n", "small\n07\n"),
        ("small\n7\n", "small\n7\n\n"),
    ],
)
def test_a_proof_has_one_spelling(old, new):
    data = prove(GOLDEN, 3, bare=True).data.decode()
    assert old in data

    with pytest.raises(LedgerError):
        parse_proof(data.replace(old, new, 1).encode())


def test_another_version_is_unknown_and_not_wrong(proven):
    later = proven.data.replace(b"@v1", b"@v2")

    with pytest.raises(UnknownVersionError):
        parse_proof(later)
    assert refusal(later)[:2] == (Word.CANNOT_DECIDE, "proof-shape")


def test_a_proof_of_17_mebibytes_is_not_even_looked_at():
    with pytest.raises(LedgerError, match="16777216 are allowed"):
        parse_proof(b"c2sp.org/tlog-proof@v1\nextra " + b"A" * 17 * 2**20)


@given(
    st.integers(0, 10**15),
    st.lists(st.binary(min_size=32, max_size=32), max_size=20),
    st.none() | st.binary(min_size=1, max_size=99),
)
def test_a_written_proof_is_read_back(seq, hashes, extra):
    proof = Proof(seq, tuple(hashes), HEAD.encode(), extra)

    assert parse_proof(write_proof(proof)) == proof


SEED = (GOLDEN.parent / "small-3.tlog-proof").read_bytes()


@given(st.data())
def test_whatever_is_read_is_written_back_the_same(data):
    """Pieces of a real proof cut, doubled and glued: refused, or its only spelling."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(SEED)), min_size=2, max_size=4)))
    pieces = [SEED[a:b] for a, b in itertools.pairwise([0, *cuts, len(SEED)])]
    text = b"".join(data.draw(st.permutations(pieces))) + data.draw(st.binary(max_size=3))
    try:
        proof = parse_proof(text)
    except LedgerError:
        return
    assert write_proof(proof) == text


@given(st.binary(max_size=300) | st.text(max_size=99).map(str.encode))
def test_any_bytes_end_in_a_verdict(data):
    for text in (data, b"c2sp.org/tlog-proof@v1\n" + data, SEED[: len(SEED) // 2] + data):
        verdict = check_proof(text, TRUST).verdict
        assert verdict.exit_code in (1, 2)
        assert str(verdict)


@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["v", "entry", "manifest", "rotations", "proof", "consistency"]),
                inner,
            )
        ),
        max_leaves=9,
    )
)
def test_any_enclosure_ends_in_a_verdict(value):
    extra = canonical.encode(value)
    proof = parse_proof(SEED)._replace(extra=extra)

    assert check_proof(write_proof(proof), TRUST).verdict.exit_code in (1, 2)


def test_an_enclosure_is_read_back(rotated):
    extra = parse_proof(prove(rotated[0] / "run", 5).data).extra

    assert write_enclosure(parse_enclosure(extra)) == extra
    assert OPERATOR.verify_key.key_id.hex().encode() in parse_enclosure(extra).manifest
    assert RUN.encode() in parse_enclosure(extra).entry
