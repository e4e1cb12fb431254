"""Writes the known-answer vectors here anew, from clones of the public repositories they are in.

    python tests/golden/vectors/collect.py FOLDER_OF_CLONES

Each clone is FOLDER/OWNER+NAME/repo or FOLDER/NAME. The commits below are what was read; each
folder's NOTICE says so and carries the licence. Nothing is changed but the packing: many small
files become one, and repeated hex strings become indices.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Source(NamedTuple):
    """A public repository at one commit, and where its licence is."""

    folder: str
    repository: str
    commit: str
    licence: str
    licence_file: str
    what: str


SOURCES = {
    source.folder: source
    for source in (
        Source(
            "c2sp",
            "C2SP/C2SP",
            "5ba5ee830903e91240fc6f9f3a7a9293d49e69c9",
            "CC-BY-4.0 (specifications), BSD-1-Clause (data)",
            ".github/LICENSE-BSD-1-CLAUSE",
            "The examples in signed-note.md, tlog-checkpoint.md and tlog-cosignature.md.",
        ),
        Source(
            "merkle",
            "transparency-dev/merkle",
            "417fb0c314750d94e53942e9f92e79b6d35915db",
            "Apache-2.0",
            "",
            "testdata/inclusion and testdata/consistency, one file each.",
        ),
        Source(
            "tessera",
            "transparency-dev/tessera",
            "1811ae1a7c401c971d9cff2a5cfdfba07a26161e",
            "Apache-2.0",
            "",
            "testdata/log: the checkpoints of sizes 0 to 15, the last tile and entry bundle, and "
            "the public key in testdata/build_log.sh.",
        ),
        Source(
            "jcs",
            "cyberphone/json-canonicalization",
            "19d51d7fe467d4706a3ff08adf8a748f29fc21e0",
            "Apache-2.0",
            "LICENSE",
            "testdata: the six documents, and the numbers and digests of its README.",
        ),
        Source(
            "cctv",
            "C2SP/CCTV",
            "1e3d2860d46e94e777e1b17c7a6f2436387e3ecc",
            "BSD-3-Clause",
            "ed25519/LICENSE",
            "ed25519/ed25519vectors.json.",
        ),
        Source(
            "wycheproof",
            "C2SP/wycheproof",
            "dac1dd4729fd1f8dd9e1e9f3dce51d783da6c166",
            "Apache-2.0",
            "",
            "testvectors_v1/ed25519_test.json.",
        ),
        Source(
            "dsse",
            "secure-systems-lab/dsse",
            "eebf7b59b17a06efd2d8a531fc30d1d193520adb",
            "Apache-2.0",
            "",
            "The example in protocol.md.",
        ),
        Source(
            "jsontestsuite",
            "nst/JSONTestSuite",
            "1ef36fa01286573e846ac449e8683f8833c5b26a",
            "MIT",
            "LICENSE",
            "test_parsing, each byte of a file as the character of its number.",
        ),
    )
}


def main(clones: Path) -> None:
    for name, source in SOURCES.items():
        read = Clone(clones, source)
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        notice = (
            f"{source.what}\n\nSource: https://github.com/{source.repository}\n"
            f"Commit: {source.commit}\nLicence: {source.licence}\n"
        )
        if source.licence == "Apache-2.0":
            notice += "The text of that licence is the file LICENSE at the top of this project.\n"
        if source.licence_file:
            notice += "\n" + read.text(source.licence_file).strip() + "\n"
        (folder / "NOTICE").write_text(notice)
        for file, rows in COLLECTORS[name](read).items():
            (folder / file).write_text(pack(rows))
        if name == "tessera":
            for path in ("checkpoint", "tile/0/000.p/15", "tile/entries/000.p/15"):
                (folder / "log" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "log" / path).write_bytes(read.bytes("testdata/log/" + path))


class Clone:
    """The files of one repository at its commit."""

    def __init__(self, clones: Path, source: Source) -> None:
        short = clones / source.repository.split("/")[1]
        self.git = ["git", "-C"]
        self.git.append(
            str(short if short.is_dir() else clones / source.repository.replace("/", "+") / "repo")
        )
        self.commit = source.commit

    def bytes(self, path: str) -> bytes:
        """Return one file."""
        return subprocess.check_output([*self.git, "show", f"{self.commit}:{path}"])

    def text(self, path: str) -> str:
        """Return one file that is UTF-8."""
        return self.bytes(path).decode()

    def list(self, path: str) -> list[str]:
        """Return the paths of the files in a folder and below."""
        command = [*self.git, "ls-tree", "-r", "--name-only", self.commit, path]
        return subprocess.check_output(command, text=True).splitlines()


def pack(rows):
    """Return rows or named values as JSON with one of them a line, so that a change can be read."""
    if isinstance(rows, list):
        return "[\n" + ",\n".join(map(line, rows)) + "\n]\n"
    return "{\n" + ",\n".join(f"{line(k)}: {line(v)}" for k, v in rows.items()) + "\n}\n"


def line(value):
    return json.dumps(value, separators=(",", ":"))


def c2sp(read):
    """Fenced examples whose last lines are signature lines; one of them has its key beside it."""
    notes = {}
    for name in ("signed-note", "tlog-checkpoint", "tlog-cosignature"):
        fenced = re.findall(r"^```\n(.*?)^```\n", read.text(name + ".md"), re.DOTALL | re.MULTILINE)
        notes[name] = [text for text in fenced if "\n\n\u2014 " in text]
    vkey = re.search(r"^    (example\.com/foo\+\S+)$", read.text("signed-note.md"), re.MULTILINE)
    return {"notes.json": {"vkey": vkey[1], **notes}}


def merkle(read):
    def cases(kind):
        paths = [path for path in read.list(f"testdata/{kind}") if path.endswith(".json")]
        strip = f"testdata/{kind}/"
        return [{"name": p.removeprefix(strip), **json.loads(read.bytes(p))} for p in paths]

    return {f"{kind}.json": cases(kind) for kind in ("inclusion", "consistency")}


def tessera(read):
    key = re.search(r'LOG_PUBLIC_KEY="(.*)"', read.text("testdata/build_log.sh"))
    heads = [read.text(f"testdata/log/checkpoint.{size}") for size in range(16)]
    return {"checkpoints.json": {"vkey": key[1], "checkpoints": heads}}


def jcs(read):
    names = [Path(path).name for path in read.list("testdata/input")]
    documents = {
        name: [read.text(f"testdata/input/{name}"), read.text(f"testdata/output/{name}")]
        for name in names
    }
    readme = read.text("testdata/README.md")
    numbers = {
        "first": re.findall(r"0x([0-9a-f]{16})n,", readme),
        "sha256": {count: digest for digest, count in re.findall(r"\| (\w{64}) \| (\d+)", readme)},
    }
    return {"documents.json": documents, "numbers.json": numbers}


def cctv(read):
    """Rows of [key, R, S, message, flags], each an index into the list of that name."""
    vectors = json.loads(read.bytes("ed25519/ed25519vectors.json"))
    lists = {"keys": [], "r": [], "s": [], "messages": [], "flags": []}
    rows = [
        [
            index(lists["keys"], vector["key"]),
            index(lists["r"], vector["sig"][:64]),
            index(lists["s"], vector["sig"][64:]),
            index(lists["messages"], vector["msg"]),
            index(lists["flags"], vector["flags"] or []),
        ]
        for vector in vectors
    ]
    return {"lists.json": lists, "ed25519.json": rows}


def index(values, value):
    """Return where `value` stands in `values`, to which it is added if it is new."""
    if value not in values:
        values.append(value)
    return values.index(value)


def wycheproof(read):
    groups = json.loads(read.bytes("testvectors_v1/ed25519_test.json"))["testGroups"]
    rows = [
        {"key": group["publicKey"]["pk"]}
        | {name: test[name] for name in ("tcId", "comment", "flags", "msg", "sig", "result")}
        for group in groups
        for test in group["tests"]
    ]
    return {"ed25519.json": rows}


def dsse(read):
    text = read.text("protocol.md").partition("## Test Vectors")[2]
    body, kind, pae = re.findall(r"```none\n(.*?)\n```", text, re.DOTALL)[:3]
    envelope = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)[1]
    return {"pae.json": {"body": body, "type": kind, "pae": pae, "envelope": envelope}}


def json_suite(read):
    """Two files repeat a short text many thousand times: {"repeat", "times", "then"}."""

    def packed(data):
        text = data.decode("latin-1")
        for unit in ("[", '[{"":'):
            times = len(text) // len(unit)
            if times > 1000 and text.startswith(unit * times):
                return {"repeat": unit, "times": times, "then": text[times * len(unit) :]}
        return text

    paths = read.list("test_parsing")
    return {"parsing.json": {Path(path).name: packed(read.bytes(path)) for path in paths}}


COLLECTORS = {
    "c2sp": c2sp,
    "merkle": merkle,
    "tessera": tessera,
    "jcs": jcs,
    "cctv": cctv,
    "wycheproof": wycheproof,
    "dsse": dsse,
    "jsontestsuite": json_suite,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]))
