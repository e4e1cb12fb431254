import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_run import KEY as LOG
from small_run import OPERATOR, ORIGIN, RUN
from small_witness import head

from institutional.ledger.cosignature import cosign
from institutional.ledger.errors import LedgerError
from institutional.ledger.note import SigningKey, VerifyKey, parse_note, to_base64
from institutional.ledger.tree import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
)
from institutional.ledger.wal import entry_bytes
from institutional.ledger.witness.protocol import (
    MAX_REQUEST_BYTES,
    Record,
    add_checkpoint,
    add_rotation,
    parse_rotation,
    parse_submission,
    rotation_bytes,
    submission_bytes,
    trusted_keys,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "witness" / "litewitness.txt"
WITNESS = SigningKey("witness.example", b"\x02" * 32)
LISTED = (LOG.verify_key,)
LEAVES = [leaf_hash(bytes([n])) for n in range(8)]
FORK = [*LEAVES[:3], *(leaf_hash(bytes([n, 1])) for n in range(3, 8))]


def sign(text):
    return cosign(text, WITNESS, time_s=1_700_000_000)


def ask(record, leaves, size, *, old, key=LOG, proof=None, listed=LISTED):
    """The decision on the head of `size` leaves; the proof is the right one from `old`."""
    if proof is None:
        proof = tuple(consistency_proof(leaves[:size], old)) if 0 < old <= size else ()
    data = submission_bytes(old_size=old, proof=proof, head=head(leaves[:size], key))
    return add_checkpoint(record, parse_submission(data), listed, sign)


def remembering(size, leaves=LEAVES):
    return ask(None, leaves, size, old=0).record


def test_the_conversation_with_another_witness_is_answered_as_that_one_did():
    """All but two of its answers.

    An unknown log is 404 in the specification of today; and a line whose base64 has two spellings
    is malformed here, where that program reads it and finds it false.
    """
    key = VerifyKey(
        "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562",
        bytes.fromhex("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f"),
    )
    exchanges = re.findall(r"```\n(.*?)```\nHTTP (\d+)\n", GOLDEN.read_text(), re.DOTALL)
    records, answered = {}, []
    for body, _ in exchanges:
        try:
            request = parse_submission(body.encode())
        except LedgerError:
            answered.append(400)
            continue
        origin = request.checkpoint.origin
        decision = add_checkpoint(records.get(origin), request, (key,), sign)
        records[origin] = decision.record
        answered.append(decision.answer.status)

    assert [int(status) for _, status in exchanges] == [
        *(200, 403, 403, 422, 422, 200, 409, 200, 409)
    ]
    assert answered == [200, 400, 404, 422, 422, 200, 409, 200, 409]
    assert records[key.name].checkpoint.size == 5


def test_a_request_is_laid_out_as_the_specification_shows():
    request = submission_bytes(old_size=3, proof=(b"\1" * 32, b"\2" * 32), head=head(LEAVES, LOG))

    assert request.startswith(
        b"old 3\n"
        b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
        b"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
        b"\n" + f"{ORIGIN}\n8\n".encode()
    )


HEAD = head(LEAVES, LOG)
HASH = to_base64(b"\1" * 32).encode() + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        HEAD,
        b"old 3\n" + HEAD,
        b"old 3\n\n",
        b"old 3\n\n" + HEAD[:-1],
        b"old 3\n\n" + HEAD + b"x",
        b"old 03\n\n" + HEAD,
        b"old +3\n\n" + HEAD,
        b"old -3\n\n" + HEAD,
        b"old 3 \n\n" + HEAD,
        b"old  3\n\n" + HEAD,
        b"old 3\r\n\r\n" + HEAD,
        b"OLD 3\n\n" + HEAD,
        b"old \xd9\xa3\n\n" + HEAD,
        b"old 3_0\n\n" + HEAD,
        b"old 12345678901234567\n\n" + HEAD,
        b"size 3\n\n" + HEAD,
        b" old 3\n\n" + HEAD,
        b"old 3\n" + HASH[:-2] + b"\n\n" + HEAD,
        b"old 3\n" + HASH.replace(b"E=", b"F=") + b"\n" + HEAD,
        b"old 3\n" + to_base64(b"\1" * 31).encode() + b"\n\n" + HEAD,
        b"old 3\n" + b" " + HASH + b"\n" + HEAD,
        b"old 3\n" + HASH * 64 + b"\n" + HEAD,
        b"old 3\n\n" + HEAD.replace(b"\n8\n", b"\n08\n"),
        b"old 3\n\n" + HEAD.replace(b"\n\n", b"\nextension\n\n"),
        b"old 3\n\n" + HEAD + b"\0" * MAX_REQUEST_BYTES,
    ],
)
def test_a_malformed_request_is_refused(data):
    with pytest.raises(LedgerError):
        parse_submission(data)


