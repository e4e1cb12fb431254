"""The red team plays what is really governed, finds what is there, and no more than there is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from signed_run import TRUST, play, write

from agents.contract import AgentError
from agents.policies.entries import require_torch
from agents.policies.saving import save
from environments import presets
from institutional.episode import Seat
from institutional.errors import InstitutionalError
from institutional.governance.loading import load_graph
from institutional.ledger.auditing.audit import audit
from institutional.ledger.auditing.verdict import Word
from institutional.redteam.attack import QUICK, Effort, attack
from institutional.redteam.bound import bound
from institutional.redteam.schedules import best_schedule
from institutional.redteam.target import aim
from institutional.redteam.target import play as played
from institutional.replay.rulings import replay

ROOT = Path(__file__).parents[1]
GRAPHS = ROOT / "governance_graphs"
ENOUGH = Effort(seeds=1, updates=40, markets=16, schedules=5000)


def target(graph="cournot", rounds=12, preset="lin2024", **options):
    changes = options.pop("changes", {})
    core = presets.make(preset, rounds=rounds, **changes)
    return aim(load_graph(GRAPHS / f"{graph}.yaml"), core, **options)


def test_honest_play_gains_nothing_and_nothing_gains_more_than_the_rent():
    """Nash earns 4333.33 / 3, division 1800: the ceiling is 355.56."""
    aimed = target()

    assert aimed.honest == pytest.approx(4333.3333 / 3)
    assert aimed.ceiling == pytest.approx(1800 - 4333.3333 / 3)
    nash = aimed.plans["nash"][np.newaxis]
    assert played(aimed, aimed.measuring(seed=0), lambda _: nash).gain == pytest.approx(0)


def test_a_round_here_is_a_round_of_a_governed_run():
    """Stubborn dividers: the same standings and fines as in the ordinary loop, round for round."""
    aimed = target(rounds=30)
    division = aimed.plans["market_division"][np.newaxis]
    found = played(aimed, aimed.measuring(seed=0), lambda _: division)
    run = play(aimed.core, [Seat("divider_stubborn")] * 2)
    rulings = [entry.body for entry in run.bodies("ruling")]
    fines = [[0.0, 0.0] for _ in rulings]
    for now, ruling in enumerate(rulings):
        for move in ruling["moves"]:
            fines[now][aimed.core.agents.index(move["agent"])] += move.get("fine", 0.0)

    assert [list(r.standings) for r in found.trace] == [
        [s["state"] for s in ruling["standings"]] for ruling in rulings
    ]
    assert [r.fines for r in found.trace] == fines
    assert any(r.suspended[0] for r in found.trace)
    assert found.fined == pytest.approx(np.mean(fines))


def test_the_best_schedule_is_close_to_the_bound_and_below_it():
    """A cycle of six: two divisions, three parked rounds, one more division."""
    aimed = target(rounds=48)
    schedule, found = best_schedule(aimed, limit=4096, seed=0)
    most = bound(aimed)

    assert 0.95 * most.of_rounds < found.gain <= most.of_rounds * (1 + 1e-9)
    assert sorted(schedule) == ["market_division"] * 3 + ["park_market_division"] * 3
    assert found.fined == 0


@pytest.mark.parametrize("graph", ["minimal", "suspension", "fines_only"])
def test_a_network_that_plays_plans_finds_most_of_the_bound_and_never_more(graph):
    report = attack(target(graph), plays="plans", effort=ENOUGH)
    gain, most = report.best.measured.gain, report.bound.of_rounds

    assert 0.5 * most < gain <= most * (1 + 1e-9)
    assert report.exploited


def test_a_network_that_plays_anything_gains_no_more_than_the_ceiling():
    report = attack(target("fines_only"), effort=ENOUGH)

    assert 0.3 * report.target.ceiling < report.best.measured.gain < report.target.ceiling


def test_the_policy_it_found_takes_its_seats_in_a_logged_run_and_plays_the_trace(tmp_path):
    report = attack(target("fines_only"), effort=ENOUGH)
    file = tmp_path / "policy.npz"
    save(file, report.best.policy)
    seats = [Seat("network", {"file": str(file)})] * 2
    run = play(report.target.core, seats, graph=GRAPHS / "fines_only.yaml", run="redteam")

    quantities = [entry.body["record"]["quantities"] for entry in run.bodies("round")]
    for recorded, traced in zip(quantities, report.best.measured.trace, strict=True):
        # One market and several may differ in a network's last bits.
        assert recorded == [pytest.approx(row, abs=1e-3) for row in traced.actions]
    assert replay(run.entries, run.graph).word == "exact"
    assert audit(write(run, tmp_path / "run"), TRUST).word is Word.UNANCHORED


def test_one_agent_among_honest_ones_has_nothing_to_gain():
    aimed = target("fines_only", adversary="firm_1")
    report = attack(aimed, learner="search", effort=QUICK)

    assert aimed.ceiling == pytest.approx(0, abs=1e-9)
    assert report.best.measured.gain == pytest.approx(0, abs=1e-9)
    assert not report.exploited
    assert report.bound == "the programme is for whole cartels"


def test_one_agent_against_dividers_finds_the_one_shot_reply():
    """60 and 20 against a rival at 0 and 60 earn 2000; two rounds are too few to be noticed."""
    aimed = target(adversary="firm_1", others="market_division", rounds=2)
    report = attack(aimed, learner="search", effort=QUICK)

    assert aimed.honest == pytest.approx(1888.8889)
    assert report.best.measured.gain == pytest.approx(2000 - aimed.honest)
    assert report.best.schedule == ("best_reply",)


def test_one_agent_whose_rivals_are_suspended_can_have_the_market_alone():
    """55 and 45 fill the capacity: with nobody else 55 * 32.5 + 45 * 27.5 = 3025."""
    aimed = target(adversary="firm_1", others="market_division")

    assert aimed.ceiling == pytest.approx(3025 - aimed.honest, abs=1e-3)


def test_equal_seeds_find_the_same():
    first, again, other = (
        attack(target(rounds=6), effort=QUICK, seed=seed).best.measured.trace for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_shocks_and_audits_by_lot_are_measured_on_many_markets_and_have_no_bound():
    shaken = target(changes={"demand_shock": {"sd": 2.0}})
    audited = target("audits")

    for aimed in (shaken, audited):
        assert aimed.random
        assert aimed.measuring(seed=0).markets == 64
        assert "without" in bound(aimed)


def test_an_interval_needs_five_seeds():
    effort = Effort(seeds=5, updates=1, markets=4, schedules=1)
    report = attack(target(rounds=2), effort=effort)
    gains = [trial.measured.gain for trial in report.trials]

    assert len(set(gains)) == 5
    assert min(gains) <= report.interval[0] <= np.mean(gains) <= report.interval[1] <= max(gains)
    assert attack(target(rounds=2), effort=QUICK).interval is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adversary": "firm_9"}, 'no adversary "firm_9"\n  adversaries: cartel, firm_1'),
        ({"adversary": "firm_1", "others": "nsah"}, 'no benchmark "nsah".*Did you mean "nash"'),
        ({"others": "random"}, "a cartel has every seat"),
    ],
)
def test_a_target_that_is_none_is_refused(options, message):
    with pytest.raises(InstitutionalError, match=f"(?s){message}"):
        target(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learner": "pop"}, 'no learner "pop"'),
        ({"plays": "fre"}, 'no way to play "fre"'),
    ],
)
def test_an_attack_that_is_none_is_refused(options, message):
    with pytest.raises(InstitutionalError, match=message):
        attack(target(), **options)


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(AgentError, match='device "gpu" is not there'):
        attack(target(), device="gpu", effort=QUICK)


def command(*arguments, before=""):
    program = (
        f"import sys\n{before}\nsys.argv = ['institutional', 'graph', 'redteam', *{arguments!r}]\n"
        "from institutional.cli.main import main\nmain()"
    )
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )


MINIMAL = ("governance_graphs/minimal.yaml", "--environment", "lin2024", "--quick")
NO_TORCH = "sys.modules['torch'] = None"


def test_an_exploit_is_exit_code_one_and_what_found_it_is_kept(tmp_path):
    found = command(*MINIMAL, "--out", str(tmp_path / "found"))

    assert found.returncode == 1
    assert "An exploit was found" in found.stdout
    assert {path.name for path in (tmp_path / "found").iterdir()} == {"policy.npz", "report.json"}


def test_without_torch_the_network_says_how_to_get_it_and_the_search_still_works():
    network = command(*MINIMAL, before=NO_TORCH)
    search = command(*MINIMAL, "--learner", "search", "--tolerate", "400", before=NO_TORCH)

    assert network.returncode == 2
    assert network.stderr == (
        "error: learning with networks needs torch, which is not installed\n"
        "  pip install 'institutional[train]'\n"
    )
    assert search.returncode == 0
    assert "No exploit was found" in search.stdout


def test_a_missing_torch_is_an_agent_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(AgentError, match=r"pip install 'institutional\[train\]'"):
        require_torch()


def test_a_graph_of_another_kind_of_market_is_wrong_input():
    done = command("governance_graphs/bertrand.yaml", "--environment", "lin2024")

    assert done.returncode == 2
    assert "written for bertrand markets" in done.stderr
