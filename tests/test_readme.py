"""The README is run, not believed."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from institutional.experiments.run import run_experiment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("institutional ")
]


def test_the_python_example_prints_what_it_says():
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("-5.0\nPENALISED")


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """The experiment that several lines of the README look at."""
    folder = tmp_path_factory.mktemp("talk") / "talk"
    run_experiment(ROOT / "runs/talk.yaml", folder, jobs=1)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_runs(command, tmp_path, talk):
    shutil.copytree(talk, tmp_path / "runs/talk")
    for folder in ("runs/example", "runs/keys", "runs/constitutions", "governance_graphs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for specification in (ROOT / "runs").glob("*.yaml"):
        shutil.copy(specification, tmp_path / "runs")
    # `compare` needs what the line above it in the README wrote.
    shutil.copytree(ROOT / "runs/example", tmp_path / "runs/mine")
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", "institutional.cli.main", *words[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_the_tree_names_what_is_there():
    tree = README.split("## The tree\n\n```\n")[1].split("```")[0]
    folder = ROOT
    for line in tree.splitlines():
        name = line.split()[0]
        if line.startswith(" ") and not line.startswith("   "):
            assert (folder / name).exists(), line
        elif not line.startswith(" "):
            folder = ROOT / name
            assert folder.is_dir(), line


@pytest.mark.parametrize(
    "folder",
    ["institutional", "environments", "agents", "governance_graphs", "runs", "tests", "benchmarks"],
)
def test_every_folder_says_what_is_in_it_and_how_to_add_to_it(folder):
    text = (ROOT / folder / "README.md").read_text()

    assert "add" in text.lower()
    assert len(text.splitlines()) <= 60


def test_the_readme_has_exactly_two_commands_to_set_up_and_go():
    block = README.split("## Two commands")[1].split("```")[1]

    assert [line.split("#")[0].strip() for line in block.splitlines()[1:]] == [
        "make demo",
        "make test",
    ]
