"""What an auditor brings from elsewhere: heads, an index, a time stamp, word of stolen keys.

Each check says what it found of its own rule and returns the heads that the log must continue.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from institutional.ledger import index
from institutional.ledger.auditing.anchors import Anchored, Kept, kept
from institutional.ledger.auditing.findings import Findings
from institutional.ledger.auditing.revocation import read_revocation
from institutional.ledger.auditing.survey import Survey
from institutional.ledger.auditing.verdict import Verdict, Word
from institutional.ledger.auditing.vouching import Vouched
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.log import LOG
from institutional.ledger.note import MAX_NOTE_BYTES, VerifyKey
from institutional.ledger.timestamp import check_timestamp, stamped_head
from institutional.ledger.trust import NO_QUORUM, Seen, Trust, check_quorum
from institutional.ledger.witness.cosigned import COSIGNED

Audited = Callable[[Path, str | None], Verdict]
"""Audits another log with the same key, and perhaps a head of it that was kept."""


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


def check_remembered(head: str | None, origin: str, findings: Findings) -> list[Kept]:
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


def check_index(
    brought: Brought, vouched: Vouched, findings: Findings, *, audited: Audited
) -> list[Kept]:
    """Look the run up in the operator's index; its end there is a head of this log."""
    rule, origin = "index", vouched.manifest.origin
    if brought.index is None:
        findings.does_not_apply(rule, "none was given")
        return []
    verdict = audited(brought.index, brought.index_head)
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


def check_token(brought: Brought, folder: Path, origin: str, findings: Findings) -> list[Kept]:
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


def check_cosigned(
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


def check_revoked(
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
