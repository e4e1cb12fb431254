"""The audit of a run folder: a graded verdict from public bytes, a key from elsewhere, no network.

    verdict = audit(Path("runs/cartel/07"), trust=Path("operator.pub").read_text())

Verification is total: whatever the folder holds, the answer is a `Verdict`. Without an anchor,
something that the operator cannot reach and that has seen the log, a roll-back to an older signed
head cannot be excluded, and the verdict is UNANCHORED, never VERIFIED. Whether the recorded
decisions follow from the recorded evidence is another question, answered by `conformance`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from institutional.ledger import index
from institutional.ledger.anchors import Anchored, Kept, check_anchor, check_heads, kept
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.findings import Findings, StopError
from institutional.ledger.log import CHECKPOINT, LOG, QUARANTINE
from institutional.ledger.manifest import Manifest
from institutional.ledger.note import MAX_NOTE_BYTES, VerifyKey, open_checkpoint
from institutional.ledger.openings import Openings, openings
from institutional.ledger.revocation import read_revocation
from institutional.ledger.rules import RULES
from institutional.ledger.survey import Flaw, Survey, survey
from institutional.ledger.timestamp import check_timestamp, stamped_head
from institutional.ledger.trust import NO_QUORUM, Seen, Trust, check_quorum
from institutional.ledger.verdict import Verdict, Word
from institutional.ledger.vouching import Vouched, check_manifest, check_trust
from institutional.ledger.witness.cosigned import COSIGNED

GRAPH = "graph.yaml"
_TORN_NAME = re.compile(r"(0|[1-9][0-9]{0,15})-[0-9a-f]{64}\.bin\Z")
_CHUNK = 65_536


@dataclass(frozen=True)
class Brought:
    """What the auditor brings beside a key.

    `head` is a checkpoint of this log that was kept, `index` the folder of the operator's index
    (see `index`), `index_head` a checkpoint of that which was kept; `token` is a time stamp over a
    head of this log (RFC 3161, DER), `authorities` the certificates to check it with (PEM);
    `revoked` are the operator's statements on stolen keys (see `revocation`).
    """

    head: str | None = None
    index: Path | None = None
    index_head: str | None = None
    token: bytes | None = None
    authorities: bytes = b""
    revoked: tuple[bytes, ...] = ()


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
        heads = _kept_by_the_auditor(brought.head, manifest.origin, findings)
        heads += _check_index(brought, trust, self.vouched, findings)
        heads += _check_cosigned(brought, self.folder, trusted, manifest.origin, findings)
        heads += _check_token(brought, self.folder, manifest.origin, findings)
        _check_graph(self.folder, manifest, findings)
        self.found = self._walk(manifest, heads, (*trusted.keys, self.vouched.key))
        _check_checkpoint(self.folder, self.found, findings)
        self.seen = check_heads(heads, self.found, trusted.keys, findings)
        operators = (*trusted.keys, self.vouched.key)
        _check_revoked(brought.revoked, operators, self.found, self.seen, findings)

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
            _check_entries(found, self.findings)
            digest = hashlib.sha256(self.vouched.payload).hexdigest()
            _check_genesis(found, digest, self.findings)
            _check_close(found, manifest, self.findings)
            _check_quarantine(self.folder, file, found, self.findings)
            told = openings(
                file, end=found.end, run_folder=self.folder, run=manifest.run, keys=operators
            )
            _check_private(told, self.findings)
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


# --- what lies in the folder


def _check_graph(folder: Path, manifest: Manifest, findings: Findings) -> None:
    path, expected = folder / GRAPH, manifest.subjects.get(GRAPH)
    try:
        with open_regular(path) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        if expected is None:
            findings.does_not_apply("graph", "this run has no graph")
        else:
            findings.skip("graph", f"{GRAPH} is missing", Word.CANNOT_DECIDE)
        return
    except (OSError, LedgerError) as error:
        findings.skip("graph", f"{GRAPH} cannot be read: {error}", Word.CANNOT_DECIDE)
        return
    if found == expected:
        findings.passed("graph", f"{GRAPH} is the one that was declared")
    else:
        flaw = Flaw("", 0, None, expected or "no graph", found)
        findings.fail("graph", f"{GRAPH} is not the one that was declared", Word.INVALID, flaw)


def _check_entries(found: Survey, findings: Findings) -> None:
    if found.entry:
        word = Word.CANNOT_DECIDE if found.entry.unknown_version else Word.INVALID
        findings.fail("entries", found.entry.reason, word, found.entry)
    elif found.size:
        findings.passed("entries", f"{found.size} entries, each canonical and in its place")
    else:
        findings.skip("entries", "there is no signed entry", Word.INCOMPLETE)
    if found.head_flaw:
        findings.fail("heads", found.head_flaw.reason, Word.INVALID, found.head_flaw)
    elif found.size:
        findings.passed("heads", "every signed head has its signature, size and root")
    if found.tail:
        findings.fail("tail", found.tail.reason, Word.INCOMPLETE, found.tail)
    elif not found.head_flaw:
        findings.passed("tail", "the last signed head covers every byte")


def _check_genesis(found: Survey, digest: str, findings: Findings) -> None:
    if found.opening is None:
        return
    named = found.opening.get("manifest")
    if named == digest:
        findings.passed("genesis", "entry 0 names this manifest")
    else:
        flaw = Flaw("", 0, 0, digest, f"{named!a:.80}")
        findings.fail("genesis", "names another manifest", Word.INVALID, flaw)


def _check_close(found: Survey, manifest: Manifest, findings: Findings) -> None:
    if found.closing is None:
        if manifest.config.get("kind") == index.KIND:
            findings.does_not_apply("close", "a log of this kind stays open")
        elif not found.head_flaw:
            findings.fail("close", "the run was not closed", Word.INCOMPLETE)
    elif found.closing.get("counts") == dict(found.counts):
        findings.passed("close", f"closed after {found.size} entries, counted per kind")
    elif not found.entry:
        findings.fail("close", "the closing entry counts otherwise", Word.INVALID)


def _check_checkpoint(folder: Path, found: Survey, findings: Findings) -> None:
    rule = "checkpoint-file"
    try:
        data = read_small(folder / "ledger" / CHECKPOINT, limit=MAX_NOTE_BYTES)
        published = open_checkpoint(data, found.key_at(found.size))
    except FileNotFoundError:
        if found.closing is None:
            findings.does_not_apply(rule, "none is published before closing")
        else:
            findings.fail(rule, "the published head is missing", Word.INCOMPLETE)
        return
    except OSError as error:
        findings.skip(rule, f"cannot be read: {error}", Word.CANNOT_DECIDE)
        return
    except LedgerError as error:
        findings.fail(rule, str(error), Word.INVALID)
        return
    if data == found.head:
        findings.passed(rule, "the published head is the log's newest")
    else:
        reason = f"it signs {published.size} entries; the log's last good head {found.size}"
        findings.fail(rule, reason, Word.INVALID)


def _check_quarantine(folder: Path, log: BinaryIO, found: Survey, findings: Findings) -> None:
    try:
        paths = sorted(islice((folder / "ledger" / QUARANTINE).iterdir(), 1000))
    except FileNotFoundError:
        findings.passed("quarantine", "nothing was set aside")
        return
    except OSError as error:
        findings.skip("quarantine", f"cannot be read: {error}", Word.CANNOT_DECIDE)
        return
    odd = [path for path in paths if not _written_again(path, log, found.end)]
    if odd:
        reason = f"{len(odd)} torn write(s) set aside that the log does not repeat"
        findings.fail("quarantine", f"{reason}: {odd[0].name[:40]!a}", Word.INCOMPLETE)
    elif paths:
        findings.passed("quarantine", f"{len(paths)} torn write(s), all written again since")
    else:
        findings.passed("quarantine", "nothing was set aside")


def _written_again(path: Path, log: BinaryIO, end: int) -> bool:
    """Whether the log now holds, signed and at the same place, what was set aside."""
    named = _TORN_NAME.match(path.name)
    if named is None:
        return False
    try:
        with open_regular(path) as torn:
            log.seek(int(named[1]))
            while chunk := torn.read(_CHUNK):
                if log.read(len(chunk)) != chunk or log.tell() > end:
                    return False
    except (OSError, LedgerError):
        return False
    return True


def _check_private(told: Openings, findings: Findings) -> None:
    if told.first is not None:
        flaw = Flaw(told.first.reason, told.first.offset, told.first.seq)
        findings.fail("private", told.first.reason, Word.INVALID, flaw)
    elif told.counts or told.stray:
        findings.passed("private", str(told))
    else:
        findings.does_not_apply("private", "no private values")


# --- what comes from elsewhere


def _kept_by_the_auditor(head: str | None, origin: str, findings: Findings) -> list[Kept]:
    """The heads from outside that can be used."""
    if head is None:
        findings.does_not_apply("remembered-head", "none was given")
        return []
    try:
        return [kept("remembered-head", head.encode(), origin=origin, anchor="a remembered head")]
    except (LedgerError, UnicodeEncodeError) as error:
        reason = f"not a head of this log: {error}"
        findings.skip("remembered-head", reason, Word.CANNOT_DECIDE)
        return []


def _check_index(brought: Brought, trust: str, vouched: Vouched, findings: Findings) -> list[Kept]:
    """Look the run up in the operator's index; its end there is a head of this log."""
    rule, origin = "index", vouched.manifest.origin
    if brought.index is None:
        findings.does_not_apply(rule, "none was given")
        return []
    verdict = audit(brought.index, trust, brought.index_head, key_source="the same")
    if verdict.word not in {Word.VERIFIED, Word.UNANCHORED}:
        first = verdict.findings[0]
        findings.skip(rule, f"the index itself: {first.id}: {first.reason}", Word.CANNOT_DECIDE)
        return []
    registered = index.read_index(brought.index)
    digest = hashlib.sha256(vouched.payload).hexdigest()
    starts = {start.manifest for start in registered.starts_of(origin)}
    if digest not in starts:
        named = "under another manifest" if starts else "not"
        reason = f"the index of {verdict.size} entries names this run {named}"
        findings.fail(rule, reason, Word.DIVERGED if starts else Word.INCOMPLETE)
        return []
    ends = registered.ends_of(origin)
    if not ends:
        findings.passed(rule, "the run was registered before it began; its end is not, so far")
        return []
    anchored = verdict.word == Word.VERIFIED
    anchor = f"the operator's index ({verdict.anchor}), which names a head" if anchored else ""
    try:
        return [kept(rule, end.head.encode(), origin=origin, anchor=anchor) for end in ends]
    except LedgerError as error:
        findings.fail(rule, f"the index names no head of this log: {error}", Word.INVALID)
        return []


