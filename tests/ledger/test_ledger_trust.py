import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_run import KEY, OPERATOR, TRUST
from small_witness import ml_dsa_line

from institutional.ledger.cosignature import ED25519, cosign, witness_key
from institutional.ledger.errors import LedgerError
from institutional.ledger.note import (
    Checkpoint,
    Note,
    SigningKey,
    checkpoint_text,
    key_id,
    note_bytes,
    parse_note,
    sign_note,
    to_base64,
)
from institutional.ledger.trust import Group, Seen, Trust, check_quorum, parse_trust

SIGNERS = {
    name: SigningKey(f"{name.lower()}.example", bytes([n + 1]) * 32)
    for n, name in enumerate(["X1", "X2", "X3", "Y1", "Y2"])
}
VKEYS = [witness_key(key).vkey for key in SIGNERS.values()]
TEXT = checkpoint_text(Checkpoint("log.example", 3, b"\x05" * 32))
LOG = SigningKey("log.example", b"\x21" * 32)
NESTED = f"log {LOG.verify_key.vkey}\n" + "".join(
    f"witness {name} {witness_key(key).vkey}\n" for name, key in SIGNERS.items()
)
NESTED += "group X 2 X1 X2 X3\ngroup Y any Y1 Y2\ngroup X-and-Y all X Y\nquorum X-and-Y\n"


def head(*names, time_s=1_700_000_000):
    """The log's head with the lines of these witnesses."""
    log = parse_note(sign_note(TEXT, LOG)).signatures
    lines = tuple(cosign(TEXT, SIGNERS[name], time_s=time_s) for name in names)
    return note_bytes(Note(TEXT, log + lines))


def test_a_lone_key_is_trusted_without_witnesses():
    assert parse_trust(TRUST + "\n") == Trust((OPERATOR.verify_key,), "none")


def test_the_nested_quorum_of_the_specification_is_understood():
    trusted = parse_trust(
        f"# policy\nlog {KEY.verify_key.vkey} https://log.example\n\n"
        f"witness X1 {VKEYS[0]}\n\twitness X2 {VKEYS[1]}\t\nwitness Y {VKEYS[3]} https://y.example\n"
        "group X 2 X1 X2\ngroup X-and-Y all X Y\nquorum X-and-Y\n"
    )

    assert trusted[:2] == ((KEY.verify_key,), "X-and-Y")
    assert [(w.name, w.key.vkey) for w in trusted.witnesses] == [
        ("X1", VKEYS[0]),
        ("X2", VKEYS[1]),
        ("Y", VKEYS[3]),
    ]
    assert trusted.groups == (Group("X", 2, ("X1", "X2")), Group("X-and-Y", 2, ("X", "Y")))


MET = {
    frozenset(x) | frozenset(y)
    for x in [("X1", "X2"), ("X1", "X3"), ("X2", "X3"), ("X1", "X2", "X3")]
    for y in [("Y1",), ("Y2",), ("Y1", "Y2")]
}
"""Two of the three X and one of the two Y: 4 x 3 of the 32 sets of witnesses."""


def test_the_nested_quorum_is_met_by_exactly_the_sets_that_meet_it_by_hand():
    trust = parse_trust(NESTED)
    for count in range(len(SIGNERS) + 1):
        for names in itertools.combinations(SIGNERS, count):
            found = check_quorum(trust, head(*names))

            assert found.met == (frozenset(names) in MET), names
            assert [s.witness for s in found.sightings if s.seen == Seen.COSIGNED] == list(names)


def test_what_is_missing_is_said_on_every_level():
    found = check_quorum(parse_trust(NESTED), head("X1"))

    assert found.reason == (
        "quorum 'X-and-Y' is not met: 'X-and-Y' has 0 of the 2 it needs (not X, Y); "
        "'X' has 1 of the 2 it needs (not X2, X3); 'Y' has 0 of the 1 it needs (not Y1, Y2)"
    )


def test_a_met_quorum_says_who_and_when():
    policy = NESTED.replace("quorum X-and-Y", "quorum X1")

    found = check_quorum(parse_trust(policy), head("X1"))

    assert found.reason == "quorum 'X1' met: cosigned by X1 (2023-11-14 22:13:20 UTC)"
    assert found.sightings[0].time_s == 1_700_000_000
    assert found.checkpoint == Checkpoint("log.example", 3, b"\x05" * 32)
    missed = check_quorum(parse_trust(policy), head("X2"))
    assert not missed.met
    assert missed.reason.endswith("that witness has not cosigned this head")


@pytest.mark.parametrize(
    ("count", "cosigned", "met"),
    [
        ("any", 0, False),
        ("any", 1, True),
        ("1", 1, True),
        ("2", 1, False),
        ("2", 2, True),
        ("5", 4, False),
        ("5", 5, True),
        ("all", 4, False),
        ("all", 5, True),
    ],
)
def test_any_all_and_a_number_count_alike(count, cosigned, met):
    names = list(SIGNERS)
    policy = "".join(NESTED.splitlines(keepends=True)[:6])
    policy += f"group G {count} {' '.join(names)}\nquorum G\n"

    assert check_quorum(parse_trust(policy), head(*names[:cosigned])).met == met


