"""A small experiment in which models talk, and a backend that counts what it answers.

Support for tests; run as a program it plays the experiment, for those that kill it.
"""

import asyncio
import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents.language.backends import catalogue
from agents.language.backends.scripted import Scripted
from agents.language.exchange import BackendError
from agents.language.rules_of_thumb import RULES
from institutional.experiments.run import run_experiment

ROOT = Path(__file__).parents[2]
GRAPH = ROOT / "governance_graphs/cournot.yaml"
ROUNDS = 6

SPECIFICATION = f"""
format: institutional.experiment/1
name: talk
environment:
  preset: lin2024
  rounds: {ROUNDS}
  demand_shock: {{sd: 2.0, persistence: 0.5, scope: common}}
regimes:
  ungoverned: {{}}
  constitutional: {{constitution: Decide alone.}}
  institutional: {{graph: {GRAPH}}}
models:
  climber: {{backend: counting, model: climber}}
  wanderer: {{backend: counting, model: wanderer}}
pairings:
  climbers: [{{agent: language, model: climber}}, {{agent: language, model: wanderer}}]
seeds: 2
commit_every: 2
"""
CALLS = 3 * 2 * 2 * ROUNDS  # regimes, seeds, agents, rounds: every answer of these models reads


class Counting:
    """A scripted model that writes down what it answers, a line each, and may fall silent.

    `stop_after` answers in all it answers nothing any more: it waits for ever, or is `dead`.
    """

    log: Path
    stop_after = sys.maxsize
    dead = False
    garbles = staticmethod(lambda _request: False)  # whether the answer cannot be read
    peak = in_flight = begun = 0

    def __init__(self, model):
        self._scripted = Scripted(RULES[model.model])

    async def answer(self, request):
        kind = type(self)
        if kind.begun >= kind.stop_after:
            if kind.dead:
                raise BackendError("the model is gone\n  look after it")
            await asyncio.Event().wait()
        kind.begun += 1
        kind.in_flight += 1
        kind.peak = max(kind.peak, kind.in_flight)
        await asyncio.sleep(0)
        kind.in_flight -= 1
        reply = await self._scripted.answer(request)
        if kind.garbles(request):
            reply = replace(reply, text="I would rather not.")
        with kind.log.open("a") as file:
            file.write(hashlib.sha256(repr(request).encode()).hexdigest() + "\n")
        return reply

    async def close(self):
        pass


def answered():
    """What was answered, in order: one digest per request."""
    return Counting.log.read_text().split() if Counting.log.exists() else []


def forget():
    """Count from nothing again; returns what was answered so far."""
    found = answered()
    Counting.log.unlink()
    Counting.begun = 0
    return found


def counting(folder):
    """Have the backend `counting` count into `folder`, from nothing."""
    Counting.log = folder / "answered.log"
    Counting.stop_after, Counting.dead = sys.maxsize, False
    Counting.garbles = staticmethod(lambda _request: False)
    Counting.peak = Counting.in_flight = Counting.begun = 0
    return catalogue.Entry("talking:Counting", "")


@pytest.fixture
def talk(tmp_path, monkeypatch):
    """The specification, as a file; its models count what they answer."""
    monkeypatch.setitem(catalogue.BACKENDS, "counting", counting(tmp_path))
    path = tmp_path / "talk.yaml"
    path.write_text(SPECIFICATION)
    return path


def contents(folder):
    """Every file's digest, by its path in the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "quarantine" not in path.parts
    }


if __name__ == "__main__":
    specification, out, stop_after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    sys.modules["talking"] = sys.modules["__main__"]
    catalogue.BACKENDS["counting"] = counting(specification.parent)
    Counting.stop_after = stop_after
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_experiment(specification, out, jobs=1)
