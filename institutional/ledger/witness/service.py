"""The witness at work: a request's bytes in, an answer out, and everything remembered in between.

One object for each folder; several threads and several processes may answer over one folder. The
cosignature leaves only after the head that it is on was written durably, under the log's lock.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

from institutional.ledger.cosignature import WitnessKey, cosign, witness_key
from institutional.ledger.errors import LedgerError, UnknownKeyError
from institutional.ledger.files import read_small
from institutional.ledger.manifest import Envelope, Manifest, parse_envelope, verify_manifest
from institutional.ledger.note import MAX_NOTE_BYTES, NoteSignature, VerifyKey
from institutional.ledger.witness import memory, protocol
from institutional.ledger.witness.protocol import Answer, Decision, Record, refusal

_ORIGIN_HASH = re.compile(r"[0-9a-f]{64}\Z")


class Witness:
    """The witness whose folder is `folder`; `clock` gives POSIX seconds."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._key = memory.signing_key(folder)
        self._clock = clock
        memory.listed_keys(folder)  # a list that cannot be read is better found now

    @property
    def key(self) -> WitnessKey:
        """The key that auditors put into their policies."""
        return witness_key(self._key)

    def answer(self, data: bytes) -> Answer:
        """Return the answer to a request of any kind, told apart by how it begins."""
        return self.add_checkpoint(data) if data.startswith(b"old ") else self.add_key(data)

    def add_checkpoint(self, data: bytes) -> Answer:
        """Return a cosignature's line, or why there is none."""
        try:
            submission = protocol.parse_submission(data)
        except LedgerError as error:
            return refusal(400, str(error))
        origin = submission.checkpoint.origin
        return self._remembering(
            origin,
            lambda record, listed: protocol.add_checkpoint(
                record, submission, listed, self._cosign
            ),
        )

    def add_key(self, data: bytes) -> Answer:
        """Learn a log's first key from a manifest, or its next one from a rotate entry."""
        if data.startswith(b"{"):
            return self._add_manifest(data)
        try:
            rotation = protocol.parse_rotation(data)
        except LedgerError as error:
            return refusal(400, str(error))
        return self._remembering(
            rotation.key.name, lambda record, _: protocol.add_rotation(record, rotation)
        )

    def head(self, origin_hash: str) -> bytes | None:
        """Return the newest cosigned head of the log whose origin has this SHA-256, in hex."""
        if not _ORIGIN_HASH.match(origin_hash):
            return None
        path = self.folder / memory.LOGS / origin_hash / memory.CHECKPOINT
        try:
            return read_small(path, limit=MAX_NOTE_BYTES)
        except (OSError, LedgerError):
            return None

    def _add_manifest(self, data: bytes) -> Answer:
        try:
            envelope = parse_envelope(data)
        except LedgerError as error:
            return refusal(400, str(error))
        try:
            listed = memory.listed_keys(self.folder)
        except LedgerError as error:
            return refusal(500, str(error))
        try:
            manifest, operator = _vouched(envelope, listed)
        except LedgerError as error:
            return refusal(403, str(error))
        return self._remembering(
            manifest.origin,
            lambda record, _: protocol.add_manifest(record, manifest, operator),
            new=True,
        )

    def _remembering(
        self,
        origin: str,
        decide: Callable[[Record | None, tuple[VerifyKey, ...]], Decision],
        *,
        new: bool = False,
    ) -> Answer:
        """Look up, decide and write under one lock; a witness that cannot write says nothing.

        A log that is neither remembered nor listed gets no folder, unless vouched for (`new`).
        """
        where = memory.place(self.folder, origin)
        try:
            listed = memory.listed_keys(self.folder)
            if not new and not where.is_dir() and all(key.name != origin for key in listed):
                return decide(None, listed).answer
            with memory.locked(where):
                before = memory.load(where)
                decision = decide(before, listed)
                if decision.conflict is not None:
                    memory.keep(self.folder, origin, decision.conflict)
                if decision.record is not None and decision.record != before:
                    memory.save(where, decision.record, before)
        except (OSError, LedgerError) as error:
            return refusal(500, f"nothing was cosigned: {error}")
        return decision.answer

    def _cosign(self, text: str) -> NoteSignature:
        return cosign(text, self._key, time_s=int(self._clock()))


def _vouched(envelope: Envelope, listed: tuple[VerifyKey, ...]) -> tuple[Manifest, VerifyKey]:
    """Return what a listed operator has signed, and the operator's key."""
    for operator in listed:
        try:
            return verify_manifest(envelope, operator), operator
        except UnknownKeyError:
            continue
    raise UnknownKeyError("no listed operator has signed this manifest")
