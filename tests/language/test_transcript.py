"""A run told agent by agent and round by round."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import signed_run

from institutional.errors import InstitutionalError
from institutional.transcript.reading import transcript
from institutional.transcript.words import agent_side, harmless, institution_side

ROOT = Path(__file__).parents[2]
RUN = ROOT / "runs/example/institutional-divider_forgiving-0000"
FREE = ROOT / "runs/example/ungoverned-divider_forgiving-0000"


def institutional(*arguments, columns=100):
    """Run the command line in a process of its own, in a terminal of so many columns."""
    return subprocess.run(
        [sys.executable, "-m", "institutional.cli.main", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        check=False,
    )


def said(lines, label):
    """What is said under a label, all of it."""
    return "\n".join(line.text for line in lines if line.label == label)


def test_a_round_is_told_from_both_sides():
    """Round 3 of the shipped example: firm 1 was warned, divides on, and is fined."""
    (moment,) = transcript(RUN, "firm_1", 3)
    agent = agent_side(moment, most=2000)
    institution = institution_side(moment, most=2000)

    assert said(agent, "notice").startswith("UNDER REVIEW.")
    assert said(agent, "standing") == "warning"
    assert said(agent, "submitted") == "60.3979, 0"
    assert "yes, specialisation: specialisation 1 is above 0.48" in said(institution, "evidence")
    assert said(institution, "case") == "under P2, on high_hhi, specialisation"
    assert said(institution, "move") == "fine: warning to fined"
    assert said(institution, "fine").startswith("638.48 on profit: 0.35 x 1824.219261")
    assert said(agent, "profit") == "1824.22, 1185.74 after the fine"


def test_a_run_has_a_moment_per_agent_and_round():
    moments = transcript(RUN)

    assert [(m.round, m.agent) for m in moments[:3]] == [
        (0, "firm_1"),
        (0, "firm_2"),
        (1, "firm_1"),
    ]
    assert len(moments) == 2 * 20
    assert not any(m.ruled.unlike for m in moments)


def test_without_an_institution_there_is_conduct_alone():
    (moment,) = transcript(FREE, "firm_2", 0)

    assert moment.ruled is None
    assert said(agent_side(moment, most=2000), "standing") == ""
    assert said(institution_side(moment, most=2000), "") == "nothing governs this run"


@pytest.mark.parametrize(
    ("agent", "round_", "says"),
    [
        ("firm_3", None, 'no agent "firm_3"'),
        (None, 20, "no round 20: the log has rounds 0 to 19"),
    ],
)
def test_who_or_what_is_not_there_is_one_message(agent, round_, says):
    with pytest.raises(InstitutionalError, match=says):
        transcript(RUN, agent, round_)


def test_the_folder_of_an_experiment_names_its_runs():
    with pytest.raises(InstitutionalError, match="institutional-divider_forgiving-0000"):
        transcript(ROOT / "runs/example")


def test_a_folder_without_a_ledger_is_no_run(tmp_path):
    done = institutional("transcript", tmp_path)

    assert done.returncode == 2
    assert "not the folder of a run" in done.stderr


def test_a_ruling_that_does_not_follow_is_said(tmp_path):
    """An operator signs a fine of 1 where 638 follow from the record."""
    honest = signed_run.stubborn(rounds=4)
    (seq, index), *_ = (
        (entry.seq, index)
        for entry in honest.bodies("ruling")
        for index, move in enumerate(entry.body["moves"])
        if "fine" in move
    )
    at, fined = honest.entries[seq].body["round"], honest.entries[seq].body["moves"][index]
    wrong = honest.altered(seq, "moves", index, "fine", value=1.0)

    (moment,) = transcript(signed_run.write(wrong, tmp_path / "run"), fined["agent"], at)

    first, *rest = institution_side(moment, most=500)
    assert first.marked
    assert f"fine is recorded as 1, but from the record follows {fined['fine']}" in first.text
    assert said(rest, "fine") == "1.00"


def test_another_graph_than_the_logs_is_refused(tmp_path):
    shutil.copytree(RUN, tmp_path / "run")
    graph = tmp_path / "run/graph.yaml"
    graph.write_text(graph.read_text().replace("value: 200", "value: 900"))

    with pytest.raises(InstitutionalError, match="not the graph that the log names"):
        transcript(tmp_path / "run")


@pytest.mark.parametrize("columns", [60, 80, 100, 300])
def test_lines_fit_the_terminal(columns):
    done = institutional("transcript", RUN, "--round", 3, columns=columns)

    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= min(columns, 160)
    assert ("AGENT  " in done.stdout) == (columns >= 80)  # side by side where there is room


def test_the_json_has_everything():
    done = institutional("transcript", RUN, "--agent", "firm_1", "--round", 3, "--json")
    (moment,) = json.loads(done.stdout)

    assert moment["ruled"]["move"]["edge"] == "fine"
    assert moment["ruled"]["why"]["fine"]["rate"] == 0.35
    assert moment["answered"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("\u202edna\u202c", r"\u202edna\u202c"),
        ("a\rb\x00c\x9b", r"a\rb\x00c\x9b"),
        ("zero\u200bwidth \ud800", r"zero\u200bwidth \ud800"),
        ("Größe 価格\nline", "Größe 価格\nline"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(text, shown):
    assert harmless(text, 100) == shown


def test_a_long_text_is_cut_with_its_rest_counted():
    assert harmless("x" * 1010, 10) == "xxxxxxxxxx [... 1,000 more characters]"
