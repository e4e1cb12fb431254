"""Local models for tests: one that was taught for seconds, and one that knows nothing."""

import fcntl
from pathlib import Path

import pytest
from local_models import new_pocket, new_random


def made_once(factory, worker_id, name, make):
    """The folder `name` of this session, made by whichever worker comes first."""
    base = factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder = Path(shared) / name
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make(folder)
    return folder


@pytest.fixture(scope="session")
def pocket(tmp_path_factory, worker_id):
    """The folder of a quick pocket model."""
    return made_once(tmp_path_factory, worker_id, "pocket", new_pocket)


@pytest.fixture(scope="session")
def random_model(tmp_path_factory, worker_id):
    """The folder of a tiny model with random weights: it says anything at all."""
    return made_once(tmp_path_factory, worker_id, "random", new_random)
