"""What agents are not told: secret evidence, silent sanctions, and who is audited when."""

from pathlib import Path

import numpy as np
import pytest
from small_graph import YAML, program, record

from environments import presets
from environments.market import Market
from institutional.episode import Seat, Table, lottery
from institutional.experiments.playing import opening
from institutional.governance.governed import Governed
from institutional.governance.institution import Institution, account
from institutional.governance.loading import load_graph
from institutional.governance.oracle import drawn
from institutional.governance.reading import PublicReading
from institutional.replay.rulings import replay

ROOT = Path(__file__).parents[2]
SECRET = YAML.replace(
    b"meaning: the level has been high", b"meaning: it was high\n    secret: true"
)
SHARE = YAML + b"detection: {audit_share: 0.25}\n"


def rehearsed(yaml, level):
    reading = PublicReading(program(yaml), lambda actions, *_: {"levels": actions[:, :, 0]})
    return reading.rehearse(np.array([[level], [0.0]]), rounds=6)


def test_a_rehearsal_shows_no_secret_evidence():
    assert rehearsed(YAML, 8.0).fines.any()
    assert not rehearsed(SECRET, 8.0).fines.any()


def test_secret_evidence_is_evidence_all_the_same():
    institution = Institution(program(SECRET))
    accounts = [account(institution.program, institution.judge(record(8, 0))) for _ in range(3)]

    assert accounts[-1]["moves"][0]["fine"] == 4.0


def test_a_quarter_of_agents_and_rounds_is_looked_at_and_each_draw_is_its_own():
    """Binomial(20,000, 1/4): 5,000 with a standard deviation of 61."""
    words = np.array([5], dtype=np.uint64)
    seen = np.array([drawn(words, 2, round_, 0.25)[0] for round_ in range(10_000)])

    assert abs(int(seen.sum()) - 5000) < 250
    assert abs(float(np.corrcoef(seen[:, 0], seen[:, 1])[0, 1])) < 0.05
    assert abs(float(np.corrcoef(seen[1:, 0], seen[:-1, 0])[0, 1])) < 0.05


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_a_share_of_nothing_looks_at_nobody_and_of_one_at_everybody(share, expected):
    words = np.arange(100, dtype=np.uint64)

    assert (drawn(words, 3, 7, share) == expected).all()


def test_the_draw_of_a_market_does_not_depend_on_the_markets_beside_it():
    words = np.array([11, 12, 13], dtype=np.uint64)

    assert (drawn(words, 2, 4, 0.5)[1:2] == drawn(words[1:2], 2, 4, 0.5)).all()


def test_an_unseen_breach_makes_no_case():
    institution = Institution(program(SHARE), lotteries=[3])
    cases = [
        bool(account(institution.program, institution.judge(record(8, 0)))["cases"])
        for _ in range(40)
    ]

    assert 3 <= sum(cases) <= 18
    assert not all(cases[1:])


def test_a_replay_draws_the_audits_that_the_run_drew():
    loaded = load_graph(ROOT / "governance_graphs/audits.yaml")
    table = Table(presets.make("lin2024", rounds=30), loaded)
    entries = []

    class Entry:
        def __init__(self, kind, body):
            self.seq, self.kind, self.body = len(entries), kind, body

    def journal(kind, body):
        entries.append(Entry(kind, body))
        return body

    config = {"environment": table.core.config(), "seed": 4}
    journal("open", opening(table, config, "0" * 64, loaded))
    table.play(table.seat([Seat("divider_stubborn")] * 2), seed=4, journal=journal)
    graph = loaded.document.raw

    assert entries[0].body["lottery"] == lottery(4)
    assert replay(entries, graph).word == "exact"
    entries[0].body["lottery"] += 1
    assert replay(entries, graph).word == "mismatch"


def test_without_notices_an_agent_sees_its_money_go_and_nothing_else():
    env = Governed(
        Market(presets.make("lin2024")), load_graph(ROOT / "governance_graphs/fines_only.yaml")
    )
    env.reset(seed=0)
    for _ in range(3):
        seen, rewards, *_, infos = env.step({"firm_1": [60.0, 0.0], "firm_2": [0.0, 60.0]})

    assert rewards["firm_1"] == 900
    assert seen["firm_1"]["fine"] == 900
    assert infos["firm_1"] == {}
    assert int(seen["firm_1"]["standing"]) == env.program.initial