@given(st.integers(0, 2 * len(HEAD)), st.sampled_from([b"\0", b"\n", b" ", b"=", b"a", b""]))
def test_no_changed_byte_gives_another_reading_of_the_same_request(at, byte):
    """Whatever is read is written again as the same bytes."""
    whole = submission_bytes(old_size=3, proof=(b"\1" * 32,), head=HEAD)
    at %= len(whole)
    for data in (whole[:at] + byte + whole[at:], whole[:at] + byte + whole[at + 1 :]):
        try:
            read = parse_submission(data)
        except LedgerError:
            continue
        signed = data.partition(b"\n\n")[2]
        assert parse_note(signed) == read.note
        assert submission_bytes(old_size=read.old_size, proof=read.proof, head=signed) == data


@given(st.binary(max_size=120))
def test_any_bytes_are_a_request_or_the_one_error(data):
    for prefix in (b"", b"old 1\n\n", b"rotate 1\n\n"):
        for parse in (parse_submission, parse_rotation):
            with pytest.raises(LedgerError):
                parse(prefix + data)


def test_the_first_head_of_a_listed_log_is_taken_as_it_comes():
    decision = ask(None, LEAVES, 5, old=0)

    assert decision.answer.status == 200
    assert decision.record.checkpoint == (ORIGIN, 5, root_of(LEAVES[:5]))
    assert decision.answer.body == (
        "— witness.example ".encode() + decision.record.head.split(b" ")[-1]
    )


@pytest.mark.parametrize(
    ("old", "size", "leaves", "status"),
    [
        (4, 7, LEAVES, 200),
        (4, 4, LEAVES, 200),  # the same head once more: the cosignature's time is new
        (4, 7, FORK, 422),
        (4, 4, FORK, 422),
        (3, 7, LEAVES, 409),
        (0, 7, LEAVES, 409),
        (0, 4, LEAVES, 409),
        (5, 4, LEAVES, 400),
        (5, 7, LEAVES, 409),
        (2, 3, LEAVES, 409),
        (4, 3, LEAVES, 400),
    ],
)
def test_a_witness_that_remembers_four_entries_answers_as_the_specification_says(
    old, size, leaves, status
):
    before = remembering(4)

    decision = ask(before, leaves, size, old=old)

    assert decision.answer.status == status
    if status == 200:
        assert decision.record.checkpoint.size == size
    else:
        assert decision.record == before
    if status == 409:
        assert decision.answer[1:] == (b"4\n", "text/x.tlog.size")


@pytest.mark.parametrize("proof", [(), (b"\1" * 32,), (b"\1" * 32,) * 63])
def test_a_wrong_proof_is_refused_and_both_heads_are_worth_keeping(proof):
    decision = ask(remembering(5), LEAVES, 7, old=5, proof=proof)

    assert decision.answer.status == 422
    assert decision.conflict.kind == "unproven"


def test_a_proof_where_none_is_needed_is_refused():
    assert ask(None, LEAVES, 5, old=0, proof=(b"\1" * 32,)).answer.status == 422
    assert ask(remembering(5), LEAVES, 5, old=5, proof=(b"\1" * 32,)).answer.status == 422


def test_an_empty_log_has_the_empty_root_and_is_continued_by_any():
    empty = ask(None, LEAVES, 0, old=0)
    assert empty.answer.status == 200
    assert ask(empty.record, LEAVES, 5, old=0).answer.status == 200

    wrong = head(LEAVES, LOG).replace(b"\n8\n", b"\n0\n")
    text = parse_note(wrong).text
    forged = (
        f"{text}\n— {LOG.name} ".encode()
        + to_base64(LOG.verify_key.key_id + LOG.sign(text.encode())).encode()
    )
    request = parse_submission(b"old 0\n\n" + forged + b"\n")
    assert add_checkpoint(None, request, LISTED, sign).answer.status == 422


@pytest.mark.parametrize("old", [0, 3, 4])
def test_two_roots_for_one_size_are_proof_whatever_old_size_is_claimed(old):
    before = remembering(4)

    decision = ask(before, FORK, 4, old=old)

    assert decision.answer.status == (422 if old == 4 else 409)
    assert decision.conflict == ("fork", before.head, head(FORK[:4], LOG))


