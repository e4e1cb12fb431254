"""How a run with private values writes its log: commitments in it, the values beside it.

    vault = Vault(run_folder, ledger)
    vault.append("round", {"round": 0, "said": Private("I offer 3")})   # in place of ledger.append
    vault.commit()                                                      # in place of ledger.commit

The items are made durable before the commit whose entries name them, so that a log never commits
to what was not kept. What `append` returns is the body as the log has it: nothing that is decided
from it can depend on a private value.

A continued run must derive the same bytes again, and random keys cannot be derived. An item
therefore names its place, and the same value met again at the same place takes the stored key.
(Keys drawn from one stored secret would need no such search, but whoever holds that secret could
try guesses at an erased value. Here each key exists once, in its item, and goes with it.) A value
that was erased before the run was continued keeps the commitment that its redaction names, and is
not stored again.

An item whose entry was never committed, because the run was killed in between, opens nothing once
the run has gone on otherwise. Closing destroys it; until then it may still be what is met again.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError
from institutional.ledger.log import Ledger
from institutional.ledger.private.commitment import KEY_BYTES, Item, item_bytes, parse_item, sealed
from institutional.ledger.private.items import (
    destroy,
    item_path,
    read_item,
    stored,
    torn,
    write_item,
)
from institutional.ledger.private.redaction import erased_places

Place = tuple[int, str]
"""A number of an entry, and a JSON pointer into its body."""


class Vault:
    """The writer of a log whose bodies may hold `Private` values.

    Made when `ledger` was just created or resumed, and used for all of its entries. `draw` gives
    that many random bytes.
    """

    def __init__(
        self,
        run_folder: Path,
        ledger: Ledger,
        *,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._folder = run_folder
        self._ledger = ledger
        self._draw = draw
        self._start = ledger.size
        self._kept: defaultdict[Place, set[str]] = defaultdict(set)
        self._chosen: dict[Place, str] = {}
        self._new: list[Item] = []
        try:
            for path in list(torn(run_folder)):
                destroy(path)
            for path in stored(run_folder):
                item = read_item(path)
                self._kept[item.seq, item.path].add(item.commitment)
        except OSError as error:
            raise self._stopped(error) from error
        self._erased = erased_places(run_folder)

    def append(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add one entry as `Ledger.append` does, with commitments for its private values."""
        seq = self._ledger.size
        chosen: dict[Place, str] = {}
        new: list[Item] = []

        def commit(path: str, value: Any) -> str:
            found = self._known((seq, path), value)
            if found is None:
                # Read back at once: the caller may change the value before it is stored.
                item = Item(self._ledger.run, seq, path, value, self._draw(KEY_BYTES))
                new.append(parse_item(item_bytes(item)))
                found = item.commitment
            chosen[seq, path] = found
            return found

        read = self._ledger.append(kind, sealed(body, commit))
        # Only now: an entry that was refused leaves what is kept as it was.
        self._chosen |= chosen
        self._new += new
        return read

    def commit(self) -> None:
        """Make the private values durable, then every appended entry as `Ledger.commit` does."""
        self._store()
        self._ledger.commit()

    def close(self, body: dict[str, Any]) -> bytes:
        """End the log as `Ledger.close` does; what no entry came to name is destroyed."""
        self._store()
        head = self._ledger.close(body)
        self._clear()
        return head

    def _known(self, place: Place, value: Any) -> str | None:
        """Return the commitment that `value` already has at `place`, if it has one."""
        spelt = canonical.encode(value)
        for kept in sorted(self._kept.get(place, ())):
            try:
                item = read_item(item_path(self._folder, kept))
            except OSError as error:
                raise self._stopped(error) from error
            if canonical.encode(item.value) == spelt:
                return kept
        return self._erased.get(place)

    def _store(self) -> None:
        try:
            for item in self._new:
                write_item(self._folder, item)
                self._kept[item.seq, item.path].add(item.commitment)
        except OSError as error:
            raise self._stopped(error) from error
        self._new.clear()

    def _clear(self) -> None:
        """Destroy what is kept for this object's entries and named by none of them."""
        try:
            for place, kept in self._kept.items():
                if place[0] >= self._start:
                    for left in kept - {self._chosen.get(place)}:
                        destroy(item_path(self._folder, left))
        except OSError as error:
            raise self._stopped(error) from error

    def _stopped(self, error: OSError) -> LedgerError:
        return LedgerError(
            f"{self._folder}: the private values cannot be kept: {error}\n"
            "  nothing after the last commit counts; make room or repair the disk, then resume"
        )
