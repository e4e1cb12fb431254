"""A local model at the command line: served until it is interrupted."""

import asyncio
import json
import signal
import subprocess
import sys

import openai
import pytest
from local_models import new_random
from test_commands import institutional

PROGRAM = [sys.executable, "-m", "institutional.cli.main", "agent", "serve"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_model_is_served_until_it_is_interrupted_and_then_ends_well(tmp_path, number):
    new_random(tmp_path / "small")
    process = subprocess.Popen(
        [*PROGRAM, "small", "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        told = json.loads("".join(process.stdout.readline() for _ in range(4)))

        async def ask():
            async with openai.AsyncOpenAI(base_url=told["url"], api_key="none") as client:
                return await client.chat.completions.create(
                    model=told["model"],
                    messages=[{"role": "user", "content": "Say."}],
                    max_tokens=3,
                    seed=1,
                )

        answer = asyncio.run(ask())
        process.send_signal(number)

        assert process.wait(timeout=60) == 0
        assert answer.model == "small"
        assert answer.usage.completion_tokens <= 3
    finally:
        process.kill()
        process.communicate()


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path):
    done = institutional("agent", "serve", "pocket", cwd=tmp_path, home=tmp_path / "home")

    assert done.returncode == 2
    assert "institutional agent train pocket" in done.stderr
    assert "Traceback" not in done.stderr


def test_training_without_graphs_says_where_they_are_looked_for(tmp_path):
    done = institutional("agent", "train", "pocket", "--out", "pocket", cwd=tmp_path)

    assert done.returncode == 2
    assert "governance_graphs: there are no governance graphs" in done.stderr
    assert list(tmp_path.iterdir()) == []
