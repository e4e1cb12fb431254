"""A run whose key was rotated: three epochs, written byte by byte as the format says."""

from small_run import KEY, ORIGIN, RUN, declare

from institutional.ledger import wal
from institutional.ledger.note import Checkpoint, SigningKey, checkpoint_text, sign_note
from institutional.ledger.tree import Frontier, leaf_hash

KEYS = [KEY, SigningKey(ORIGIN, b"\x11" * 32), SigningKey(ORIGIN, b"\x12" * 32)]


class Writer:
    """The log of a run, entry by entry; every commit is signed with the key that is told."""

    def __init__(self, folder):
        self.digest = declare(folder)
        (folder / "ledger").mkdir()
        self.path = folder / "ledger" / "log.wal"
        self.path.touch()
        self.tree = Frontier()
        self.lines = b""

    def append(self, kind, body):
        data = wal.entry_bytes(run=RUN, seq=self.tree.size, kind=kind, body=body)
        self.tree.append(leaf_hash(data))
        self.lines += data + b"\n"

    def rounds(self, count):
        for _ in range(count):
            self.append("round", {"round": self.tree.size})

    def rotate(self, number, key=None, **other):
        vkey = (key or KEYS[number]).verify_key.vkey
        self.append("rotate", {"epoch": number, "key": vkey} | other)

    def commit(self, key):
        checkpoint = Checkpoint(ORIGIN, self.tree.size, self.tree.root())
        head = sign_note(checkpoint_text(checkpoint), key)
        with self.path.open("ab") as file:
            file.write(self.lines + head)
        self.lines = b""
        return head


def write_rotated(folder, sizes=(4, 300, 310)):
    """Write a run whose epochs end at `sizes` entries; return the heads that end them."""
    log = Writer(folder)
    log.append("open", {"manifest": log.digest})
    heads = []
    for epoch, size in enumerate(sizes):
        log.rounds((size - log.tree.size) // 2)
        if log.lines:
            log.commit(KEYS[epoch])
        log.rounds(size - log.tree.size - 1)
        if epoch + 1 < len(sizes):
            log.rotate(epoch + 1)
        else:
            log.append("pause", {})
        heads.append(log.commit(KEYS[epoch]))
    return heads