def test_an_unknown_log_is_404_and_a_known_one_under_an_unknown_key_403():
    thief = SigningKey(ORIGIN, b"\x66" * 32)

    assert ask(None, LEAVES, 4, old=0, listed=(OPERATOR.verify_key,)).answer.status == 404
    assert ask(None, LEAVES, 4, old=0, key=thief).answer.status == 403
    assert ask(remembering(4), LEAVES, 7, old=4, key=thief).answer.status == 403


def test_a_false_line_of_the_log_is_403_and_other_lines_are_ignored():
    signed = head(LEAVES[:4], LOG)
    false = signed.replace(b"\n4\n", b"\n5\n")
    stranger = head(LEAVES[:4], SigningKey("stranger.example", b"\1" * 32))
    both = signed + stranger.split(b"\n\n")[1]

    request = parse_submission(b"old 0\n\n" + false)
    assert add_checkpoint(None, request, LISTED, sign).answer.status == 403
    taken = add_checkpoint(None, parse_submission(b"old 0\n\n" + both), LISTED, sign)
    assert [line.name for line in parse_note(taken.record.head).signatures] == [
        ORIGIN,
        "witness.example",
    ]


def test_a_log_whose_key_is_no_longer_listed_is_cosigned_no_more():
    record = Record(OPERATOR.verify_key, (LOG.verify_key,), None)
    vouched = ask(record, LEAVES, 4, old=0, listed=(OPERATOR.verify_key,)).record

    assert ask(vouched, LEAVES, 7, old=4, listed=(OPERATOR.verify_key,)).answer.status == 200
    assert ask(vouched, LEAVES, 7, old=4, listed=()).answer.status == 404
    assert ask(vouched, FORK, 7, old=4, listed=LISTED).answer.status == 422  # nothing is forgotten
    listed_itself = ask(vouched, LEAVES, 7, old=4, listed=LISTED).record
    assert listed_itself[:2] == (LOG.verify_key, (LOG.verify_key,))


# --- a log that changes its key

A, B, C = (SigningKey(ORIGIN, bytes([n]) * 32) for n in (1, 2, 3))


def rotate_entry(key, seq):
    body = {"epoch": 1, "key": key.verify_key.vkey}
    return entry_bytes(run=RUN, seq=seq, kind="rotate", body=body)


def rotating(entry):
    """Eight leaves of which the fourth names the next key."""
    return [*LEAVES[:3], leaf_hash(entry), *LEAVES[4:]]


def rotate(record, leaves, size, entry, index=None):
    proof = tuple(inclusion_proof(leaves[:size], size - 1 if index is None else index))
    rotation = parse_rotation(rotation_bytes(size=size, proof=proof, entry=entry))
    return add_rotation(record, rotation)


def test_the_next_key_is_taken_from_the_last_entry_of_the_remembered_head():
    entry = rotate_entry(B, 3)
    leaves, listed = rotating(entry), (A.verify_key,)
    at_four = ask(None, leaves, 4, old=0, key=A, listed=listed).record

    decision = rotate(at_four, leaves, 4, entry)

    assert decision.answer.status == 200
    assert decision.record.keys == (A.verify_key, B.verify_key)
    assert ask(decision.record, leaves, 8, old=4, key=B, listed=listed).answer.status == 200
    ended = [ask(decision.record, leaves, 8, old=old, key=A, listed=listed) for old in (0, 4)]
    assert [one.answer[:2] for one in ended] == [
        (409, b"4\n"),
        (403, b"signed by a key whose epoch has ended\n"),
    ]
    assert ask(at_four, leaves, 8, old=4, key=B, listed=listed).answer.status == 403
    again = rotate(decision.record, leaves, 4, entry)
    assert again == ((200, b"", again.answer.content_type), decision.record, None)


def test_a_next_key_that_no_remembered_head_ends_in_is_refused():
    entry, other = rotate_entry(B, 3), rotate_entry(C, 3)
    leaves, listed = rotating(entry), (A.verify_key,)
    at_four = ask(None, leaves, 4, old=0, key=A, listed=listed).record
    at_five = ask(None, leaves, 5, old=0, key=A, listed=listed).record

    assert rotate(at_four, rotating(other), 4, other).answer.status == 422
    assert rotate(at_five, leaves, 4, entry).answer[:2] == (409, b"5\n")
    assert rotate(None, leaves, 4, entry).answer.status == 404
    assert rotate(Record(A.verify_key, (A.verify_key,), None), leaves, 4, entry).answer[0] == 404


