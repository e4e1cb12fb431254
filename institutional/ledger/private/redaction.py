"""Erasing a private value, and the operator's signed word that it was done and why.

    <run>/redactions/<commitment>.dsse.json    in-toto Statement v1 in a DSSE envelope

    subject    the commitment, as a digest called "hmac-sha256"
    predicate  run, origin, seq and path of the entry, reason

A closed log cannot grow, so the word stands beside it rather than in it. The log's bytes do not
change: every signature, root and proof stays valid, and a reader is told `redacted` where there
was a value. The statement is made durable first and the item destroyed after, so that a value
never disappears without a word; where the second step was cut off, the same call ends it.

What was handed out before (disclosures, backups, copies of the folder) is out of reach.
"""

import contextlib
import fcntl
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from institutional.ledger import canonical, wal
from institutional.ledger.errors import LedgerError, UnknownKeyError, UnknownVersionError
from institutional.ledger.files import open_regular, read_small, replace, sync_folder
from institutional.ledger.log import LOG
from institutional.ledger.manifest import (
    FILE_NAME,
    MAX_BYTES,
    PAYLOAD_TYPE,
    STATEMENT_TYPE,
    Manifest,
    check_envelope,
    parse_envelope,
    sign_envelope,
    verify_manifest,
)
from institutional.ledger.note import SigningKey, VerifyKey
from institutional.ledger.private.commitment import RESERVED, commitments, is_commitment
from institutional.ledger.private.items import destroy, item_path, read_item, remains, stored, torn

FOLDER = "redactions"
PREDICATE_TYPE = "https://institutional.dev/redaction/v1"
MAX_STATEMENT_BYTES = 1_048_576
MAX_REASON = 1000
_SUFFIX = ".dsse.json"


class Redaction(NamedTuple):
    """What a statement says: this value of this entry was erased, for this reason."""

    run: str
    origin: str
    seq: int
    path: str
    commitment: str
    reason: str


def statement(redaction: Redaction) -> bytes:
    """Return the payload that says so: an in-toto statement in canonical bytes."""
    predicate = redaction._asdict()
    committed = predicate.pop("commitment")
    return canonical.encode(
        {
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": [
                {"name": f"entry-{redaction.seq}{redaction.path}", "digest": {RESERVED: committed}}
            ],
            "predicate": predicate,
        }
    )


def parse_redaction(payload: bytes) -> Redaction:
    """Return what a payload says; raises UnknownVersionError for another kind of statement."""
    match canonical.decode(payload):
        case {"_type": str(kind), "predicateType": str(about)} if (kind, about) != (
            STATEMENT_TYPE,
            PREDICATE_TYPE,
        ):
            raise UnknownVersionError(f"a statement of another kind: {kind!a:.80}, {about!a:.80}")
        case {
            "subject": [{"digest": {"hmac-sha256": str(committed)}}],
            "predicate": {
                "run": str(run),
                "origin": str(origin),
                "seq": int(seq),
                "path": str(path),
                "reason": str(reason),
            },
        } if not isinstance(seq, bool) and seq >= 0:
            found = Redaction(run, origin, seq, path, committed, reason)
        case _:
            raise LedgerError("not a redaction (run, origin, seq, path, reason of one commitment)")
    # What the pattern leaves open (other fields, the subject's name) is closed here.
    if not is_commitment(committed) or statement(found) != payload:
        raise LedgerError("a redaction with a field too many, or spelt in another way")
    _check_reason(reason)
    return found


def redaction_path(run_folder: Path, commitment: str) -> Path:
    """Where the statement about `commitment` lies, if there is one."""
    return run_folder / FOLDER / (commitment + _SUFFIX)


def read_redaction(path: Path, keys: Sequence[VerifyKey]) -> Redaction:
    """Return the redaction in `path`, which one of `keys` must have signed.

    Raises UnknownKeyError when none of them did, LedgerError for what is forged or no redaction of
    the commitment that names the file, and OSError when it cannot be read.
    """
    try:
        envelope = parse_envelope(read_small(path, limit=MAX_STATEMENT_BYTES))
        signer = next((key for key in keys if key.key_id.hex() == envelope.keyid), None)
        if signer is None:
            raise UnknownKeyError(f"signed by {envelope.keyid[:80]!a}, which is not known here")
        check_envelope(envelope, signer)
        redaction = parse_redaction(envelope.payload)
    except LedgerError as error:
        raise type(error)(f"{path}: {error}") from error
    if path.name != redaction.commitment + _SUFFIX or envelope.payload_type != PAYLOAD_TYPE:
        raise LedgerError(f"{path}: no redaction of the commitment that names it")
    return redaction


