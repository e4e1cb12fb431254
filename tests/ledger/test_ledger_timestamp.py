"""Time stamps by a throw-away authority, judged by us and by OpenSSL: they agree."""

import contextlib
import datetime as dt
import hashlib
import shutil
import sys

import pytest
from authority import GOLDEN, Authority, der, openssl
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from small_run import write

from institutional.ledger.errors import LedgerError, SignatureError
from institutional.ledger.note import parse_checkpoint, parse_note
from institutional.ledger.timestamp import check_timestamp, request, stamped_head

NOTE = (GOLDEN / "head").read_bytes()
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, SERVER])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def answer(authority):
    return authority.answer(request(NOTE))


def refused(note, answer, certificates):
    """The kind of refusal, and what it says."""
    with pytest.raises(LedgerError) as error:
        check_timestamp(note, answer, certificates)
    return type(error.value), str(error.value)


def test_a_stamp_of_2026_still_says_what_it_said():
    """The golden stamp: no clock and no network are asked."""
    stamp = check_timestamp(
        NOTE, (GOLDEN / "head.tsr").read_bytes(), (GOLDEN / "root.pem").read_bytes()
    )

    assert stamp.authority == "CN=Throw-away leaf"
    assert stamp.time.isoformat() == "2026-11-26T02:54:38+00:00"
    assert stamp.before - stamp.time == dt.timedelta(seconds=2)
    assert parse_checkpoint(parse_note(NOTE).text).size == 7


def test_a_request_is_what_openssl_would_ask(authority):
    (authority.folder / "note").write_bytes(NOTE)
    words = ["-data", "note", "-sha256", "-cert", "-no_nonce", "-out", "theirs.tsq"]
    openssl("ts", "-query", *words, cwd=authority.folder)

    assert request(NOTE) == (authority.folder / "theirs.tsq").read_bytes()


def test_we_and_openssl_take_the_same_stamp_and_read_the_same_time(authority, answer):
    said = openssl("ts", "-reply", "-in", "answer.tsr", "-text", cwd=authority.folder).stdout

    stamp = check_timestamp(NOTE, answer, authority.root)

    assert authority.openssl_accepts(NOTE, answer)
    assert (
        f"Time stamp: {stamp.time:%b} {stamp.time.day:>2} {stamp.time:%H:%M:%S %Y}" in said.decode()
    )
    now = dt.datetime.now(dt.UTC)
    assert abs(now - stamp.time) < dt.timedelta(minutes=5)


@pytest.mark.parametrize(
    ("accuracy", "milliseconds"),
    [("secs:1", 2000), ("secs:1, millisecs:500, microsecs:100", 2500.1), ("secs:3600", 3_601_000)],
)
def test_the_bound_includes_the_accuracy_and_the_fraction_that_is_not_read(
    authority, accuracy, milliseconds
):
    answer = authority.answer(request(NOTE), accuracy=accuracy)
    stamp = check_timestamp(NOTE, answer, authority.root)

    assert stamp.before - stamp.time == dt.timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("seconds", [86_401, 10**30])
def test_a_stamp_that_is_accurate_to_days_bounds_nothing(authority, seconds):
    size = (seconds.bit_length() + 8) // 8
    span = der(0x30, der(0x02, seconds.to_bytes(size, "big")))

    kind, says = refused(NOTE, authority.forge(NOTE, span=span), authority.root)

    assert (kind, "too vague" in says) == (LedgerError, True)


def test_a_stamp_on_another_head_is_refused_and_is_no_forgery(authority, answer):
    for other in (NOTE[:-1], NOTE + b"\n", b"", NOTE.replace(b"7", b"8")):
        assert refused(other, answer, authority.root)[0] is LedgerError
        assert not authority.openssl_accepts(other, answer)


@pytest.mark.parametrize(("digest", "taken"), [("sha384", True), ("sha512", True), ("sha1", False)])
def test_digests_other_than_ours_count_if_they_are_strong(authority, digest, taken):
    (authority.folder / "note").write_bytes(NOTE)
    words = ["-data", "note", f"-{digest}", "-cert", "-out", "other.tsq"]
    openssl("ts", "-query", *words, cwd=authority.folder)
    query = (authority.folder / "other.tsq").read_bytes()
    answer = authority.answer(query, digests="sha1, sha384, sha512")

    if taken:
        assert check_timestamp(NOTE, answer, authority.root).authority == "CN=Throw-away leaf"
    else:
        assert "other bytes" in refused(NOTE, answer, authority.root)[1]


