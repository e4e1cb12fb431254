"""A run's log shown to a witness: its newest head goes out, a cosignature comes back.

`conversation` is the whole exchange as a generator of requests, whatever carries them: `over_http`
to a witness that is running, or an `exchange` of files.
"""

from collections.abc import Callable, Generator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from institutional.ledger.cosignature import WitnessKey, cosigned_at
from institutional.ledger.errors import DivergedError, LedgerError
from institutional.ledger.note import MAX_NOTE_BYTES, Note, parse_note
from institutional.ledger.witness.cosigned import cosigned_size, keep_cosigned, read_cosigned
from institutional.ledger.witness.heads import Request, RunHeads, read_run, steps
from institutional.ledger.witness.protocol import ADD_CHECKPOINT, ADD_KEY, SIZE_LINE, Answer

TIMEOUT_S = 10
_MAX_ATTEMPTS = 5

Send = Callable[[Request], Answer | None]
"""Carries a request and returns its answer, or None where that is yet to come."""


class Receipt(NamedTuple):
    """A cosignature that was verified and kept: who, over how many entries, at what time."""

    witness: str
    size: int
    root: str
    time_s: int


def submit(run: Path, key: WitnessKey, send: Send) -> Receipt | None:
    """Have the newest head of the run in `run` cosigned by `key`, and keep the cosigned head.

    Returns None when an answer is yet to come. Raises DivergedError when the witness has seen
    another history of this log, LedgerError when it cosigns nothing for another reason.
    """
    log = read_run(run)
    remembered = cosigned_size(read_cosigned(run, log), key)
    dialogue = conversation(log, remembered=remembered)
    request = next(dialogue)
    while True:
        answer = send(request)
        if answer is None and request.name == ADD_CHECKPOINT:
            return None
        try:
            request = dialogue.send(answer)
        except StopIteration as end:
            cosigned, time_s = _cosigned(log, end.value, key)
            break
    keep_cosigned(run, log, cosigned, key)
    return Receipt(key.name, log.checkpoint.size, log.checkpoint.root.hex(), time_s)


def conversation(log: RunHeads, *, remembered: int) -> Generator[Request, Answer | None, bytes]:
    """Yield requests and take their answers; returns the body of the answer to the newest head.

    `remembered` is the size that the witness is thought to remember; it corrects a wrong one. What
    it says of keys decides nothing, and may be None: a head under a key unknown to it is refused.
    """
    of_keys = yield Request(ADD_KEY, log.manifest)
    for _ in range(_MAX_ATTEMPTS):
        for request in steps(log, remembered=remembered):
            answer = yield request
            if request.name == ADD_KEY:
                of_keys = answer
            elif answer is None:
                raise LedgerError("the witness gave no answer")
            elif answer.status == 409:
                remembered = _moved(log, answer)
                break
            elif answer.status != 200:
                raise _refused(answer, of_keys)
        else:
            assert answer is not None  # noqa: S101 - the last step is a submission
            return answer.body
    raise LedgerError("the witness remembers another size each time: try again")


def over_http(url: str) -> Send:
    """Return what carries requests to the witness whose submission prefix is `url`."""
    kinds = {"http": HTTPConnection, "https": HTTPSConnection}
    try:
        parts = urlsplit(url)
        host, port, prefix = parts.hostname or "", parts.port, parts.path.rstrip("/")
    except ValueError:
        raise LedgerError(f"{url[:200]!a}: not an address") from None
    if parts.scheme not in kinds or not host or parts.username or parts.query or parts.fragment:
        raise LedgerError(f"{url[:200]!a}: not the address of a witness (http:// or https://)")

    def send(request: Request) -> Answer:
        try:
            connection = kinds[parts.scheme](host, port, timeout=TIMEOUT_S)
            try:
                connection.request("POST", f"{prefix}/{request.name}", body=request.body)
                response = connection.getresponse()
                body = response.read(MAX_NOTE_BYTES + 1)
            finally:
                connection.close()
        except (OSError, HTTPException, ValueError) as error:
            raise LedgerError(f"{url}: the witness cannot be reached: {error}") from error
        return Answer(response.status, body)

    return send


def _moved(log: RunHeads, answer: Answer) -> int:
    """Return the size that the witness remembers, which must be one that this log has."""
    named = SIZE_LINE.match(answer.body.decode("ascii", errors="replace"))
    if named is None:
        raise LedgerError(f"the witness answered 409 without a size: {answer.body[:60]!a}")
    size = int(named[1])
    if size > log.checkpoint.size:
        raise DivergedError(
            f"the witness has cosigned {size} entries of this log; here are {log.checkpoint.size}\n"
            "  this log was rolled back, or it is a copy that another has outgrown"
        )
    return size


def _refused(answer: Answer, of_keys: Answer | None) -> LedgerError:
    said = answer.body[:300].decode(errors="replace").strip()
    if answer.status == 422:
        return DivergedError(
            f"the witness has cosigned another history of this log: {said}\n"
            "  it keeps both heads; compare them: institutional audit witness compare"
        )
    reason = f"the witness refuses ({answer.status}): {said}"
    if answer.status in {403, 404}:
        reason += "\n  its keeper must list the operator's key, or this run's"
        if of_keys is not None and of_keys.status != 200:
            reason += f" ({of_keys.status} {of_keys.body[:300].decode(errors='replace').strip()})"
    return LedgerError(reason)


def _cosigned(log: RunHeads, lines: bytes, key: WitnessKey) -> tuple[Note, int]:
    """Return the newest head with the witness's lines, and when `key` cosigned it."""
    try:
        note = parse_note(log.head + lines)
        time_s = cosigned_at(note, key)
    except LedgerError as error:
        raise LedgerError(f"the witness's answer is no cosignature by that key: {error}") from error
    if time_s == 0:
        raise LedgerError("the witness's cosignature has no time")
    return note, time_s
