"""A run told agent by agent and round by round."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import signed_run
import spoken_run

from environments.contract import UnplayableError
from institutional.errors import InstitutionalError
from institutional.governance.explain import explain
from institutional.ledger.reading import read_entries
from institutional.transcript.reading import transcript
from institutional.transcript.words import agent_side, harmless, institution_side
from institutional.whatif import read_recording

ROOT = Path(__file__).parents[2]
RUN = ROOT / "runs/example/institutional-divider_forgiving-0000"
FREE = ROOT / "runs/example/ungoverned-divider_forgiving-0000"
GOLDEN = ROOT / "tests/golden/language/transcript.txt"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """Two runs of language agents: under a graph with hostile texts, and under an inspector."""
    folder = tmp_path_factory.mktemp("spoken")
    spoken_run.write(folder / "dividing", spoken_run.dividing)
    spoken_run.write(
        folder / "inspected",
        spoken_run.inspected,
        graph=None,
        rounds=2,
        inspection=spoken_run.INSPECTOR,
    )
    return folder


@pytest.fixture
def copy(spoken, tmp_path):
    """A copy of the first of them, to alter."""
    shutil.copytree(spoken / "dividing", tmp_path / "run")
    return tmp_path / "run"


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
    assert said(agent, "submitted") == "quantity_A 60.3979, quantity_B 0"
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


def test_a_long_run_is_explained_as_from_its_first_round(tmp_path):
    """Only as many rounds are looked at as a window can see, 64; older ones change nothing."""
    run = signed_run.write(signed_run.stubborn(rounds=160), tmp_path / "run")
    recording = read_recording(read_entries(run / "ledger"), (run / "graph.yaml").read_bytes())

    assert sum(ruling["counted"] for ruling in recording.rulings) > 64
    for round_ in (5, 90, 159):
        (moment,) = transcript(run, "firm_1", round_)
        whole = explain(
            recording.program, recording.records, recording.suspended(), "firm_1", round_
        )
        assert moment.ruled.why == whole


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


def test_the_transcript_of_a_conversation_is_golden(spoken):
    """Written anew by hand only: `institutional transcript` of both runs, 100 columns."""
    told = [
        institutional("transcript", spoken / "dividing", "--agent", "firm_1").stdout,
        institutional("transcript", spoken / "inspected").stdout,
    ]

    assert "\n".join(told) == GOLDEN.read_text(encoding="utf-8")


def test_memory_is_what_the_last_answer_that_was_played_left(spoken):
    """In round 4 firm 1 gives no answer that can be read: its plans stay those of round 3."""
    moments = transcript(spoken / "dividing", "firm_1")
    before = [moment.answered.before.plans for moment in moments]
    after = [moment.answered.after.plans for moment in moments]

    assert before == ["", *after[:-1]]
    assert after == [*spoken_run.HOSTILE, spoken_run.HOSTILE[3]]
    assert [moment.answered.fallback for moment in moments] == [False] * 4 + [True]


def test_every_attempt_has_its_outcome_and_reason(spoken):
    (moment,) = transcript(spoken / "inspected", "firm_1", 1)
    attempts = moment.answered.attempts

    assert [(a.by, a.outcome) for a in attempts] == [
        ("answer 1", "proposed"),
        ("inspector", "rejected"),
        ("answer 2", "proposed"),
        ("inspector", "rejected"),
    ]
    assert attempts[1].reason.startswith("Serve both goods.")
    assert attempts[2].action == (20, 25)
    assert moment.answered.fallback


def test_the_whole_prompt_is_shown_as_it_was_sent(spoken):
    done = institutional(
        "transcript", spoken / "dividing", "--agent", "firm_1", "--round", 1, "--prompt"
    )
    (moment,) = transcript(spoken / "dividing", "firm_1", 1)
    shown = [line[4:] for line in done.stdout.splitlines() if line.startswith("  | ")]

    sent = moment.answered.attempts[1].request.messages
    assert all(line[:90] in "\n".join(shown) for line in sent[0].content.splitlines())
    assert "## Refused" in shown  # of the second attempt, after the malformed first
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


def test_no_line_of_a_model_passes_for_one_of_ours(spoken):
    """The third plan imitates the institution's side; its lines stay behind a mark."""
    shown = institutional("transcript", spoken / "dividing", "--agent", "firm_1", "--round", 2)

    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert not any(line.startswith("fine") for line in lines)
    assert any(line.startswith(">   fine      0.00 on nothing") for line in lines)


def test_a_missing_cassette_is_said_and_the_rest_is_told(copy):
    (copy / "cassette.jsonl").unlink()

    done = institutional("transcript", copy, "--agent", "firm_1", "--round", 1)
    (moment,) = transcript(copy, "firm_1", 1)

    assert done.returncode == 0
    assert "! cassette  there is no cassette here" in done.stdout
    assert [(a.outcome, a.kept) for a in moment.answered.attempts] == [
        ("malformed", "missing"),
        ("played", "missing"),
    ]
    assert moment.submitted == (60, 0)
    assert moment.ruled is not None


