"""The paper's design and its control arms: what they plan, and that every arm plays to its end."""

import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from institutional.experiments.plan import load_plan
from institutional.experiments.run import run_experiment
from institutional.governance.loading import load_graph
from institutional.governance.wording import public_words
from institutional.ledger.reading import read_entries

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "runs/institutional_ai.yaml"
CONTROLS = ROOT / "runs/institutional_ai_controls.yaml"
HIDDEN = {
    "institutional_unread",
    "notices_without_fines",
    "fines_without_notices",
    "wrong_firm",
    "by_lot",
}


def test_the_papers_design_is_ninety_runs_of_fifty_rounds_in_each_of_three_regimes():
    plan = load_plan(PAPER)

    assert Counter(run.regime for run in plan.runs()) == {
        "ungoverned": 90,
        "constitutional": 90,
        "institutional": 90,
    }
    assert plan.core.rounds == 50
    assert plan.core.shocks(0).shape[1] == 0
    assert plan.skipped() == []


@pytest.mark.parametrize("path", [PAPER, CONTROLS], ids=lambda path: path.stem)
def test_three_pairings_are_of_one_model_and_three_of_two_each_once(path):
    plan = load_plan(path)
    seated = [
        tuple(sorted(seat.parameters["model"] for seat in seats))
        for seats in plan.pairings.values()
    ]

    assert len(set(seated)) == 6
    assert sum(one == two for one, two in seated) == 3
    assert Counter(name for pair in seated for name in pair) == {"gpt": 4, "grok": 4, "gemini": 4}


def test_no_key_stands_in_either_file():
    for path in (PAPER, CONTROLS):
        keys = re.findall(r"^ +key: (.*)$", path.read_text(), flags=re.MULTILINE)
        assert keys == ["OPENAI_API_KEY", "XAI_API_KEY", "GEMINI_API_KEY"]


def test_both_files_ask_the_same_models_in_the_same_market():
    paper, controls = load_plan(PAPER), load_plan(CONTROLS)

    assert paper.environment == controls.environment
    assert paper.pairings == controls.pairings
    assert paper.language.identity(paper.language.models) == controls.language.identity(
        controls.language.models
    )


def test_what_each_arm_is_told():
    plan = load_plan(CONTROLS)
    texts = {
        name: (ROOT / f"runs/constitutions/{name}.md").read_text().strip()
        for name in (
            "duties",
            "neutral",
            "penalties",
        )
    }
    told = {regime: text.strip() for regime, text in plan.language.rules.items()}
    paper = public_words(load_graph(ROOT / "governance_graphs/cournot.yaml"))

    assert told == {
        "ungoverned": "",
        "neutral": texts["neutral"],
        "constitutional": texts["duties"],
        "inspected": texts["duties"],
        "penalties": texts["penalties"],
        "institutional": paper,
        **dict.fromkeys(HIDDEN, ""),
    }


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Every arm of the controls, played for a few rounds by models that are rules of thumb."""
    folder = tmp_path_factory.mktemp("design")
    text = CONTROLS.read_text()
    scripted = re.sub(
        r"^models:.*?^pairings:.*?$",
        "models:\n"
        "  gpt: {backend: scripted, model: climber}\n"
        "  grok: {backend: scripted, model: wanderer}\n"
        "  gemini: {backend: scripted, model: wanderer}\n"
        "pairings:",
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    scripted = re.sub(r"^  g\w+_g\w+: .*\n", "", scripted, flags=re.MULTILINE).replace(
        "pairings:\n",
        "pairings:\n  mixed: [{agent: language, model: gpt}, {agent: language, model: grok}]\n",
    )
    for old, new in (
        ("rounds: 50", "rounds: 6"),
        ("seeds: 15", "seeds: 1"),
        ("../governance_graphs", str(ROOT / "governance_graphs")),
        ("file: constitutions", f"file: {ROOT}/runs/constitutions"),
        ("prices: prices.yaml\n", ""),
    ):
        assert old in scripted
        scripted = scripted.replace(old, new)
    path = folder / "controls.yaml"
    path.write_text(scripted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTITUTIONAL_HOME", str(folder / "operator"))
        run_experiment(path, folder / "out", jobs=1)
    return folder / "out"


def test_every_arm_plays_audits_and_replays(played):
    results = pl.read_parquet(played / "results.parquet")

    assert len(results) == 11
    assert results["valid"].all()
    assert set(results["audit_word"]) == {"UNANCHORED"}
    governed = results.filter(pl.col("fines").is_not_null())
    assert set(governed["regime"]) == HIDDEN | {"institutional"}
    assert set(governed["replay"]) == {"exact"}


def test_only_where_cases_fall_by_lot_is_a_lottery_recorded(played):
    opened = {
        folder.name.split("-")[0]: read_entries(folder / "ledger")[0].body
        for folder in played.iterdir()
        if (folder / "ledger").is_dir()
    }

    assert [regime for regime, body in opened.items() if "lottery" in body] == ["by_lot"]
