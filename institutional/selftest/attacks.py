"""What a thief, a rival or the operator might do to the files of a run, one function per attack.

Pure: the files go in as bytes, and each mutant says which of them it changes. Nothing here knows
whether an attack is noticed; that is for whoever audits a copy with a mutant laid over it.

An attack on a long run has very many variants, such as all pairs of entries to swap. `spread` says
how many of each kind are wanted; they are then taken evenly over the run.
"""

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from institutional.ledger import canonical
from institutional.ledger.note import ED25519, SigningKey, VerifyKey, key_id, to_base64
from institutional.selftest.forging import (
    CHECKPOINT,
    GRAPH,
    LOG,
    MANIFEST,
    Files,
    forged_log,
    forged_manifest,
    is_entry,
    key_of,
    records_of,
    stranger,
)


class Mutant(NamedTuple):
    """One attacked run: what was done, and the files that changed; None for one removed."""

    what: str
    files: dict[str, bytes | None]


class Attack(NamedTuple):
    """A kind of attack: its name, what the attacker does in one line, and its mutants.

    `mutants` is given the run's files and how many variants are wanted.
    """

    name: str
    says: str
    mutants: Callable[[Files, int], Iterator[Mutant]]


def _even(count: int, spread: int) -> range:
    """Return at most `spread` of `count` places, evenly, the first one among them."""
    return range(0, count, max(1, -(-count // spread)))


def _entries(records: Sequence[bytes]) -> list[int]:
    return [index for index, record in enumerate(records) if is_entry(record)]


def _heads(records: Sequence[bytes]) -> list[int]:
    return [index for index, record in enumerate(records) if not is_entry(record)]


def _logs(records: list[bytes], what: str) -> Mutant:
    return Mutant(what, {LOG: b"".join(records)})


# --- bytes


def flips(files: Files, spread: int) -> Iterator[Mutant]:
    """One bit of one byte of one file; each byte once, its bits in turn."""
    for name, data in files.items():
        for at in _even(len(data), spread):
            flipped = data[at] ^ 1 << at % 8
            yield Mutant(
                f"{name}: byte {at}", {name: data[:at] + bytes([flipped]) + data[at + 1 :]}
            )


def insertions(files: Files, spread: int) -> Iterator[Mutant]:
    """A byte that parsers like to skip, put in somewhere."""
    for name, data in files.items():
        for at in _even(len(data) + 1, spread):
            for byte in (b"\0", b"\n", b" ", b"=", b"a"):
                yield Mutant(f"{name}: {byte!r} at {at}", {name: data[:at] + byte + data[at:]})


def truncations(files: Files, spread: int) -> Iterator[Mutant]:
    """A file that ends early, the log between its records too."""
    for name, data in files.items():
        for at in _even(len(data), spread):
            yield Mutant(f"{name}: cut at byte {at}", {name: data[:at]})
    records = records_of(files[LOG])
    for end in _even(len(records), spread):
        yield _logs(records[:end], f"{LOG}: the first {end} records")


# --- entries and heads


def drops(files: Files, spread: int) -> Iterator[Mutant]:
    """An entry left out, or all of one commit."""
    records = records_of(files[LOG])
    entries = _entries(records)
    for n in _even(len(entries), spread):
        at = entries[n]
        yield _logs(records[:at] + records[at + 1 :], f"entry {n}")
    for start, stop in _commits(records, spread):
        yield _logs(records[:start] + records[stop:], f"records {start} to {stop - 1}")


def last_head(files: Files, _: int) -> Iterator[Mutant]:
    """The newest head left out; the others cover all but the last entries."""
    yield _logs(records_of(files[LOG])[:-1], "the last head")


def duplicates(files: Files, spread: int) -> Iterator[Mutant]:
    """An entry, a head or a commit twice."""
    records = records_of(files[LOG])
    for at in _even(len(records), spread):
        yield _logs(records[: at + 1] + records[at:], f"record {at}")
    for start, stop in _commits(records, spread):
        yield _logs(records[:stop] + records[start:], f"records {start} to {stop - 1}")


def swaps(files: Files, spread: int) -> Iterator[Mutant]:
    """Two entries or two heads in each other's place."""
    records = records_of(files[LOG])
    for places in (_entries(records), _heads(records)):
        for one, two in _pairs(places, spread):
            moved = list(records)
            moved[one], moved[two] = moved[two], moved[one]
            yield _logs(moved, f"records {one} and {two}")


def old_heads(files: Files, spread: int) -> Iterator[Mutant]:
    """An older head behind newer entries, or the newest one behind older entries."""
    records = records_of(files[LOG])
    heads = _heads(records)
    for n in _even(len(heads) - 1, spread):
        old = records[heads[n]]
        yield _logs([*records[:-1], old], f"head {n} at the end")
        yield Mutant(f"head {n} published", {CHECKPOINT: old})
        yield _logs([*records[: heads[n]], records[-1]], f"the last head in place of head {n}")


def _commits(records: Sequence[bytes], spread: int) -> Iterator[tuple[int, int]]:
    """Where commits begin and end: entries, and the head over them."""
    ends = [at + 1 for at in _heads(records)]
    bounds = list(zip([0, *ends], ends, strict=False))
    return (bounds[n] for n in _even(len(bounds), spread))


def _pairs(places: Sequence[int], spread: int) -> Iterator[tuple[int, int]]:
    if len(places) * (len(places) - 1) // 2 <= spread:
        yield from combinations(places, 2)
        return
    for n in _even(len(places) - 1, spread):
        yield places[n], places[n + 1]
        if places[n] < places[-1 - n]:
            yield places[n], places[-1 - n]


# --- other spellings of the same entry


def respellings(files: Files, spread: int) -> Iterator[Mutant]:
    """An entry that says the same in other bytes: white space, key order, 1.0, escapes, twice."""
    records = records_of(files[LOG])
    entries = _entries(records)
    for n in _even(len(entries), spread):
        at = entries[n]
        for how, respelt in _spellings(records[at][:-1]):
            changed = [*records[:at], respelt + b"\n", *records[at + 1 :]]
            yield _logs(changed, f"entry {n}: {how}")


def _spellings(entry: bytes) -> Iterator[tuple[str, bytes]]:
    value = json.loads(entry)
    yield "white space", entry.replace(b":", b": ", 1)
    yield "white space at its end", entry + b" "
    yield "key order", json.dumps(dict(reversed(value.items())), separators=(",", ":")).encode()
    yield "1.0", entry[: entry.rindex(b"}")] + b".0}"  # "v":1 is its last field
    yield "exponent", entry[: entry.rindex(b"}")] + b"e0}"
    yield "escape", entry.replace(b'"body"', b'"\\u0062ody"', 1)
    yield "duplicate key", entry[:-1] + b',"v":1}'
    yield "byte order mark", b"{" + b"\xef\xbb\xbf" + entry[1:]


# --- what is missing


def removals(files: Files, _: int) -> Iterator[Mutant]:
    """The first entry, the first commit, a file or everything gone."""
    records = records_of(files[LOG])
    first = _heads(records)[0]
    yield _logs(records[1:], "the first entry")
    yield _logs(records[first + 1 :], "the first commit")
    yield Mutant("the log emptied", {LOG: b""})
    yield Mutant("all entries, heads kept", {LOG: b"".join(records[n] for n in _heads(records))})
    yield Mutant("all heads, entries kept", {LOG: b"".join(records[n] for n in _entries(records))})
    for name in files:
        yield Mutant(name, {name: None})
    yield Mutant("log and published head", {LOG: None, CHECKPOINT: None})
    yield Mutant("everything", dict.fromkeys(files))


def unsigned(files: Files, spread: int) -> Iterator[Mutant]:
    """A signature left out or blanked: of a head, of the published head, of the manifest."""
    records = records_of(files[LOG])
    heads = _heads(records)
    for n in _even(len(heads), spread):
        for how, stripped in _without_signature(records[heads[n]]):
            changed = [*records[: heads[n]], stripped, *records[heads[n] + 1 :]]
            yield _logs(changed, f"head {n}: {how}")
    for how, stripped in _without_signature(files[CHECKPOINT]):
        yield Mutant(f"published head: {how}", {CHECKPOINT: stripped})
    envelope = json.loads(files[MANIFEST])
    signed = envelope["signatures"][0]
    for how, signatures in (
        ("none", []),
        ("empty", [signed | {"sig": ""}]),
        ("zero", [signed | {"sig": to_base64(bytes(64))}]),
        ("twice", [signed, signed]),
    ):
        yield _manifest(f"manifest: {how}", envelope | {"signatures": signatures})


def _without_signature(head: bytes) -> Iterator[tuple[str, bytes]]:
    text, _, line = head.rpartition(b"\n\n")
    name, _, signature = line.rstrip(b"\n").rpartition(b" ")
    blank = base64.b64decode(signature)[:4] + bytes(64)
    yield "none", text + b"\n\n"
    yield "line kept", text + b"\n\n" + name + b" \n"
    yield "zero", text + b"\n\n" + name + b" " + to_base64(blank).encode() + b"\n"


def _manifest(what: str, envelope: dict[str, Any]) -> Mutant:
    return Mutant(what, {MANIFEST: canonical.encode(envelope) + b"\n"})


# --- somebody else's keys and runs


def renamed(files: Files, _: int) -> Iterator[Mutant]:
    """The name or the id of the signing key exchanged for another's, in heads and manifest."""
    key = key_of(files)
    other = VerifyKey(key.name, bytes(range(32)))
    stranger = VerifyKey(key.name + "x", key.public)
    for name in (LOG, CHECKPOINT):
        data = files[name]
        lines = b"\xe2\x80\x94 " + key.name.encode()
        yield Mutant(f"{name}: name", {name: data.replace(lines, lines + b"x")})
        for how, wrong in (
            ("another key's id", other.key_id),
            ("another name's id", stranger.key_id),
        ):
            yield Mutant(f"{name}: {how}", {name: _with_key_id(data, key.key_id, wrong)})
        origin = b"\n" + key.name.encode() + b"\n"
        whole = (b"\n" + data).replace(origin, origin[:-1] + b"x\n")[1:]
        yield Mutant(f"{name}: origin", {name: whole})
    envelope = json.loads(files[MANIFEST])
    signed = envelope["signatures"][0]
    changed = {"signatures": [signed | {"keyid": other.key_id.hex()}]}
    yield _manifest("manifest: another key's id", envelope | changed)


def _with_key_id(data: bytes, key: bytes, wrong: bytes) -> bytes:
    lines = data.split(b"\n")
    for n, line in enumerate(lines):
        if line.startswith(b"\xe2\x80\x94 "):
            name, _, signature = line.rpartition(b" ")
            decoded = base64.b64decode(signature)
            if decoded[:4] == key:
                lines[n] = name + b" " + to_base64(wrong + decoded[4:]).encode()
    return b"\n".join(lines)


def resigned(files: Files, _: int) -> Iterator[Mutant]:
    """Every head signed anew by the attacker's own key of the same name, whatever else follows."""
    thief = SigningKey(key_of(files).name, b"\x13" * 32)
    log = forged_log(files[LOG], thief)
    head = records_of(log)[-1]
    yield Mutant("the log", {LOG: log})
    yield Mutant("the published head", {CHECKPOINT: head})
    yield Mutant("both", {LOG: log, CHECKPOINT: head})
    for how, keyid in (("in his own name", None), ("in the operator's", _signer_of(files))):
        manifest = forged_manifest(files[MANIFEST], thief, keyid=keyid)
        changed = forged_log(files[LOG], thief, manifest=manifest)
        yield Mutant(
            f"both, and the manifest {how}",
            {LOG: changed, CHECKPOINT: records_of(changed)[-1], MANIFEST: manifest},
        )


def _signer_of(files: Files) -> str:
    return str(json.loads(files[MANIFEST])["signatures"][0]["keyid"])


def low_order(files: Files, _: int) -> Iterator[Mutant]:
    """The run's key made one under which anybody can sign, and signed so."""
    point = b"\x01" + bytes(31)  # the neutral element: R = it and S = 0 verify for any text
    name = key_of(files).name
    claimed = key_id(name, ED25519 + point)
    envelope = json.loads(files[MANIFEST])
    payload = json.loads(base64.b64decode(envelope["payload"]))
    payload["predicate"]["key"] = f"{name}+{claimed.hex()}+{to_base64(ED25519 + point)}"
    changed = envelope | {"payload": to_base64(canonical.encode(payload))}
    mutant = _manifest("the manifest", changed)
    yield mutant
    signature = to_base64(claimed + point + bytes(32)).encode()
    forged = b"".join(
        record if is_entry(record) else record[: record.rindex(b" ") + 1] + signature + b"\n"
        for record in records_of(files[LOG])
    )
    yield Mutant("the heads too", mutant.files | {LOG: forged})


def splices(files: Files, spread: int) -> Iterator[Mutant]:
    """Entries and commits of another run, properly signed there, in the place of this run's."""
    ours, theirs = records_of(files[LOG]), records_of(stranger(files)[LOG])
    for at in _even(len(ours), spread):
        yield _logs([*ours[:at], theirs[at], *ours[at + 1 :]], f"record {at}")
        yield _logs([*ours[:at], *theirs[at:]], f"all from record {at} on")
    for start, stop in _commits(ours, spread):
        yield _logs([*ours[:start], *theirs[start:stop], *ours[stop:]], f"commit at {start}")


def exchanges(files: Files, _: int) -> Iterator[Mutant]:
    """A whole file of another run by another operator, and then all of them."""
    theirs = stranger(files)
    for name in (LOG, CHECKPOINT, MANIFEST):
        yield Mutant(name, {name: theirs[name]})
    yield Mutant("log and published head", {n: theirs[n] for n in (LOG, CHECKPOINT)})
    yield Mutant("all but the graph", {n: theirs[n] for n in (LOG, CHECKPOINT, MANIFEST)})


def other_graphs(files: Files, _: int) -> Iterator[Mutant]:
    """Another institution than the one declared, or one where there was none."""
    graph = files.get(GRAPH, b"")
    yield Mutant("a line more", {GRAPH: graph + b"# nothing\n"})
    yield Mutant("an empty file", {GRAPH: b""} if graph else {GRAPH: b"{}\n"})
    yield Mutant("line ends", {GRAPH: graph.replace(b"\n", b"\r\n") or b"\r\n"})


def roll_backs(files: Files, spread: int) -> Iterator[Mutant]:
    """The log as it was at an older head, which is published again; every signature is right."""
    records = records_of(files[LOG])
    heads = _heads(records)[:-1]
    for n in _even(len(heads), spread):
        kept = records[: heads[n] + 1]
        yield Mutant(f"head {n}", {LOG: b"".join(kept), CHECKPOINT: kept[-1]})
        yield Mutant(f"head {n}, none published", {LOG: b"".join(kept), CHECKPOINT: None})


ATTACKS = (
    Attack("flip", "flips one bit of one byte", flips),
    Attack("insert", "puts in a byte that parsers like to skip", insertions),
    Attack("truncate", "ends a file early", truncations),
    Attack("drop", "leaves out an entry or a commit", drops),
    Attack("drop-head", "leaves out the newest signed head", last_head),
    Attack("duplicate", "repeats an entry, a head or a commit", duplicates),
    Attack("swap", "exchanges two entries or two heads", swaps),
    Attack("old-head", "passes an older head for the newest, or the other way round", old_heads),
    Attack("respell", "says the same in other bytes", respellings),
    Attack("remove", "removes the beginning, a file or everything", removals),
    Attack("unsign", "leaves out or blanks a signature", unsigned),
    Attack("rename", "puts another's name or key id to a signature", renamed),
    Attack("re-sign", "signs everything anew with a key of his own and the same name", resigned),
    Attack("low-order", "has the run sign with a key under which anybody can", low_order),
    Attack("splice", "puts in entries of another run, which are signed there", splices),
    Attack("other-run", "exchanges whole files for those of another run", exchanges),
    Attack("other-graph", "exchanges the institution", other_graphs),
    Attack("roll-back", "restores the run as it was at an older head", roll_backs),
)