def erased_places(run_folder: Path) -> dict[tuple[int, str], str]:
    """Return the commitments that stand where something was erased; no signature is verified.

    Raises LedgerError naming the first file that is no redaction.
    """
    found = {}
    for path in sorted((run_folder / FOLDER).glob(f"*{_SUFFIX}")):
        try:
            envelope = parse_envelope(read_small(path, limit=MAX_STATEMENT_BYTES))
            redaction = parse_redaction(envelope.payload)
        except (OSError, LedgerError) as error:
            raise LedgerError(f"{path}: not a redaction that can be read: {error}") from error
        found[redaction.seq, redaction.path] = redaction.commitment
    return found


def committed_entry(run_folder: Path, manifest: Manifest, seq: int) -> wal.Entry:
    """Return entry `seq` of a run's log, if a head by the key that `manifest` names covers it.

    Raises LedgerError when there is no such entry, OSError when the log cannot be read.
    """
    with open_regular(run_folder / "ledger" / LOG) as file:
        end = wal.committed(file, manifest.key).end
        file.seek(0)
        lines = (record for record in wal.records(file) if isinstance(record, wal.EntryLine))
        line = next(itertools.islice(lines, seq, None), None)
    if line is None or line.offset >= end:
        raise LedgerError(f"{run_folder}: no entry {seq} in the committed part of its log")
    return wal.parse_entry(line, run=manifest.run, seq=seq)


def redact(
    run_folder: Path, *, seq: int, reason: str, operator: SigningKey, path: str | None = None
) -> list[Redaction]:
    """Erase the private values of entry `seq`, or the one at `path`, and sign that it was done.

    Irreversible. Whoever asks twice is told the same. Raises LedgerError, with nothing erased,
    unless `operator` signed the run's manifest, the entry is committed and holds such values, and
    nobody is writing the log.
    """
    _check_reason(reason)
    try:
        with _alone(run_folder / "ledger" / LOG):
            manifest = _vouched(run_folder, operator)
            entry = committed_entry(run_folder, manifest, seq)
            wanted = [
                Redaction(manifest.run, manifest.origin, seq, place, committed, reason)
                for place, committed in commitments(entry.body)
                if path in (None, place)
            ]
            if not wanted:
                where = "" if path is None else f" at {path!a:.80}"
                raise LedgerError(f"{run_folder}: entry {seq} holds no private value{where}")
            _check_kept(run_folder, wanted)
            done = [_declare(run_folder, redaction, operator) for redaction in wanted]
            _destroy(run_folder, done)
    except OSError as error:
        raise LedgerError(
            f"{run_folder}: stopped before all was erased: {error}\n"
            "  repair that and give the same command again"
        ) from error
    return done


def _check_reason(reason: str) -> None:
    if not 0 < len(reason) <= MAX_REASON or not reason.isprintable():
        raise LedgerError(f"a redaction needs a reason: one line of at most {MAX_REASON} letters")


@contextlib.contextmanager
def _alone(log: Path) -> Iterator[None]:
    """Hold the log's lock: what a run in progress is just storing looks like a torn write."""
    with open_regular(log) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerError(f"{log}: this log is being written; let its run end first") from error
        yield


def _vouched(run_folder: Path, operator: SigningKey) -> Manifest:
    path = run_folder / FILE_NAME
    try:
        return verify_manifest(
            parse_envelope(read_small(path, limit=MAX_BYTES)), operator.verify_key
        )
    except LedgerError as error:
        raise LedgerError(
            f"{path}: only the operator who signed a run can redact it: {error}"
        ) from error


def _check_kept(run_folder: Path, wanted: list[Redaction]) -> None:
    """Nothing is signed as erased that lies elsewhere: raise LedgerError."""
    for redaction in wanted:
        committed = redaction.commitment
        if not (remains(run_folder, committed) or redaction_path(run_folder, committed).exists()):
            raise LedgerError(
                f"{item_path(run_folder, committed)}: the value at {redaction.path!a:.80} "
                "is not kept here, so it cannot be erased here"
            )


def _declare(run_folder: Path, redaction: Redaction, operator: SigningKey) -> Redaction:
    """Store the signed statement, and return it; the first one about a value stands."""
    path = redaction_path(run_folder, redaction.commitment)
    if path.exists():
        stands = read_redaction(path, [operator.verify_key])
        if stands._replace(reason=redaction.reason) != redaction:
            raise LedgerError(f"{path}: speaks of another value than entry {redaction.seq} holds")
        return stands
    if not path.parent.exists():
        path.parent.mkdir()
        sync_folder(run_folder)
    replace(path, sign_envelope(statement(redaction), operator))
    return redaction


def _destroy(run_folder: Path, done: list[Redaction]) -> None:
    """Destroy the items of what was redacted, and others at its places that nothing commits to."""
    for redaction in done:
        with contextlib.suppress(FileNotFoundError):  # destroyed before
            destroy(item_path(run_folder, redaction.commitment))
    for path in list(torn(run_folder)):
        destroy(path)
    places = {(redaction.seq, redaction.path) for redaction in done}
    for path in list(stored(run_folder)):
        with contextlib.suppress(LedgerError):  # a damaged item is for the audit to tell
            item = read_item(path)
            if (item.seq, item.path) in places:
                destroy(path)
