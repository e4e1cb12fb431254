"""The deterrence account, against hand calculation and against the real simulator."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from environments import presets
from institutional.cli import graph_deter
from institutional.deterrence import market
from institutional.deterrence.account import account
from institutional.deterrence.changes import changes
from institutional.deterrence.product import explore
from institutional.deterrence.words import as_data, text
from institutional.episode import Table
from institutional.errors import InstitutionalError
from institutional.governance.institution import Institution
from institutional.governance.loading import load_graph, parse_graph

GRAPHS = Path(__file__).parents[1] / "governance_graphs"
LIN = presets.make("lin2024")
COURNOT = load_graph(GRAPHS / "cournot.yaml")
RENT = 1800 - 13000 / 9  # facts 1c: 1444.44 at Nash

# One good at price 40 - Q and cost 4: Nash 12 each at price 16 and profit 144, the cartel 9 each at
# price 22 and profit 162. Every round of a price above 17 is fined a share of profit.
FINE = """
format: institutional.graph/1
name: fine
title: Fine every round of a high price
source: made up for the tests
environment: cournot
parameters:
  limit: {value: 17, unit: money, source: chosen, note: just above Nash}
  rate: {value: RATE, unit: share of profit, source: chosen, note: what is to be found out}
initial: active
states:
  active: {status: clear, meaning: in good standing}
evidence:
  high: {meaning: the price is high, when: {signal: price, above: $limit}}
norms:
  N1:
    {who: all, deontic: must_not, aim: keep, object: a high price, condition: ever,
     or_else: [fine], breached_by: high}
edges:
  - {id: fine, from: active, to: active, when: [{case: N1}],
     sanction: {fine: {rates: [$rate], of: profit}}}
"""
# Every part that the shipped graphs do without: a cap, credits given, rounds that count although
# somebody is suspended.
CAPS = b"""
format: institutional.graph/1
name: caps
title: Cap, then suspend; credits come with the cap
source: made up for the tests
environment: cournot
initial: active
states:
  active: {status: clear, meaning: in good standing}
  capped: {status: penalised, meaning: held down, restriction: {cap: 0.4}}
  out: {status: penalised, meaning: suspended, restriction: {suspended: true}}
evidence:
  high: {meaning: divided, when: {signal: hhi, above: 0.8, for: {at_least: 2, of: 3}}}
  moved: {meaning: prices rose, when: {signal: price_gain, above: 0.05}}
norms:
  N1:
    {who: all, deontic: must_not, aim: divide, object: goods, condition: ever,
     or_else: [hold, stop], breached_by: high}
  N2:
    {who: all, deontic: must_not, aim: raise, object: prices, condition: in one go,
     or_else: [stop], breached_by: moved}
edges:
  - {id: hold, from: active, to: capped, when: [{case: N1}], sanction: {credits: 2}}
  - {id: stop, from: capped, to: out, when: [{case: N1}], require: [{streak: {of: N1, rounds: 3}}],
     sanction: {fine: {rates: [0.1, 0.2], of: profit, floor: 50}}}
  - {id: buy, from: capped, to: active, when: [{clean_rounds: 2}], require: [{credits: 3}],
     cooldown: 7, sanction: {credits: -3}}
  - {id: wait, from: capped, to: active, when: [{rounds_in_state: 6}]}
  - {id: back, from: out, to: active, when: [{rounds_in_state: 2}]}
restoration:
  credits: {earn_after: 3, cap: 4, decay: 5, earned_in: [active, capped]}
  forget_offences_after: 4
