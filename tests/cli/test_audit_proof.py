"""Publishing, proving and checking as a person does it, with files and exit codes."""

import json
import shutil

import pytest
from test_commands import KEY, ROOT, RUN, institutional

PROOF = "runs/keys/example.tlog-proof"
FINE = 8


@pytest.fixture
def place(tmp_path):
    for folder in ("runs/example", "runs/keys"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def run(place, *arguments):
    done = institutional("audit", *arguments, cwd=place)
    assert "Traceback" not in done.stderr
    return done


def test_the_shipped_proof_is_the_one_that_the_example_gives(place):
    done = run(place, "prove", RUN, str(FINE), "--out", "again")

    assert done.returncode == 0
    assert (place / "again").read_bytes() == (place / PROOF).read_bytes()


def test_a_proof_is_named_after_its_run_and_entry(place):
    run(place, "prove", RUN, str(FINE))

    assert (place / "institutional-divider_forgiving-0000-8.tlog-proof").is_file()


def test_a_stranger_with_the_proof_and_the_key_sees_the_fine(place):
    shutil.rmtree(place / "runs/example")

    done = run(place, "check-proof", PROOF, "--key", KEY)

    assert done.returncode == 3
    assert "verdict       UNANCHORED" in done.stdout
    assert 'entry         8, ruling: {"cases": [{"agent": "firm_1"' in done.stdout
    assert '"fine": 638.47' in done.stdout
    assert len(done.stdout.splitlines()) < 24


def test_a_remembered_head_makes_it_verified(place):
    head = f"{RUN}/ledger/checkpoint"
    done = run(place, "check-proof", PROOF, "--key", KEY, "--head", head, "--json")

    found = json.loads(done.stdout)
    assert done.returncode == found["exit_code"] == 0
    assert found["entry"]["seq"] == FINE
    assert found["entry"]["body"]["moves"][0]["edge"] == "fine"


def test_an_altered_fine_is_refused(place):
    run(place, "prove", RUN, str(FINE), "--bare", "--out", "p", "--entry", "e")
    own = ["check-proof", "p", "--key", "own", "--entry", "e"]
    run(place, "publish", RUN, "out")
    shutil.copy(place / "out/keys", place / "own")
    assert run(place, *own).returncode == 3
    entry = (place / "e").read_bytes()
    (place / "e").write_bytes(entry.replace(b"638.47", b"938.47"))

    done = run(place, *own)

    assert done.returncode == 1
    assert "these bytes are not entry 8 of the 42 signed" in done.stdout


def test_a_published_log_gives_the_same_proof(place):
    assert run(place, "publish", RUN, "out").returncode == 0
    run(place, "prove", "out", str(FINE), "--out", "p")

    assert (place / "p").read_bytes() == (place / PROOF).read_bytes()


def test_publishing_twice_says_that_nothing_is_new(place):
    first = json.loads(run(place, "publish", RUN, "out", "--json").stdout)
    again = run(place, "publish", RUN, "out")

    assert (first["size"], first["earlier"], first["written"]) == (42, 0, 5)
    assert "new       0 entries since the last publication, 0 files written" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check-proof", PROOF], "--key or --policy"),
        (["check-proof", PROOF, "--key", KEY, "--policy", KEY], "--key or --policy"),
        (["check-proof", PROOF, "--key", "nowhere"], "nowhere: cannot be read"),
        (["check-proof", "nowhere", "--key", KEY], "nowhere: cannot be read"),
        (["check-proof", PROOF, "--key", KEY, "--entry", "nowhere"], "nowhere: cannot be read"),
        (["prove", RUN, "42"], "no entry 42; there are entries 0 to 41"),
        (["prove", "runs", "0"], "runs: no proof can be made"),
        (["prove", RUN, "0", "--out", "nowhere/p"], "nowhere/p: cannot be written"),
        (["publish", "runs", "out"], "runs: not a run that can be read"),
        (["publish", RUN, "runs"], "runs: holds something else"),
        (["publish", RUN, KEY], "example.pub: the publication stopped"),
    ],
)
def test_a_mistake_is_one_message(place, arguments, says):
    done = run(place, *arguments)

    assert done.returncode == 2
    assert says in done.stderr
