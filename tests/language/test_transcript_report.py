"""The report's section on what language agents said: complete, bounded, and nothing live in it."""

import html.parser
import json
import shutil

import made_up_experiment
import pytest
import signed_run
import spoken_run

from institutional.experiments.report import transcripts
from institutional.experiments.report.page import write_report
from institutional.experiments.report.read import read_experiment
from institutional.experiments.report.transcripts import transcripts_part
from institutional.experiments.run import run_experiment
from institutional.governance.loading import load_graph
from institutional.transcript.reading import transcript

COUNTS = {
    "calls": 14,
    "prompt_tokens": 5600,
    "completion_tokens": 420,
    "reasked": 4,
    "rejected": 0,
    "fallbacks": 1,
}


class Tags(html.parser.HTMLParser):
    """Every element with its attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, [name for name, _ in attrs]))

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two seeds under two regimes in which models were asked, and one pairing that never asks."""
    folder = tmp_path_factory.mktemp("experiment") / "talk"
    made = [
        made_up_experiment.run("institutional", "talkers", 0, tier=1, fines=2) | COUNTS,
        made_up_experiment.run("institutional", "talkers", 1, tier=1, fines=2) | COUNTS,
        made_up_experiment.run("institutional", "talkers", 2, tier=1, fines=2) | COUNTS,
        made_up_experiment.run("ungoverned", "talkers", 0, tier=2) | COUNTS,
        made_up_experiment.run("ungoverned", "cartel", 0, tier=3) | dict.fromkeys(COUNTS),
    ]
    made[2] |= {"valid": False, "reason": "firm_1 fell back too often", "tier": None}
    made_up_experiment.write_folder(folder, made)
    for row in made:
        if row["calls"] is None:
            continue
        governed = row["regime"] == "institutional"
        graph = signed_run.CARTEL if governed else None
        run = spoken_run.write(folder / "played", spoken_run.dividing, graph=graph)
        shutil.copytree(run, folder / row["run_id"], dirs_exist_ok=True)
        shutil.rmtree(run)
    loaded = load_graph(signed_run.CARTEL)
    stamp = json.loads((folder / "experiment.json").read_text())
    stamp["graphs"]["institutional"] = {
        "canonical": loaded.canonical_digest,
        "exact": loaded.exact_digest,
    }
    (folder / "experiment.json").write_text(json.dumps(stamp))
    return folder


@pytest.fixture(scope="module")
def part(folder):
    return transcripts_part(read_experiment(folder))


def test_one_run_of_each_regime_and_pairing_is_told_and_every_invalid_one(part):
    assert "institutional-talkers-0000 (first valid run): 5 of 5 rounds" in part
    assert "ungoverned-talkers-0000 (first valid run): 5 of 5 rounds" in part
    assert "institutional-talkers-0002 (invalid): 5 of 5 rounds" in part
    assert "institutional-talkers-0001" not in part
    assert "cartel" not in part


def test_calls_are_summed_by_regime(part):
    """Three governed runs of 14 calls; one of them invalid."""
    text = " ".join(Tags(part).text)

    assert "institutional 3 42 16,800 1,260 12 0 3 1" in " ".join(text.split())
    assert "ungoverned 1 14 5,600 420 4 0 1 0" in " ".join(text.split())


def test_answers_rulings_and_what_went_wrong_are_in_the_rows(part):
    assert "answer 2: played: quantity_A 60, quantity_B 0" in part
    assert "UNDER REVIEW. After round 3 you are warning: publicly warned." in part
    assert "fine: 630.00 on profit: 0.35 x 1800 = 630" in part
    assert "profit 1800, 1170 after the fine" in part
    assert part.count("<mark>fallback</mark>") == 3
    assert part.count("<mark>malformed</mark>") == 6


def test_nothing_that_a_model_wrote_is_live(part):
    tags = Tags(part)

    assert {tag for tag, _ in tags.tags} <= {
        *("p", "code", "div", "table", "thead", "tbody", "tr", "th", "td"),
        *("details", "summary", "mark"),
    }
    assert {name for _, names in tags.tags for name in names} <= {"class"}
    assert '<script>alert("x")</script>' in "".join(tags.text)
    assert "\x1b" not in part
    assert "\u202e" not in part


def test_the_section_stands_in_the_page_and_the_page_is_the_same_again(folder):
    first = write_report(folder).read_text(encoding="utf-8")

    assert '<section id="transcripts">' in first
    assert write_report(folder).read_text(encoding="utf-8") == first
    assert str(folder) not in first


def test_without_language_agents_there_is_no_section(tmp_path):
    made = made_up_experiment.write_folder(tmp_path / "e", made_up_experiment.rows(seeds=1))

    assert transcripts_part(read_experiment(made)) is None


def test_a_part_that_would_be_too_large_keeps_what_matters_and_says_so(folder, monkeypatch):
    """Room for one of five rounds: of the two that are marked the one with a fine."""
    monkeypatch.setattr(transcripts, "MOST_BYTES", 3 * 2000)

    small = transcripts_part(read_experiment(folder))

    assert len(small.encode()) < 3 * 2000 + 3000
    first = small.split("<details>")[1]
    assert "institutional-talkers-0000 (first valid run): 1 of 5 rounds, 2 marked rows" in first
    assert "<td>4</td>" in first
    assert "<td>0</td>" not in first


def test_a_cassette_that_is_not_there_is_said_in_the_report(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/ungoverned-talkers-0000/cassette.jsonl").unlink()

    part = transcripts_part(read_experiment(tmp_path / "copy"))

    assert part.count("Cassette: there is no cassette here") == 1
    assert part.count("<mark>not kept</mark>") == 10


def test_a_run_that_cannot_be_read_does_not_take_the_report_with_it(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/ungoverned-talkers-0000/ledger")

    part = transcripts_part(read_experiment(tmp_path / "copy"))

    assert "ungoverned-talkers-0000 cannot be told" in part
    assert "institutional-talkers-0000 (first valid run)" in part


SPECIFICATION = """
format: institutional.experiment/1
name: talk
environment: {{preset: lin2024, rounds: 4}}
models:
  climber: {{backend: scripted, model: climber}}
regimes:
  ungoverned: {{}}
  inspected:
    constitution: Serve every good.
    inspector: {{model: climber, rejections: 0}}
  institutional: {{graph: {graph}}}
pairings:
  climbers: [{{agent: language, model: climber}}, {{agent: language, model: climber}}]
  quiet: [nash, nash]
seeds: 2
jobs: 1
"""


def test_an_experiment_that_was_really_run_is_told(tmp_path):
    path = tmp_path / "talk.yaml"
    path.write_text(SPECIFICATION.format(graph=signed_run.CARTEL))
    run_experiment(path, tmp_path / "talk")

    part = transcripts_part(read_experiment(tmp_path / "talk"))
    moments = transcript(tmp_path / "talk/institutional-climbers-0000")

    assert "ungoverned-climbers-0000 (first valid run): 4 of 4 rounds" in part
    assert "institutional-climbers-0000 (first valid run): 4 of 4 rounds" in part
    assert "quiet" not in part
    assert "<td>institutional</td>" in part
    assert len(moments) == 8
    assert not any(m.answered.unlike or m.answered.problem or m.ruled.unlike for m in moments)
    assert all(m.answered.action == m.submitted for m in moments)
    assert all(a.kept == "kept" for m in moments for a in m.answered.attempts)
