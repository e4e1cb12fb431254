"""Every parser returns what is spelt by the very bytes it was given, or raises LedgerError.

What `make fuzz` found worth keeping is tried again here; new inputs are drawn for a few seconds.
"""

import base64

import pytest
from fuzz_targets import TARGETS, accepts, spoil
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import FOLDER

CORPUS = FOLDER.parent / "fuzz"
EVERY_TARGET = pytest.mark.parametrize("name", TARGETS)


def kept(name):
    """Return the inputs in one file of the corpus: a line of base64 each."""
    return [base64.b64decode(line) for line in (CORPUS / name).read_text().splitlines()]


@EVERY_TARGET
def test_the_seeds_are_accepted(name):
    assert all(accepts(TARGETS[name], seed) for seed in TARGETS[name].seeds)


@EVERY_TARGET
def test_the_kept_corpus_is_echoed_or_refused(name):
    inputs = kept(name)
    accepted = sum(accepts(TARGETS[name], data) for data in inputs)

    assert 0 < accepted < len(inputs)


@EVERY_TARGET
def test_spoilt_inputs_are_echoed_or_refused(name):
    target = TARGETS[name]

    @settings(max_examples=600)
    @given(st.randoms(use_true_random=False))
    def try_one(random):
        accepts(target, spoil(target, target.seeds, random))

    try_one()


@EVERY_TARGET
def test_arbitrary_bytes_are_echoed_or_refused(name):
    @settings(max_examples=300)
    @given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
    def try_one(data):
        accepts(TARGETS[name], data)

    try_one()


def test_a_parser_that_forgives_is_found():
    """Were a sign before a size forgiven, the first input that has one would say so."""
    lenient = TARGETS["checkpoint"]._replace(echo=lambda data: data.replace(b"\n+", b"\n"))

    with pytest.raises(AssertionError, match="is read like"):
        accepts(lenient, b"log\n+1\nAAAA\n")