def test_no_quorum_is_always_met_and_lines_are_reported_all_the_same():
    policy = NESTED.replace("quorum X-and-Y", "quorum none")

    found = check_quorum(parse_trust(policy), head("Y2"))

    assert found.met
    assert [s.seen for s in found.sightings] == ["absent"] * 4 + ["cosigned"]


@pytest.mark.parametrize("quorum", ["X-and-Y", "none", "X1"])
def test_one_false_line_of_a_known_witness_makes_the_whole_note_false(quorum):
    """c2sp.org/signed-note: if a signature from a known key fails, reject the whole note."""
    whole = parse_note(head(*SIGNERS))
    lines = list(whole.signatures)
    lines[-1] = lines[-1]._replace(signature=lines[-1].signature[:8] + bytes(64))

    trust = parse_trust(NESTED.replace("quorum X-and-Y", f"quorum {quorum}"))
    found = check_quorum(trust, note_bytes(whole._replace(signatures=tuple(lines))))

    assert not found.met
    assert found.sightings[-1].seen == Seen.FALSE
    assert found.reason.startswith("witness 'Y2': the cosignature is not by y2.example")


def test_lines_of_unknown_witnesses_count_for_nothing():
    trust = parse_trust(f"log {LOG.verify_key.vkey}\nwitness W {VKEYS[0]}\nquorum W\n")
    renamed = SigningKey("x9.example", SIGNERS["X1"].seed)
    line = cosign(TEXT, renamed, time_s=1)

    assert not check_quorum(trust, note_bytes(Note(TEXT, (line,)))).met


def test_a_witness_with_an_ml_dsa_key_counts_as_well():
    key, line = ml_dsa_line(TEXT, time_s=1_700_000_000)
    trust = parse_trust(f"log {LOG.verify_key.vkey}\nwitness P {key.vkey}\nquorum P\n")

    assert check_quorum(trust, note_bytes(Note(TEXT, (line,)))).met


def test_a_name_in_a_policy_is_any_word():
    trust = parse_trust(f"log {TRUST}\nwitness Zürich+1 {VKEYS[0]}\nquorum Zürich+1\n")

    assert trust.witnesses[0].name == "Zürich+1"


def typed(kind, public, name="w.example"):
    return f"{name}+{key_id(name, kind + public).hex()}+{to_base64(kind + public)}"


W, V = VKEYS[0], VKEYS[1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "quorum none",
        W,
        f"log {TRUST}",
        f"log {TRUST}\nlog {TRUST}\nquorum none",
        f"log {TRUST}\nquorum none\nquorum none",
        f"log {TRUST}\nquorum W",
        f"log {TRUST} url more\nquorum none",
        f"log {W}\nquorum none",
        f"log {TRUST}\nwitness W {OPERATOR.verify_key.vkey}\nquorum none",
        f"log {TRUST}\nwitness W {typed(ED25519, OPERATOR.verify_key.public)}\nquorum W",
        f"log {TRUST}\nwitness W {SIGNERS['X1'].verify_key.vkey}\nquorum W",
        f"log {TRUST}\nwitness W {typed(ED25519, bytes(32))}\nquorum W",
        f"log {TRUST}\nwitness none {W}\nquorum none",
        f"log {TRUST}\nwitness W {W}\nwitness W {V}\nquorum W",
        f"log {TRUST}\nwitness W {W}\nwitness V {W}\nquorum W",
        f"log {TRUST}\nwitness W {W} https://x1.example more\nquorum W",
        f"log {TRUST}\nwitness {W}\nquorum none",
        f"log {TRUST}\nwitness W {W}\nquorum V",
        f"log {TRUST}\nquorum W\nwitness W {W}",
        f"log {TRUST}\nwitness W {W}\ngroup G any W W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G 2 W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G 0 W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G 01 W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G +1 W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G ١ W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G some W\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G any\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup W any W\nquorum W",
        f"log {TRUST}\nwitness W {W}\ngroup G any none\nquorum G",
        f"log {TRUST}\nwitness W {W}\nwitness V {V}\ngroup G any W\ngroup H any W V\nquorum H",
        f"log {TRUST}\ngroup G any G\nquorum G",
        f"log {TRUST}\nwitness W {W}\ngroup G any H\ngroup H any W\nquorum G",
        f"log {TRUST}\nunknown line\nquorum none",
        f"log {TRUST}\rquorum none",
        f"log {TRUST}\n# a comment with a \x7f\nquorum none",
        f"log {TRUST}\n" + "#\n" * 40_000 + "quorum none",
    ],
)
def test_a_malformed_policy_is_refused(text):
    with pytest.raises(LedgerError):
        parse_trust(text)


@pytest.mark.parametrize("data", [b"", b"x", sign_note("no checkpoint\n", LOG), b"\xff\n\n\n"])
def test_what_is_no_checkpoint_has_no_quorum(data):
    with pytest.raises(LedgerError):
        check_quorum(parse_trust(NESTED), data)


@given(st.text(max_size=80))
def test_any_text_is_a_policy_or_the_one_error(text):
    with pytest.raises(LedgerError):
        parse_trust(text)
