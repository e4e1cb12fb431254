"""The audit of a run folder: a graded verdict from public bytes, a key from elsewhere, no network.

    verdict = audit(Path("runs/cartel/07"), trust=Path("operator.pub").read_text())

Verification is total: whatever the folder holds, the answer is a `Verdict`. An auditor's own
remembered head is the only anchor so far; without one, a roll-back to an older signed head cannot
be excluded, and the verdict is UNANCHORED, never VERIFIED. Whether the recorded decisions follow
from the recorded evidence is another question, answered by replay.
"""

import hashlib
import re
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.log import CHECKPOINT, LOG, QUARANTINE
from institutional.ledger.manifest import (
    FILE_NAME,
    MAX_BYTES,
    Envelope,
    Manifest,
    parse_envelope,
    parse_statement,
    verify_manifest,
)
from institutional.ledger.note import (
    MAX_NOTE_BYTES,
    Checkpoint,
    VerifyKey,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
)
from institutional.ledger.survey import Flaw, Survey, survey
from institutional.ledger.trust import Trust, parse_trust
from institutional.ledger.verdict import Check, Outcome, Verdict, Word

CHECKS = (
    "trust",
    "quorum",
    "manifest-shape",
    "manifest-signature",
    "entries",
    "heads",
    "tail",
    "genesis",
    "close",
    "checkpoint-file",
    "quarantine",
    "graph",
    "remembered-head",
    "reading",
)
GRAPH = "graph.yaml"
_TORN_NAME = re.compile(r"(0|[1-9][0-9]{0,15})-[0-9a-f]{64}\.bin\Z")
_CHUNK = 65_536


def audit(
    folder: Path, trust: str, head: str | None = None, *, key_source: str = "the auditor"
) -> Verdict:
    """Return the verdict on the run in `folder`.

    `trust` is the operator's or the run's verifier key, or a C2SP trust policy; `head` is a
    checkpoint that the auditor kept; `key_source` is where the key came from, for the report.
    """
    work = _Audit(folder, key_source)
    try:
        work.run(trust, head)
    except _StopError:
        pass
    except (OSError, ValueError, LedgerError, RecursionError, MemoryError) as error:
        work.fail("reading", f"{type(error).__name__}: {error}", Word.CANNOT_DECIDE)
    return work.verdict()


class _StopError(Exception):
    """Nothing further can be checked."""


