"""A longer, coverage-guided run over the targets of `fuzz_targets`, and the corpus it leaves.

    python tests/ledger/fuzz.py SECONDS [TARGET ...]        (make fuzz SECONDS=60)

Each target runs for SECONDS, starting from its seeds and from its file in tests/golden/fuzz. Inputs
that reach code no other input reached are kept in that file, a line of base64 each; an input that
breaks the rule is printed with the traceback, and the exit code is 1. Needs Atheris, which is the
extra "fuzz"; the suite does not.
"""

import base64
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["institutional", "rfc8785"]):
    import fuzz_targets

CORPUS = Path(__file__).parents[1] / "golden" / "fuzz"
MAX_BYTES = 4096
MAX_KEPT = 150  # inputs a target, the shortest first


def main(seconds: int, names: list[str]) -> int:
    """Fuzz one target after the other; return how many of them were found wanting."""
    return sum(not fuzz(name, seconds) for name in names or fuzz_targets.TARGETS)


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz a target in a process of its own, then keep the inputs that matter."""
    kept = CORPUS / name
    with tempfile.TemporaryDirectory() as folder:
        seeds, found, small = (Path(folder, part) for part in ("seeds", "found", "small"))
        for each in (seeds, found, small):
            each.mkdir()
        inputs = list(fuzz_targets.TARGETS[name].seeds)
        if kept.exists():
            inputs += map(base64.b64decode, kept.read_text().splitlines())
        for number, data in enumerate(inputs):
            (seeds / str(number)).write_bytes(data)
        run = [sys.executable, __file__, "--target", name, f"-max_len={MAX_BYTES}"]
        result = subprocess.run(
            [*run, f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", found, seeds],
            check=False,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        report = result.stderr.splitlines()
        summary = report if result.returncode else report[-1:]
        sys.stdout.write("\n".join([f"{name}:", *summary]) + "\n")
        sys.stdout.flush()
        subprocess.run([*run, "-merge=1", small, found, seeds], check=True, capture_output=True)
        chosen = sorted((path.read_bytes() for path in small.iterdir()), key=lambda d: (len(d), d))
    CORPUS.mkdir(exist_ok=True)
    kept.write_text("".join(base64.b64encode(data).decode() + "\n" for data in chosen[:MAX_KEPT]))
    return not result.returncode


def child(name: str, arguments: list[str]) -> None:
    """Be the process that fuzzes; never returns."""
    target = fuzz_targets.TARGETS[name]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        """Half of the time a change that knows the form, else one that knows the bytes only."""
        random = Random(seed)  # noqa: S311 - no secret is drawn
        if random.random() < 0.5:
            return atheris.Mutate(data, max_size)
        return fuzz_targets.spoil(target, [data], random)[:max_size]

    atheris.Setup(
        # Merging starts this very command again, by way of a shell.
        [shlex.join([sys.executable, __file__, "--target", name]), *arguments],
        lambda data: fuzz_targets.accepts(target, data) and None,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--target":
        child(sys.argv[2], sys.argv[3:])
    sys.exit(min(1, main(int(sys.argv[1]), sys.argv[2:])))