def test_a_key_of_an_epoch_that_has_ended_never_comes_back():
    back = rotate_entry(A, 3)
    leaves = rotating(back)
    record = ask(None, leaves, 4, old=0, key=B, listed=(B.verify_key,)).record
    record = record._replace(keys=(A.verify_key, B.verify_key))

    assert rotate(record, leaves, 4, back).answer.status == 422
    listed = (B.verify_key, A.verify_key)
    assert trusted_keys(record, listed, ORIGIN) == (B.verify_key,)
    assert trusted_keys(record, (*listed, C.verify_key), ORIGIN) == (B.verify_key, C.verify_key)


@pytest.mark.parametrize(
    "body",
    [
        {"epoch": 1},
        {"key": B.verify_key.vkey},
        {"epoch": True, "key": B.verify_key.vkey},
        {"epoch": "1", "key": B.verify_key.vkey},
        {"epoch": 1, "key": B.verify_key.vkey, "more": 1},
        {"epoch": 1, "key": "nonsense"},
    ],
)
def test_an_entry_that_names_no_next_key_is_refused(body):
    entry = entry_bytes(run=RUN, seq=3, kind="rotate", body=body)
    with pytest.raises(LedgerError):
        parse_rotation(rotation_bytes(size=4, proof=(), entry=entry))


def test_an_entry_of_another_kind_or_place_is_no_rotation():
    named = {"epoch": 1, "key": B.verify_key.vkey}
    for kind, seq in (("round", 3), ("rotate", 2)):
        entry = entry_bytes(run=RUN, seq=seq, kind=kind, body=named)
        with pytest.raises(LedgerError):
            parse_rotation(rotation_bytes(size=4, proof=(), entry=entry))
    with pytest.raises(LedgerError):
        parse_rotation(rotation_bytes(size=4, proof=(), entry=rotate_entry(B, 3))[:-1])


# --- no sequence of requests

ENTRIES = {(1, 3): rotate_entry(B, 3), (2, 4): rotate_entry(C, 4)}
TREES = [
    [*LEAVES],
    [*LEAVES[:3], leaf_hash(ENTRIES[1, 3]), *FORK[4:]],
    [*LEAVES[:4], leaf_hash(ENTRIES[2, 4]), *LEAVES[5:]],
    [*LEAVES[:6], *FORK[6:]],
]
SIZES = st.integers(0, 8)


def mostly_right(others):
    """None stands for what an honest log would send; two times in three it is that."""
    return st.one_of(st.none(), st.none(), others)


SUBMIT = st.tuples(
    st.sampled_from(TREES),  # the history shown
    SIZES,  # how much of it
    mostly_right(SIZES),  # the old size that is claimed
    mostly_right(st.sampled_from(TREES)),  # the history that the proof is taken from
    mostly_right(st.sampled_from([A, B, C])),  # the key that signs
)
ROTATE = st.sampled_from(sorted(ENTRIES))


@settings(max_examples=300)
@given(st.lists(st.one_of(SUBMIT, SUBMIT, ROTATE), min_size=8, max_size=20))
def test_no_sequence_of_requests_has_two_inconsistent_heads_cosigned(requests):
    """The log itself lies: it signs all four histories with every key it has or will have."""
    record, cosigned = None, []
    for request in requests:
        if len(request) == 2:
            tree, at = request
            record = rotate(record, TREES[tree], at + 1, ENTRIES[request]).record
            continue
        before, in_force = record, record.keys[-1] if record else A.verify_key
        remembered = record.checkpoint.size if record and record.checkpoint else 0
        shown, size, old, proven, key = request
        old = remembered if old is None else old
        key = key or next(k for k in (A, B, C) if k.verify_key == in_force)
        proof = consistency_proof((proven or shown)[:size], old) if 0 < old <= size else []
        decision = ask(
            record, shown, size, old=old, key=key, proof=tuple(proof), listed=(A.verify_key,)
        )
        record = decision.record
        if decision.answer.status == 200:
            cosigned.append((size, root_of(shown[:size])))
            assert key.verify_key == in_force
        else:
            assert record == before
    sizes = [size for size, _ in cosigned]
    assert sizes == sorted(sizes)
    for size, root in cosigned:
        assert any(
            root_of(tree[:size]) == root and root_of(tree[: sizes[-1]]) == cosigned[-1][1]
            for tree in TREES
        )
