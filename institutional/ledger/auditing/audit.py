"""The audit of a run folder: a graded verdict from public bytes, a key from elsewhere, no network.

    verdict = audit(Path("runs/cartel/07"), trust=Path("operator.pub").read_text())

Verification is total: whatever the folder holds, the answer is a `Verdict`. Without an anchor,
something that the operator cannot reach and that has seen the log, a roll-back to an older signed
head cannot be excluded, and the verdict is UNANCHORED, never VERIFIED. Whether the recorded
decisions follow from the recorded evidence is another question, answered by `conformance`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from institutional.ledger.auditing.anchors import Anchored, Kept, check_anchor, check_heads
from institutional.ledger.auditing.contents import (
    check_checkpoint,
    check_close,
    check_entries,
    check_genesis,
    check_graph,
    check_private,
    check_quarantine,
)
from institutional.ledger.auditing.findings import Findings, StopError
from institutional.ledger.auditing.outside import (
    Brought,
    check_cosigned,
    check_index,
    check_remembered,
    check_revoked,
    check_token,
)
from institutional.ledger.auditing.rules import RULES
from institutional.ledger.auditing.survey import Survey, survey
from institutional.ledger.auditing.verdict import Verdict, Word
from institutional.ledger.auditing.vouching import Vouched, check_manifest, check_trust
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular
from institutional.ledger.log import LOG
from institutional.ledger.manifest import Manifest
from institutional.ledger.note import VerifyKey
from institutional.ledger.private.openings import openings


def audit(
    folder: Path,
    trust: str,
    head: str | None = None,
    *,
    brought: Brought | None = None,
    key_source: str = "the auditor",
) -> Verdict:
    """Return the verdict on the run in `folder`, as far as its log alone can tell.

    `trust` is the operator's or the run's verifier key, or a C2SP trust policy; `brought` are
    anchors (`head` is short for the commonest); `key_source` says where the key came from.
    """
    work = _Audit(folder)
    try:
        work.run(trust, Brought(head) if brought is None else brought)
    except StopError:
        pass
    except (OSError, ValueError, LedgerError, RecursionError, MemoryError) as error:
        work.findings.fail("reading", f"{type(error).__name__}: {error}", Word.CANNOT_DECIDE)
    return work.verdict(key_source)


class _Audit:
    """One audit under way: what was found, and what it learnt about the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings = Findings(RULES)
        self.found: Survey | None = None
        self.vouched: Vouched | None = None
        self.seen = Anchored()

    def run(self, trust: str, brought: Brought) -> None:
        findings = self.findings
        trusted = check_trust(trust, findings)
        self.vouched = check_manifest(self.folder, trusted, findings)
        manifest = self.vouched.manifest
        heads = check_remembered(brought.head, manifest.origin, findings)
        heads += check_index(
            brought,
            self.vouched,
            findings,
            audited=lambda folder, head: audit(folder, trust, head, key_source="the same"),
        )
        heads += check_cosigned(brought, self.folder, trusted, manifest.origin, findings)
        heads += check_token(brought, self.folder, manifest.origin, findings)
        check_graph(self.folder, manifest, findings)
        self.found = self._walk(manifest, heads, (*trusted.keys, self.vouched.key))
        check_checkpoint(self.folder, self.found, findings)
        self.seen = check_heads(heads, self.found, trusted.keys, findings)
        operators = (*trusted.keys, self.vouched.key)
        check_revoked(brought.revoked, operators, self.found, self.seen, findings)

    def _walk(
        self, manifest: Manifest, heads: list[Kept], operators: Sequence[VerifyKey]
    ) -> Survey:
        try:
            file = open_regular(self.folder / "ledger" / LOG)
        except (OSError, LedgerError) as error:
            self.findings.skip("entries", f"the log cannot be read: {error}", Word.CANNOT_DECIDE)
            raise StopError from None
        assert self.vouched is not None  # noqa: S101 - the manifest was read before the log
        with file:
            sizes = {head.checkpoint.size for head in heads}
            found = survey(file, manifest.key, run=manifest.run, sizes_asked=sizes)
            check_entries(found, self.findings)
            digest = hashlib.sha256(self.vouched.payload).hexdigest()
            check_genesis(found, digest, self.findings)
            check_close(found, manifest, self.findings)
            check_quarantine(self.folder, file, found, self.findings)
            told = openings(
                file, end=found.end, run_folder=self.folder, run=manifest.run, keys=operators
            )
            check_private(told, self.findings)
        return found

    def verdict(self, key_source: str) -> Verdict:
        findings, found, vouched = self.findings, self.found, self.vouched
        if "reading" not in findings:
            findings.does_not_apply("reading", "every file could be read")
        if "anchor" not in findings:
            check_anchor(self.seen, findings)
        return Verdict(
            checks=findings.checks(),
            key=vouched.key.vkey if vouched else "none",
            key_source=key_source,
            origin=vouched.manifest.origin if vouched else "unknown",
            run=vouched.manifest.run if vouched else "unknown",
            size=found.size if found else 0,
            epochs=len(found.epochs) if found else 0,
            root=found.root if found else "",
            head=found.head.decode(errors="replace") if found else "",
            anchor=self.seen.anchor,
            evidence=self.seen.evidence,
        )
