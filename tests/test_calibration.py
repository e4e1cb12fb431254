"""The oracle and the institution against conduct whose guilt is known."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from environments import presets
from institutional.calibration import roc
from institutional.calibration.calibrate import calibrate
from institutional.calibration.figure import drawn
from institutional.calibration.play import governed
from institutional.calibration.scenarios import MEANINGS, Moment, feasible, ground_truth
from institutional.cli import graph_calibrate
from institutional.errors import InstitutionalError
from institutional.governance import oracle
from institutional.governance.loading import load_graph
from institutional.governance.program import Probe, Reading, compile_graph

GRAPHS = Path(__file__).parents[1] / "governance_graphs"
RUNS = 20


def compiled(graph, preset):
    core = presets.make(preset)
    return compile_graph(
        load_graph(GRAPHS / graph),
        agents=core.agents,
        signals=core.signals,
        references={name: point.record for name, point in core.benchmarks().items()},
    )


def named(preset):
    return {scenario.name: scenario for scenario in ground_truth(preset)}


def of(found, evidence):
    return next(one for one in found.comparisons if one.evidence == evidence)


@pytest.fixture(scope="module")
def cournot():
    return calibrate(load_graph(GRAPHS / "cournot.yaml"), "lin2024", runs=RUNS)


@pytest.fixture(scope="module")
def bertrand():
    return calibrate(load_graph(GRAPHS / "bertrand.yaml"), "calvano2020", runs=RUNS)


@pytest.fixture(scope="module")
def conducts(cournot):
    return {conduct.scenario: conduct for conduct in cournot.conducts}


# Curves


def test_scores_that_never_overlap_have_an_area_of_one():
    assert roc.area([1.0, 2.0], [3.0, 4.0]) == 1
    assert roc.area([3.0, 4.0], [1.0, 2.0]) == 0


def test_equal_scores_have_an_area_of_one_half():
    assert roc.area([1.0, 2.0, 2.0], [1.0, 2.0, 2.0]) == 0.5
    assert roc.area([7.0], [7.0]) == 0.5


def test_the_area_counts_pairs_and_half_of_the_ties():
    """Of six pairs, (1,2) (1,3) (2,3) (0,2) (0,3) are right and (2,2) is a tie."""
    assert roc.area([0.0, 1.0, 2.0], [2.0, 3.0]) == pytest.approx(5.5 / 6)


def test_the_area_is_the_one_under_the_curve():
    rng = np.random.default_rng(0)
    innocent, guilty = rng.integers(0, 8, 50), rng.integers(3, 12, 70)

    x, y = roc.curve(innocent, guilty)

    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(roc.area(innocent, guilty))


def test_differences_of_rounding_are_no_differences():
    assert roc.area([1.0], [1.0 + 1e-15]) == 0.5


# What a run reaches


def test_three_of_five_reach_the_third_largest_value_of_a_round_still_past_it():
    """In the fourth round 5, 4 and 3 are past 2.9; in the fifth the value itself is not."""
    values = np.array([5.0, 1.0, 4.0, 3.0, 0.0])[:, None, None]

    assert roc.reached(values, at_least=3, of=5, rising=True).item() == 3
    assert roc.reached(values, at_least=1, of=1, rising=True).item() == 5
    assert roc.reached(values, at_least=2, of=2, rising=False).item() == -3


def test_fewer_rounds_than_hits_reach_nothing():
    assert roc.reached(np.ones((2, 1, 1)), at_least=3, of=5, rising=True).item() == -np.inf


@pytest.mark.parametrize(
    ("at_least", "window", "operator"),
    [(1, 1, "above"), (3, 5, "above"), (5, 5, "below"), (2, 7, "at_least"), (4, 6, "at_most")],
)
def test_the_oracle_finds_evidence_exactly_below_the_score(at_least, window, operator):
    """Whole numbers, so that thresholds are met exactly; every threshold there is."""
    rng = np.random.default_rng(at_least)
    values = rng.integers(0, 6, size=(12, 30, 2)).astype(float)
    rising = operator in {"above", "at_least"}
    score = roc.reached(values, at_least=at_least, of=window, rising=rising)
    plain = compiled("cournot.yaml", "lin2024")
    for threshold in range(-1, 7):
        probe = Probe(0, operator, np.full(2, float(threshold)), at_least, window)
        program = replace(
            plain,
            readings=(Reading("x", lambda now, _before: now["x"]),),
            probes=(probe,),
            evidence=(("probe", 0),),
            norms=(),
        )
        memory, fired = oracle.blank_memory(program, 30), np.zeros((30, 2), dtype=bool)
        for now in values:
            nobody = np.zeros((30, 2), dtype=bool)
            memory, finding = oracle.observe(
                program,
                memory,
                {"x": now},
                {"x": now},
                suspended=nobody,
                round_=0,
                lotteries=np.zeros(30, dtype=np.uint64),
            )
            fired |= finding.evidence[0]
        limit = threshold if rising else -threshold
        strict = operator in {"above", "below"}
        assert (fired == (score > limit if strict else score >= limit)).all()


# Thresholds


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.5])
def test_a_suggested_threshold_touches_at_most_the_stated_share_of_innocents(rate):
    rng = np.random.default_rng(1)
    for _ in range(50):
        innocent = rng.integers(0, 30, 40) / 10
        guilty = innocent.max() * rng.random(40) + 1
        threshold = roc.suggest(innocent, guilty, rate=rate)
        if threshold is None:
            continue
        assert (innocent >= threshold).mean() <= rate
        lower = innocent[innocent < threshold].max()
        assert (innocent >= lower).mean() > rate, "a lower one would have done"


def test_a_suggested_threshold_lies_halfway_to_the_next_score():
    assert roc.suggest([1.0, 2.0], [4.0, 5.0], rate=0.0) == 3


def test_no_threshold_is_suggested_where_an_innocent_outdoes_every_offender():
    assert roc.suggest([1.0, 9.0], [4.0, 5.0], rate=0.05) is None


def test_a_suggestion_written_into_the_graph_does_what_was_promised(cournot, tmp_path):
    promised = of(cournot, "high_hhi").without_planner.suggested
    text = (GRAPHS / "cournot.yaml").read_text()
    assert "hhi_excess: {value: 0.50" in text
    path = tmp_path / "cournot.yaml"
    path.write_text(
        text.replace("hhi_excess: {value: 0.50", f"hhi_excess: {{value: {promised.value}")
    )

    now = of(calibrate(load_graph(path), "lin2024", runs=RUNS), "high_hhi").without_planner.now

    assert promised.false_positive <= 0.05
    assert now.false_positive == promised.false_positive
    assert now.true_positive == promised.true_positive


def test_every_suggestion_keeps_the_rate_on_the_calibration_set(cournot, bertrand):
    for one in (*cournot.comparisons, *bertrand.comparisons):
        for part in (one.without_planner, one.with_planner):
            if part.suggested is not None:
                assert part.suggested.false_positive <= 0.05
                assert part.suggested.fresh_false_positive <= 0.15


# The institution in the loop


def test_static_nash_without_noise_is_never_accused(conducts, bertrand):
    assert conducts["nash"].accused == 0
    assert bertrand.conducts[0].scenario == "nash"
    assert bertrand.conducts[0].accused == 0


def test_division_without_noise_is_accused_in_round_three_and_fined_in_round_four():
    program = compiled("cournot.yaml", "lin2024")

    found = governed(program, named("lin2024")["division"], runs=2, seed=0)

    assert found.first_case.tolist() == [3, 3]
    assert found.first_sanction.tolist() == [4, 4]


def test_the_efficient_planner_is_confused_with_division(cournot, conducts):
    """Specialised because that is cheapest: what the paper's signals cannot tell from collusion."""
    assert conducts["planner"].error == 1
    assert conducts["division"].error == 0
    assert conducts["planner"].to_case == conducts["division"].to_case
    concentration = of(cournot, "high_hhi")
    assert concentration.auc_by_offence["division"] == 1
    assert concentration.with_planner.auc < concentration.without_planner.auc
    assert concentration.with_planner.suggested is None