def _check_token(brought: Brought, folder: Path, origin: str, findings: Findings) -> list[Kept]:
    """Check a time stamp; the head that it stamps is one that this log must hold."""
    rule = "timestamp"
    if brought.token is None:
        findings.does_not_apply(rule, "none was given")
        return []
    try:
        with open_regular(folder / "ledger" / LOG) as file:
            head = stamped_head(file, brought.token)
        if head is None:
            reason = "it stamps no head that is here: rolled back, or the stamp of another log"
            findings.fail(rule, reason, Word.INCOMPLETE)
            return []
        stamp = check_timestamp(head, brought.token, brought.authorities)
        when = stamp.before.isoformat().replace("+00:00", "Z")
        anchor = f"a time stamp by {stamp.authority!a:.200} (before {when})"
        return [kept(rule, head, origin=origin, anchor=anchor)]
    except (OSError, LedgerError) as error:
        findings.fail(rule, str(error), Word.CANNOT_DECIDE)
        return []


def _check_cosigned(
    brought: Brought, folder: Path, trusted: Trust, origin: str, findings: Findings
) -> list[Kept]:
    """Weigh the cosignatures on the head that was brought, and on the one beside the log.

    The operator may keep that one, as witnesses sign for themselves; and whatever it is, the log's
    own signature on it counts against a log that does not continue it.
    """
    rule = "cosignatures"
    notes = [] if brought.head is None else [brought.head.encode(errors="replace")]
    try:
        notes.append(read_small(folder / "ledger" / COSIGNED, limit=MAX_NOTE_BYTES))
    except FileNotFoundError:
        pass
    except (OSError, LedgerError) as error:
        findings.skip(rule, f"the cosigned head cannot be read: {error}", Word.CANNOT_DECIDE)
    heads, doubts = [], []
    for note in notes:
        try:
            quorum = check_quorum(trusted, note)
            asked = quorum.met and trusted.quorum != NO_QUORUM
            anchor = f"witnesses ({quorum.reason}) of a head" if asked else ""
            heads.append(kept(rule, note, origin=origin, anchor=anchor))
        except LedgerError as error:
            findings.skip(rule, f"not a cosigned head of this log: {error}", Word.CANNOT_DECIDE)
            continue
        if any(sighting.seen == Seen.FALSE for sighting in quorum.sightings):
            findings.fail(rule, quorum.reason, Word.INVALID)
        elif any(sighting.seen == Seen.UNDECIDED for sighting in quorum.sightings):
            doubts.append((quorum.reason, Word.CANNOT_DECIDE))
        elif not quorum.met:
            doubts.append((quorum.reason, Word.UNANCHORED))
    if trusted.quorum == NO_QUORUM:
        if len(notes) == (brought.head is not None):
            findings.does_not_apply(rule, "no witnesses asked for")
            return []
    elif not any(head.anchor for head in heads):
        none = (f"quorum {trusted.quorum[:80]!a} asked for; no cosigned head", Word.UNANCHORED)
        findings.skip(rule, *(doubts or [none])[0])
    return heads


def _check_revoked(
    statements: Sequence[bytes],
    operators: Sequence[VerifyKey],
    found: Survey,
    seen: Anchored,
    findings: Findings,
) -> None:
    """Let a stolen key count for what it signed before the theft, or what an outsider saw."""
    rule = "revocation"
    told = []
    for data in statements:
        try:
            revocation = read_revocation(data, operators)
        except LedgerError as error:
            findings.skip(rule, f"not a revocation to go by: {error}", Word.CANNOT_DECIDE)
            continue
        if revocation.key not in found.epochs:
            continue
        since, size = revocation.trusted_size, found.signed_by(revocation.key)
        if max(since, seen.size) >= size:
            told.append(f"a key was stolen after {since} entries; all it signed was seen in time")
            continue
        reason = (
            f"the key of epoch {found.epochs.index(revocation.key)} was stolen after {since} "
            f"entries ({revocation.reason!a:.200}); entries {max(since, seen.size)} to {size - 1} "
            "rest on it alone"
        )
        findings.fail(rule, reason, Word.CANNOT_DECIDE)
    if rule not in findings:
        if told:
            findings.passed(rule, "; ".join(told))
        else:
            findings.does_not_apply(rule, "no key of this log is known to be stolen")
