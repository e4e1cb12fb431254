"""Private values: what an entry says of a value that it does not show.

An agent's text or an API's answer never enters the log. Its place in an entry's body is taken by a
commitment, an object with one key:

    {"hmac-sha256":"5f0c...64 hex digits"}

That is HMAC-SHA-256 over the value's RFC 8785 bytes under a random key of its own. It hides:
without the key a guess at the value cannot be tried, equal values look different, and not even
the length shows, since of a short answer the length may be all there is to know. It binds: keys
have one length, so to open one commitment in two ways is to find a collision of SHA-256.

The key "hmac-sha256" is reserved: a body that holds it in any other way is malformed. Where a
value stands is told by a JSON pointer into the body (RFC 6901). Pure functions; files are in
`items`, how a run writes them in `vault`, erasing in `redaction`, what an auditor makes of it all
in `openings`.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from institutional.ledger import canonical
from institutional.ledger.errors import LedgerError, UnknownVersionError

RESERVED = "hmac-sha256"
MARK = b'"hmac-sha256":'  # in the bytes of every entry that commits to something
KEY_BYTES = 32
MAX_ITEM_BYTES = 1_048_576
VERSION = 1
_COMMITMENT = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Private:
    """A value for a body that is to be committed to and not shown; see `vault.Vault`."""

    value: Any = field(repr=False)


class Item(NamedTuple):
    """What opens one commitment, and where that stands: entry `seq` of `run`, at `path`."""

    run: str
    seq: int
    path: str
    value: Any
    key: bytes

    @property
    def commitment(self) -> str:
        """What the entry holds of it."""
        return commitment(self.value, self.key)


def commitment(value: Any, key: bytes) -> str:
    """Return the HMAC-SHA-256 of the canonical bytes of `value` under a 32-byte `key`, in hex.

    Raises LedgerError for what canonical JSON cannot hold.
    """
    if len(key) != KEY_BYTES:
        raise LedgerError(f"a private value's key has {len(key)} bytes; {KEY_BYTES} are needed")
    return hmac.new(key, canonical.encode(value), hashlib.sha256).hexdigest()


def sealed(value: Any, commit: Callable[[str, Any], str], path: str = "") -> Any:
    """Return `value` with every `Private` replaced by its commitment, as `commit` gives it.

    `commit` is told the place and the value. Raises LedgerError for the reserved key.
    """
    if isinstance(value, Private):
        return {RESERVED: commit(path, value.value)}
    if isinstance(value, dict):
        if RESERVED in value:
            raise LedgerError(
                f'cannot be recorded: the key "{RESERVED}" at {path!a:.80} is reserved\n'
                "  wrap the value to commit to in Private(...)"
            )
        return {key: sealed(v, commit, below(path, str(key))) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [sealed(v, commit, below(path, str(index))) for index, v in enumerate(value)]
    return value


def commitments(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield place and commitment of every private value in a parsed body, in its own order.

    Raises LedgerError where the reserved key is held in any other way.
    """
    if isinstance(value, dict):
        if RESERVED in value:
            yield path, _checked(value, path)
            return
        for key, inner in value.items():
            yield from commitments(inner, below(path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from commitments(inner, below(path, str(index)))


def below(path: str, name: str) -> str:
    """Return the JSON pointer one step further. RFC 6901."""
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


def is_commitment(text: str) -> bool:
    """Whether `text` is spelt like a commitment: 64 small hex digits."""
    return _COMMITMENT.match(text) is not None


def item_bytes(item: Item) -> bytes:
    """Return the one spelling of an item: canonical JSON and a newline.

    Raises LedgerError for a value that could not be read back, or is too large.
    """
    fields = item._asdict() | {"key": item.key.hex(), "v": VERSION}
    data = canonical.encode(fields) + b"\n"
    parse_item(data)
    return data


def parse_item(data: bytes) -> Item:
    """Return the item that `data` spells; raises LedgerError for anything else."""
    if len(data) > MAX_ITEM_BYTES:
        raise LedgerError(f"a private value of {len(data)} bytes; {MAX_ITEM_BYTES} are allowed")
    if not data.endswith(b"\n"):
        raise LedgerError("not a private value: it does not end in a newline")
    try:
        fields = canonical.decode(data[:-1])
    except LedgerError:  # whose message may repeat some of the value
        raise LedgerError("not a private value: not canonical JSON") from None
    match fields:
        case {
            "v": int(version),
            "run": str(run),
            "seq": int(seq),
            "path": str(path),
            "key": str(key),
            "value": value,
            **nothing_else,
        } if not nothing_else and not isinstance(seq, bool) and seq >= 0:
            pass
        case _:
            raise LedgerError("not a private value (v, run, seq, path, key, value)")
    if version != VERSION or isinstance(version, bool):
        raise UnknownVersionError(f"a private value of version {version}, which is unknown here")
    if not _COMMITMENT.match(key):  # 32 bytes as well
        raise LedgerError("not a private value: its key is not 32 bytes in hex")
    return Item(run, seq, path, value, bytes.fromhex(key))


def _checked(value: dict[str, Any], path: str) -> str:
    found = value[RESERVED]
    if len(value) != 1 or not isinstance(found, str) or not is_commitment(found):
        raise LedgerError(f"not a commitment at {path!a:.80}: 64 hex digits and no more")
    return found
