"""Settings for the whole suite: no network, a key folder of its own, repeatable examples."""

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Two workers whose tensors each take every core are ten times as slow as two with one each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A model's name is never looked up, and nobody is told what is trained.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Support modules lie beside the tests that use them.
for folder in Path(__file__).parent.iterdir():
    if folder.is_dir() and folder.name not in {"golden", "__pycache__"}:
        sys.path.insert(0, str(folder))

settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path_factory):
    """No test reaches the user's own keys, or the network beyond this machine."""
    connect = socket.socket.connect

    def only_here(self, address):
        if not (isinstance(address, tuple) and address[0] in {"127.0.0.1", "::1"}):
            raise AssertionError("a test tried to reach the network")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)
    monkeypatch.setenv("INSTITUTIONAL_HOME", str(tmp_path_factory.getbasetemp() / "operator"))
