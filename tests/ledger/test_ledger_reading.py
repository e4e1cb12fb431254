import pytest
from small_run import write

from institutional.ledger.errors import LedgerError
from institutional.ledger.reading import StoredEntries, read_entries


@pytest.fixture
def ledger(tmp_path):
    write(tmp_path)
    return tmp_path / "ledger"


def test_entries_read_again_and_again_are_those_of_the_list(ledger):
    listed, stored = read_entries(ledger), StoredEntries(ledger)

    assert len(stored) == len(listed) == 7
    assert list(stored) == list(stored) == listed
    assert [stored[n] for n in range(-7, 7)] == [*listed, *listed]
    assert stored[2:5] == listed[2:5]
    assert list(reversed(stored)) == listed[::-1]
    with pytest.raises(IndexError):
        stored[7]


def test_a_log_that_changed_since_it_was_opened_is_an_error_and_no_other_content(ledger):
    stored = StoredEntries(ledger)
    path = ledger / "log.wal"
    whole = path.read_bytes()
    path.write_bytes(b"x" + whole)
    with pytest.raises(LedgerError):
        stored[3]
    path.write_bytes(whole.replace(b'"seq":3', b'"seq":4'))
    with pytest.raises(LedgerError, match="numbered 4"):
        list(stored)
    path.unlink()
    for look in (lambda: stored[3], lambda: list(stored)):
        with pytest.raises(LedgerError, match="cannot be read"):
            look()
