import hashlib
import json

import pytest
from small_run import KEY, OPERATOR, RUN, declare

from institutional.ledger import canonical
from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.manifest import (
    pae,
    parse_envelope,
    parse_statement,
    read_manifest,
    verify_manifest,
)
from institutional.ledger.note import SigningKey


def manifest(folder):
    declare(folder)
    return folder / "manifest.dsse.json"


def test_the_signed_bytes_are_those_of_the_dsse_specification():
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_manifest_says_what_was_declared(tmp_path):
    payload, found = read_manifest(manifest(tmp_path))

    assert (found.run, found.origin, found.key) == (RUN, KEY.name, KEY.verify_key)
    assert found.config == {"seed": 1}
    assert found.subjects["config"] == hashlib.sha256(b'{"seed":1}').hexdigest()
    assert found.plan == hashlib.sha256(b"plan").hexdigest()
    assert json.loads(payload)["_type"] == "https://in-toto.io/Statement/v1"


def test_only_the_operators_key_verifies_a_manifest(tmp_path):
    envelope = parse_envelope(manifest(tmp_path).read_bytes())

    assert verify_manifest(envelope, OPERATOR.verify_key).run == RUN
    with pytest.raises(UnknownKeyError):
        verify_manifest(envelope, KEY.verify_key)
    with pytest.raises(SignatureError):
        verify_manifest(envelope._replace(payload=envelope.payload + b" "), OPERATOR.verify_key)


def test_writing_the_same_manifest_again_changes_nothing_and_another_is_refused(tmp_path):
    before = manifest(tmp_path).read_bytes()
    declare(tmp_path)
    assert (tmp_path / "manifest.dsse.json").read_bytes() == before

    with pytest.raises(LedgerError, match="other inputs"):
        declare(tmp_path, seed=2)
    with pytest.raises(LedgerError, match="other inputs"):
        declare(tmp_path, operator=SigningKey("someone/else", b"\x08" * 32))
    assert (tmp_path / "manifest.dsse.json").read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"predicate": {}},
        {"subject": []},
        {"subject": [{"name": "config", "digest": {"sha256": "00"}}]},
        {"subject": [{"name": "config", "digest": {"sha256": "0" * 64}}]},
        {"subject": "config"},
        {"more": 1},
    ],
)
def test_a_statement_of_another_shape_is_refused(tmp_path, change):
    payload, _ = read_manifest(manifest(tmp_path))

    with pytest.raises(LedgerError):
        parse_statement(canonical.encode(json.loads(payload) | change))


@pytest.mark.parametrize(
    "change",
    [
        {"run": "a b"},
        {"run": "a\x1b[2J"},
        {"origin": "institutional.dev/run/other"},
        {"key": "x"},
        {"plan": "x"},
        {"plan": 1},
        {"packages": {"a": 1}},
        {"config": []},
        {"config": {"seed": 2}},
    ],
)
def test_a_predicate_that_does_not_fit_is_refused(tmp_path, change):
    value = json.loads(read_manifest(manifest(tmp_path))[0])
    value["predicate"] |= change

    with pytest.raises(LedgerError):
        parse_statement(canonical.encode(value))


@pytest.mark.parametrize("field", ["_type", "predicateType"])
def test_a_later_version_is_unknown_rather_than_broken(tmp_path, field):
    value = json.loads(read_manifest(manifest(tmp_path))[0])

    with pytest.raises(UnknownVersionError):
        parse_statement(canonical.encode(value | {field: value[field] + "2"}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b"[]\n",
        b'{"payload":"","payloadType":"x","signatures":[]}\n',
        b'{"payload":"","payloadType":"x","signatures":[{"keyid":"","sig":""}]}',
        b'{"payload":"A","payloadType":"x","signatures":[{"keyid":"","sig":""}]}\n',
    ],
)
def test_a_malformed_envelope_is_refused(data):
    with pytest.raises(LedgerError):
        parse_envelope(data)


def test_a_missing_manifest_is_one_clear_message(tmp_path):
    with pytest.raises(LedgerError, match="cannot be read"):
        read_manifest(tmp_path / "manifest.dsse.json")
