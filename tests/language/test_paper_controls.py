"""The control arms of the paper's institution, told in stories and played in whole runs."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from environments import presets
from institutional.episode import Seat, Table
from institutional.experiments.run import run_experiment
from institutional.governance.loading import load_graph
from institutional.governance.oracle import drawn
from institutional.governance.policy_tests.loading import load_tests
from institutional.governance.policy_tests.run import run_tests
from institutional.ledger.reading import read_entries

ROOT = Path(__file__).parents[2]
GRAPHS = ROOT / "governance_graphs"
CONTROLS = sorted((GRAPHS / "controls").glob("*.yaml"))
ROUNDS = 14

CONTROLS_OF = {
    "institutional": {},
    "wrong_firm": {"detection.attribution": "next"},
    "random": {"detection.by_lot": 0.2},
    "silent": {"send_notices": False},
    "toothless": {
        **{f"parameters.fine_{tier}.value": 0 for tier in ("first", "second", "third", "floor")},
        "states.suspended.restriction": {},
    },
}
"""What each regime changes in the paper's graph, besides making a specialised firm a case alone:
with the market's concentration in the norm both firms of a divided market are in breach at once."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Each regime's row of results, opening entry, rulings and folder: firm 1 alone specialises."""
    folder = tmp_path_factory.mktemp("controls")
    regimes = {"ungoverned": {}}
    for name, changes in CONTROLS_OF.items():
        alteration = {
            "format": "institutional.alteration/1",
            "of": str(GRAPHS / "cournot.yaml"),
            "name": name,
            "title": name,
            "changes": {"norms.P2.breached_by": "specialisation", **changes},
        }
        (folder / f"{name}.yaml").write_text(json.dumps(alteration))
        regimes[name] = {"graph": f"{name}.yaml"}
    specification = {
        "format": "institutional.experiment/1",
        "name": "controls",
        "environment": {"preset": "lin2024", "rounds": ROUNDS},
        "regimes": regimes,
        "pairings": {"one_specialises": ["planner", "nash"]},
        "seeds": 1,
    }
    path = folder / "controls.json"
    path.write_text(json.dumps(specification))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSTITUTIONAL_HOME", str(folder / "operator"))
        plan = run_experiment(path, folder / "out", jobs=1)
    results = pl.read_parquet(folder / "out/results.parquet")
    found = {}
    for run in plan.runs():
        here = folder / "out" / run.id
        entries = read_entries(here / "ledger")
        row = results.filter(run_id=run.id).to_dicts()[0]
        rulings = [entry.body for entry in entries if entry.kind == "ruling"]
        found[run.regime] = (row, entries[0].body, rulings, here)
    return found


def cases(rulings):
    """The rounds with a case, by agent."""
    return {
        agent: [r["round"] for r in rulings for case in r["cases"] if case["agent"] == agent]
        for agent in ("firm_1", "firm_2")
    }


def test_every_arm_audits_and_replays_from_its_own_folder(runs):
    for regime, (row, opening, rulings, here) in runs.items():
        assert row["valid"], regime
        assert row["audit_word"] == "UNANCHORED"
        assert row["replay"] == ("not-applicable" if regime == "ungoverned" else "exact")
        assert ("lottery" in opening) == (regime == "random")
        assert len(rulings) == (0 if regime == "ungoverned" else ROUNDS)
        if regime != "ungoverned":
            digest = load_graph(here / "graph.yaml").canonical_digest
            assert opening["graph"] == digest


def test_the_papers_institution_punishes_the_divider_and_the_wrong_one_its_rival(runs):
    """Specialised in three of five rounds: a case from round 2 on, every round until suspended.

    Firm 1 sells (100, 0). Beside it the Nash quantities of firm 2, 26.67 and 46.67, earn
    26.67 x (100 - 126.67 / 2 - 50) + 46.67 x (100 - 46.67 / 2 - 40) = 1355.56.
    """
    paper, wrong = (cases(runs[regime][2]) for regime in ("institutional", "wrong_firm"))
    assert paper["firm_1"][:6] == wrong["firm_2"][:6] == [2, 3, 4, 5, 6, 7]
    assert paper["firm_2"] == wrong["firm_1"] == []

    moves = [move for ruling in runs["wrong_firm"][2] for move in ruling["moves"]]
    assert {move["agent"] for move in moves} == {"firm_2"}
    assert [move["edge"] for move in moves[:5]] == [
        "warn",
        "fine",
        "fine_again",
        "fine_again",
        "suspend",
    ]
    assert moves[1]["fine"] == pytest.approx(0.35 * 1355.5555556)
    assert runs["wrong_firm"][0]["suspensions"] == 1


def test_at_random_cases_come_without_a_look_and_name_no_evidence(runs):
    _, opening, rulings, _ = runs["random"]
    word = np.array([opening["lottery"]], dtype=np.uint64)

    for ruling in rulings:
        falls = drawn(word, 2, ruling["round"], 0.2)[0] & ruling["counted"]
        assert [case["agent"] for case in ruling["cases"]] == [
            agent for agent, hit in zip(("firm_1", "firm_2"), falls, strict=True) if hit
        ]
        assert all(case["evidence"] == [] for case in ruling["cases"])
    assert cases(rulings)["firm_2"]  # the innocent, too


def test_silence_changes_no_decision_and_no_notice_is_sent(runs):
    paper, silent = runs["institutional"][2], runs["silent"][2]

    assert [{**r, "notices": {}} for r in paper] == silent
    assert any(r["notices"] for r in paper)


def test_without_teeth_nothing_is_taken_and_everything_is_said(runs):
    row, _, rulings, _ = runs["toothless"]

    assert row["fines"] > 0
    assert row["fine_total"] == 0
    assert row["suspensions"] == 0
    assert any("You are fined 0.00." in text for r in rulings for text in r["notices"].values())
    assert row["profit_net"] == runs["ungoverned"][0]["profit_net"]


def test_the_chance_of_the_lot_is_what_the_paper_finds_of_forgiving_dividers():
    """By hand of a deterministic run: 10 cases in 50 rounds for each of two firms."""
    table = Table(presets.make("lin2024"), load_graph(GRAPHS / "cournot.yaml"))
    played = table.play(table.seat([Seat("divider_forgiving")] * 2), seed=0)
    cases = sum(len(ruling["cases"]) for ruling in played.rulings)

    assert cases / (2 * len(played.rulings)) == 0.2
    assert load_graph(GRAPHS / "controls/by_lot.yaml").graph.detection.by_lot == 0.2


# Stories


@pytest.mark.parametrize("path", CONTROLS, ids=lambda path: path.stem)
def test_every_control_tells_where_it_parts_from_the_paper(path):
    report = run_tests(load_tests(path.parent / "tests" / path.name))

    assert not report.failed, "\n".join(str(o.mismatches) for o in report.failed)


def stories(name):
    """The paper's own policy tests under a control; the keys that are not as expected."""
    tests = load_tests(GRAPHS / "tests/cournot.yaml", load_graph(GRAPHS / f"controls/{name}.yaml"))
    return {
        (len(tests.tests.tests[index].agents), mismatch.key)
        for index, outcome in enumerate(run_tests(tests).outcomes)
        for mismatch in outcome.mismatches
    }


def test_the_papers_stories_hold_in_silence_but_for_the_notices():
    assert {key for _, key in stories("fines_without_notices")} == {"notice"}


def test_the_papers_stories_of_one_firm_hold_for_the_wrong_one():
    assert {firms for firms, _ in stories("wrong_firm")} == {2}


def test_the_papers_stories_hold_without_teeth_but_for_money_and_suspension():
    assert {key for _, key in stories("notices_without_fines")} <= {
        "fine",
        "suspended",
        "notice",
        "state",
        "cases",
        "clean",
    }
