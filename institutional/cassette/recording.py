"""Asking on the record: what is on a cassette is not asked again, what is new is written first.

A `Recorder` stands between the agents of one run and whoever answers. An answer that was recorded
at the same place for the same question is given again; a new one is handed to the operating
system before the agent sees it, and to the disk by `sync`, before each durable commit of the
ledger. So a run that is killed asks nothing twice when it goes on.

Exchanges of one round are written in the order in which their answers came, which may be another
one the next time; what they are and what the ledger says of them is not.
"""

import fcntl
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

from agents.language.exchange import Ask, Place, Reply, Request
from institutional.cassette.exchange import (
    FILE_NAME,
    MAX_REPLY,
    Exchange,
    Header,
    lines,
    said,
)
from institutional.cassette.reading import Cassette, read_cassette
from institutional.errors import InstitutionalError
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import replace as replace_file
from institutional.ledger.files import sync_folder

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_SHOWN = 60


Source = Callable[[Place, Request], Reply | None]
"""Where an answer is found before a model is asked. None: not here, so ask; it raises where the
answer must be here and is not."""


class Taken(NamedTuple):
    """An exchange that an agent used: its address and what its answer cost."""

    address: str
    prompt_tokens: int
    completion_tokens: int


def nowhere(_place: Place, _request: Request) -> None:
    """Find nothing: what is not on the run's own cassette is asked of its model."""


