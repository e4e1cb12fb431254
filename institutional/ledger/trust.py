"""What the auditor brings: a verifier key, or a C2SP trust policy.

c2sp.org/tlog-policy: `log`, `witness`, `group` and `quorum` lines. A `log` line may also carry an
operator's key, which vouches for a run's manifest. Cosignatures are not checked yet, so a policy
that asks for a quorum is understood and cannot be met.
"""

import re
from typing import NamedTuple

from institutional.ledger.errors import LedgerError
from institutional.ledger.note import VerifyKey, check_name, parse_vkey, split_vkey

MAX_LINES = 1024
_COUNT = re.compile(r"[1-9][0-9]{0,3}\Z")


class Trust(NamedTuple):
    """The keys that may vouch for a run, and the quorum of witnesses asked for ("none")."""

    keys: tuple[VerifyKey, ...]
    quorum: str


def parse_trust(text: str) -> Trust:
    """Return what `text` trusts: one verifier key line, or a policy."""
    if len(text) > 65_536 or any(c < " " and c not in "\t\n" for c in text):
        raise LedgerError("not a trust policy: too long, or with control characters")
    lines = [_words(line) for line in text.split("\n")]
    lines = [words for words in lines if words and not words[0].startswith("#")]
    if len(lines) == 1 and len(lines[0]) == 1:
        return Trust((parse_vkey(lines[0][0]),), "none")
    return _policy(lines)


def _policy(lines: list[list[str]]) -> Trust:
    keys: list[VerifyKey] = []
    public: set[bytes] = set()
    free: dict[str, bool] = {}  # name of a witness or group -> not yet a member of a group
    quorum: str | None = None
    for words in lines[:MAX_LINES]:
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                keys.append(parse_vkey(vkey))
                _once(keys[-1].public, public)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                _once(split_vkey(vkey)[1][1:], public)
                _define(name, free)
            case ["group", name, count, *members] if members:
                _group(count, members, free)
                _define(name, free)
            case ["quorum", name] if quorum is None and (name == "none" or name in free):
                quorum = name
            case _:
                raise LedgerError(f"not a line of a trust policy: {' '.join(words)[:80]!a}")
    if quorum is None or len(lines) > MAX_LINES:
        raise LedgerError("not a key, nor a trust policy: it needs one quorum line")
    if not keys:
        raise LedgerError("the trust policy names no log, so no key to check with")
    return Trust(tuple(keys), quorum)


def _words(line: str) -> list[str]:
    """Split at spaces and tabs only, as the policy format says."""
    return [word for word in line.replace("\t", " ").split(" ") if word]


def _once(key: bytes, seen: set[bytes]) -> None:
    if key in seen:
        raise LedgerError("the trust policy names one public key twice")
    seen.add(key)


def _define(name: str, free: dict[str, bool]) -> None:
    if name == "none" or name in free:
        raise LedgerError(f"the trust policy cannot define {name[:80]!a} (again)")
    free[check_name(name)] = True


def _group(count: str, members: list[str], free: dict[str, bool]) -> None:
    if count not in {"all", "any"} and not (_COUNT.match(count) and int(count) <= len(members)):
        raise LedgerError(f"a group of {len(members)} cannot need {count[:20]!a} of them")
    for member in members:
        if not free.get(member):
            raise LedgerError(f"the group member {member[:80]!a} is unknown or used before")
        free[member] = False