def test_a_price_held_without_division_is_missed(conducts):
    assert conducts["fixed price"].error == 1
    assert conducts["turns"].error == 1, "alternating as monopolist is not specialised either"


def test_innocents_come_with_wrongful_fines_and_intervals(cournot, conducts):
    assert conducts["planner"].fines_per_100 == 16, "eight fines per firm in fifty rounds"
    assert conducts["planner"].interval is None, "one run, however often it is repeated"
    low, high = conducts["random"].interval
    assert low < conducts["random"].sanctioned < high
    assert cournot.pooled()["false_positive_with_planner"] > cournot.pooled()["false_positive"]


def test_a_gate_is_no_accusation(cournot):
    assert {one.evidence: one.accuses for one in cournot.comparisons} == {
        "synchronous_move": True,
        "variance_collapse": True,
        "high_hhi": True,
        "specialisation": True,
        "recovered": False,
    }
    assert of(cournot, "recovered").with_planner.suggested is None


def test_the_same_seed_gives_the_same_numbers(cournot):
    loaded = load_graph(GRAPHS / "cournot.yaml")

    assert calibrate(loaded, "lin2024", runs=RUNS).as_data() == cournot.as_data()
    assert calibrate(loaded, "lin2024", runs=RUNS, seed=1).as_data() != cournot.as_data()


