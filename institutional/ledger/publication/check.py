"""The verdict on the proof of one entry, from the proof, a key from elsewhere and nothing more.

    checked = check_proof(data, trust=Path("operator.pub").read_text())

The key is the operator's, the run's, or in a C2SP policy. What the proof encloses is believed only
as far as that key vouches for it: the manifest by its signature, each next epoch's key by the head
that closed the epoch before, the entry by its inclusion. Verification is total: any bytes end in a
verdict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from institutional.ledger import wal
from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.note import (
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.publication.chain import ROTATE, next_key, vouched
from institutional.ledger.publication.proof import (
    Enclosure,
    Proof,
    Rotation,
    parse_enclosure,
    parse_proof,
)
from institutional.ledger.tree import leaf_hash, verify_consistency, verify_inclusion
from institutional.ledger.trust import Trust, parse_trust
from institutional.ledger.verdict import Check, Outcome, Verdict, Word

CHECKS = ("trust", "proof", "key", "head", "inclusion", "entry", "quorum", "remembered-head")

Quorum = Callable[[bytes, Trust], str]
"""From the head's note to a line on who cosigned it; raises LedgerError where the quorum fails."""


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
    quorum: Quorum | None = None,
) -> Checked:
    """Return the verdict on a proof, and the entry that it proves.

    `trust` is a verifier key or a C2SP trust policy; `entry` are the bytes to be proven, by default
    those enclosed in the proof; `head` is a signed head that the auditor remembers. `quorum` judges
    the cosignatures on the head where the policy asks for any.
    """
    work = _Work(data, trust, entry, head, quorum)
    checks: list[Check] = []
    steps = (
        work.read_trust,
        work.read_proof,
        work.find_key,
        work.check_head,
        work.check_inclusion,
        work.check_entry,
        work.check_quorum,
        work.check_remembered,
    )
    for name, step in zip(CHECKS, steps, strict=True):
        if checks and checks[-1].outcome in (Outcome.FAIL, Outcome.SKIPPED) and not work.proven:
            checks.append(Check(name, Outcome.SKIPPED, "not reached"))
            continue
        try:
            found = step()
        except (UnknownKeyError, UnknownVersionError, _UndecidedError) as error:
            found = Check(name, Outcome.FAIL, str(error), Word.CANNOT_DECIDE)
        except LedgerError as error:
            found = Check(name, Outcome.FAIL, str(error), Word.INVALID)
        except (ValueError, RecursionError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
            found = Check(name, Outcome.FAIL, reason, Word.CANNOT_DECIDE)
        checks.append(found if isinstance(found, Check) else Check(name, Outcome.PASS, found))
    return Checked(work.verdict(tuple(checks), key_source), work.data, work.proven)


def key_in_force(
    first: VerifyKey, run: str, rotations: Sequence[Rotation], head: Checkpoint
) -> VerifyKey:
    """Return the key that signs `head`, given the first epoch's and what closed each epoch.

    Every boundary head must be a prefix of `head`: else a thief of the newest key could write an
    earlier epoch anew under a head of his own.
    """
    keys, closed = [first], 0
    for (seq, hashes, note, extra), consistency in rotations:
        boundary = _opened(note, keys[-1])
        data = extra or b""
        if seq != boundary.size - 1 or not verify_inclusion(
            index=seq, size=boundary.size, leaf=leaf_hash(data), proof=hashes, root=boundary.root
        ):
            raise LedgerError(f"no such rotation closed the epoch of {boundary.size} entries")
        if not closed < boundary.size < head.size or not verify_consistency(
            size=boundary.size,
            root=boundary.root,
            new_size=head.size,
            new_root=head.root,
            proof=consistency,
        ):
            raise LedgerError(f"the head does not continue the epoch of {boundary.size} entries")
        entry = wal.parse_entry(wal.EntryLine(0, data), run=run, seq=seq)
        if entry.kind != ROTATE:
            raise LedgerError(f"entry {seq} is no rotation")
        keys.append(next_key(entry, keys))
        closed = boundary.size
    return keys[-1]


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
    quorum: Quorum | None
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
    anchor: str = "none"
    evidence: tuple[str, ...] = ()

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
        manifest, self.voucher = vouched(self.enclosure.manifest, self.trusted.keys)
        if manifest.origin != self.origin:
            raise LedgerError(f"the manifest is of {manifest.origin}, the head of {self.origin!a}")
        rotations = self.enclosure.rotations
        self.run = manifest.run
        self.key = key_in_force(manifest.key, manifest.run, rotations, self.checkpoint)
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

    def check_quorum(self) -> Check | str:
        if self.trusted.quorum == "none":
            return Check("quorum", Outcome.NOT_APPLICABLE, "no witnesses asked for")
        if self.quorum is None:
            raise _UndecidedError("the policy asks for cosignatures, which are not checked here")
        try:
            self.anchor = self.quorum(self.proof.note, self.trusted)
        except SignatureError:
            raise
        except LedgerError as error:
            return Check("quorum", Outcome.FAIL, str(error), Word.UNANCHORED)
        return self.anchor

    def check_remembered(self) -> Check | str:
        text, head = self.remembered, self.checkpoint
        word = Word.UNANCHORED if self.anchor == "none" else None
        if text is None:
            reason = "no remembered head was given"
            if word is not None:
                reason += ": the operator may have signed another history as well"
            return Check("remembered-head", Outcome.SKIPPED, reason, word)
        try:
            kept = open_checkpoint(text.encode(), self.key)
        except (LedgerError, UnicodeEncodeError) as error:
            raise _UndecidedError(f"not a head of this log: {error}") from error
        if kept.size != head.size:
            reason = f"it signs {kept.size} entries, the proof's head {head.size}: one proof "
            reason += "cannot compare them; ask for a proof under the head that you remember"
            return Check("remembered-head", Outcome.SKIPPED, reason, word)
        if kept.root != head.root:
            self.evidence = (text, self.proof.note.decode(errors="replace"))
            reason = f"the same key signed another history of {head.size} entries"
            return Check("remembered-head", Outcome.FAIL, reason, Word.DIVERGED)
        self.anchor = f"remembered head of {head.size} entries"
        return "it is the head that the proof is under"

    def verdict(self, checks: tuple[Check, ...], key_source: str) -> Verdict:
        return Verdict(
            checks=checks,
            key=self.voucher.vkey if self.voucher else "none",
            key_source=key_source,
            origin=self.origin,
            run=self.run or "unknown",
            size=self.size,
            root=self.root,
            anchor=self.anchor,
            evidence=self.evidence,
        )
