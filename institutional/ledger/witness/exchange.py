"""Requests and answers as files, for a witness that no network reaches.

    FOLDER/0002-<digest>.request     written by the run's side, in the order of its conversation
    FOLDER/0002-<digest>.answer      written beside it by the witness: a status line, then the body

Somebody takes the folder there and back. Asking again replays the conversation with the answers
that are there, and goes on from the first that is missing.
"""

import hashlib
import re
from pathlib import Path

from institutional.ledger.errors import LedgerError
from institutional.ledger.files import read_small, replace
from institutional.ledger.manifest import MAX_BYTES as MAX_MANIFEST_BYTES
from institutional.ledger.note import MAX_NOTE_BYTES
from institutional.ledger.witness.heads import Request
from institutional.ledger.witness.protocol import Answer
from institutional.ledger.witness.service import Witness

REQUEST = ".request"
ANSWER = ".answer"
_STATUS = re.compile(r"[1-5][0-9]{2}\n")


class Exchange:
    """Carries one conversation through `folder`, which is made when needed; see `client.Send`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._paths: list[Path] = []

    def __call__(self, request: Request) -> Answer | None:
        """Return the answer that is there, or write the request and return None."""
        digest = hashlib.sha256(request.body).hexdigest()[:16]
        path = self.folder / f"{len(self._paths) + 1:04d}-{digest}{REQUEST}"
        self._paths.append(path)
        try:
            return read_answer(path.with_suffix(ANSWER))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise LedgerError(f"{path}: its answer cannot be read: {error}") from error
        try:
            self.folder.mkdir(exist_ok=True)
            replace(path, request.body)
        except OSError as error:
            raise LedgerError(f"{path}: the request cannot be written: {error}") from error
        return None

    def clear(self) -> None:
        """Remove the files of this conversation, once it has come to its end."""
        for path in self._paths:
            path.unlink(missing_ok=True)
            path.with_suffix(ANSWER).unlink(missing_ok=True)


def answer_files(witness: Witness, path: Path) -> list[tuple[Path, int]]:
    """Answer the request at `path`, or each unanswered one in that folder; return the statuses."""
    if path.is_dir():
        found = sorted(path.glob(f"*{REQUEST}"))
        requests = [one for one in found if not one.with_suffix(ANSWER).exists()]
    else:
        requests = [path]
    done = []
    for request in requests:
        try:
            answer = witness.answer(read_small(request, limit=MAX_MANIFEST_BYTES))
            replace(request.with_suffix(ANSWER), b"%d\n" % answer.status + answer.body)
        except OSError as error:
            raise LedgerError(f"{request}: cannot be answered: {error}") from error
        done.append((request, answer.status))
    return done


def read_answer(path: Path) -> Answer:
    """Return the answer in a file; raises LedgerError for anything else."""
    data = read_small(path, limit=MAX_NOTE_BYTES)
    if not _STATUS.fullmatch(data[:4].decode("ascii", errors="replace")):
        raise LedgerError(f"{path}: not a witness's answer")
    return Answer(int(data[:3]), data[4:])
