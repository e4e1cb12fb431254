"""Runs made up by somebody else from the files of a real one, with keys of his own.

Pure: files go in and come out as bytes.
"""

import hashlib
import io
import json
from collections.abc import Mapping

from institutional.ledger import canonical, wal
from institutional.ledger.keys import next_epoch
from institutional.ledger.manifest import (
    parse_envelope,
    parse_statement,
    sign_envelope,
    statement,
)
from institutional.ledger.note import Checkpoint, SigningKey, VerifyKey, sign_checkpoint
from institutional.ledger.tree import Frontier, leaf_hash

MANIFEST, GRAPH = "manifest.dsse.json", "graph.yaml"
LOG, CHECKPOINT = "ledger/log.wal", "ledger/checkpoint"

Files = Mapping[str, bytes]
"""The four files above by their path in a run's folder; without a graph if it has none."""

_FORGER = b"\x17" * 32


def is_entry(record: bytes) -> bool:
    """Whether a record of a log is an entry, and not a head."""
    return record.startswith(b"{")


def records_of(log: bytes) -> list[bytes]:
    """Return the entries and heads of a log that is whole, newlines included."""
    found = [record.offset for record in wal.records(io.BytesIO(log))]
    return [log[a:b] for a, b in zip(found, [*found[1:], len(log)], strict=True)]


def key_of(files: Files) -> VerifyKey:
    """Return the key that the manifest declares for the run."""
    return parse_statement(parse_envelope(files[MANIFEST]).payload).key


def forged_log(
    log: bytes, key: SigningKey, *, run: str | None = None, manifest: bytes | None = None
) -> bytes:
    """Return the entries of `log` under heads that `key` and the keys of its epochs have signed.

    The entries name `run` and `manifest` instead of their own where these are given.
    """
    tree, made = Frontier(), bytearray()
    following, epoch = key, 0
    for record in records_of(log):
        if not is_entry(record):
            made += sign_checkpoint(Checkpoint(key.name, tree.size, tree.root()), key)
            key = following
            continue
        entry = json.loads(record)
        entry["run"] = run or entry["run"]
        if manifest is not None and tree.size == 0:
            entry["body"]["manifest"] = hashlib.sha256(parse_envelope(manifest).payload).hexdigest()
        if entry["kind"] == wal.ROTATE:
            following, epoch = next_epoch(key), epoch + 1
            entry["body"] = {"epoch": epoch, "key": following.verify_key.vkey}
        data = canonical.encode(entry)
        tree.append(leaf_hash(data))
        made += data + b"\n"
    return bytes(made)


def forged_manifest(
    manifest: bytes, key: SigningKey, *, run: str | None = None, keyid: str | None = None
) -> bytes:
    """Return a manifest that declares `key` for the run, and that `key` has signed itself.

    `keyid` is whose signature it claims to be.
    """
    said = parse_statement(parse_envelope(manifest).payload)
    payload = statement(
        run=run or said.run,
        origin=key.name,
        key=key.verify_key,
        config=said.config,
        packages=said.packages,
        plan=said.plan,
        digests={name: digest for name, digest in said.subjects.items() if name != "config"},
    )
    signed = sign_envelope(payload, key)
    if keyid is None:
        return signed
    return signed.replace(key.verify_key.key_id.hex().encode(), keyid.encode())


def stranger(files: Files) -> Files:
    """Return the same run under another name, by another operator; sound in itself."""
    said = parse_statement(parse_envelope(files[MANIFEST]).payload)
    key, run = SigningKey(said.origin + "-other", _FORGER), said.run + "-other"
    manifest = forged_manifest(files[MANIFEST], key, run=run)
    log = forged_log(files[LOG], key, run=run, manifest=manifest)
    return {**files, MANIFEST: manifest, LOG: log, CHECKPOINT: records_of(log)[-1]}
