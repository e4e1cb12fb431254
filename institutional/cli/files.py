"""Reading and writing files that a user named, with one clear message when that fails."""

from pathlib import Path

from institutional.errors import InstitutionalError


def read_text(path: Path) -> str:
    """Return the text of `path`; raises InstitutionalError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstitutionalError(f"{path}: cannot be read ({error})") from error


def read_bytes(path: Path, *, limit: int) -> bytes:
    """Return the bytes of `path`; raises InstitutionalError when there are more than `limit`."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InstitutionalError(f"{path}: cannot be read ({error})") from error
    if len(data) > limit:
        raise InstitutionalError(f"{path}: more than {limit} bytes")
    return data


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`; raises InstitutionalError when it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InstitutionalError(f"{path}: cannot be written ({error.strerror})") from error
