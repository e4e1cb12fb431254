"""A copy of a run on which attacks are tried one after the other, and audited."""

import shutil
from pathlib import Path
from typing import NamedTuple

from institutional.ledger.audit import audit
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small
from institutional.ledger.verdict import Verdict, Word
from institutional.selftest.attacks import Mutant
from institutional.selftest.forging import CHECKPOINT, GRAPH, LOG, MANIFEST

MAX_FILE_BYTES = 67_108_864


class Outcome(NamedTuple):
    """What the audit said of one mutant, with an anchor and without, and which checks said so."""

    mutant: str
    anchored: Word
    alone: Word
    caught_by: tuple[str, ...]


class Trial:
    """The public files of `run` copied to `folder`, and what an audit says of them untouched.

    The head that an auditor would have kept is the one published now. Raises LedgerError for a run
    that lacks a file, is too large to be copied, or was not published.
    """

    def __init__(self, run: Path, folder: Path, *, trust: str) -> None:
        self.folder, self.trust = folder, trust
        names = [name for name in (MANIFEST, GRAPH, LOG, CHECKPOINT) if (run / name).exists()]
        for name in (MANIFEST, LOG, CHECKPOINT):
            if name not in names:
                raise LedgerError(f"{run}: has no {name}, so there is nothing to attack")
        try:
            self.files = {name: read_small(run / name, limit=MAX_FILE_BYTES) for name in names}
        except OSError as error:
            raise LedgerError(f"{run}: cannot be read: {error}") from error
        (folder / "ledger").mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)
        self.head = self.files[CHECKPOINT].decode()
        self.untouched = self.audited(None)

    def judge(self, mutant: Mutant) -> Outcome:
        """Audit the run with `mutant` laid over it, and take it off again."""
        assert any(self.files.get(name) != data for name, data in mutant.files.items()), mutant.what  # noqa: S101
        for name, data in mutant.files.items():
            self._put(name, data)
        try:
            verdict, alone = self.audited(self.head), self.audited(None)
        finally:
            for name in mutant.files:
                self._put(name, self.files.get(name))
        gravest = tuple(check.id for check in verdict.findings if check.word == verdict.word)
        return Outcome(mutant.what, verdict.word, alone.word, gravest)

    def audited(self, head: str | None) -> Verdict:
        """Return the verdict on the copy as it is now."""
        return audit(self.folder, self.trust, head)

    def close(self) -> None:
        """Remove the copy."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _put(self, name: str, data: bytes | None) -> None:
        if data is None:
            (self.folder / name).unlink(missing_ok=True)
        else:
            (self.folder / name).write_bytes(data)
