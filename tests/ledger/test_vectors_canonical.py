"""Our canonical JSON against the vectors of RFC 8785's author and the JSON parsing test suite."""

import hashlib
import itertools
import json
import math
import struct
from collections import Counter

import pytest
import rfc8785
import vectors

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError

DOCUMENTS = vectors.load("jcs/documents.json")
NUMBERS = vectors.load("jcs/numbers.json")
PARSING = {
    name: (text if isinstance(text, str) else text["repeat"] * text["times"] + text["then"]).encode(
        "latin-1"
    )
    for name, text in vectors.load("jsontestsuite/parsing.json").items()
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_spelt_as_its_vector_spells_it(name):
    source, spelt = DOCUMENTS[name]

    assert canonical.encode(json.loads(source)) == spelt.encode()
    assert canonical.decode(spelt.encode()) == json.loads(source)
    with pytest.raises(LedgerError):
        canonical.decode(source.encode())


def doubles():
    """Yield the numbers of the vectors: chosen ones, 2,000 near the smallest, then hash after hash.

    The sequence is defined in the README that the digests are from.
    """
    yield from (int(text, 16) for text in NUMBERS["first"])
    yield from range(0x0010000000000000, 0x0010000000000000 + 2000)
    block = bytes(32)
    while True:
        block = hashlib.sha256(block).digest()
        for bits in struct.unpack("<4Q", block):
            value = struct.unpack("<d", struct.pack("<Q", bits))[0]
            if value and math.isfinite(value):
                yield bits


def test_the_first_hundred_thousand_numbers_have_the_published_digests():
    digest, counts = hashlib.sha256(), {"1000", "10000", "100000"}
    for count, bits in enumerate(itertools.islice(doubles(), 100_000), start=1):
        value = struct.unpack("<d", struct.pack("<Q", bits))[0]
        digest.update(b"%x,%b\n" % (bits, canonical.encode(value)))
        if str(count) in counts:
            assert digest.hexdigest() == NUMBERS["sha256"][str(count)]
            counts.remove(str(count))
    assert not counts


def named(prefix):
    """Parametrise over the documents of one kind: y_ must, i_ may and n_ must not be accepted."""
    return pytest.mark.parametrize("name", [name for name in PARSING if name.startswith(prefix)])


@named("n_")
def test_what_is_not_json_is_refused(name):
    with pytest.raises(LedgerError):
        canonical.decode(PARSING[name])


@named("y_")
def test_json_is_read_in_its_canonical_spelling_and_in_no_other(name):
    """The reference encoder says what that spelling is."""
    data, value = PARSING[name], json.loads(PARSING[name])
    spelt = rfc8785.dumps(value)

    assert canonical.encode(value) == spelt
    assert canonical.decode(spelt) == value
    if data != spelt:
        with pytest.raises(LedgerError):
            canonical.decode(data)


@named("i_")
def test_what_parsers_disagree_about_is_refused(name):
    """Lone surrogates, byte order marks, other encodings, overlong UTF-8, too large numbers."""
    with pytest.raises(LedgerError):
        canonical.decode(PARSING[name])


def test_all_documents_were_collected():
    canonically = [name for name, data in PARSING.items() if spelt_canonically(data)]

    assert Counter(name[0] for name in PARSING) == {"y": 95, "n": 188, "i": 35}
    assert Counter(name[0] for name in canonically) == {"y": 42}


def spelt_canonically(data):
    try:
        canonical.decode(data)
    except LedgerError:
        return False
    return True
