"""What the auditor brings: a verifier key, or a C2SP trust policy with its witnesses.

c2sp.org/tlog-policy: `log`, `witness`, `group` and `quorum` lines. A `log` line may also carry an
operator's key, which vouches for a run's manifest. `check_quorum` says which witnesses of a policy
cosigned a head; that the log itself signed it is for the caller to check.
"""

import re
from enum import StrEnum
from typing import NamedTuple

from institutional.ledger.cosignature import (
    WitnessKey,
    cosigned_at,
    parse_witness_vkey,
    time_text,
)
from institutional.ledger.errors import (
    LedgerError,
    SignatureError,
    UnknownKeyError,
    UnknownVersionError,
)
from institutional.ledger.note import (
    Checkpoint,
    Note,
    VerifyKey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
)

NO_QUORUM = "none"
MAX_LINES = 1024
_COUNT = re.compile(r"[1-9][0-9]{0,3}\Z")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Witness(NamedTuple):
    """A witness of a policy: its name there, and its key."""

    name: str
    key: WitnessKey


class Group(NamedTuple):
    """A group that has witnessed a head once `needed` of its members have."""

    name: str
    needed: int
    members: tuple[str, ...]


class Trust(NamedTuple):
    """The keys that may vouch for a run, and the quorum of witnesses asked for ("none").

    Groups stand after the witnesses and groups that they name.
    """

    keys: tuple[VerifyKey, ...]
    quorum: str
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()


class Seen(StrEnum):
    """What became of one witness's line on a head."""

    COSIGNED = "cosigned"
    ABSENT = "absent"
    FALSE = "false"
    UNDECIDED = "undecided"


class Sighting(NamedTuple):
    """What one witness says of a head: `time_s` (POSIX seconds) once it is cosigned."""

    witness: str
    seen: Seen
    time_s: int | None
    reason: str


class QuorumCheck(NamedTuple):
    """Whether a head was seen by the witnesses that a policy asks for, by whom, and why not."""

    checkpoint: Checkpoint
    sightings: tuple[Sighting, ...]
    met: bool
    reason: str


def parse_trust(text: str) -> Trust:
    """Return what `text` trusts: one verifier key line, or a policy."""
    if len(text) > 65_536 or _FORBIDDEN.search(text):
        raise LedgerError("not a trust policy: too long, or with control characters")
    lines = [_words(line) for line in text.split("\n")]
    lines = [words for words in lines if words and not words[0].startswith("#")]
    if len(lines) == 1 and len(lines[0]) == 1:
        return Trust((parse_vkey(lines[0][0]),), NO_QUORUM)
    return _policy(lines)


def check_quorum(trust: Trust, head: bytes) -> QuorumCheck:
    """Return which witnesses of `trust` cosigned the checkpoint note `head`, and if they suffice.

    A line under a known witness's name and key id that its key did not sign makes the note false,
    whoever else signed: the quorum is then not met. Raises LedgerError for what is no checkpoint.
    """
    note = parse_note(head)
    checkpoint = parse_checkpoint(note.text)
    sightings = tuple(_sighting(note, witness) for witness in trust.witnesses)
    witnessed = {s.witness: s.seen == Seen.COSIGNED for s in sightings}
    for group in trust.groups:
        witnessed[group.name] = sum(witnessed[m] for m in group.members) >= group.needed
    false = [s for s in sightings if s.seen == Seen.FALSE]
    if false:
        met, reason = False, f"witness {false[0].witness[:80]!a}: {false[0].reason}"
    elif trust.quorum == NO_QUORUM:
        met, reason = True, "no witnesses asked for"
    elif witnessed[trust.quorum]:
        said = (f"{s.witness} ({time_text(s.time_s)})" for s in sightings if s.time_s is not None)
        met, reason = True, f"quorum {trust.quorum[:80]!a} met: cosigned by " + ", ".join(said)
    else:
        met, reason = False, _why_not(trust, sightings, witnessed)
    return QuorumCheck(checkpoint, sightings, met, reason)


