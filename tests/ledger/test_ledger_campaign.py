"""A sample of `mutations.py`: a real run attacked in every way, and refused every time."""

import json

import pytest
from mutations import ATTACKS, EXAMPLE, TRUST, accepted, outcomes

from institutional.ledger.audit import audit
from institutional.ledger.manifest import parse_envelope
from institutional.ledger.note import parse_vkey
from institutional.ledger.trust import parse_trust
from institutional.ledger.verdict import Word
from institutional.selftest.attacks import roll_backs
from institutional.selftest.forging import CHECKPOINT, LOG, MANIFEST, records_of, stranger
from institutional.selftest.trial import Trial

NAMES = [attack.name for attack in ATTACKS]


@pytest.mark.parametrize("name", NAMES)
def test_every_attack_on_a_real_run_is_refused_with_a_verdict(name):
    seen = list(outcomes(name, spread=25))

    assert seen
    assert [outcome for outcome in seen if accepted(outcome)] == []
    assert all(outcome.caught_by for outcome in seen)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("flip", "heads"),
        ("drop", "heads"),
        ("duplicate", "heads"),
        ("swap", "heads"),
        ("splice", "heads"),
        ("respell", "entries"),
        ("old-head", "checkpoint-file"),
        ("re-sign", "heads"),
        ("low-order", "manifest-signature"),
        ("other-run", "manifest-signature"),
        ("other-graph", "graph"),
        ("roll-back", "remembered-head"),
    ],
)
def test_an_attack_is_caught_by_the_check_that_is_made_for_it(name, check):
    """And not only by accident, such as a later line that no longer parses."""
    assert check in {by for outcome in outcomes(name, spread=12) for by in outcome.caught_by}


def test_every_respelt_entry_is_named_by_its_number():
    for outcome in outcomes("respell", spread=5):
        assert {"entries", "heads"} <= set(outcome.caught_by), outcome


def test_a_roll_back_is_proven_by_a_remembered_head_and_by_nothing_else():
    """Alone the rolled back run only lacks its closing entry: nobody is accused."""
    for outcome in outcomes("roll-back", spread=5):
        assert (outcome.anchored, outcome.alone) == (Word.DIVERGED, Word.INCOMPLETE)


@pytest.fixture
def trial(tmp_path):
    return Trial(EXAMPLE, tmp_path / "run", trust=TRUST)


def test_attacks_are_named_once_and_the_same_files_give_the_same_mutants(trial):
    files = trial.files

    assert len(set(NAMES)) == len(NAMES)
    for attack in ATTACKS:
        assert list(attack.mutants(files, 3)) == list(attack.mutants(files, 3))
        changed = [{n: files.get(n) for n in m.files} != m.files for m in attack.mutants(files, 3)]
        assert all(changed), attack.name


def test_a_strangers_run_is_sound_under_the_strangers_key(trial):
    """So that what refuses it is the key, and no clumsiness of the forger."""
    theirs = stranger(trial.files)
    for name, data in theirs.items():
        (trial.folder / name).write_bytes(data)
    key = json.loads(parse_envelope(theirs[MANIFEST]).payload)["predicate"]["key"]

    assert parse_trust(key).keys == (parse_vkey(key),)
    assert audit(trial.folder, key, theirs[CHECKPOINT].decode()).word == Word.VERIFIED
    assert audit(trial.folder, TRUST).word == Word.CANNOT_DECIDE


def test_every_verdict_on_an_attacked_run_can_be_told(trial):
    """As text and as JSON, whatever was found."""
    for attack in ATTACKS:
        for mutant in attack.mutants(trial.files, 3):
            for name, data in mutant.files.items():
                if data is None:
                    (trial.folder / name).unlink(missing_ok=True)
                else:
                    (trial.folder / name).write_bytes(data)
            verdict = trial.audited(trial.head)
            assert json.loads(json.dumps(verdict.as_json()))["exit_code"] == verdict.exit_code
            assert str(verdict.word) in str(verdict)
            for name, data in trial.files.items():
                (trial.folder / name).write_bytes(data)


def test_a_run_is_left_as_it_was_by_the_attacks_on_its_copy(trial):
    before = (EXAMPLE / LOG).read_bytes()
    for attack in ATTACKS:
        trial.judge(next(attack.mutants(trial.files, 2)))

    assert trial.audited(trial.head).word == Word.VERIFIED
    assert (EXAMPLE / LOG).read_bytes() == before
    assert b"".join(records_of(before)) == before
    assert len(list(roll_backs(trial.files, 3))) == 6
