import re
import stat

import pytest

from institutional.ledger import keys
from institutional.ledger.errors import LedgerError


def test_the_operators_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    folder = tmp_path / "new" / "home"

    first, second = keys.operator_key(folder), keys.operator_key(folder)

    assert first == second
    assert stat.S_IMODE((folder / "operator.key").stat().st_mode) == 0o600
    assert re.fullmatch(r"institutional/operator/[0-9a-f]{8}", first.name)
    assert keys.load_public(folder / "operator.pub") == first.verify_key
    assert sorted(p.name for p in folder.iterdir()) == ["operator.key", "operator.pub"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_may_touch_is_refused(tmp_path, mode):
    keys.generate(tmp_path)
    (tmp_path / "operator.key").chmod(mode)

    with pytest.raises(LedgerError, match="chmod 600"):
        keys.load(tmp_path)


def test_a_key_is_never_replaced(tmp_path):
    first = keys.generate(tmp_path)

    with pytest.raises(FileExistsError):
        keys.generate(tmp_path)

    assert keys.load(tmp_path) == first


def test_a_missing_public_file_is_written_again_and_a_false_one_is_refused(tmp_path):
    key = keys.generate(tmp_path)
    (tmp_path / "operator.pub").unlink()
    assert keys.load(tmp_path) == key
    assert keys.load_public(tmp_path / "operator.pub") == key.verify_key

    (tmp_path / "operator.pub").write_text(keys.run_key(key, "other").verify_key.vkey + "\n")
    with pytest.raises(LedgerError, match="not the public half"):
        keys.load(tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 20, 60, -1])
def test_a_torn_private_key_is_refused_without_being_shown(tmp_path, cut):
    keys.generate(tmp_path)
    path = tmp_path / "operator.key"
    text = path.read_text()
    path.write_text(text[:cut])

    with pytest.raises(LedgerError, match="not a private key") as caught:
        keys.load(tmp_path)

    assert text[60:80] not in str(caught.value)


def test_there_is_one_clear_message_where_no_key_is(tmp_path):
    with pytest.raises(LedgerError, match="there is no operator's key"):
        keys.load(tmp_path)
    with pytest.raises(LedgerError, match="not a public key"):
        keys.load_public(tmp_path / "operator.pub")


def test_the_key_cannot_be_stored_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(LedgerError, match="cannot be stored"):
        keys.operator_key(tmp_path / "file" / "home")


def test_a_run_key_follows_from_operator_and_origin_alone(tmp_path):
    operator = keys.generate(tmp_path)
    one = keys.run_key(operator, "institutional.dev/run/1")

    assert one == keys.run_key(keys.load(tmp_path), "institutional.dev/run/1")
    assert one.name == "institutional.dev/run/1"
    assert one.seed not in {keys.run_key(operator, "institutional.dev/run/2").seed, operator.seed}


def test_the_folder_is_chosen_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("INSTITUTIONAL_HOME", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "b"))
    monkeypatch.setenv("HOME", str(tmp_path / "c"))

    assert keys.home() == tmp_path / "a"
    monkeypatch.delenv("INSTITUTIONAL_HOME")
    assert keys.home() == tmp_path / "b" / "institutional"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert keys.home() == tmp_path / "c" / ".config" / "institutional"
    keys.operator_key()
    assert (keys.home() / "operator.key").exists()