class Recorder:
    """The one writer of a run's cassette; made by `open`, locked until `close`.

    `before` is asked for what is not on the run's own cassette, then `ask`. While `replaying`, as
    when a ledger that was cut short is derived again, everything must be on record already.
    """

    def __init__(
        self,
        folder: Path,
        header: Header,
        ask: Ask,
        *,
        before: Source = nowhere,
        replaying: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begin the cassette of the run in `folder` under `header`, or go on with the one there.

        One that is there keeps its key. A torn last line is moved to `quarantine/`.
        """
        self._path = folder / FILE_NAME
        self._ask, self._before, self._replaying = ask, before, replaying
        self._known: set[str] = set()
        self._recorded: dict[Place, tuple[Exchange, str]] = {}
        self._taken: dict[str, list[Taken]] = {}
        self._dirty = False
        try:
            self._file = os.open(self._path, _FLAGS, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._key = self._open(folder, header)
        except OSError as error:
            os.close(self._file)
            raise self._unwritable(error) from error
        except BaseException:
            os.close(self._file)
            raise

    def _open(self, folder: Path, header: Header) -> bytes:
        found = read_cassette(folder)
        end = 0 if found is None else found.end
        if os.fstat(self._file).st_size > end:
            self._set_aside(folder, end)
        if found is None:
            self._write(header.line())
            sync_folder(folder)
            return header.key
        if found.header.run != header.run:
            raise InstitutionalError(
                f"{self._path}: the cassette of run {found.header.run[:80]!a}, not of "
                f"{header.run!a}\n  put back the one that belongs here"
            )
        self._known.update(found.texts)
        self._recorded.update(
            (place, (exchange, found.addresses[place]))
            for place, exchange in found.exchanges.items()
        )
        return found.header.key

    def _set_aside(self, folder: Path, end: int) -> None:
        with self._path.open("rb") as file:
            file.seek(end)
            torn = file.read()
        (folder / "quarantine").mkdir(exist_ok=True)
        replace_file(folder / "quarantine" / f"cassette-{end}.bin", torn)
        os.ftruncate(self._file, end)

    async def ask(self, place: Place, request: Request) -> Reply:
        """Answer from the record, or ask and record; see the class."""
        recorded = self._recorded.pop(place, None)
        if recorded is not None:
            exchange, name = recorded
            check_same(self._path, place, exchange.request, request)
            self._note(place, exchange.reply, name)
            return exchange.reply
        if self._replaying():
            raise InstitutionalError(
                f"{self._path}: nothing at {said(place)}, although the ledger says what was "
                "answered there\n  put back the cassette that was written with it"
            )
        reply = self._before(place, request)
        if reply is None:
            reply = _storable(await self._ask(place, request))
        try:
            data, name = lines(self._key, place, Exchange(request, reply), self._known)
        except LedgerError as error:
            raise InstitutionalError(
                f"{self._path}: {said(place)} cannot be recorded: {error}"
            ) from error
        self._write(data)
        self._note(place, reply, name)
        return reply

    def taken(self) -> dict[str, list[Taken]]:
        """What every agent used since this was last asked, by agent, in the order of attempts."""
        taken, self._taken = self._taken, {}
        return taken

    def sync(self) -> None:
        """Make durable what was recorded; before the ledger's commit that speaks of it."""
        if not self._dirty:
            return
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise self._unwritable(error) from error
        self._dirty = False

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _note(self, place: Place, reply: Reply, name: str) -> None:
        used = Taken(name, reply.prompt_tokens, reply.completion_tokens)
        self._taken.setdefault(place.agent, []).append(used)

    def _write(self, data: bytes) -> None:
        # After a write that failed by half, the file ends in a torn line and nothing may follow it.
        if self._file < 0:
            raise InstitutionalError(f"{self._path}: the cassette is closed; nothing can be added")
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        self._dirty = True

    def _unwritable(self, error: OSError) -> InstitutionalError:
        if isinstance(error, BlockingIOError):
            return InstitutionalError(f"{self._path}: another process is writing this cassette")
        return InstitutionalError(
            f"{self._path}: the cassette cannot be written ({error.strerror})\n"
            "  make room or repair the disk; the same command goes on where it stopped"
        )


def from_cassette(folder: Path, cassette: Cassette) -> Source:
    """Everything from the cassette of the run in `folder`, for the same questions; nothing asked.

    What is missing there, or was another question, is an InstitutionalError that says so.
    """

    def source(place: Place, request: Request) -> Reply:
        exchange = _found(folder, cassette, place)
        check_same(folder / FILE_NAME, place, exchange.request, request)
        return exchange.reply

    return source


def until(folder: Path, cassette: Cassette, round_: int) -> Source:
    """The answers of the run in `folder` before `round_`, by place, whatever is asked there.

    From `round_` on nothing is found, so that the models are asked.
    """

    def source(place: Place, _request: Request) -> Reply | None:
        return None if place.round >= round_ else _found(folder, cassette, place).reply

    return source


def _found(folder: Path, cassette: Cassette, place: Place) -> Exchange:
    if place not in cassette.exchanges:
        raise InstitutionalError(
            f"{folder / FILE_NAME}: nothing was recorded at {said(place)}\n"
            "  the run asks there now: its inputs, agents or prompts are others than those recorded"
        )
    return cassette.exchanges[place]


def check_same(path: Path, place: Place, recorded: Request, asked: Request) -> None:
    """Raise InstitutionalError, saying what differs, unless both are the same question."""
    if recorded == asked:
        return
    raise InstitutionalError(
        f"{path}: another question was recorded at {said(place)}\n"
        f"  {difference(recorded, asked)}\n"
        "  a record answers the same texts, models and notices only: play the run in another folder"
    )


def difference(recorded: Request, asked: Request) -> str:
    """The first thing in which two questions differ, both sides in plain ASCII."""
    before, now = recorded.as_json(), asked.as_json()
    for name in ("model", "temperature", "max_tokens", "seed", "schema"):
        if before[name] != now[name]:
            return f"{name}: recorded {before[name]!a:.200}, now {now[name]!a:.200}"
    if len(recorded.messages) != len(asked.messages):
        return f"messages: recorded {len(recorded.messages)}, now {len(asked.messages)}"
    for number, (was, is_) in enumerate(zip(recorded.messages, asked.messages, strict=True)):
        if was != is_:
            pairs = enumerate(zip(was.content, is_.content, strict=False))
            shorter = min(len(was.content), len(is_.content))
            at = next((i for i, (a, b) in pairs if a != b), shorter)
            shown = slice(max(0, at - 20), at + _SHOWN)
            return (
                f"message {number} ({is_.role}) from character {at} on: recorded "
                f"...{was.content[shown]!a}, now ...{is_.content[shown]!a}"
            )
    return "nothing"


def _storable(reply: Reply) -> Reply:
    """The reply as a cassette can hold it, which is also what the agent reads.

    Half of a surrogate pair is no text and becomes U+FFFD; what is beyond `MAX_REPLY` is cut off,
    and the reply says so.
    """
    text = _whole_text(reply.text)
    cut = len(text) > MAX_REPLY
    return replace(
        reply,
        text=text[:MAX_REPLY],
        finish="length" if cut else reply.finish,
        served=_whole_text(reply.served)[:1000],
    )


def _whole_text(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fresh_key() -> bytes:
    """A key for the addresses of a run whose keys are not derived."""
    return secrets.token_bytes(32)