def test_every_flipped_bit_is_refused_or_changes_nothing_that_is_said(authority, answer):
    """What no signature covers: two version numbers and one redundant algorithm, 10 bytes.

    OpenSSL takes these as well.
    """
    genuine = check_timestamp(NOTE, answer, authority.root)
    taken = {}
    for at in range(len(answer)):
        for bit in range(8):
            mutant = answer[:at] + bytes([answer[at] ^ 1 << bit]) + answer[at + 1 :]
            with contextlib.suppress(LedgerError):
                assert check_timestamp(NOTE, mutant, authority.root) == genuine
                taken[at] = mutant
    assert len(taken) <= 10
    assert all(authority.openssl_accepts(NOTE, mutant) for mutant in taken.values())


def test_openssl_too_refuses_another_digest_serial_number_or_time(authority, answer):
    start = answer.index(hashlib.sha256(NOTE).digest())
    assert answer[start + 32 :].startswith(b"\x02\x01")
    assert answer[start + 35 :].startswith(b"\x18\x0f20")
    for at in range(start, start + 52):
        mutant = answer[:at] + bytes([answer[at] ^ 1]) + answer[at + 1 :]
        assert not authority.openssl_accepts(NOTE, mutant)
        assert refused(NOTE, mutant, authority.root)


def test_every_cut_is_refused(authority, answer):
    for end in range(len(answer)):
        assert refused(NOTE, answer[:end], authority.root)[0] in (LedgerError, SignatureError)
    assert refused(NOTE, answer + b"\0", authority.root)[0] is LedgerError


def test_another_authority_of_the_same_names_is_refused(tmp_path, answer, authority):
    impostor = Authority(tmp_path / "impostor")

    kind, says = refused(NOTE, answer, impostor.root)

    assert (kind, "certificate verify error" in says) == (SignatureError, True)
    assert not impostor.openssl_accepts(NOTE, answer)
    assert refused(NOTE, impostor.answer(request(NOTE)), authority.root)[0] is SignatureError


def test_a_certificate_of_another_authority_planted_in_the_answer_helps_nobody(tmp_path, authority):
    """The hole of CVE-2025-52556 and of release 1.0.5: a good chain beside a bad signature."""
    impostor = Authority(tmp_path / "impostor")
    shutil.copy(authority.folder / "leaf.pem", impostor.folder / "theirs.pem")
    planted = impostor.forge(NOTE, extra=("-certfile", "theirs.pem"))
    assert check_timestamp(NOTE, planted, impostor.root).time.year == 2030

    assert refused(NOTE, planted, authority.root)[0] is SignatureError


def test_the_signature_of_one_stamp_does_not_carry_the_content_of_another(authority, answer):
    """Same certificate, valid chain, and a digest put in the place of the one that was signed."""
    other = NOTE + b"x"
    moved = answer.replace(request(NOTE)[24:56], request(other)[24:56])
    assert moved != answer

    assert refused(other, moved, authority.root)[0] is SignatureError
    assert not authority.openssl_accepts(other, moved)


@pytest.mark.parametrize(
    ("certificate", "says"),
    [
        ({"valid": (2020, 2029)}, "certificate has expired"),
        ({"valid": (2031, 2040)}, "certificate is not yet valid"),
        ({"usage": None}, "purpose"),
        ({"usage": x509.ExtendedKeyUsage([SERVER])}, "purpose"),
        ({"usage": BOTH}, "purpose"),
        ({"critical": False}, "purpose"),
    ],
)
def test_a_certificate_that_may_not_stamp_at_that_time_is_refused(authority, certificate, says):
    authority.add("bad", **certificate)

    kind, why = refused(NOTE, authority.forge(NOTE, signers=("bad",)), authority.root)

    assert (kind, says in why) == (SignatureError, True)


def test_a_root_that_was_not_valid_at_that_time_is_refused(tmp_path):
    early = Authority(tmp_path / "early", root=(2020, 2029))

    assert "expired" in refused(NOTE, early.forge(NOTE), early.root)[1]
    assert check_timestamp(NOTE, early.forge(NOTE, when="20280101000000Z"), early.root)


