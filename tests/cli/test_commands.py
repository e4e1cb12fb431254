"""The command line as a person uses it: examples, help, mistakes."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import typer
from plant import run_with_a_wrong_fine, what_examples_name
from small_run import write
from small_witness import new_witness

from institutional.cli.main import app
from institutional.ledger.witness.client import submit
from institutional.ledger.witness.exchange import Exchange

ROOT = Path(__file__).parents[2]
RUN = "runs/example/institutional-divider_forgiving-0000"
KEY = "runs/keys/example.pub"
HEAVY = (
    "numba",
    "numpy",
    "pydantic",
    "networkx",
    "polars",
    "matplotlib",
    "pettingzoo",
    "scipy",
    "torch",
)


def institutional(*arguments, cwd=ROOT, home=None, python=sys.executable, **variables):
    """Run the command line in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
    if home is not None:
        environment["INSTITUTIONAL_HOME"] = str(home)
    return subprocess.run(
        [python, "-m", "institutional.cli.main", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def commands(group=None, path=()):
    """Every command with its words, from the application itself."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = list(commands())
SERVE = {("audit", "witness", "serve"), ("agent", "serve")}
UNANCHORED = {
    ("audit", "witness", "submit"),
    ("audit", "check-proof"),
    ("audit", "inspect"),
}


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """What the examples name and the repository does not ship, written once."""
    folder = tmp_path_factory.mktemp("planted")
    what_examples_name(folder)
    return folder


@pytest.fixture
def workplace(tmp_path, planted):
    """A copy of what the examples name, to run them in."""
    shutil.copytree(planted, tmp_path, dirs_exist_ok=True)
    for folder in ("runs/example", "runs/keys", "runs/constitutions", "governance_graphs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("example.yaml", "demo.yaml", "learners.yaml", "phase.graph.yaml"):
        shutil.copy(ROOT / "runs" / file, tmp_path / "runs" / file)
    return tmp_path


def witnesses(folder):
    """Two witnesses that have seen one run, and requests on their way to one of them."""
    write(folder / "seen")
    for name in ("witness", "other-witness"):
        keeper = new_witness(folder / name, name=f"{name}.example")
        submit(
            folder / "seen", keeper.key, lambda request, keeper=keeper: keeper.answer(request.body)
        )
    submit(folder / "seen", keeper.key, Exchange(folder / "requests"))


def example(command):
    """The command line in the help text."""
    text = " ".join(command.help.split())
    return text.split("Example: ")[1].split(" > ")[0]


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(w) for w, _ in COMMANDS])
def test_every_command_shows_an_example_that_runs(words, command, workplace, tmp_path):
    line = shlex.split(example(command))
    assert line[: len(words) + 1] == ["institutional", *words]
    if words in SERVE:
        return  # until it is interrupted: see test_witness_commands.py, test_agent_commands.py
    if words[:2] == ("audit", "witness"):
        witnesses(workplace)

    done = institutional(*line[1:], cwd=workplace, home=tmp_path / "home")

    assert done.returncode == (3 if words in UNANCHORED else 0), done.stderr
    assert done.stdout


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(w) for w, _ in COMMANDS])
def test_every_command_has_json(words, command, workplace, tmp_path):
    if words in {("graph", "schema"), *SERVE}:
        return  # JSON is all that the first prints
    if words[:2] == ("audit", "witness"):
        witnesses(workplace)
    line = shlex.split(example(command))
    done = institutional(*line[1:], "--json", cwd=workplace, home=tmp_path / "home")

    json.loads(done.stdout)


def test_help_loads_no_heavy_package():
    program = (
        "import sys; sys.argv = ['institutional', '--help']\n"
        "from institutional.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert done.stderr.strip() == "[]"
    for command in (
        "run",
        "compare",
        "report",
        "graph",
        "audit",
        "environment",
        "agent",
        "study",
        "learn",
        "doctor",
    ):
        assert command in done.stdout


def graph_with(folder, old, new):
    """A copy of the shipped graph with one thing changed."""
    text = (ROOT / "governance_graphs/cournot.yaml").read_text()
    assert old in text
    path = folder / "graph.yaml"
    path.write_text(text.replace(old, new, 1))
    return str(path)


MISTAKES = [
    ("initial: active", "initail: active", "unknown key"),
    ("initial: active", "initial: active\ninitial: fined", "duplicate key"),
    ("to: suspended", "to: suspendd", 'Did you mean "suspended"'),
    ("signal: hhi\n", "signal: hhii\n", 'Did you mean "hhi"'),
    ("below: $dispersion_limit", 'below: "0.1"', "valid number"),
    ("relative_to: nash", "relative_to: nahs", 'Did you mean "nash"'),
]


@pytest.mark.parametrize(("old", "new", "says"), MISTAKES)
def test_a_mistake_in_a_graph_is_one_message_with_its_line(tmp_path, old, new, says):
    done = institutional("graph", "check", graph_with(tmp_path, old, new))

    assert done.returncode == 2
    assert says in done.stderr
    assert "graph.yaml:" in done.stderr
    assert "Traceback" not in done.stderr


SPECIFICATION = """
format: institutional.experiment/1
name: small
environment: {{preset: lin2024, rounds: 5}}
regimes:
  ungoverned: {{}}
  institutional: {{graph: {graph}}}
pairings:
  nash: [nash, nash]
seeds: 2
"""


def specification(folder, old="", new="", name="small.yaml"):
    text = SPECIFICATION.format(graph=ROOT / "governance_graphs/cournot.yaml")
    assert old in text
    path = folder / name
    path.write_text(text.replace(old, new, 1) if old else text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("seeds: 2", "seds: 2", 'Did you mean "seeds"'),
        ("seeds: 2", "seeds: 0", "seeds"),
        ("seeds: 2", "seeds: two", "seeds"),
        ("[nash, nash]", "[nash, nahs]", 'Did you mean "nash"'),
        ("[nash, nash]", "[nash]", "1 agents for a market of 2"),
        ("preset: lin2024", "preset: lin2025", 'Did you mean "lin2024"'),
        ("rounds: 5", "rouds: 5", 'Did you mean "rounds"'),
        ("rounds: 5", "rounds: -5", "rounds"),
        ("[nash, nash]", "[nash, {agent: nash, tremble: -1}]", "tremble"),
        ("seeds: 2", "seeds: 2\ncomparison: {measures: [teir]}", 'Did you mean "tier"'),
    ],
)
def test_a_mistake_in_an_experiment_stops_before_anything_is_written(tmp_path, old, new, says):
    path = specification(tmp_path, old, new)

    done = institutional("run", str(path))

    assert done.returncode == 2
    assert says in done.stderr
    assert "small.yaml:" in done.stderr
    assert "Traceback" not in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.yaml"]


def test_a_folder_of_another_experiment_is_left_alone(tmp_path):
    first = specification(tmp_path)
    assert institutional("run", str(first), "--out", str(tmp_path / "out")).returncode == 0
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    other = specification(tmp_path, "rounds: 5", "rounds: 6", name="other.yaml")

    done = institutional("run", str(other), "--out", str(tmp_path / "out"))

    assert done.returncode == 2
    assert "belongs to another experiment" in done.stderr
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")

    done = institutional("run", str(specification(tmp_path)), "--out", str(blocked / "out"))

    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_audit_without_a_key_asks_for_one():
    done = institutional("audit", "verify", RUN)

    assert done.returncode == 2
    assert "--key or --policy" in done.stderr


def test_an_audit_with_a_key_that_is_not_there_says_so():
    done = institutional("audit", "verify", RUN, "--key", "nowhere.pub")

    assert done.returncode == 2
    assert "nowhere.pub: cannot be read" in done.stderr


def test_a_truncated_ledger_is_told_by_the_audit(workplace):
    log = workplace / RUN / "ledger/log.wal"
    log.write_bytes(log.read_bytes()[:-700])

    done = institutional("audit", "verify", RUN, "--key", KEY, cwd=workplace)

    assert done.returncode in (1, 4)
    assert "Traceback" not in done.stderr


def test_the_ledger_of_another_run_is_told_by_the_audit(workplace):
    other = workplace / "runs/example/institutional-divider_forgiving-0001/ledger"
    shutil.rmtree(workplace / RUN / "ledger")
    shutil.copytree(other, workplace / RUN / "ledger")

    done = institutional("audit", "verify", RUN, "--key", KEY, cwd=workplace)

    assert done.returncode == 1


def test_a_remembered_head_turns_unanchored_into_verified(workplace):
    head = workplace / "remembered"
    shutil.copy(workplace / RUN / "ledger/checkpoint", head)

    done = institutional("audit", "verify", RUN, "--key", KEY, "--head", str(head), cwd=workplace)

    assert done.returncode == 0
    assert "VERIFIED" in done.stdout


def test_a_replay_names_a_planted_wrong_decision(tmp_path):
    """An operator who signs a wrong fine: the log verifies, the decision does not follow."""
    folder, key = run_with_a_wrong_fine(tmp_path)

    verified = institutional("audit", "verify", str(folder), "--key", str(key))
    replayed = institutional("audit", "replay", str(folder), "--key", str(key))

    assert verified.returncode == 6
    assert "integrity     VERIFIED" in verified.stdout
    assert "conformance   REPLAY MISMATCH" in verified.stdout
    assert replayed.returncode == 6
    assert "fine" in replayed.stdout


def test_a_foreign_agents_package_is_named_with_the_way_out(tmp_path):
    """A throw-away environment in which another distribution owns `agents`."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    site = next((tmp_path / "venv/lib").glob("python*")) / "site-packages"
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    (site / "agents").mkdir()
    (site / "agents/__init__.py").write_text('"""Somebody else\'s agents."""\n')
    info = site / "openai_agents-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openai-agents\nVersion: 1.0\n")
    (info / "RECORD").write_text("agents/__init__.py,,\n")
    # Theirs first, then our dependencies, then our source: the order of a shared environment.
    (site / "shared.pth").write_text(f"{ours}\n{ROOT}\n")

    done = institutional("doctor", python=str(tmp_path / "venv/bin/python"), cwd=tmp_path)

    assert done.returncode == 2
    assert 'the distribution "openai-agents"' in done.stderr
    assert "environment of its own" in done.stderr
    assert "Traceback" not in done.stderr
