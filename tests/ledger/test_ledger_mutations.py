"""Every bit, every cut, every dropped, doubled or swapped line of one run: all refused.

The runs are checked with the operator's key and a remembered head; VERIFIED is the only
acceptance. What is accepted on purpose stands at the end.
"""

import itertools
import shutil
from collections import Counter

import pytest
from small_run import TRUST, write

from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word

FILES = ["manifest.dsse.json", "graph.yaml", "ledger/log.wal", "ledger/checkpoint"]
REFUSALS = {Word.INVALID, Word.CANNOT_DECIDE, Word.INCOMPLETE, Word.DIVERGED}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, write(folder, rounds=1)


def verdicts(run, name, mutants):
    """Audit the run with each of the mutants in place of one file; return the words."""
    folder, heads = run
    path = folder / name
    whole = path.read_bytes()
    head = heads[-1].decode()
    words = Counter()
    try:
        for mutant in mutants:
            assert mutant != whole
            path.write_bytes(mutant)
            verdict = audit(folder, TRUST, head)
            assert verdict.findings, mutant
            assert str(verdict)
            words[verdict.word] += 1
    finally:
        path.write_bytes(whole)
    return words


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_refused_with_a_verdict(run, name):
    data = (run[0] / name).read_bytes()

    def flips():
        for bit in range(len(data) * 8):
            at = bit // 8
            yield data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]

    words = verdicts(run, name, flips())

    assert set(words) <= {Word.INVALID, Word.CANNOT_DECIDE, Word.DIVERGED}
    assert words.total() == len(data) * 8
    assert words[Word.INVALID] > 0.95 * words.total()


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_and_insertion_is_refused_with_a_verdict(run, name):
    data = (run[0] / name).read_bytes()
    cuts = [data[:cut] for cut in range(len(data))]
    inserted = (
        data[:at] + byte + data[at:]
        for at in range(0, len(data) + 1, 3)
        for byte in (b"\0", b"\n", b" ", b"=", b"a")
    )

    words = verdicts(run, name, itertools.chain(cuts, inserted))

    assert set(words) <= REFUSALS


def test_every_dropped_doubled_or_swapped_line_is_refused(run):
    lines = (run[0] / "ledger/log.wal").read_bytes().splitlines(keepends=True)
    whole = b"".join(lines)
    mutants = set()
    for one, two in itertools.product(range(len(lines)), repeat=2):
        moved = list(lines)
        moved[one], moved[two] = moved[two], moved[one]
        mutants.add(b"".join(moved))
        mutants.add(b"".join(lines[:one] + lines[two:]))
        mutants.add(b"".join(lines[: one + 1] + lines[min(one, two) :]))
    mutants.discard(whole)
    # Dropping a whole inner head changes no entry and no signature over one: see the last test.
    heads = run[1][:-1]
    kept = [whole.replace(a, b"").replace(b, b"") for a in heads for b in heads]
    mutants.difference_update(kept)

    words = verdicts(run, "ledger/log.wal", sorted(mutants))

    assert set(words) <= REFUSALS
    assert words.total() > 150


def test_an_inner_head_may_be_dropped_because_the_last_one_covers_all_entries(run):
    """Accepted on purpose: heads record when the disk was asked to sync, which nobody signs."""
    data = (run[0] / "ledger/log.wal").read_bytes()
    path = run[0] / "ledger/log.wal"
    path.write_bytes(data.replace(run[1][0], b""))
    try:
        assert audit(run[0], TRUST, run[1][-1].decode()).word == Word.VERIFIED
    finally:
        path.write_bytes(data)


def test_what_is_accepted_on_purpose_without_an_anchor(run, tmp_path):
    """A log rolled back to an older head together with its published head: only INCOMPLETE.

    And a whole second history by the same operator under the same origin: UNANCHORED, no more.
    """
    folder, heads = run
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    data = (copy / "ledger/log.wal").read_bytes()
    (copy / "ledger/log.wal").write_bytes(data[: data.index(heads[0]) + len(heads[0])])
    (copy / "ledger/checkpoint").write_bytes(heads[0])
    assert audit(copy, TRUST).word == Word.INCOMPLETE

    write(tmp_path / "second", rounds=2, seed=2)
    assert audit(tmp_path / "second", TRUST).word == Word.UNANCHORED
