"""The frame that every paper's study is put into, with studies made up for the purpose."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from agents.contract import AgentError
from institutional.errors import InstitutionalError
from institutional.studies import catalogue
from institutional.studies.report import carry_out, overview, write_overview
from institutional.studies.study import Estimate, Outcome, Prediction, Study, estimate, judge

EFFECT = Prediction(quantity="gain", low=0.2, high=0.4, no_effect=0.0, source="table 1")
NONE = Prediction(quantity="placebo", low=-0.1, high=0.1, no_effect=0.0, source="table 2")
LENGTH = Prediction(quantity="rounds", low=5, high=9, source="figure 3")


def measured(value, spread=0.01):
    return Estimate(value, value - spread, value + spread, 100)


@pytest.mark.parametrize(
    ("prediction", "found", "verdict"),
    [
        (EFFECT, measured(0.3), "reproduced"),
        (EFFECT, measured(0.3, spread=0.35), "null"),  # in the band, but told from nothing
        (EFFECT, measured(0.0), "null"),
        (EFFECT, measured(0.1), "contradicted"),  # an effect, smaller than claimed
        (EFFECT, measured(0.15, spread=0.1), "undecided"),  # it may be as large as claimed
        (EFFECT, measured(-0.3), "contradicted"),
        (NONE, measured(0.05), "null"),
        (NONE, measured(0.2), "contradicted"),
        (NONE, measured(0.2, spread=0.15), "undecided"),
        (LENGTH, measured(7), "reproduced"),
        (LENGTH, measured(12), "contradicted"),
    ],
)
def test_a_verdict_follows_from_the_band_and_what_no_effect_would_be(prediction, found, verdict):
    assert judge(prediction, found) == verdict


def test_a_prediction_says_its_direction():
    below = replace(EFFECT, low=-2, high=-1)

    assert [p.direction for p in (EFFECT, below, NONE, LENGTH)] == [
        "above 0",
        "below 0",
        "no effect (0)",
        "in the band",
    ]


def test_truth_values_are_a_share_and_numbers_a_mean():
    """Wilson's interval of 9 in 10 is 59.6 % to 98.2 %."""
    share = estimate(np.array([True] * 9 + [False]))
    mean = estimate(np.arange(10.0))

    assert share == pytest.approx((0.9, 0.596, 0.982, 10), abs=1e-3)
    assert mean.value == 4.5
    assert mean.low < 4.5 < mean.high


def test_what_was_not_measured_is_no_number():
    with pytest.raises(InstitutionalError, match="leave out what was not measured"):
        estimate(np.array([1.0, np.nan, 1, 1, 1, 1]))


def made_up(gain):
    def run(seeds):
        noise = np.random.default_rng(0).normal(0, 0.01, len(seeds))
        return Outcome(
            measured={"gain": gain + noise, "placebo": noise, "else": noise + 7},
            table={"seed": list(seeds), "gain": gain + noise},
            draw=lambda: Figure(figsize=(2, 1)),
            caption="nothing to see",
        )

    return Study(
        name="made_up",
        paper="Nobody 2020",
        claim="it gains",
        miniature="a normal draw",
        predictions=(EFFECT,),
        controls=(NONE,),
        does_not_show=("anything",),
        seeds=50,
        quick_seeds=5,
        run=run,
    )


def test_a_report_has_a_verdict_per_prediction_and_writes_three_files(tmp_path):
    report = carry_out(made_up(0.3), range(10, 30))

    table, figure = report.write(tmp_path / "out")[1:]

    assert [(f.quantity, f.verdict) for f in report.findings] == [
        ("gain", "reproduced"),
        ("placebo", "null"),
        ("else", None),
    ]
    assert not report.surprises
    document = json.loads((tmp_path / "out/made_up.json").read_text())
    assert document == report.as_data()
    assert document["findings"][0]["prediction"]["source"] == "table 1"
    assert pl.read_parquet(table)["seed"].to_list() == list(range(10, 30))
    assert 'aria-label="nothing to see"' in figure.read_text()


@pytest.mark.parametrize("gain", [0.0, 0.1])
def test_a_missing_or_smaller_effect_speaks_against_the_claim(gain):
    assert carry_out(made_up(gain), range(20)).surprises


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(InstitutionalError, match="cannot be written"):
        carry_out(made_up(0.3), range(5)).write(tmp_path / "file")


def test_one_table_holds_every_prediction_of_every_study(tmp_path):
    found, missing = carry_out(made_up(0.3), range(20)), carry_out(made_up(0.0), range(20))

    path = write_overview([found, missing], tmp_path)

    table = overview([found, missing])
    assert [row[:2] for row in table] == [["made_up", "gain"], ["made_up", "placebo"]] * 2
    assert [row[4] for row in table] == ["reproduced", "null", "null, not as predicted", "null"]
    assert [row[3] for row in table[:2]] == ["0.2 to 0.4", "-0.1 to 0.1"]
    assert path.name == "all.md"
    assert "| gain | " + " | ".join(table[0][2:5]) + " |" in path.read_text()


def test_no_study_needs_torch_to_be_listed():
    program = (
        "import sys\nfrom institutional.studies import catalogue\n"
        "for name in catalogue.NAMES: catalogue.study(name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_study_that_needs_torch_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(AgentError, match=r"pip install 'institutional\[train\]'"):
        carry_out(replace(made_up(0.3), needs_torch=True), range(5))


def test_an_unknown_study_is_named_with_its_neighbour():
    with pytest.raises(InstitutionalError, match='Did you mean "calvano2020"'):
        catalogue.study("calvano")


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_every_study_says_what_would_contradict_it_and_what_it_does_not_show(name):
    study = catalogue.study(name)
    predictions = (*study.predictions, *study.controls)

    assert study.name == name
    assert study.predictions
    assert study.controls
    assert study.does_not_show
    assert 5 <= study.quick_seeds <= study.seeds
    assert len({p.quantity for p in predictions}) == len(predictions)
    assert all(p.low <= p.high and p.source for p in predictions)
    assert not any(p.expects_none for p in study.predictions)
