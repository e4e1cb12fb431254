"""A cassette read back: every exchange by its place, each line checked.

A last line without its newline was cut off while it was written: it is told apart and never used.
Anything else that this program does not write is an error with its line.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.language.exchange import Place
from institutional.cassette.exchange import (
    FILE_NAME,
    MAX_LINE,
    Exchange,
    Header,
    parse_header,
    parse_line,
    said,
)
from institutional.errors import InstitutionalError
from institutional.ledger.errors import LedgerError
from institutional.ledger.files import open_regular


@dataclass(frozen=True)
class Cassette:
    """What was asked and answered in one run; texts that recur are held once."""

    header: Header
    exchanges: Mapping[Place, Exchange]
    addresses: Mapping[Place, str]
    texts: frozenset[str]  # SHA-256 in hex of every text that is stored
    end: int  # bytes up to the last whole line


def read_cassette(folder: Path) -> Cassette | None:
    """Return the cassette of the run in `folder`; None where there is none, or only a torn header.

    Raises InstitutionalError, with the line, for a file that was damaged or edited.
    """
    path = folder / FILE_NAME
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    header: Header | None = None
    exchanges: dict[Place, Exchange] = {}
    addresses: dict[Place, str] = {}
    texts: dict[str, str] = {}
    whole = end = 0
    try:
        with file:
            for line in _whole_lines(iter(lambda: file.readline(MAX_LINE), b"")):
                if header is None:
                    header = parse_header(line[:-1])
                elif (found := parse_line(line[:-1], header.key, texts)) is not None:
                    place, exchange, address = found
                    _check_new(place, exchanges)
                    exchanges[place], addresses[place] = exchange, address
                whole, end = whole + 1, end + len(line)
    except OSError as error:
        raise _unreadable(path, error) from error
    except LedgerError as error:
        raise InstitutionalError(
            f"{path}:{whole + 1}: {error}\n"
            "  the cassette is damaged or was edited: restore it from a copy, or remove the run's "
            "folder to have its models asked again"
        ) from None
    if header is None:
        return None
    return Cassette(header, exchanges, addresses, frozenset(texts), end)


def _whole_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines with their newline; one without is too long, or it is the last and was cut off."""
    for line in lines:
        if line.endswith(b"\n"):
            yield line
        elif len(line) == MAX_LINE:
            raise LedgerError(f"a line of more than {MAX_LINE} bytes")


def _check_new(place: Place, exchanges: Mapping[Place, Exchange]) -> None:
    if place in exchanges:
        raise LedgerError(f"{said(place)} for the second time")


def _unreadable(path: Path, error: OSError) -> InstitutionalError:
    return InstitutionalError(f"{path}: the cassette cannot be read ({error.strerror})")