class _Audit:
    """The checks made so far and what they learnt."""

    def __init__(self, folder: Path, key_source: str) -> None:
        self.folder = folder
        self.key_source = key_source
        self.checks: dict[str, Check] = {}
        self.found = Survey()
        self.key: VerifyKey | None = None
        self.manifest: Manifest | None = None
        self.anchor = "none"
        self.evidence: tuple[str, ...] = ()

    def run(self, trust: str, head: str | None) -> None:
        trusted = self.check_trust(trust)
        payload, manifest = self.check_manifest(trusted)
        self.manifest = manifest
        remembered = self.read_head(head, manifest)
        self.check_graph(manifest)
        self.check_log(manifest, payload, remembered.size if remembered else 0)
        self.check_checkpoint()
        if remembered and head:
            self.check_head(remembered, head, trusted)

    # --- bookkeeping

    def passed(self, name: str, reason: str) -> None:
        self.checks[name] = Check(name, Outcome.PASS, reason)

    def skip(
        self, name: str, reason: str, word: Word | None = None, how: Outcome = Outcome.SKIPPED
    ) -> None:
        self.checks[name] = Check(name, how, reason, word)

    def fail(self, name: str, reason: str, word: Word, flaw: Flaw | None = None) -> None:
        check = Check(name, Outcome.FAIL, reason, word)
        if flaw is not None:
            where = f"byte {flaw.offset}: {reason}"
            check = check._replace(
                reason=where if flaw.seq is None else f"entry {flaw.seq}, {where}",
                seq=flaw.seq,
                offset=flaw.offset,
                expected=flaw.expected,
                found=flaw.found,
            )
        self.checks[name] = check

    def verdict(self) -> Verdict:
        self.checks.setdefault(
            "reading", Check("reading", Outcome.NOT_APPLICABLE, "every file could be read")
        )
        for name in CHECKS:
            if name not in self.checks:
                # Fail closed: a verdict whose anchor was never compared is unanchored.
                word = Word.UNANCHORED if name == "remembered-head" else None
                self.skip(name, "not reached", word)
        return Verdict(
            checks=tuple(self.checks[name] for name in CHECKS),
            key=self.key.vkey if self.key else "none",
            key_source=self.key_source,
            origin=self.manifest.origin if self.manifest else "unknown",
            run=self.manifest.run if self.manifest else "unknown",
            size=self.found.size,
            root=self.found.root,
            anchor=self.anchor,
            evidence=self.evidence,
        )

    # --- the checks, in order

    def check_trust(self, text: str) -> Trust:
        try:
            trusted = parse_trust(text)
        except LedgerError as error:
            self.fail("trust", str(error), Word.CANNOT_DECIDE)
            raise _StopError from None
        self.passed("trust", f"{len(trusted.keys)} key(s) to check with")
        if trusted.quorum == "none":
            self.skip("quorum", "no witnesses asked for", how=Outcome.NOT_APPLICABLE)
        else:
            reason = f"quorum {trusted.quorum[:80]!a} asked for; cosignatures are not checked yet"
            self.skip("quorum", reason, Word.CANNOT_DECIDE)
        return trusted

    def check_manifest(self, trusted: Trust) -> tuple[bytes, Manifest]:
        """Find the run's key: vouched for by the operator's signature, or given by the auditor."""
        try:
            data = read_small(self.folder / FILE_NAME, limit=MAX_BYTES)
        except (OSError, LedgerError) as error:
            self.skip("manifest-shape", f"cannot be read: {error}", Word.CANNOT_DECIDE)
            raise _StopError from None
        try:
            envelope = parse_envelope(data)
            manifest = self.vouched(envelope, trusted) or self.given(envelope, trusted)
        except UnknownVersionError as error:
            self.fail("manifest-shape", str(error), Word.CANNOT_DECIDE)
            raise _StopError from None
        except SignatureError as error:
            self.fail("manifest-signature", str(error), Word.INVALID)
            raise _StopError from None
        except LedgerError as error:
            self.fail("manifest-shape", str(error), Word.INVALID)
            raise _StopError from None
        self.passed("manifest-shape", "an in-toto statement about this run")
        return envelope.payload, manifest

    def vouched(self, envelope: Envelope, trusted: Trust) -> Manifest | None:
        for key in trusted.keys:
            try:
                manifest = verify_manifest(envelope, key)
            except UnknownKeyError:
                continue
            self.key = key
            self.passed("manifest-signature", f"signed by {key.name}")
            return manifest
        return None

    def given(self, envelope: Envelope, trusted: Trust) -> Manifest:
        manifest = parse_statement(envelope.payload)
        for key in trusted.keys:
            if key == manifest.key:
                self.key = key
                reason = "the run's own key was given; entry 0 vouches for the manifest's payload"
                self.skip("manifest-signature", reason)
                return manifest
            if key.name == manifest.origin:
                raise SignatureError(f"the manifest names another key for {key.name}")
        names = ", ".join(key.name for key in trusted.keys[:3])
        reason = f"not signed by {names}: another operator's run, or the wrong key"
        self.skip("manifest-signature", reason, Word.CANNOT_DECIDE)
        raise _StopError

    def read_head(self, text: str | None, manifest: Manifest) -> Checkpoint | None:
        """Take a remembered head apart; which key must have signed it depends on its size."""
        if text is None:
            reason = (
                "no remembered head was given: a roll-back to an older signed head, or a second "
                "history by the same operator, cannot be excluded"
            )
            self.skip("remembered-head", reason, Word.UNANCHORED)
            return None
        try:
            remembered = parse_checkpoint(parse_note(text.encode()).text)
        except (LedgerError, UnicodeEncodeError) as error:
            reason = f"not a head of this log: {error}"
            self.skip("remembered-head", reason, Word.CANNOT_DECIDE)
            return None
        if remembered.origin != manifest.origin:
            reason = f"not a head of this log: it is of {remembered.origin[:200]!a}"
            self.skip("remembered-head", reason, Word.CANNOT_DECIDE)
            return None
        if remembered.size == 0:
            reason = "a head of no entries proves nothing"
            self.skip("remembered-head", reason, Word.CANNOT_DECIDE)
            return None
        return remembered

    def check_graph(self, manifest: Manifest) -> None:
        path, expected = self.folder / GRAPH, manifest.subjects.get(GRAPH)
        try:
            with open_regular(path) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            if expected is None:
                self.skip("graph", "this run has no graph", how=Outcome.NOT_APPLICABLE)
            else:
                self.skip("graph", f"{GRAPH} is missing", Word.CANNOT_DECIDE)
            return
        except (OSError, LedgerError) as error:
            self.skip("graph", f"{GRAPH} cannot be read: {error}", Word.CANNOT_DECIDE)
            return
        if found == expected:
            self.passed("graph", f"{GRAPH} is the one that was declared")
        else:
            flaw = Flaw("", 0, None, expected or "no graph", found)
            self.fail("graph", f"{GRAPH} is not the one that was declared", Word.INVALID, flaw)

    def check_log(self, manifest: Manifest, payload: bytes, size_asked: int) -> None:
        try:
            file = open_regular(self.folder / "ledger" / LOG)
        except (OSError, LedgerError) as error:
            self.skip("entries", f"the log cannot be read: {error}", Word.CANNOT_DECIDE)
            raise _StopError from None
        with file:
            self.found = survey(file, manifest.key, run=manifest.run, size_asked=size_asked)
            self.check_entries()
            self.check_genesis(hashlib.sha256(payload).hexdigest())
            self.check_close()
            self.check_quarantine(file)

    def check_entries(self) -> None:
        found = self.found
        if found.entry:
            word = Word.CANNOT_DECIDE if found.entry.unknown_version else Word.INVALID
            self.fail("entries", found.entry.reason, word, found.entry)
        elif found.size:
            self.passed("entries", f"{found.size} entries, each canonical and in its place")
        else:
            self.skip("entries", "there is no signed entry", Word.INCOMPLETE)
        if found.head_flaw:
            self.fail("heads", found.head_flaw.reason, Word.INVALID, found.head_flaw)
        elif found.size:
            self.passed("heads", "every signed head has its signature, size and root")
        if found.tail:
            self.fail("tail", found.tail.reason, Word.INCOMPLETE, found.tail)
        elif not found.head_flaw:
            self.passed("tail", "the last signed head covers every byte")

    def check_genesis(self, digest: str) -> None:
        if self.found.opening is None:
            return
        named = self.found.opening.get("manifest")
        if named == digest:
            self.passed("genesis", "entry 0 names this manifest")
        else:
            flaw = Flaw("", 0, 0, digest, f"{named!a:.80}")
            self.fail("genesis", "names another manifest", Word.INVALID, flaw)

    def check_close(self) -> None:
        found = self.found
        if found.closing is None:
            if not found.head_flaw:
                self.fail("close", "the run was not closed", Word.INCOMPLETE)
        elif found.closing.get("counts") == dict(found.counts):
            self.passed("close", f"closed after {found.size} entries, counted per kind")
        elif not found.entry:
            self.fail("close", "the closing entry counts otherwise", Word.INVALID)

    def check_checkpoint(self) -> None:
        path, found = self.folder / "ledger" / CHECKPOINT, self.found
        try:
            data = read_small(path, limit=MAX_NOTE_BYTES)
            published = open_checkpoint(data, found.key_at(found.size))
        except FileNotFoundError:
            if found.closing is None:
                reason = "none is published before closing"
                self.skip("checkpoint-file", reason, how=Outcome.NOT_APPLICABLE)
            else:
                self.fail("checkpoint-file", "the published head is missing", Word.INCOMPLETE)
            return
        except OSError as error:
            self.skip("checkpoint-file", f"cannot be read: {error}", Word.CANNOT_DECIDE)
            return
        except LedgerError as error:
            self.fail("checkpoint-file", str(error), Word.INVALID)
            return
        if data == found.head:
            self.passed("checkpoint-file", "the published head is the log's newest")
        else:
            reason = f"it signs {published.size} entries; the log's last good head {found.size}"
            self.fail("checkpoint-file", reason, Word.INVALID)

    def check_quarantine(self, log: BinaryIO) -> None:
        folder = self.folder / "ledger" / QUARANTINE
        try:
            paths = sorted(islice(folder.iterdir(), 1000))
        except FileNotFoundError:
            self.passed("quarantine", "nothing was set aside")
            return
        except OSError as error:
            self.skip("quarantine", f"cannot be read: {error}", Word.CANNOT_DECIDE)
            return
        odd = [path for path in paths if not self.written_again(path, log)]
        if odd:
            reason = f"{len(odd)} torn write(s) set aside that the log does not repeat"
            self.fail("quarantine", f"{reason}: {odd[0].name[:40]!a}", Word.INCOMPLETE)
        elif paths:
            self.passed("quarantine", f"{len(paths)} torn write(s), all written again since")
        else:
            self.passed("quarantine", "nothing was set aside")

    def written_again(self, path: Path, log: BinaryIO) -> bool:
        """Whether the log now holds, signed and at the same place, what was set aside."""
        named = _TORN_NAME.match(path.name)
        if named is None:
            return False
        try:
            with open_regular(path) as torn:
                log.seek(int(named[1]))
                while chunk := torn.read(_CHUNK):
                    if log.read(len(chunk)) != chunk or log.tell() > self.found.end:
                        return False
        except (OSError, LedgerError):
            return False
        return True

    def check_head(self, remembered: Checkpoint, text: str, trusted: Trust) -> None:
        found = self.found
        keys = [found.key_at(remembered.size)]
        if remembered.size > found.size:
            # A later epoch's key is not named by a log that was rolled back before it.
            keys += [found.epochs[-1], *trusted.keys]
        try:
            signed = any(_signed(text, key) for key in keys)
        except LedgerError as error:
            self.skip("remembered-head", f"not a head of this log: {error}", Word.CANNOT_DECIDE)
            return
        if not signed and remembered.size > found.size:
            reason = (
                f"{remembered.size} entries, signed by the key of no epoch that is here; here are "
                f"{found.size}: rolled back, if you checked that head when you kept it"
            )
            self.fail("remembered-head", reason, Word.INCOMPLETE)
            return
        if not signed:
            reason = f"not a head of this log: not by {keys[0].vkey}"
            self.skip("remembered-head", reason, Word.CANNOT_DECIDE)
            return
        if remembered.size <= found.size and remembered.root == found.root_at:
            later = found.size - remembered.size
            self.passed("remembered-head", f"the log continues it by {later} entries")
            self.anchor = f"remembered head of {remembered.size} entries" + (
                f"; the {later} after it rest on the signature alone" if later else ""
            )
        elif remembered.size > found.size and found.head_flaw:
            reason = "the log breaks before the size that it signs"
            self.skip("remembered-head", reason, Word.UNANCHORED)
        else:
            reason = (
                f"it signs {remembered.size} entries; the log has {found.size}: rolled back"
                if remembered.size > found.size
                else f"the same key signed another history of {remembered.size} entries"
            )
            self.fail("remembered-head", reason, Word.DIVERGED)
            self.evidence = (text, found.head.decode(errors="replace"))


def _signed(text: str, key: VerifyKey) -> bool:
    """Whether `key` signed this head; raises LedgerError when it only claims so."""
    try:
        open_checkpoint(text.encode(), key)
    except UnknownKeyError:
        return False
    return True