def test_a_given_stamping_certificate_excludes_others_of_the_same_root(authority, answer):
    other = authority.add("other")
    theirs = authority.answer(request(NOTE), signer="other")
    leaf = (authority.folder / "leaf.pem").read_bytes()

    assert check_timestamp(NOTE, theirs, authority.root).authority == "CN=Throw-away other"
    assert check_timestamp(NOTE, answer, authority.root + leaf)
    assert check_timestamp(NOTE, theirs, other + leaf + authority.root)
    assert "not by the one given" in refused(NOTE, theirs, authority.root + leaf)[1]


def test_a_planted_certificate_cannot_lend_its_name_to_the_signature_of_another(authority):
    """Same issuer and number as the one that signed, so the answer seems to be by it."""
    leaf = (authority.folder / "leaf.pem").read_bytes()
    number = x509.load_pem_x509_certificate(leaf).serial_number
    authority.add("famous", number=number)
    planted = authority.forge(NOTE, extra=("-nocerts", "-certfile", "famous.pem"))
    twice = authority.forge(NOTE, extra=("-certfile", "famous.pem"))

    assert refused(NOTE, planted, authority.root)[0] is SignatureError
    assert "not by the one given" in refused(NOTE, planted, authority.root + leaf)[1]
    assert refused(NOTE, twice, authority.root)[0] is SignatureError


def test_an_answer_with_two_signers_or_without_certificate_is_refused(authority):
    authority.add("second")

    assert refused(NOTE, authority.forge(NOTE, signers=("leaf", "second")), authority.root)
    assert refused(NOTE, authority.forge(NOTE, extra=("-nocerts",)), authority.root)


def test_an_authority_that_declines_is_quoted(authority):
    answer = authority.answer(request(NOTE), digests="sha512")

    kind, says = refused(NOTE, answer, authority.root)

    assert (kind, "granted no time stamp: status 2" in says) == (LedgerError, True)


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\n", b"x" * 2_000_000])
def test_certificates_that_are_none_are_refused(answer, junk):
    assert refused(NOTE, answer, junk)[0] is LedgerError


def test_certificates_without_a_root_say_what_is_missing(authority, answer):
    leaf = (authority.folder / "leaf.pem").read_bytes()

    assert "add the root certificate" in refused(NOTE, answer, leaf)[1]


@pytest.mark.parametrize("junk", [b"", b"0", b"\x30\x80", b"x" * 70_000, NOTE])
def test_what_is_no_answer_is_refused(authority, junk):
    assert refused(NOTE, junk, authority.root)[0] is LedgerError


@given(st.randoms(use_true_random=False))
def test_no_mutation_of_an_answer_is_more_than_refused(generator):
    """Bytes changed, cut out, put in and copied about; the parsers below raise many things."""
    root = (GOLDEN / "root.pem").read_bytes()
    data = bytearray((GOLDEN / "head.tsr").read_bytes())
    genuine = check_timestamp(NOTE, bytes(data), root)
    for _ in range(generator.randint(1, 3)):
        at, where = generator.randrange(len(data)), generator.randrange(len(data))
        length = generator.choice([0, 0, 1, generator.randrange(40)])
        data[at : at + length] = generator.choice(
            [bytes([generator.randrange(256)]), data[where : where + length], b""]
        )
    with contextlib.suppress(LedgerError):
        assert check_timestamp(NOTE, bytes(data), root) == genuine


def test_the_stamped_head_is_found_in_a_log_and_in_no_other(tmp_path, authority):
    heads = write(tmp_path / "run")
    answer = authority.answer(request(heads[1]))
    log = tmp_path / "run" / "ledger" / "log.wal"

    with log.open("rb") as file:
        assert stamped_head(file, answer) == heads[1]
    log.write_bytes(log.read_bytes()[: log.read_bytes().index(heads[1])])
    with log.open("rb") as file:
        assert stamped_head(file, answer) is None


def test_without_the_extra_there_is_one_message_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)

    with pytest.raises(LedgerError, match=r"pip install 'institutional\[timestamp\]'"):
        request(NOTE)
