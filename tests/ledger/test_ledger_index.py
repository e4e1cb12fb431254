"""The operator's index: a hidden run leaves a gap, and one run twice stands there twice."""

import multiprocessing

import pytest
from small_run import KEY, OPERATOR, ORIGIN, RUN, TRUST, declare, write

from institutional.ledger import index
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.outside import Brought
from institutional.ledger.auditing.verdict import Outcome, Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.index import End, Start, read_index, register

OTHER = Start("other", "institutional.dev/run/other", "0" * 64, "small", "1" * 64)


@pytest.fixture
def registered(tmp_path):
    """A run, its heads, and an index in which it and another run stand."""
    folder = tmp_path / "run"
    start = Start(RUN, ORIGIN, declare(folder), "small", "1" * 64)
    register(tmp_path / "index", OPERATOR, [start, OTHER])
    heads = write(folder)
    register(tmp_path / "index", OPERATOR, [End(RUN, ORIGIN, heads[-1].decode())])
    return folder, tmp_path / "index", heads


def index_head(folder):
    return (folder / "ledger" / "checkpoint").read_text()


def check(verdict):
    return next(check for check in verdict.checks if check.id == "index")


def test_a_run_that_its_anchored_index_names_is_verified(registered):
    folder, place, _ = registered
    verdict = audit(folder, TRUST, brought=Brought(index=place, index_head=index_head(place)))

    assert verdict.word == Word.VERIFIED
    assert "the operator's index (a remembered head of 4 entries)" in verdict.anchor


def test_an_index_without_an_anchor_of_its_own_agrees_but_anchors_nothing(registered):
    folder, place, _ = registered
    verdict = audit(folder, TRUST, brought=Brought(index=place))

    assert check(verdict).outcome == Outcome.PASS
    assert verdict.word == Word.UNANCHORED


def test_a_roll_back_and_a_second_history_contradict_the_index(registered, tmp_path):
    folder, place, heads = registered
    brought = Brought(index=place, index_head=index_head(place))
    data = (folder / "ledger/log.wal").read_bytes()
    (folder / "ledger/log.wal").write_bytes(data[: data.index(heads[1]) + len(heads[1])])
    (folder / "ledger/checkpoint").write_bytes(heads[1])
    rolled_back = audit(folder, TRUST, brought=brought)
    assert rolled_back.word == Word.DIVERGED
    assert heads[-1].decode() in rolled_back.evidence

    second = tmp_path / "second"
    write(second, rounds=6)
    assert audit(second, TRUST, brought=brought).word == Word.DIVERGED


def test_a_run_that_was_never_registered_is_incomplete_and_another_manifest_diverges(
    registered, tmp_path
):
    _, place, _ = registered
    write(tmp_path / "seed", seed=2)
    verdict = audit(tmp_path / "seed", TRUST, brought=Brought(index=place))
    assert (verdict.word, check(verdict).outcome) == (Word.DIVERGED, Outcome.FAIL)
    assert "under another manifest" in check(verdict).reason

    register(tmp_path / "empty", OPERATOR, [])
    verdict = audit(tmp_path / "seed", TRUST, brought=Brought(index=tmp_path / "empty"))
    assert verdict.word == Word.INCOMPLETE


def test_a_run_that_ended_twice_otherwise_stands_twice_and_diverges(registered, tmp_path):
    folder, place, heads = registered
    again = write(tmp_path / "again", rounds=6)
    register(place, OPERATOR, [End(RUN, ORIGIN, again[-1].decode())])

    assert len(read_index(place).ends_of(ORIGIN)) == 2
    assert audit(folder, TRUST, heads[-1].decode(), brought=None).word == Word.VERIFIED
    for run in (folder, tmp_path / "again"):
        assert audit(run, TRUST, brought=Brought(index=place)).word == Word.DIVERGED


def test_registering_again_adds_nothing_and_the_index_stays_open(registered):
    _, place, heads = registered
    before = (place / "ledger/log.wal").read_bytes()
    register(place, OPERATOR, [OTHER, End(RUN, ORIGIN, heads[-1].decode())])

    assert (place / "ledger/log.wal").read_bytes() == before
    assert [start.run for start in read_index(place).starts] == [RUN, "other"]
    verdict = audit(place, TRUST, index_head(place))
    assert verdict.word == Word.VERIFIED


def test_a_damaged_index_decides_nothing_and_takes_nothing_more(registered):
    folder, place, _ = registered
    path = place / "ledger/log.wal"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)

    assert audit(folder, TRUST, brought=Brought(index=place)).word == Word.CANNOT_DECIDE
    with pytest.raises(LedgerError, match="nothing was changed"):
        register(place, OPERATOR, [OTHER._replace(run="third")])
    assert path.read_bytes() == bytes(data)


def _many(folder, number):
    for count in range(5):
        name = f"{number}-{count}"
        register(folder, OPERATOR, [Start(name, f"institutional.dev/{name}", "0" * 64, "x", "y")])


def test_processes_that_register_at_once_wait_for_each_other(tmp_path):
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_many, args=(tmp_path / "index", n)) for n in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    names = {start.run for start in read_index(tmp_path / "index").starts}
    assert names == {f"{n}-{c}" for n in range(4) for c in range(5)}
    verdict = audit(tmp_path / "index", TRUST, index_head(tmp_path / "index"))
    assert verdict.word == Word.VERIFIED


def test_an_index_is_signed_by_the_operator_it_is_of(registered):
    folder, place, _ = registered
    run_key_only = audit(place, KEY.verify_key.vkey)

    assert run_key_only.word == Word.CANNOT_DECIDE
    assert index.KIND == "index"
    assert audit(folder, KEY.verify_key.vkey, brought=Brought(index=place)).word == (
        Word.CANNOT_DECIDE
    )


def test_a_publication_that_a_kill_cut_short_is_made_up_for(registered):
    """The log holds the entry; its published head is an older one, or is not there yet."""
    _, place, _ = registered
    published = place / "ledger" / "checkpoint"
    newest = published.read_bytes()
    for stale in (b"an older head\n", None):
        if stale is None:
            published.unlink()
        else:
            published.write_bytes(stale)
        register(place, OPERATOR, [OTHER])

        assert published.read_bytes() == newest
