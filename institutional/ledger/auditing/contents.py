"""What lies in a run folder, held against its manifest and its signed heads."""

import hashlib
import re
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from institutional.ledger import index
from institutional.ledger.auditing.findings import Findings
from institutional.ledger.auditing.survey import Flaw, Survey
from institutional.ledger.auditing.verdict import Word
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular, read_small
from institutional.ledger.log import CHECKPOINT, QUARANTINE
from institutional.ledger.manifest import Manifest
from institutional.ledger.note import MAX_NOTE_BYTES, open_checkpoint
from institutional.ledger.private.openings import Openings

GRAPH = "graph.yaml"
_TORN_NAME = re.compile(r"(0|[1-9][0-9]{0,15})-[0-9a-f]{64}\.bin\Z")
_CHUNK = 65_536


def check_graph(folder: Path, manifest: Manifest, findings: Findings) -> None:
    """Ask whether the graph beside the log is the one that was declared."""
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


def check_entries(found: Survey, findings: Findings) -> None:
    """Ask whether entries, heads and the end of the log are what was signed."""
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


def check_genesis(found: Survey, digest: str, findings: Findings) -> None:
    """Ask whether entry 0 names the manifest with this digest."""
    if found.opening is None:
        return
    named = found.opening.get("manifest")
    if named == digest:
        findings.passed("genesis", "entry 0 names this manifest")
    else:
        flaw = Flaw("", 0, 0, digest, f"{named!a:.80}")
        findings.fail("genesis", "names another manifest", Word.INVALID, flaw)


def check_close(found: Survey, manifest: Manifest, findings: Findings) -> None:
    """Ask whether the run was closed, and counted what is here."""
    if found.closing is None:
        if manifest.config.get("kind") == index.KIND:
            findings.does_not_apply("close", "a log of this kind stays open")
        elif not found.head_flaw:
            findings.fail("close", "the run was not closed", Word.INCOMPLETE)
    elif found.closing.get("counts") == dict(found.counts):
        findings.passed("close", f"closed after {found.size} entries, counted per kind")
    elif not found.entry:
        findings.fail("close", "the closing entry counts otherwise", Word.INVALID)


def check_checkpoint(folder: Path, found: Survey, findings: Findings) -> None:
    """Ask whether the published head is the log's newest."""
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


def check_quarantine(folder: Path, log: BinaryIO, found: Survey, findings: Findings) -> None:
    """Ask whether all that was set aside after a crash was written again."""
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


def check_private(told: Openings, findings: Findings) -> None:
    """Ask whether every private value that is shown opens its commitment."""
    if told.first is not None:
        flaw = Flaw(told.first.reason, told.first.offset, told.first.seq)
        findings.fail("private", told.first.reason, Word.INVALID, flaw)
    elif told.counts or told.stray:
        findings.passed("private", str(told))
    else:
        findings.does_not_apply("private", "no private values")
