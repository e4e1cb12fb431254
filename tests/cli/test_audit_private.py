"""Private values and time stamps as a person meets them on the command line."""

import json
import shutil

import pytest
from plant import ROOT, what_examples_name
from test_commands import institutional

RUN = "runs/example/institutional-divider_forgiving-0000"
STAMPED = ("audit", "timestamp", "verify")


@pytest.fixture
def place(tmp_path):
    what_examples_name(tmp_path)
    shutil.copytree(ROOT / RUN, tmp_path / RUN)
    return tmp_path


def told(place, *words, code=0):
    """What a command prints, on either stream; it ends with `code` and without a traceback."""
    done = institutional(*words, cwd=place, home=place / "home")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_redacting_asks_for_yes_and_erases_nothing_without_it(place):
    said = told(place, "audit", "redact", "runs/private", "1", "--reason", "asked", code=2)

    assert "give --yes" in said
    told(place, "audit", "disclose", "runs/private", "1", "--out", "said.json")


def test_after_redacting_the_audit_says_the_same_and_the_value_is_gone(place):
    verify = ("audit", "verify", "runs/private", "--key", "home/operator.pub", "--json")
    before = told(place, *verify, code=3)

    said = told(place, "audit", "redact", "runs/private", "1", "--reason", "asked", "--yes")

    assert "redacted  entry 1 at '/said/firm.1': 'asked'" in said
    after = told(place, *verify, code=3)
    assert "1 redacted" in after
    assert "redacted" not in before
    said = told(place, "audit", "disclose", "runs/private", "1", "--out", "said.json", code=2)
    assert "redacted or withheld" in said


def test_only_the_operator_of_a_run_can_redact_it(place):
    shutil.rmtree(place / "home")
    redact = ("audit", "redact", "runs/private", "1", "--reason", "asked", "--yes")
    assert "there is no operator's key" in told(place, *redact, code=2)

    what_examples_name(place / "other")
    shutil.copytree(place / "other" / "home", place / "home")
    assert "only the operator who signed a run can redact it" in told(place, *redact, code=2)


def test_what_was_handed_over_is_checked_against_a_log_without_private_values(place):
    told(place, "audit", "disclose", "runs/private", "1", "--out", "said.json")
    shutil.rmtree(place / "runs/private/private")
    check = ("audit", "check-disclosure", "said.json", "runs/private")

    assert '"I hold prices up."' in told(place, *check)

    item = json.loads((place / "said.json").read_bytes())
    text = json.dumps(item | {"value": "No."}, separators=(",", ":"), sort_keys=True)
    (place / "said.json").write_text(text + "\n")
    assert "committed to another value" in told(place, *check, code=1)


def test_an_entry_without_the_value_asked_for_names_those_it_has(place):
    disclose = ("audit", "disclose", "runs/private", "1", "--out", "said.json")

    assert "'/said/firm.1'" in told(place, *disclose, "--path", "/said/firm.2", code=2)
    assert not (place / "said.json").exists()


def test_a_stamp_says_before_when_a_head_existed_and_is_kept_if_asked(place):
    said = told(place, *STAMPED, RUN, "head.tsr", "--authority", "authority.pem", "--keep")

    assert "entries existed before 20" in said
    assert "by 'CN=Throw-away leaf'" in said
    (kept,) = (place / RUN / "timestamps").iterdir()
    assert kept.read_bytes() == (place / "head.tsr").read_bytes()


def test_a_stamp_that_proves_nothing_is_a_finding(place):
    what_examples_name(place / "other")
    said = told(place, *STAMPED, RUN, "head.tsr", "--authority", "other/authority.pem", code=1)
    assert "does not hold" in said
    assert not (place / RUN / "timestamps").exists()

    log = place / RUN / "ledger/log.wal"
    log.write_bytes(log.read_bytes()[:-10])
    said = told(place, *STAMPED, RUN, "head.tsr", "--authority", "authority.pem", code=1)
    assert "stamps no head of this log" in said


def test_an_authority_from_inside_the_run_is_refused(place):
    shutil.copy(place / "authority.pem", place / RUN)
    said = told(place, *STAMPED, RUN, "head.tsr", "--authority", f"{RUN}/authority.pem", code=2)

    assert "lies inside the run" in said


def test_a_missing_file_is_one_message(place):
    authority = ("--authority", "authority.pem")

    assert "cannot be read" in told(place, *STAMPED, RUN, "nowhere.tsr", *authority, code=2)
    assert "cannot be read" in told(
        place, "audit", "check-disclosure", "nowhere.json", "runs/private", code=2
    )
    nowhere = ("audit", "timestamp", "request", "nowhere", "--out", "head.tsq")
    assert "cannot be read" in told(place, *nowhere, code=2)
