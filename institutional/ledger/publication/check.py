"""The verdict on the proof of one entry, from the proof, a key from elsewhere and nothing more.

    checked = check_proof(data, trust=Path("operator.pub").read_text())

The key is the operator's, the run's, or in a C2SP policy. What the proof encloses is believed only
as far as that key vouches for it: the manifest by its signature, each next epoch's key by the head
that closed the epoch before, the entry by its inclusion. Verification is total: any bytes end in a
verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from institutional.ledger import wal
from institutional.ledger.anchors import Anchored, check_anchor
from institutional.ledger.errors import (
    LedgerError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.findings import Findings
from institutional.ledger.note import (
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.publication.proof import (
    Enclosure,
    Proof,
    Rotation,
    parse_enclosure,
    parse_proof,
)
from institutional.ledger.rules import RULES, Question, Rule
from institutional.ledger.tree import leaf_hash, verify_consistency, verify_inclusion
from institutional.ledger.trust import NO_QUORUM, Seen, Trust, check_quorum, parse_trust
from institutional.ledger.verdict import Check, Verdict, Word
from institutional.ledger.vouching import vouch

_I = Question.INTEGRITY
_SHARED = {rule.id: rule for rule in RULES}
PROOF_RULES = (
    _SHARED["trust"],
    Rule(
        "proof-shape",
        _I,
        "the file is a tlog-proof, in its one spelling",
        "It was damaged, cut, edited or made by something else. CANNOT DECIDE: of another version.",
    ),
    Rule(
        "proof-key",
        _I,
        "the auditor's key vouches for the key that is to have signed the head",
        "CANNOT DECIDE: another operator's log, or the wrong key. INVALID: the manifest is forged, "
        "or the keys of the log's epochs do not lead from its first key to this head.",
    ),
    Rule(
        "proof-head",
        _I,
        "the key in force signed the head",
        "Somebody without the key altered the head, or signed another one with a key of his own.",
    ),
    Rule(
        "proof-inclusion",
        _I,
        "the entry stands at its place in the tree under the head",
        "The entry was altered, or never stood there. CANNOT DECIDE: its bytes are not enclosed.",
    ),
    Rule(
        "proof-entry",
        _I,
        "the entry is canonical, of this run and of this number",
        "The log holds these bytes, but this program did not write them as the entry they claim.",
    ),
    _SHARED["cosignatures"],
    _SHARED["remembered-head"],
    _SHARED["anchor"],
)


class Checked(NamedTuple):
    """The verdict, and the entry that was proven: its bytes and its parts, if it was."""

    verdict: Verdict
    data: bytes = b""
    entry: wal.Entry | None = None


def check_proof(
    data: bytes,
    trust: str,
    *,
    entry: bytes | None = None,
    head: str | None = None,
    key_source: str = "the auditor",
) -> Checked:
    """Return the verdict on a proof, and the entry that it proves.

    `trust` is a verifier key or a C2SP trust policy; `entry` are the bytes to be proven, by default
    those enclosed in the proof; `head` is a signed head that the auditor remembers.
    """
    findings = Findings(PROOF_RULES)
    work = _Work(data, trust, entry, head)
    steps = (
        work.read_trust,
        work.read_proof,
        work.find_key,
        work.check_head,
        work.check_inclusion,
        work.check_entry,
    )
    for rule, step in zip(PROOF_RULES, steps, strict=False):  # anchors are looked at afterwards
        try:
            findings.passed(rule.id, step())
        except (UnknownKeyError, UnknownVersionError, _UndecidedError) as error:
            findings.fail(rule.id, str(error), Word.CANNOT_DECIDE)
            break
        except LedgerError as error:
            findings.fail(rule.id, str(error), Word.INVALID)
            break
        except (ValueError, RecursionError, MemoryError) as error:
            findings.fail(rule.id, f"{type(error).__name__}: {error}", Word.CANNOT_DECIDE)
            break
    if work.proven is not None:
        work.check_cosignatures(findings)
        work.check_remembered(findings)
        check_anchor(work.seen, findings)
    return Checked(work.verdict(findings.checks(), key_source), work.data, work.proven)


def key_in_force(
    first: VerifyKey, rotations: Sequence[Rotation], head: Checkpoint
) -> tuple[VerifyKey, int]:
    """Return the key that signs `head` and the number of epochs, given what ended each of them.

    Every boundary head must be a prefix of `head`: else a thief of the newest key could write an
    earlier epoch anew under a head of his own.
    """
    epochs, ended = wal.Epochs(first), 0
    for (seq, hashes, note, extra), consistency in rotations:
        boundary = _opened(note, epochs.in_force)
        data = extra or b""
        if seq != boundary.size - 1 or not verify_inclusion(
            index=seq, size=boundary.size, leaf=leaf_hash(data), proof=hashes, root=boundary.root
        ):
            raise LedgerError(f"no such rotation ended the epoch of {boundary.size} entries")
        if not ended < boundary.size < head.size or not verify_consistency(
            size=boundary.size,
            root=boundary.root,
            new_size=head.size,
            new_root=head.root,
            proof=consistency,
        ):
            raise LedgerError(f"the head does not continue the epoch of {boundary.size} entries")
        epochs.entry(wal.EntryLine(0, data), seq)
        if not epochs.head():
            raise LedgerError(f"entry {seq} is no rotation")
        ended = boundary.size
    return epochs.in_force, len(epochs.keys)


def _opened(note: bytes, key: VerifyKey) -> Checkpoint:
    """Return the head in `note`: here a signer other than the key in force is a forger."""
    try:
        return open_checkpoint(note, key)
    except UnknownKeyError as error:
        raise LedgerError(f"not under the key in force: {error}") from error


class _UndecidedError(LedgerError):
    """Something is missing that only the auditor can bring."""


@dataclass
class _Work:
    """The steps of the check, in their order, and what each found for the next."""

    text: bytes
    trust: str
    entry: bytes | None
    remembered: str | None
    trusted: Trust = field(init=False)
    proof: Proof = field(init=False)
    checkpoint: Checkpoint = field(init=False)
    key: VerifyKey = field(init=False)
    enclosure: Enclosure | None = None
    run: str | None = None
    voucher: VerifyKey | None = None
    data: bytes = b""
    size: int = 0
    root: str = ""
    origin: str = "unknown"
    proven: wal.Entry | None = None
    epochs: int = 1
    seen: Anchored = field(default_factory=Anchored)

    def read_trust(self) -> str:
        try:
            self.trusted = parse_trust(self.trust)
        except LedgerError as error:
            raise _UndecidedError(str(error)) from error
        return f"{len(self.trusted.keys)} key(s) to check with"

    def read_proof(self) -> str:
        self.proof = parse_proof(self.text)
        self.checkpoint = parse_checkpoint(parse_note(self.proof.note).text)
        self.origin = self.checkpoint.origin
        if self.proof.extra is None:
            return "a proof that encloses nothing"
        try:
            self.enclosure = parse_enclosure(self.proof.extra)
        except LedgerError:
            return "a proof with an extra line of another program"
        return f"a proof that encloses the entry and {len(self.enclosure.rotations)} rotation(s)"

    def find_key(self) -> str:
        signers = {(line.name, line.key_id) for line in parse_note(self.proof.note).signatures}
        for key in self.trusted.keys:
            if (key.name, key.key_id) in signers and key.name == self.origin:
                self.key = self.voucher = key
                return "the log's own key was given"
        if self.enclosure is None:
            raise _UndecidedError(
                f"the head is not signed by a key at hand and no manifest is enclosed: bring the "
                f"key of {self.origin[:200]!a}"
            )
        manifest, _, self.voucher = vouch(self.enclosure.manifest, self.trusted.keys)
        if manifest.origin != self.origin:
            raise LedgerError(f"the manifest is of {manifest.origin}, the head of {self.origin!a}")
        rotations = self.enclosure.rotations
        self.run = manifest.run
        self.key, self.epochs = key_in_force(manifest.key, rotations, self.checkpoint)
        return f"vouched for by the manifest, {len(rotations)} rotation(s) later"

    def check_head(self) -> str:
        head = _opened(self.proof.note, self.key)
        self.size, self.root = head.size, head.root.hex()
        return f"signed by the key in force, over {head.size} entries"

    def check_inclusion(self) -> str:
        data = self.entry
        if data is None:
            if self.enclosure is None:
                raise _UndecidedError("no entry is enclosed: bring its bytes")
            data = self.enclosure.entry
        seq, size = self.proof.seq, self.checkpoint.size
        if not verify_inclusion(
            index=seq,
            size=size,
            leaf=leaf_hash(data),
            proof=self.proof.hashes,
            root=self.checkpoint.root,
        ):
            newline = "; it ends in a newline, which no entry does" if data[-1:] == b"\n" else ""
            raise LedgerError(f"these bytes are not entry {seq} of the {size} signed{newline}")
        self.data = data
        return f"entry {seq} of {size}, {len(data)} bytes"

    def check_entry(self) -> str:
        line = wal.EntryLine(0, self.data)
        self.proven = wal.parse_entry(line, run=self.run, seq=self.proof.seq)
        self.run = self.proven.run
        return f"canonical, of kind {self.proven.kind}"

    def check_cosignatures(self, findings: Findings) -> None:
        rule, found = "cosignatures", check_quorum(self.trusted, self.proof.note)
        what = {sighting.seen for sighting in found.sightings}
        if Seen.FALSE in what:
            findings.fail(rule, found.reason, Word.INVALID)
        elif self.trusted.quorum == NO_QUORUM:
            findings.does_not_apply(rule, found.reason)
        elif found.met:
            findings.passed(rule, found.reason)
            self.seen = Anchored(f"witnesses ({found.reason})")
        else:
            word = Word.CANNOT_DECIDE if Seen.UNDECIDED in what else Word.UNANCHORED
            findings.skip(rule, found.reason, word)

    def check_remembered(self, findings: Findings) -> None:
        rule, head = "remembered-head", self.checkpoint
        if self.remembered is None:
            findings.does_not_apply(rule, "none was given")
            return
        try:
            kept = open_checkpoint(self.remembered.encode(), self.key)
        except (LedgerError, UnicodeEncodeError) as error:
            findings.skip(rule, f"not a head of this log: {error}", Word.CANNOT_DECIDE)
            return
        if kept.size != head.size:
            reason = f"it signs {kept.size} entries, the proof's head {head.size}: one proof "
            reason += "cannot compare them; ask for a proof under the head that you remember"
            findings.skip(rule, reason)
        elif kept.root != head.root:
            note = self.proof.note.decode(errors="replace")
            self.seen = Anchored(self.seen.anchor, (self.remembered, note))
            reason = f"the same key signed another history of {head.size} entries"
            findings.fail(rule, reason, Word.DIVERGED)
        else:
            findings.passed(rule, "it is the head that the proof is under")
            words = f"a remembered head of {head.size} entries"
            others = self.seen.anchor
            self.seen = Anchored(words if others == "none" else f"{others} and {words}")

    def verdict(self, checks: tuple[Check, ...], key_source: str) -> Verdict:
        return Verdict(
            checks=checks,
            key=self.voucher.vkey if self.voucher else "none",
            key_source=key_source,
            origin=self.origin,
            run=self.run or "unknown",
            size=self.size,
            epochs=self.epochs,
            root=self.root,
            head=self.proof.note.decode(errors="replace") if self.root else "",
            anchor=self.seen.anchor,
            evidence=self.seen.evidence,
        )
