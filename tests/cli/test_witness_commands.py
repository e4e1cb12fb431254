"""Witnesses at the command line: served, asked over HTTP and by files, and made to find a fork."""

import json
import signal
import subprocess
import sys

import pytest
from small_run import KEY, OPERATOR, ORIGIN, write
from test_commands import institutional

from institutional.ledger.note import SigningKey
from institutional.ledger.witness import memory
from institutional.ledger.witness.client import submit
from institutional.ledger.witness.service import Witness

PROGRAM = [sys.executable, "-m", "institutional.cli.main", "audit", "witness"]


def witness(*arguments, cwd):
    return institutional("audit", "witness", *arguments, cwd=cwd)


def lay_out(folder):
    """A run, a fork of it with the same name, key and size, and two witnesses."""
    write(folder / "run")
    write(folder / "fork", seed=2)
    (folder / "operator.pub").write_text(OPERATOR.verify_key.vkey + "\n")
    (folder / "log.pub").write_text(KEY.verify_key.vkey + "\n")
    for name in ("one", "two"):
        memory.create(folder / name, name=f"{name}.example", listed=[OPERATOR.verify_key])
    return folder


@pytest.fixture
def place(tmp_path):
    return lay_out(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """For commands that must change nothing."""
    return lay_out(tmp_path_factory.mktemp("untouched"))


def by_files(place, run, name):
    """Submit, answer, submit: what the last two said."""
    ask = ("submit", run, "--to", "post", "--witness-key", f"{name}/witness.pub")
    assert witness(*ask, cwd=place).returncode == 3
    answered = witness("answer", name, "post", cwd=place)
    return witness(*ask, cwd=place), answered


def shown(place, run, name):
    """The same, without the command line."""
    keeper = Witness(place / name)
    assert submit(place / run, keeper.key, lambda asked: keeper.answer(asked.body)).size


class Served:
    """A witness in a process of its own, at a port of the machine's choice."""

    def __init__(self, place, name):
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", name, "--json"], cwd=place, stdout=subprocess.PIPE, text=True
        )
        lines = [self.process.stdout.readline() for _ in range(4)]
        self.url = json.loads("".join(lines))["url"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_witness_serves_until_it_is_interrupted_and_then_ends_well(place, number):
    with Served(place, "one") as served:
        done = witness(
            "submit", "run", "--to", served.url, "--witness-key", "one/witness.pub", cwd=place
        )
        assert done.returncode == 0, done.stderr
        assert "7 entries cosigned by one.example at 20" in done.stdout
        served.process.send_signal(number)
        assert served.process.wait(timeout=20) == 0
    assert (place / "run/ledger/cosigned").read_text().count("—") == 2


def test_a_fork_shown_to_one_witness_exits_1_and_both_heads_verify_for_anyone(place):
    done, answered = by_files(place, "run", "one")
    assert (done.returncode, answered.returncode) == (0, 0)

    waiting, answered = by_files(place, "fork", "one")

    assert answered.returncode == 1
    conflict = answered.stdout.split("conflict: ")[1].split("\n")[0]
    assert waiting.returncode == 3  # the witness only told its size; with a proof from there:
    witness("answer", "one", "post", cwd=place)
    done = witness("submit", "fork", "--to", "post", "--witness-key", "one/witness.pub", cwd=place)
    assert done.returncode == 1
    assert done.stdout.startswith("diverged: the witness has cosigned another history")
    shown = witness("show", "one", cwd=place)
    assert (shown.returncode, conflict in shown.stdout) == (1, True)
    compared = witness(
        "compare", f"{conflict}/remembered", f"{conflict}/submitted", "--key", "log.pub", cwd=place
    )
    assert compared.returncode == 1
    assert compared.stdout.startswith(f"fork       {ORIGIN}: two roots for 7 entries")


def test_a_fork_shown_to_two_witnesses_is_found_by_comparing_them(place):
    shown(place, "run", "one")
    shown(place, "fork", "two")

    compared = witness("compare", "one", "two", "--json", cwd=place)

    assert compared.returncode == 1
    (found,) = json.loads(compared.stdout)
    assert (found["log"], found["verdict"]) == (ORIGIN, "fork")


def test_heads_of_two_sizes_need_the_log(place):
    write(place / "short", rounds=2, close=False)
    shown(place, "run", "one")
    shown(place, "short", "two")

    assert witness("compare", "one", "two", cwd=place).returncode == 2
    assert witness("compare", "one", "two", "--run", "run", cwd=place).returncode == 0
    forked = witness("compare", "one", "two", "--run", "fork", cwd=place)
    assert (forked.returncode, forked.stdout[:4]) == (1, "fork")


def test_one_more_log_is_listed(place):
    key = SigningKey("another.example/log", b"\x51" * 32).verify_key
    (place / "another.pub").write_text(key.vkey + "\n")

    assert (
        witness("add", "one", "another.pub", cwd=place).stdout == "another.example/log is listed\n"
    )
    assert key.vkey in (place / "one/policy").read_text()


MISTAKES = [
    (("init", "one", "--name", "x", "--log", "operator.pub"), "exists already"),
    (("init", "new", "--name", "two words", "--log", "operator.pub"), "not a key name"),
    (("init", "new", "--name", "x", "--log", "nowhere.pub"), "nowhere.pub"),
    (("init", "new", "--name", "x", "--log", "one/witness.pub"), "not an Ed25519 verifier key"),
    (("init", "no/such", "--name", "x", "--log", "operator.pub"), "cannot be made"),
    (("init", "new", "--name", "x"), "--log"),
    (("add", "one", "operator.pub"), "twice"),
    (("add", "run", "operator.pub"), "policy"),
    (("show", "run"), "not the folder of a witness"),
    (("serve", "run"), "not the folder of a witness"),
    (("serve", "one", "--port", "70000"), "65535"),
    (("answer", "run", "."), "not the folder of a witness"),
    (("answer", "one", "nowhere"), "nowhere"),
    (("submit", "run", "--to", "post", "--witness-key", "nowhere"), "nowhere"),
    (("submit", "run", "--to", "post", "--witness-key", "operator.pub"), "not a witness's key"),
    (("submit", "one", "--to", "post", "--witness-key", "one/witness.pub"), "not a run"),
    (("submit", "run", "--to", "operator.pub", "--witness-key", "one/witness.pub"), "operator.pub"),
    (("submit", "run", "--to", "ftp://x", "--witness-key", "one/witness.pub"), "http://"),
    (("submit", "run", "--witness-key", "one/witness.pub"), "--to"),
    (("compare", "one", "two"), "no log in common"),
    (("compare", "one", "nowhere"), "nowhere"),
    (("compare", "one", "run/ledger/checkpoint"), "no known key"),
    (("compare", "one", "two", "--run", "one"), "not a run"),
    (("compare", "one", "two", "--key", "post"), "post"),
]


@pytest.mark.parametrize(("words", "says"), MISTAKES)
def test_a_mistake_is_one_message_and_changes_nothing(untouched, words, says):
    before = {path: path.is_file() and path.read_bytes() for path in untouched.rglob("*")}

    done = witness(*words, cwd=untouched)

    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.is_file() and path.read_bytes() for path in untouched.rglob("*")} == before


def test_a_port_in_use_is_one_message(place):
    with Served(place, "one") as served:
        port = served.url.rpartition(":")[2]
        done = witness("serve", "two", "--port", port, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {port} cannot be used" in done.stderr


def test_a_key_that_others_may_read_is_one_message(place):
    (place / "one/witness.key").chmod(0o644)
    done = witness("serve", "one", cwd=place)
    assert done.returncode == 2
    assert "chmod 600" in done.stderr