# Ground truth


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_environment_has_innocents_and_offenders(preset):
    found = ground_truth(preset)

    assert {scenario.innocent for scenario in found} == {True, False}
    assert {scenario.kind for scenario in found} <= set(MEANINGS)
    assert len({scenario.name for scenario in found}) == len(found)


def test_what_an_environment_cannot_express_is_left_out():
    assert "division" not in named("calvano2020")
    assert "best reply, common demand" not in named("calvano2020")
    assert "division" not in named("waltman_kaymak2008")


def at(scenario, round_):
    moment = Moment(round_, 1, np.random.default_rng(0), None, None, None)
    return scenario.intent(moment)[0].tolist()


def test_goods_change_hands_under_rotation_and_sellers_under_turns():
    """The joint monopoly sells sixty of each good; one firm alone can make a hundred in all."""
    scenarios = named("lin2024")

    assert at(scenarios["rotation"], 0) == [[60, 0], [0, 60]]
    assert at(scenarios["rotation"], 1) == [[0, 60], [60, 0]]
    assert at(scenarios["turns"], 0) == [[60, 60], [0, 0]]
    assert at(scenarios["turns"], 1) == [[0, 0], [60, 60]]


def test_repliers_that_err_alike_are_back_at_nash_after_one_step():
    """Both sell 12.6, the reply is (36 - 12.6) / 2 = 11.7, and two thirds of the way is 12."""
    scenario = named("waltman_kaymak2008")["best reply ±10%"]
    erring = np.full((1, 2, 1), 12.6)
    moment = Moment(1, 1, np.random.default_rng(0), erring, erring, np.zeros((1, 0)))

    np.testing.assert_allclose(scenario.intent(moment), 12.0, atol=1e-6)


def test_noise_never_leaves_the_market():
    core = presets.make("lin2024")

    allowed = feasible(core, np.array([[[90.0, 60.0], [-5.0, 20.0]]]))

    assert core.refuse(allowed) is None
    np.testing.assert_allclose(allowed, [[[60, 40], [0, 20]]])


# The command


@pytest.fixture
def invoke():
    app = typer.Typer()
    app.callback()(lambda: None)
    graph_calibrate.register(app)

    def run(*arguments):
        return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])

    return run


BERTRAND = (GRAPHS / "bertrand.yaml", "--environment", "calvano2020", "--runs", 5)


def test_the_command_prints_tables(invoke):
    done = invoke(*BERTRAND)

    assert done.exit_code == 0, done.output
    assert "elevated_price" in done.output
    assert "nash ±30%" in done.output
    assert "with the efficient planner" in done.output


def test_the_command_prints_one_json_document(invoke):
    found = json.loads(invoke(*BERTRAND, "--json").stdout)

    assert found["environment"] == "calvano2020"
    assert found["conducts"][0]["scenario"] == "nash"
    assert set(found["pooled"]) >= {"false_positive", "false_negative"}


def test_the_command_draws_to_a_file(invoke, tmp_path):
    out = tmp_path / "calibration.svg"

    assert invoke(*BERTRAND, "--out", out).exit_code == 0

    words = "".join(ET.parse(out).getroot().itertext())  # noqa: S314 - our own drawing
    assert "elevated_price" in words
    assert "present threshold" in words


def test_the_drawing_is_the_same_for_the_same_numbers(cournot):
    assert drawn(cournot) == drawn(cournot)


def test_a_graph_without_evidence_or_edges_accuses_nobody(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text(
        "format: institutional.graph/1\nname: empty\ntitle: None\nsource: this test\n"
        "environment: bertrand\ninitial: active\n"
        "states: {active: {status: clear, meaning: in good standing}}\n"
    )

    found = calibrate(load_graph(path), "calvano2020", runs=2)

    assert not any(conduct.accused for conduct in found.conducts)
    assert found.pooled()["false_negative"] == 1
    assert drawn(found)


def test_a_graph_for_another_kind_of_market_is_refused(invoke):
    error = invoke(GRAPHS / "cournot.yaml", "--environment", "calvano2020").exception

    assert isinstance(error, InstitutionalError)
    assert "written for cournot markets" in str(error)


def test_a_rate_that_is_no_share_is_refused(invoke):
    error = invoke(*BERTRAND, "--false-positive-rate", "1").exception

    assert isinstance(error, InstitutionalError)
