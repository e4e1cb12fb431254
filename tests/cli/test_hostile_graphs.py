"""Whatever is handed over as a graph ends in one message, exit 2, soon, in little memory."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GRAPH = (ROOT / "governance_graphs/cournot.yaml").read_bytes()
BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(98, 107)
)

HOSTILE = {
    "an anchor bomb": BOMB,
    "ten megabytes": b"# " + b"x" * 10_000_000,
    "deep flow": b"a: " + b"[" * 50_000 + b"]" * 50_000,
    "deep blocks": b"".join(b" " * n + b"a:\n" for n in range(400)),
    "deep sequences": b"- " * 20_000 + b"x",
    "a tab": GRAPH.replace(b"  active:", b"\tactive:", 1),
    "on as a key": GRAPH.replace(b"initial: active", b"on: active", 1),
    "no as a key": GRAPH.replace(b"initial: active", b"no: active", 1),
    "a python tag": GRAPH.replace(
        b"initial: active", b"initial: !!python/object/apply:os.abort []"
    ),
    "a merge key": GRAPH.replace(b"initial: active", b"initial: active\n<<: {name: other}"),
    "an alias to itself": b"&a [*a]",
    "a null byte": GRAPH.replace(b"initial", b"ini\x00tial", 1),
    "a byte order mark of another encoding": GRAPH.decode().encode("utf-16"),
    "a right-to-left override in a name": GRAPH.replace(
        b"name: cournot", "name: cour\u202enot".encode(), 1
    ),
    "a name of other letters": GRAPH.replace(b"initial: active", "initial: аctive".encode(), 1),
    "two documents": GRAPH + b"---\n" + GRAPH,
    "a huge number": GRAPH.replace(b"value: 200", b"value: 1" + b"0" * 5000, 1),
    "a huge float": GRAPH.replace(b"value: 200", b"value: 1e999", 1),
    "a hexadecimal number": GRAPH.replace(b"value: 200", b"value: 0xff", 1),
    "a sexagesimal number": GRAPH.replace(b"value: 200", b"value: 12:30", 1),
    "a list": b"- 1\n- 2\n",
    "nothing": b"",
    "only a comment": b"# nothing here\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_graph_is_one_message(content, tmp_path):
    path = tmp_path / "hostile.yaml"
    path.write_bytes(content)

    done = subprocess.run(
        [sys.executable, "-m", "institutional.cli.main", "graph", "check", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 4000