detection: {rounds_with_a_suspension: count}
"""
DUOPOLY = presets.make("waltman_kaymak2008")


def fining(rate):
    return parse_graph(FINE.replace("RATE", str(rate)).encode(), "fine.yaml")


@pytest.fixture(scope="module")
def lin():
    return account(COURNOT, LIN)


def told(evasion, program):
    """(plan, standing) per round of lead-in and cycle, where all agents stand alike."""
    return [
        [(r.plan, program.states[r.standing[0]]) for r in rounds]
        for rounds in (evasion.walk.lead_in, evasion.walk.cycle)
    ]


def test_the_rent_is_what_division_earns_above_nash():
    """Facts 1c: rent 355.6, temptation 200, Nash reversion holds from 200 / 555.6 = 0.36."""
    division = {rent.plan: rent for rent in market.rents(LIN)}["market_division"]

    assert division.profit == pytest.approx(1800)
    assert division.rent == pytest.approx(RENT)
    assert division.temptation == pytest.approx(200)
    assert division.critical_discount == pytest.approx(0.36)


def test_each_sanction_needs_the_probability_of_rent_over_cost(lin):
    """Facts 3: 630, 1350 and 1800 against 355.6; a suspension takes five rounds of 1800."""
    needed = {n.sanction: n.probability for n in lin.needs if n.plan == "market_division"}

    assert list(needed.values()) == pytest.approx([0.5644, 0.2634, 0.1975, 0.0395], abs=1e-4)
    assert needed["suspended for 5 rounds"] == pytest.approx(RENT / 9000)


def test_permanent_division_loses_and_settles_between_fines_and_suspension(lin):
    """Of eight rounds five are suspended, one is free, one is fined 100 %, one is free again."""
    division = lin.permanent["market_division"]

    assert division.walk.mean == pytest.approx(2 * 1800 / 8)
    assert division.gain == pytest.approx(450 - 13000 / 9)


def test_dividing_half_the_time_is_never_fined(lin):
    """Two rounds as the warning expires are no 3 of 5; the third brings the next free warning."""
    lead_in, cycle = told(lin.noticed_only, lin.program)

    assert lead_in == [("market_division", "active")] * 2
    assert cycle == [
        ("market_division", "active"),
        *[("nash", "warning")] * 3,
        *[("market_division", "warning")] * 2,
    ]
    assert lin.noticed_only.gain == pytest.approx(RENT / 2)


def test_a_fixed_price_is_never_noticed_and_fills_the_rounds_between(lin):
    """Facts 2, construct check 2: Nash proportions at the monopoly total earn 1581.8."""
    assert lin.quiet_shares["fixed_price"] == 1
    assert lin.permanent["fixed_price"].gain == pytest.approx(1581.818 - 1444.444, abs=1e-2)
    assert lin.without_parking.gain == pytest.approx((3 * RENT + 3 * 137.374) / 6, abs=1e-2)


def test_parking_is_the_best_filler_of_all(lin):
    assert {r.plan for r in lin.best.walk.cycle} == {"market_division", "park_market_division"}
    assert lin.pays
    assert lin.exploitability == lin.best.gain > lin.without_parking.gain
    assert lin.spares_nash
    assert not lin.bounded


class _Following:
    """An agent that plays its part of a walk, whatever it sees."""

    def __init__(self, evasion, actions, seat):
        self._rounds = [
            [actions[r.plan][seat] for r in part]
            for part in (evasion.walk.lead_in, evasion.walk.cycle)
        ]

    def reset(self, seed):  # noqa: ARG002
        lead_in, cycle = self._rounds
        self._next = itertools.chain(lead_in, itertools.cycle(cycle))

    def act(self, observation):  # noqa: ARG002
        return next(self._next).copy()


@pytest.mark.parametrize("name", ["best", "without_parking", "noticed_only"])
@pytest.mark.parametrize(("graph", "preset"), [("cournot", "lin2024"), ("bertrand", "calvano2020")])
def test_agents_that_follow_the_evasion_earn_in_the_market_what_was_predicted(graph, preset, name):
    loaded = load_graph(GRAPHS / f"{graph}.yaml")
    core = presets.make(preset, rounds=180)
    found = account(loaded, core)
    evasion = getattr(found, name)
    agents = {a: _Following(evasion, found.actions, s) for s, a in enumerate(core.agents)}

    outcome = Table(core, loaded).play(agents, seed=0)

    assert outcome.invalid is None
    earned = outcome.rewards.mean(axis=1)
    expected = [r.earned for r in evasion.walk.lead_in]
    expected += [r.earned for r in evasion.walk.cycle] * 180
    assert earned == pytest.approx(expected[:180])
    assert earned.mean() - found.nash_profit == pytest.approx(evasion.gain, rel=0.02)


@pytest.mark.parametrize(
    ("graph", "preset"),
    [
        ("cournot", "lin2024"),
        ("cournot", "lin2024_equal40"),
        ("cournot", "symmetric"),
        ("bertrand", "calvano2020"),
        ("caps", "lin2024"),
    ],
)
def test_the_product_never_differs_from_the_institution_in_session(graph, preset):
    """Random plans in spells, for longer than any counter reaches; moods from mild to stubborn."""
    core = presets.make(preset)
    shipped = graph != "caps"
    loaded = load_graph(GRAPHS / f"{graph}.yaml") if shipped else parse_graph(CAPS, "caps.yaml")
    found = account(loaded, core)
    assert not found.bounded
    product = explore(found.program, core, found.actions)
    actions = list(found.actions.values())
    generator = np.random.default_rng(1)
    quiet = core.shocks(0)[:1] * 0
    for mood in np.linspace(0.1, 0.95, 6):
        session, here = Institution(found.program), 0
        plan = 0
        for _ in range(200):
            if generator.random() < 0.5:
                loud = generator.random() < mood
                plan = int(generator.integers(1, len(actions))) if loud else 0
            held = core.restrict(actions[plan][None], session.suspended(), session.cap())
            record = core.settle(held, quiet)
            ruling = session.judge(record)
            net = (core.profits(record) - ruling.decisions.fines).mean()
            assert product.reward[here, plan] == pytest.approx(net, abs=1e-9)
            here = product.following[here, plan]
            assert product.state[here].tolist() == session.register.state[0].tolist()


def test_a_window_longer_than_a_word_of_the_product_is_kept_whole():
    """At 35 of 40 rounds the first fine falls in round 34, counted from 0, and then always."""
    text_ = FINE.replace("RATE", "0.1").replace("$limit}", "$limit, for: {at_least: 35, of: 40}}")
    loaded = parse_graph(text_.encode(), "window.yaml")
    program = Table(DUOPOLY, loaded).program
    cartel = DUOPOLY.benchmarks()["joint_monopoly"].actions

    product = explore(program, DUOPOLY, {"joint_monopoly": cartel})

    here, fined = 0, []
    for _ in range(60):
        fined.append(product.fined[here, 0] > 0)
        here = product.following[here, 0]
    assert fined == [False] * 34 + [True] * 26


def test_no_repeated_pattern_beats_the_evasion(lin):
    """Every pattern of up to ten rounds of division and Nash play, from good standing."""
    product = explore(lin.program, LIN, {p: lin.actions[p] for p in ("nash", "market_division")})
    weights = lin.discount ** np.arange(400)
    patterns = [
        np.resize(pattern, len(weights))
        for length in range(1, 11)
        for pattern in itertools.product((0, 1), repeat=length)
    ]
    plays, here = np.array(patterns), np.zeros(len(patterns), dtype=int)
    worth = np.zeros(len(patterns))
    for weight, plan in zip(weights, plays.T, strict=True):
        worth += weight * product.reward[here, plan]
        here = product.following[here, plan]

    best = (1 - lin.discount) * worth.max() - lin.nash_profit
    assert best <= lin.noticed_only.discounted_gain + 1e-6
    assert best > 0.9 * lin.noticed_only.discounted_gain


def test_a_fine_smaller_than_the_rent_is_a_price():
    """Rent 162 - 144 = 18; 10 % of 162 is 16.2, so 1.8 is left and no probability suffices."""
    found = account(fining(0.1), DUOPOLY)

    assert found.without_parking.gain == pytest.approx(1.8)
    assert [n.probability for n in found.needs if n.plan == "joint_monopoly"] == pytest.approx(
        [18 / 16.2]
    )
    assert "too small" in text(found, [])


def test_a_fine_larger_than_the_rent_leaves_only_parking_under_the_limit():
    """20 % of 162 is 32.4. Price 17 needs 23 units: 11.5 each at a margin of 13 earn 149.5."""
    found = account(fining(0.2), DUOPOLY)

    assert found.without_parking.gain == 0
    assert found.best.gain == pytest.approx(149.5 - 144, abs=1e-3)
    assert [r.plan for r in found.best.walk.cycle] == ["park_fixed_price"]
    assert "no change is needed" in text(found, [])


def test_the_change_that_removes_an_evasion_is_named():
    """At 1.25 x 10 % the fine is 20.25 > 18; no limit between Nash and the cartel matters.

    A limit below the Nash price of 16 fines Nash play too; one above 22 fines nobody.
    """
    loaded = fining(0.1)
    found = account(loaded, DUOPOLY)
    tried = changes(loaded, DUOPOLY, found)

    assert {(c.parameter, c.after) for c in tried if c.removes} == {("rate", 0.125), ("rate", 0.2)}
    assert [
        (pytest.approx(c.after), pytest.approx(c.gain), c.spares_nash)
        for c in tried
        if c.parameter == "limit"
    ] == [(8.5, 1.8, False), (13.6, 1.8, False), (21.25, 1.8, True), (34, 18, True)]
    assert "rate 0.1 -> 0.125: gain 0" in text(found, tried)


def test_standings_beyond_the_limit_are_left_out_and_said_so(lin):
    product = explore(lin.program, LIN, lin.actions, limit=10)

    assert product.bounded
    assert (product.following < len(product.reward)).all()
    assert product.reward[-1] == pytest.approx([13000 / 9] * len(lin.actions))
    account_ = replace(lin, bounded=True)
    assert changes(COURNOT, LIN, account_) == []
    assert "were not tried" in text(account_, [])


@pytest.mark.parametrize("discount", [0.0, 1.0, float("nan")])
def test_a_discount_factor_outside_the_open_interval_is_refused(discount):
    with pytest.raises(InstitutionalError, match="discount"):
        account(COURNOT, LIN, discount=discount)


def test_the_data_is_json_and_names_standings(lin):
    data = json.loads(json.dumps(as_data(lin, []), allow_nan=False))

    assert data["noticed_only"]["cycle"][0] == {
        "plan": "market_division",
        "share": 1.0,
        "standing": ["active", "active"],
        "earned": pytest.approx(1800),
        "fined": 0.0,
    }
    assert data["best"]["cycle"][1]["share"] == lin.quiet_shares["market_division"]


def command(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    graph_deter.register(app)
    return CliRunner().invoke(app, ["deter", *arguments])


def test_the_command_tells_the_same_story_to_people_and_programs():
    words = (str(GRAPHS / "bertrand.yaml"), "--environment", "calvano2020")
    shown, data = command(*words), json.loads(command(*words, "--json").stdout)

    assert "Collusion pays" in shown.stdout
    assert "none removes it" in shown.stdout
    # Five rounds of nine: the fifth is the fifth of eight and brings the free warning.
    assert data["without_parking"]["gain"] == pytest.approx(data["plans"][0]["rent"] * 5 / 9)
    assert not any(change["removes"] for change in data["changes"])


def test_a_graph_for_another_market_is_refused():
    done = command(str(GRAPHS / "bertrand.yaml"), "--environment", "lin2024")

    assert isinstance(done.exception, InstitutionalError)
    assert "lin2024 is none" in str(done.exception)


def test_audits_by_lot_are_refused_rather_than_reckoned_as_certain():
    loaded = load_graph(GRAPHS / "audits.yaml")
    with pytest.raises(InstitutionalError, match="audits by lot"):
        account(loaded, presets.make("lin2024"))
