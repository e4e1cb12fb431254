"""What those it governs may read of an institution: all that is public, and nothing that is not."""

from pathlib import Path

import pytest
from small_graph import YAML, small

from institutional.governance.loading import load_graph
from institutional.governance.wording import public_words

ROOT = Path(__file__).parents[2]
GRAPHS = sorted((ROOT / "governance_graphs").rglob("*.yaml"))
SHIPPED = [path for path in GRAPHS if path.parent.name != "tests"]
GOLDEN = ROOT / "tests/golden/words/cournot.txt"
FINED = (
    "fined: fined. case N1 -> out, if case N1 in 4 rounds running and 2 earlier fines; "
    "case N1 -> a fine, at most every 2 rounds; 1 credit -> probation, costs 1 credit, if calm."
)


def test_the_papers_institution_reads_as_it_did():
    """A change here changes the prompts of every governed run."""
    words = public_words(load_graph(ROOT / "governance_graphs/cournot.yaml"))

    assert words + "\n" == GOLDEN.read_text()
    assert len([word for word in words.split() if word[0].isalnum()]) <= 270


def test_every_number_and_turn_of_a_small_institution_is_there():
    assert public_words(small()).splitlines() == [
        "N1: everybody must not hold a high level, in two of three rounds.",
        "A case under N1: high.",
        "high: the level has been high (level > 5 in 2 of 3 rounds).",
        "calm: the level is low (level <= 2).",
        "Everyone starts active.",
        "active: in good standing. case N1 -> warned.",
        "warned: warned. case N1 -> fined, a fine; after 3 rounds -> active.",
        FINED,
        "out: suspended, may not act. after 2 rounds -> active.",
        "probation: on probation, capped at 50%. 1 clean round -> active.",
        "A fine: 50/100% of level, at least 3, rising with each.",
        "A credit: 2 clean rounds while fined; 2 at most; lapses after 4 rounds.",
        "6 clean rounds: fines start anew.",
        "A clean round is one without a case.",
        "A round in which anyone is suspended counts for nobody.",
    ]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_institution_has_words_without_its_secrets(path):
    loaded = load_graph(path)
    words = public_words(loaded)

    assert words == public_words(load_graph(path))
    for name in (*loaded.graph.states, *loaded.graph.norms):
        assert name in words
    for name, entry in loaded.graph.evidence.items():
        if entry.secret:
            assert name not in words
            assert entry.meaning not in words


def test_secret_evidence_is_named_nowhere_and_a_case_may_rest_on_it():
    secret = YAML.replace(b"has been high\n", b"has been high\n    secret: true\n").replace(
        b"breached_by: high", b"breached_by: {any: [high, {all: [calm, {not: high}]}, calm]}"
    )
    words = public_words(small(secret))

    assert "A case under N1: calm or evidence that is not published." in words
    assert "\nhigh:" not in words
    assert "level > 5" not in words


def test_evidence_that_rests_on_a_secret_is_secret():
    """`calm` would tell of `high` what its own words say of it."""
    secret = YAML.replace(b"has been high\n", b"has been high\n    secret: true\n").replace(
        b"when: {signal: level, at_most: 2}", b"when: {not: high}"
    )
    words = public_words(small(secret))

    assert "calm" not in words
    assert "costs 1 credit, if evidence that is not published" in words


def test_cases_by_lot_or_for_another_are_said_to_be_that():
    by_lot = public_words(small(YAML + b"detection: {by_lot: 0.2}\n"))
    wrong = public_words(small(YAML + b"detection: {attribution: next}\n"))

    assert "A case falls on an agent in a round by lot, with a chance of 0.2" in by_lot
    assert "high:" not in by_lot  # it makes no case and stands in no guard
    assert "calm:" in by_lot
    assert "What is found of an agent is held against the next one by seat." in wrong