def _sighting(note: Note, witness: Witness) -> Sighting:
    try:
        time_s = cosigned_at(note, witness.key)
    except UnknownKeyError as error:
        return Sighting(witness.name, Seen.ABSENT, None, str(error))
    except SignatureError as error:
        return Sighting(witness.name, Seen.FALSE, None, str(error))
    except UnknownVersionError as error:
        return Sighting(witness.name, Seen.UNDECIDED, None, str(error))
    return Sighting(witness.name, Seen.COSIGNED, time_s, time_text(time_s))


def _why_not(trust: Trust, sightings: tuple[Sighting, ...], witnessed: dict[str, bool]) -> str:
    """Say what the quorum lacks: each group on the way that is not satisfied, then the rest."""
    groups = {group.name: group for group in trust.groups}
    lacking, ahead = [], [trust.quorum]
    while ahead:
        name = ahead.pop(0)
        group = groups.get(name)
        if group is None or witnessed[name]:
            continue
        seen = [m for m in group.members if witnessed[m]]
        missing = [m for m in group.members if not witnessed[m]]
        lacking.append(
            f"{name[:80]!a} has {len(seen)} of the {group.needed} it needs"
            f" (not {', '.join(m[:80] for m in missing)})"
        )
        ahead += missing
    undecided = [s.reason for s in sightings if s.seen == Seen.UNDECIDED]
    return f"quorum {trust.quorum[:80]!a} is not met: " + "; ".join(
        [*lacking, *undecided] or ["that witness has not cosigned this head"]
    )


def _policy(lines: list[list[str]]) -> Trust:
    keys: list[VerifyKey] = []
    witnesses: list[Witness] = []
    groups: list[Group] = []
    public: set[bytes] = set()
    free: dict[str, bool] = {}  # name of a witness or group -> not yet a member of a group
    quorum: str | None = None
    for words in lines[:MAX_LINES]:
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                keys.append(parse_vkey(vkey))
                _once(keys[-1].public, public)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                witnesses.append(Witness(name, parse_witness_vkey(vkey)))
                _once(witnesses[-1].key.public, public)
                _define(name, free)
            case ["group", name, count, *members] if members:
                groups.append(_group(name, count, members, free))
                _define(name, free)
            case ["quorum", name] if quorum is None and (name == NO_QUORUM or name in free):
                quorum = name
            case _:
                raise LedgerError(f"not a line of a trust policy: {' '.join(words)[:80]!a}")
    if quorum is None or len(lines) > MAX_LINES:
        raise LedgerError("not a key, nor a trust policy: it needs one quorum line")
    if not keys:
        raise LedgerError("the trust policy names no log, so no key to check with")
    return Trust(tuple(keys), quorum, tuple(witnesses), tuple(groups))


def _words(line: str) -> list[str]:
    """Split at spaces and tabs only, as the policy format says."""
    return [word for word in line.replace("\t", " ").split(" ") if word]


def _once(key: bytes, seen: set[bytes]) -> None:
    if key in seen:
        raise LedgerError("the trust policy names one public key twice")
    seen.add(key)


def _define(name: str, free: dict[str, bool]) -> None:
    if name == NO_QUORUM or name in free:
        raise LedgerError(f"the trust policy cannot define {name[:80]!a} (again)")
    free[name] = True


def _group(name: str, count: str, members: list[str], free: dict[str, bool]) -> Group:
    for member in members:
        if not free.get(member):
            raise LedgerError(f"the group member {member[:80]!a} is unknown or used before")
        free[member] = False
    if count in {"all", "any"}:
        return Group(name, len(members) if count == "all" else 1, tuple(members))
    if not _COUNT.match(count) or int(count) > len(members):
        raise LedgerError(f"a group of {len(members)} cannot need {count[:20]!a} of them")
    return Group(name, int(count), tuple(members))
