"""What was seen of a log from outside of it: heads, and whether the log still continues them.

A head is worth what its holder is: one that the auditor kept, one that witnesses cosigned, one
that an index or a time-stamp names. They all ask the log the same question, answered here.
"""

from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from institutional.ledger.errors import LedgerError, UnknownKeyError
from institutional.ledger.findings import Findings
from institutional.ledger.note import (
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.survey import Survey
from institutional.ledger.verdict import Word


class Kept(NamedTuple):
    """A head from outside of the log: the rule it serves, its note, and what that says.

    `anchor` says in words why the operator could not have replaced it; empty if he could.
    """

    rule: str
    note: bytes
    checkpoint: Checkpoint
    anchor: str


class Anchored(NamedTuple):
    """What heads from outside said: the best anchor in words, and signed heads that contradict.

    `size` is how many entries the best anchor covers.
    """

    anchor: str = "none"
    size: int = 0
    evidence: tuple[str, ...] = ()


class Relation(Enum):
    """How a log stands to a head from outside."""

    CONTINUES = auto()
    ROLLED_BACK = auto()
    FORKED = auto()
    BROKEN_BEFORE = auto()
    BEYOND = auto()
    FOREIGN = auto()


def kept(rule: str, note: bytes, *, origin: str, anchor: str) -> Kept:
    """Take a head of the log `origin` apart; its signature is `relation`'s matter.

    Raises LedgerError for what is no head, no head of this log, or a head of nothing.
    """
    checkpoint = parse_checkpoint(parse_note(note).text)
    if checkpoint.origin != origin:
        raise LedgerError(f"it is of {checkpoint.origin[:200]!a}")
    if checkpoint.size == 0:
        raise LedgerError("a head of no entries proves nothing")
    return Kept(rule, note, checkpoint, anchor)


def relation(head: Kept, found: Survey, *, also: Iterable[VerifyKey] = ()) -> tuple[Relation, str]:
    """Return how the log in `found`, walked with the head's size asked for, stands to it, and why.

    `also` are further keys of this log that the auditor trusts: a log that was rolled back over
    the end of an epoch does not name the later keys itself.
    """
    checkpoint, size = head.checkpoint, head.checkpoint.size
    keys = [found.key_at(size)]
    if size > found.size:
        keys += [found.epochs[-1], *also]
    try:
        signed = any(_signed(head.note, key) for key in keys)
    except LedgerError as error:
        return Relation.FOREIGN, f"not a head of this log: {error}"
    if not signed and size > found.size:
        return Relation.BEYOND, (
            f"{size} entries, signed by the key of no epoch that is here; here are {found.size}: "
            "rolled back, if that head was checked when it was kept"
        )
    if not signed:
        return Relation.FOREIGN, f"not a head of this log: not by {keys[0].vkey}"
    if size <= found.size and checkpoint.root == found.roots.get(size):
        return Relation.CONTINUES, f"the log continues it by {found.size - size} entries"
    if size > found.size and found.head_flaw:
        return Relation.BROKEN_BEFORE, "the log breaks before the size that it signs"
    if size > found.size:
        return Relation.ROLLED_BACK, (
            f"it signs {size} entries; the log has {found.size}: rolled back"
        )
    return Relation.FORKED, f"the same key signed another history of {size} entries"


_WORDS = {
    Relation.ROLLED_BACK: Word.DIVERGED,
    Relation.FORKED: Word.DIVERGED,
    Relation.BEYOND: Word.INCOMPLETE,
}


def check_heads(
    heads: Iterable[Kept], found: Survey, also: Sequence[VerifyKey], findings: Findings
) -> Anchored:
    """Hold the log against every head from outside, one finding for each one's rule."""
    anchors: list[tuple[int, str]] = []
    evidence: tuple[str, ...] = ()
    for head in heads:
        how, reason = relation(head, found, also=also)
        if how is Relation.CONTINUES:
            findings.passed(head.rule, reason)
            if head.anchor:
                anchors.append((head.checkpoint.size, head.anchor))
        elif how in _WORDS:
            findings.fail(head.rule, reason, _WORDS[how])
            evidence = (head.note.decode(), found.head.decode(errors="replace"))
        elif how is Relation.BROKEN_BEFORE:
            findings.skip(head.rule, reason)
        else:
            findings.skip(head.rule, reason, Word.CANNOT_DECIDE)
    if not anchors:
        return Anchored(evidence=evidence)
    size = max(anchors)[0]
    words = " and ".join(dict.fromkeys(words for at, words in anchors if at == size))
    later = found.size - size
    rest = f"; the {later} after it rest on the signature alone" if later else ""
    return Anchored(f"{words} of {size} entries{rest}", size, evidence)


def check_anchor(seen: Anchored, findings: Findings) -> None:
    """Say whether anything from outside vouches for this log."""
    if seen.anchor != "none":
        findings.passed("anchor", seen.anchor)
        return
    reason = (
        "nothing from outside was compared: a roll-back to an older signed head, or a second "
        "history by the same operator, cannot be excluded"
    )
    findings.skip("anchor", reason, Word.UNANCHORED)


def _signed(note: bytes, key: VerifyKey) -> bool:
    """Whether `key` signed this head; raises LedgerError when it only claims so."""
    try:
        open_checkpoint(note, key)
    except UnknownKeyError:
        return False
    return True