def test_prompts_without_a_cassette_are_one_message(copy):
    (copy / "cassette.jsonl").unlink()

    done = institutional("transcript", copy, "--prompt")

    assert done.returncode == 2
    assert "there is no cassette here" in done.stderr
    assert not done.stdout


def test_prompts_of_a_run_without_language_agents_are_one_message():
    done = institutional("transcript", RUN, "--prompt")

    assert done.returncode == 2
    assert "no language model was asked" in done.stderr


def test_an_edited_cassette_is_said_with_its_line(copy):
    cassette = copy / "cassette.jsonl"
    text = cassette.read_text()
    assert "Prices are near 70." in text
    cassette.write_text(text.replace("Prices are near 70.", "Prices are near 99.", 1))

    (moment,) = transcript(copy, "firm_1", 0)

    assert "cassette.jsonl:" in moment.answered.problem
    assert "altered" in moment.answered.problem
    assert moment.answered.attempts[0].reply is None


def test_an_exchange_that_the_ledger_does_not_name_is_not_shown(copy, tmp_path):
    """The cassette of another run, whole in itself: its addresses are not the ledger's."""

    def other(place, request):
        return spoken_run.dividing(place, request).replace("Keep to good B.", "Be good.")

    spoken_run.write(tmp_path / "other", other)
    shutil.copy(tmp_path / "other/cassette.jsonl", copy / "cassette.jsonl")

    first, second = transcript(copy, round_=0)

    assert first.answered.attempts[0].kept == "kept"  # firm 1 said the same in both
    assert second.answered.attempts[0].kept == "edited"
    assert "Be good." not in str(second)
    assert any(line.marked for line in agent_side(second, most=500))


def test_a_move_that_is_not_what_was_answered_is_said(tmp_path):
    """An operator signs that firm 2, which answered 0 and 60, submitted 1 and 60."""

    def alter(kind, body):
        if kind == "round" and body["round"] == 0:
            body["submitted"]["firm_2"] = [1, 60]
        return body

    run = spoken_run.write(tmp_path / "run", spoken_run.dividing, rounds=1, alter=alter)
    first, second = transcript(run)

    assert first.answered.unlike == ""
    assert second.answered.unlike == (
        "submitted.firm_2 is recorded as [1, 60], but from the answer follows [0.0, 60.0]"
    )
    assert "submitted.firm_2" in said(agent_side(second, most=500), "NOT SO")


def test_an_outcome_that_the_answer_does_not_have_is_said(tmp_path):
    """In round 1 the first answer of firm 1 cannot be read; the operator signs it as played."""

    def alter(kind, body):
        if kind == "answers" and body["round"] == 1:
            told = body["answers"]["firm_1"]
            told["exchanges"] = [told["exchanges"][0] | {"outcome": "played"}]
        return body

    run = spoken_run.write(tmp_path / "run", spoken_run.dividing, rounds=2, alter=alter)
    (moment,) = transcript(run, "firm_1", 1)

    assert "outcome is recorded as 'played', but from the answer follows 'malformed'" in (
        moment.answered.unlike
    )


def test_answers_in_another_form_are_one_message(tmp_path):
    def alter(kind, body):
        if kind == "answers":
            body["answers"]["firm_1"]["exchanges"][0]["tokens"] = "many"
        return body

    run = spoken_run.write(tmp_path / "run", spoken_run.dividing, rounds=1, alter=alter)

    with pytest.raises(InstitutionalError, match=r"entry 1 does not say .* answers\.firm_1"):
        transcript(run)


def test_answers_after_which_nothing_was_played_are_told(tmp_path):
    """The last round's entries are not there: what was answered for it is."""

    def stop(kind, body):
        if kind == "round" and body["round"] == 1:
            raise UnplayableError("an action that no market takes")
        return body

    run = spoken_run.write(tmp_path / "run", spoken_run.dividing, rounds=3, alter=stop)
    *_, last = transcript(run, "firm_2")

    assert last.round == 1
    assert last.submitted is None
    assert last.answered.action == (0, 60)
    assert said(agent_side(last, most=500), "submitted") == "nothing: the run ended here"
    assert said(institution_side(last, most=500), "") == "nothing was ruled on this round"


def test_the_json_of_a_conversation_has_prompts_and_texts(spoken):
    done = institutional(
        "transcript", spoken / "dividing", "--agent", "firm_1", "--round", 1, "--json"
    )
    (moment,) = json.loads(done.stdout)
    first, second = moment["answered"]["attempts"]

    assert first["outcome"] == "malformed"
    assert spoken_run.HOSTILE[0] in first["reply"]["text"]
    assert second["request"]["messages"][0]["role"] == "system"
    assert moment["answered"]["after"]["plans"] == spoken_run.HOSTILE[1]


def test_audit_show_says_what_became_of_each_answer(spoken):
    shown = institutional("audit", "show", spoken / "dividing", "--kind", "answers").stdout
    lines = shown.splitlines()

    assert len(lines) == 5
    assert "round 1: firm_1 malformed, played (" in lines[1]
    assert "firm_1 malformed, malformed, malformed, then the fallback (" in lines[4]
